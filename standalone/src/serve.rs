//! Everything in one process: what is started, in which order, and how it ends.

use std::{process::ExitCode, sync::Arc, time::Duration};

use api::{ApiState, Front};
use common::{
    broker::{Broker, BrokerState},
    config::Settings,
    crash,
    lifecycle::Shutdown,
    listen::{self, NoDelayAcceptor},
    operations::{Health, Operations},
    store::Db,
    telemetry,
};
use notifier::{Notifier, NotifierSettings};
use poem::{EndpointExt, Server};
use tokio_util::sync::CancellationToken;
use worker::{Worker, WorkerParts, WorkerSettings};

use crate::{
    base::{self, Addresses, Base},
    commands::say,
    data_dir::DataDir,
    demo::{self, Demo, Making, Standing},
    refusal::Refusal,
    running::{Running, Tryout},
};

/// How long the relay may take to publish what the last requests and attempts committed.
const RELAY_WITHIN: Duration = Duration::from_secs(2);
/// How long the connections may take to close after everything else has ended.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

pub(crate) async fn serve(mut settings: Settings) -> Result<ExitCode, Refusal> {
    telemetry::init(&settings.telemetry)?;
    if let Some(crash_at) = &settings.testing.crash_at {
        let (name, nth) = crash::parse(crash_at)?;
        crash::arm(name, nth)?;
    }
    // Until the end of this function, so that no other process opens the files before.
    let data_dir = DataDir::lock(&settings)?;
    let standing = Standing::of(&settings, &data_dir)?;
    let acceptor = listen::bind(settings.http.api_listen).await?;
    let shutdown = Shutdown::new(settings.shutdown.drain);
    shutdown
        .on_signals()
        .map_err(Refusal::failed("listening for signals"))?;

    let addresses = Addresses::of(&settings, &acceptor);
    let base = Base::build(&settings, &addresses.public).await?;
    let demo = make_demo(standing, &base, &settings, &data_dir, &addresses).await?;
    if demo.is_some() {
        demo::allow_loopback(&mut settings);
    }
    let settings = Arc::new(settings);
    let (db, broker) = (base.db.clone(), Arc::clone(&base.broker));
    // It ends last, since all others may have something to tell.
    let relay = Shutdown::new(RELAY_WITHIN);
    start(base, acceptor, &settings, demo.as_ref(), &shutdown, &relay).await?;
    announce(&settings, &addresses, demo.as_ref()).await?;

    let ended = shutdown.finish().await;
    relay.begin();
    let relay_ended = relay.finish().await;
    close(db, broker).await;
    tracing::info!("stopped");
    drop(data_dir);
    Ok(if ended.failed || relay_ended.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn make_demo(
    standing: Standing,
    base: &Base,
    settings: &Settings,
    data_dir: &DataDir,
    addresses: &Addresses,
) -> Result<Option<Demo>, Refusal> {
    let making = Making {
        ledger: &base.ledger,
        passwords: &api::auth::Passwords::new(settings.accounts.argon2_concurrency),
        data_dir,
        local_url: &addresses.local,
        public_url: &addresses.public,
    };
    demo::make(standing, making)
        .await
        .map_err(|cause| Refusal::Failed {
            doing: "making the demonstration",
            cause: format!("{cause:#}").into(),
        })
}

/// Whoever is asked for work starts before those who ask for it.
async fn start(
    base: Base,
    acceptor: NoDelayAcceptor,
    settings: &Arc<Settings>,
    demo: Option<&Demo>,
    shutdown: &Shutdown,
    relay: &Shutdown,
) -> Result<(), Refusal> {
    let stopping = shutdown.stopping();
    let operations = Arc::new(operations(&base, stopping.clone()).routes());
    let Base {
        db,
        clock,
        keys,
        broker,
        metrics,
        ledger,
        relay: publishing,
        relay_queue,
    } = base;
    relay.spawn_vital("relay", publishing.run(relay_queue, relay.stopping()));
    shutdown.spawn(
        "without a relay",
        stop_together(relay.stopping(), shutdown.clone()),
    );
    shutdown.spawn("clock", base::keep_time(db, clock, stopping.clone()));
    let watch = base::watch_broker(Arc::clone(&broker), Arc::clone(&metrics), stopping.clone());
    shutdown.spawn("broker's state", watch);

    let notifier_settings = NotifierSettings::from_settings(settings);
    let notifier = Notifier::start(
        ledger.clone(),
        Arc::clone(&broker),
        Arc::clone(&metrics),
        notifier_settings,
        shutdown,
    )
    .await;
    let worker = WorkerParts {
        ledger: ledger.clone(),
        broker: Arc::clone(&broker),
        metrics: Arc::clone(&metrics),
        settings: WorkerSettings::from(&**settings),
    };
    Worker::start(worker, shutdown)
        .await
        .map_err(Refusal::failed("starting the worker"))?;
    let state = ApiState::new(
        ledger.clone(),
        keys,
        Arc::clone(settings),
        Arc::clone(&metrics),
    );
    let mut routes = api::routes(&state).nest_no_strip("/ws", notifier::routes(&notifier));
    for path in ["/healthz", "/readyz", "/metrics"] {
        routes = routes.at(path, Arc::clone(&operations));
    }
    if let Some(demo) = demo {
        routes = demo::mount(routes, demo);
        let (kitchen, stopping) = (demo.kitchen().clone(), stopping.clone());
        shutdown.spawn(
            "kitchen",
            async move { kitchen.run(stopping.cancelled()).await },
        );
    }
    let everything = routes.with(Front::new(&state));
    let server = Server::new_with_acceptor(acceptor)
        .idle_timeout(settings.http.idle_timeout)
        .run_with_graceful_shutdown(
            everything,
            stopping.cancelled_owned(),
            Some(settings.shutdown.drain),
        );
    shutdown.spawn_vital("http", async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the server ended: {error}");
        }
    });
    Ok(())
}

/// Without its relay the process is of no use.
async fn stop_together(relay_stopping: CancellationToken, shutdown: Shutdown) {
    tokio::select! {
        () = relay_stopping.cancelled() => shutdown.begin(),
        () = shutdown.stopping().cancelled_owned() => {}
    }
}

fn operations(base: &Base, stopping: CancellationToken) -> Operations {
    let (db, broker) = (base.db.clone(), Arc::clone(&base.broker));
    Operations::new(Arc::clone(&base.metrics), stopping)
        .probe("database", move || {
            let db = db.clone();
            async move {
                db.ping()
                    .await
                    .map_or(Health::Down("does not answer"), |()| Health::Ok)
            }
        })
        .probe("broker", move || {
            let state = broker.state();
            async move {
                match &*state.borrow() {
                    BrokerState::Connected => Health::Ok,
                    BrokerState::Away { .. } => Health::Degraded("away: the sweep does its work"),
                    BrokerState::Blocked { .. } => {
                        Health::Degraded("takes nothing: the sweep does its work")
                    }
                }
            }
        })
}

async fn announce(
    settings: &Settings,
    addresses: &Addresses,
    demo: Option<&Demo>,
) -> Result<(), Refusal> {
    let tryout = match demo {
        Some(demo) => Some(
            Tryout::of(demo)
                .await
                .map_err(Refusal::failed("reading the demonstration"))?,
        ),
        None => None,
    };
    say(Running {
        url: &addresses.public,
        database: settings.database.url.to_string(),
        tryout,
    });
    Ok(())
}

async fn close(db: Db, broker: Arc<dyn Broker>) {
    let closed = tokio::time::timeout(CLOSE_WITHIN, async {
        broker.close().await;
        db.close().await;
    });
    if closed.await.is_err() {
        tracing::warn!("ended without waiting longer for the connections to close");
    }
}
