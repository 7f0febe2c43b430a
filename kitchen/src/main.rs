//! The `kitchen` binary: the reference kitchen alone, to try Expediter from outside.

use std::{env, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Parser;
use kitchen::{Kitchen, KitchenSettings, Secret};
use poem::{Route, Server, listener::TcpListener};

/// Receives Expediter's handoffs, prepares the orders and sends callbacks.
///
/// Secrets come from the environment only: KITCHEN_SIGNING_SECRET (the integrator's signing
/// secret) and KITCHEN_CALLBACK_SECRET (its callback secret), both as `whsec_…`. Options left
/// out are read from KITCHEN_LISTEN and KITCHEN_STEP_MS. With KITCHEN_JOURNAL, the path of a file,
/// a restarted kitchen resumes its open orders.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Address and port [default: 127.0.0.1:8091]
    #[arg(long)]
    listen: Option<String>,
    /// Milliseconds from accepted to preparing, and from preparing to ready [default: 3000]
    #[arg(long)]
    step_ms: Option<u64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    let options = Options::parse();
    let listen = options
        .listen
        .or_else(|| setting("KITCHEN_LISTEN"))
        .unwrap_or_else(|| "127.0.0.1:8091".to_owned());
    let mut settings = KitchenSettings::new(
        secret("KITCHEN_SIGNING_SECRET")?,
        secret("KITCHEN_CALLBACK_SECRET")?,
    );
    if let Some(step_ms) = step_ms(options.step_ms)? {
        settings.step = Duration::from_millis(step_ms);
    }
    settings.journal = setting("KITCHEN_JOURNAL")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let kitchen = Kitchen::new(settings)?;

    let (stop, stopped) = tokio::sync::watch::channel(());
    let cooking = tokio::spawn({
        let (kitchen, mut stopped) = (kitchen.clone(), stopped.clone());
        async move { kitchen.run(async { drop(stopped.changed().await) }).await }
    });
    Server::new(TcpListener::bind(&listen))
        .run_with_graceful_shutdown(
            Route::new().nest("/", kitchen.routes()),
            stop_signal(),
            Some(Duration::from_secs(5)),
        )
        .await
        .with_context(|| format!("cannot serve on {listen}"))?;
    drop(stop);
    cooking.await.context("the kitchen's loop panicked")
}

fn secret(name: &str) -> anyhow::Result<Secret> {
    let text = setting(name).with_context(|| format!("{name} is not set"))?;
    text.parse().with_context(|| name.to_owned())
}

fn step_ms(option: Option<u64>) -> anyhow::Result<Option<u64>> {
    match (option, setting("KITCHEN_STEP_MS")) {
        (Some(step_ms), _) => Ok(Some(step_ms)),
        (None, Some(text)) => Ok(Some(text.parse().context("KITCHEN_STEP_MS")?)),
        (None, None) => Ok(None),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the kitchen imports none of our crates, so it reads its own settings"
)]
fn setting(name: &str) -> Option<String> {
    env::var(name).ok()
}

async fn stop_signal() {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("a handler for SIGTERM can be set");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
