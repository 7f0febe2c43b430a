//! The `notifier` binary: serves the live channels. Several can run side by side; each receives every event.

use std::{process::ExitCode, sync::Arc};

use notifier::{Notifier, NotifierSettings, edge::Edge};
use poem::{EndpointExt, Route};
use runtime::{
    access_tokens::AccessTokens,
    process::{self, Binary},
};

#[tokio::main]
async fn main() -> ExitCode {
    let notifier = Binary {
        name: "notifier",
        version: env!("CARGO_PKG_VERSION"),
        about: "Shows every step of every order live, to guests and staff",
        listen_setting: "http.notifier_listen",
        listen: |http| http.notifier_listen,
        publishes: false,
    };
    process::run(notifier, async |process, settings| {
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
        let routes = notifier::mount(Route::new(), &notifier);
        Ok(process.with_operations(routes).with(Edge::new(
            &settings.http.allowed_origins,
            process.ledger.chance().clone(),
            process.ledger.clock().clone(),
        )))
    })
    .await
}
