//! Runs everything in one process: starts the parts in order and shuts them down.

use std::{process::ExitCode, sync::Arc};

use api::{ApiState, Front};
use ledger::Ledger;
use notifier::{Notifier, NotifierSettings};
use platform::chance::Chance;
use poem::EndpointExt;
use runtime::{
    access_tokens::AccessTokens,
    config::Settings,
    process::{self, Foundation, Listening, Process},
};
use worker::{Worker, WorkerParts, WorkerSettings};

use crate::{
    addresses::Addresses,
    commands::say,
    data_dir::DataDir,
    demo::{self, Demo, DemoBuilder, DemoState},
    refusal::Refusal,
    running::{DemoText, Running},
};

pub(crate) async fn serve(mut settings: Settings) -> Result<ExitCode, Refusal> {
    process::begin(&settings.telemetry, &settings.testing)?;
    // Held until the end of this function, so that no other process opens the files earlier.
    let data_dir = DataDir::lock(&settings)?;
    let demo_state = DemoState::of(&settings, &data_dir)?;
    let (http, setting) = (&settings.http, "http.api_listen");
    let listening = process::bind(setting, http.api_listen, http).await?;
    let shutdown = process::stop_on_signals(&settings)?;

    let addresses = Addresses::of(&settings, &listening);
    let keys = runtime::keys::load_or_create(&settings.secrets, &Chance::system())?;
    let foundation = Foundation::build(&settings, keys, &addresses.public, true).await?;
    let ledger = &foundation.ledger;
    let demo = make_demo(demo_state, ledger, &settings, &data_dir, &addresses).await?;
    if demo.is_some() {
        settings.worker.own_address = Some(listening.address());
    }
    let settings = Arc::new(settings);
    let process = Process::start(foundation, shutdown, "expediter", &settings.telemetry);
    start(&process, listening, &settings, demo.as_ref()).await?;
    announce(&settings, &addresses, demo.as_ref()).await?;
    drop(demo);

    let ended = process.finish().await;
    drop(data_dir);
    Ok(ended)
}

async fn make_demo(
    demo_state: DemoState,
    ledger: &Ledger,
    settings: &Settings,
    data_dir: &DataDir,
    addresses: &Addresses,
) -> Result<Option<Demo>, Refusal> {
    let builder = DemoBuilder {
        ledger,
        passwords: &api::auth::Passwords::new(settings.accounts.argon2_concurrency),
        data_dir,
        local_url: &addresses.local,
        public_url: &addresses.public,
    };
    let made = demo::make(demo_state, builder).await;
    made.map_err(|cause| Refusal::failed("creating the demonstration")(format!("{cause:#}")))
}

/// Starts the parts; those that do the work start before those that request it.
async fn start(
    process: &Process,
    listening: Listening,
    settings: &Arc<Settings>,
    demo: Option<&Demo>,
) -> Result<(), Refusal> {
    let notifier = Notifier::start(
        process.ledger.clone(),
        Arc::clone(&process.broker),
        Arc::clone(&process.metrics),
        AccessTokens::new(
            &process.keys.jwt,
            process.ledger.clock().clone(),
            settings.accounts.access_ttl,
        ),
        NotifierSettings::from_settings(settings),
        &process.shutdown,
    )
    .await;
    let worker = WorkerParts {
        ledger: process.ledger.clone(),
        broker: Arc::clone(&process.broker),
        metrics: Arc::clone(&process.metrics),
        settings: WorkerSettings::from(&**settings),
    };
    Worker::start(worker, &process.shutdown)
        .await
        .map_err(Refusal::failed("starting the worker"))?;
    let state = ApiState::new(
        process.ledger.clone(),
        Arc::clone(&process.keys),
        Arc::clone(settings),
        Arc::clone(&process.metrics),
    );
    let routes = notifier::mount(api::routes(&state), &notifier);
    let mut routes = process.with_operations(routes);
    if let Some(demo) = demo {
        routes = demo::mount(routes, demo);
        let (kitchen, stopping) = (demo.kitchen().clone(), process.shutdown.stopping());
        process.shutdown.spawn(
            "kitchen",
            async move { kitchen.run(stopping.cancelled()).await },
        );
        let (courier, stopping) = (demo.courier().clone(), process.shutdown.stopping());
        process.shutdown.spawn(
            "courier",
            async move { courier.run(stopping.cancelled()).await },
        );
    }
    if demo.is_some() {
        let routes = routes.around(demo::only_for_this_machine);
        process.serve(listening, routes.with(Front::new(&state)), settings);
    } else {
        process.serve(listening, routes.with(Front::new(&state)), settings);
    }
    Ok(())
}

async fn announce(
    settings: &Settings,
    addresses: &Addresses,
    demo: Option<&Demo>,
) -> Result<(), Refusal> {
    let demo_text = match demo {
        Some(demo) => Some(
            DemoText::of(demo)
                .await
                .map_err(Refusal::failed("reading the demonstration"))?,
        ),
        None => None,
    };
    say(Running {
        url: &addresses.public,
        database: settings.database.url.to_string(),
        demo_text,
    });
    Ok(())
}
