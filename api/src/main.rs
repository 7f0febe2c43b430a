//! `api`: takes orders and callbacks and serves the web pages; several instances run behind a gateway.

use std::{process::ExitCode, sync::Arc};

use api::{ApiState, Front};
use poem::EndpointExt;
use runtime::process::{self, Binary};

#[tokio::main]
async fn main() -> ExitCode {
    let api = Binary {
        name: "api",
        version: env!("CARGO_PKG_VERSION"),
        about: "Takes orders and integrators' callbacks, and serves the web pages",
        listen_setting: "http.api_listen",
        listen: |http| http.api_listen,
        publishes: true,
    };
    process::run(api, async |process, settings| {
        let state = ApiState::new(
            process.ledger.clone(),
            Arc::clone(&process.keys),
            Arc::clone(settings),
            Arc::clone(&process.metrics),
        );
        let routes = process.with_operations(api::routes(&state));
        Ok(routes.with(Front::new(&state)))
    })
    .await
}
