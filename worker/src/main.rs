//! The `worker` binary: sends orders, applies callbacks and reconciles; several can run side by side.

use std::{process::ExitCode, sync::Arc};

use poem::Route;
use runtime::process::{self, Binary, Refusal};
use worker::{Worker, WorkerParts, WorkerSettings};

#[tokio::main]
async fn main() -> ExitCode {
    let worker = Binary {
        name: "worker",
        version: env!("CARGO_PKG_VERSION"),
        about: "Sends orders to integrators, applies their callbacks, and reconciles what was missed",
        listen_setting: "http.worker_listen",
        listen: |http| http.worker_listen,
        publishes: true,
    };
    process::run(worker, async |process, settings| {
        let parts = WorkerParts {
            ledger: process.ledger.clone(),
            broker: Arc::clone(&process.broker),
            metrics: Arc::clone(&process.metrics),
            settings: WorkerSettings::from(&**settings),
        };
        Worker::start(parts, &process.shutdown)
            .await
            .map_err(Refusal::failed("starting the worker"))?;
        Ok(process.with_operations(Route::new()))
    })
    .await
}
