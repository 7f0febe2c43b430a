//! The `courier` binary: serves the API, writes its document, and makes mock users.

use std::{env, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand};
use courier::{Courier, CourierSettings, Login, openapi_document};
use poem::{
    Route, Server,
    listener::{Acceptor, Listener, TcpListener},
};

/// Takes deliveries, moves each along its way, and tells of every step by a signed webhook.
///
/// Options left out are read from COURIER_LISTEN, COURIER_DATABASE and COURIER_STEP_MS. Secrets come from the environment
/// only: COURIER_SIGNING_SECRET (messages must be signed with it), COURIER_CALLBACK_SECRET (updates to a message's
/// callback_url are signed with it), both as `whsec_…`, and COURIER_USERNAME with COURIER_PASSWORD (an account that
/// exists from the start). Further settings: COURIER_SEED, COURIER_NOT_DELIVERED_PERCENT, COURIER_OPEN_SIGNUP,
/// COURIER_RECEIVERS, COURIER_TOKEN_TTL_S.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// SQLite file [default: ./courier.db]
    #[arg(long, global = true)]
    database: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
    /// Address and port [default: 127.0.0.1:8090]
    #[arg(long)]
    listen: Option<String>,
    /// Milliseconds between two steps of a delivery [default: 30000]
    #[arg(long)]
    step_ms: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the API (the default).
    Serve,
    /// Makes an account of each role, if it is missing, and prints a token for each, valid for a day.
    MockUsers,
    /// Prints the OpenAPI document.
    Openapi,
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "a command's result goes to standard output"
)]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    match options.command {
        None | Some(Command::Serve) => serve(options).await,
        Some(Command::MockUsers) => {
            let courier = Courier::open(settings(&options)?).await?;
            for user in courier.mock_users().await? {
                println!("{:<14} {}", user.username, user.token);
            }
            courier.close().await;
            Ok(())
        }
        Some(Command::Openapi) => {
            print!("{}", openapi_document());
            Ok(())
        }
    }
}

async fn serve(options: Options) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO)
        .init();
    let listen = options.listen.clone().or_else(|| setting("COURIER_LISTEN"));
    let listen = listen.unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let courier = Courier::open(settings(&options)?).await?;
    let acceptor = TcpListener::bind(&listen).into_acceptor().await;
    let acceptor = acceptor.with_context(|| format!("cannot listen on {listen}"))?;
    for address in acceptor.local_addr() {
        tracing::info!(%address, "the courier is running");
    }

    let (stop, stopped) = tokio::sync::watch::channel(());
    let moving = tokio::spawn({
        let (courier, mut stopped) = (courier.clone(), stopped);
        async move { courier.run(async { drop(stopped.changed().await) }).await }
    });
    let shutdown = async move {
        stop_signal().await;
        drop(stop);
    };
    Server::new_with_acceptor(acceptor)
        .run_with_graceful_shutdown(
            Route::new().nest("/", courier.routes()),
            shutdown,
            Some(Duration::from_secs(5)),
        )
        .await
        .with_context(|| format!("cannot serve on {listen}"))?;
    moving.await.context("the courier's loops panicked")?;
    courier.close().await;
    tracing::info!("the courier has stopped");
    Ok(())
}

fn settings(options: &Options) -> anyhow::Result<CourierSettings> {
    let database = options.database.clone();
    let database = database.or_else(|| setting("COURIER_DATABASE").map(PathBuf::from));
    let mut settings =
        CourierSettings::new(database.unwrap_or_else(|| PathBuf::from("courier.db")));
    if let Some(step_ms) = options.step_ms.or(parsed("COURIER_STEP_MS")?) {
        anyhow::ensure!(step_ms > 0, "the step must take at least a millisecond");
        settings.step = Duration::from_millis(step_ms);
    }
    if let Some(percent) = parsed("COURIER_NOT_DELIVERED_PERCENT")? {
        anyhow::ensure!(
            percent <= 100,
            "COURIER_NOT_DELIVERED_PERCENT is more than 100"
        );
        settings.not_delivered_percent = percent;
    }
    settings.seed = parsed("COURIER_SEED")?;
    settings.signing_secret = parsed("COURIER_SIGNING_SECRET")?;
    settings.callback_secret = parsed("COURIER_CALLBACK_SECRET")?;
    settings.open_signup = parsed("COURIER_OPEN_SIGNUP")?.unwrap_or(true);
    if let Some(ttl_s) = parsed("COURIER_TOKEN_TTL_S")? {
        settings.token_ttl = Duration::from_secs(ttl_s);
    }
    let receivers = setting("COURIER_RECEIVERS").unwrap_or_default();
    let receivers = receivers.split(',').map(str::trim);
    settings.receivers = receivers
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect();
    settings.login = match (setting("COURIER_USERNAME"), setting("COURIER_PASSWORD")) {
        (Some(username), Some(password)) => Some(Login { username, password }),
        (None, None) => None,
        _ => anyhow::bail!("COURIER_USERNAME and COURIER_PASSWORD belong together"),
    };
    Ok(settings)
}

/// Reads a setting as `T`; the error names the setting and not its value, which may be a secret.
fn parsed<T: std::str::FromStr>(name: &str) -> anyhow::Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = setting(name);
    text.map(|text| text.parse().with_context(|| name.to_owned()))
        .transpose()
}

/// Reads a variable; an empty one is not set, as compose passes those that are left out.
#[expect(
    clippy::disallowed_methods,
    reason = "the courier imports none of our crates, so it reads its own settings"
)]
fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

async fn stop_signal() {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("a handler for SIGTERM can be set");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
