//! Runs `requests.http` and the seeds' request files (`docs/seeds`) like a reader would.

use std::{fs, path::Path};

use e2e::{Courier, Expediter, Ground, Integrator, RequestFile};
use platform::clock::Clock;
use serde_json::Value;

e2e::each_ground! {
    async fn every_request_of_the_file_is_answered_as_it_says(ground: Ground) {
        run(&ground, "requests.http").await;
    }
    async fn order_sessions_as_in_seed_000(ground: Ground) {
        run(&ground, "docs/seeds/seed-000.http").await;
    }
    async fn orders_reach_integrators_as_in_seed_001(ground: Ground) {
        run(&ground, "docs/seeds/seed-001.http").await;
    }
    async fn orders_by_their_own_ids_as_in_seed_002(ground: Ground) {
        run(&ground, "docs/seeds/seed-002.http").await;
    }
    async fn a_shop_with_stock_as_in_seed_003(ground: Ground) {
        run(&ground, "docs/seeds/seed-003.http").await;
    }
    async fn stores_and_deliveries_as_in_seed_004(ground: Ground) {
        run(&ground, "docs/seeds/seed-004.http").await;
    }
}

/// Runs all requests of a file in the repository, then the audit.
async fn run(ground: &Ground, path: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text = fs::read_to_string(path).expect("it lies in the repository");
    let file = RequestFile::parse(&text);
    assert_eq!(
        file.len(),
        text.matches("\n###").count(),
        "a title has no request"
    );
    let expediter: Expediter = ground.launch().start().await;
    let password = expediter.password("operator").to_owned();
    let integrator = Integrator::start(Clock::system());
    let courier = Courier::start();
    let values = [
        ("courier", courier.url.as_str()),
        ("host", expediter.url.as_str()),
        ("password", password.as_str()),
        ("integrator", integrator.url.as_str()),
    ];
    let set_secrets = |name: &str, answer: &Value| {
        if name == "integrator" {
            integrator.set_secrets(answer);
        }
    };
    file.run(&expediter, &values, set_secrets).await;
    let audit = expediter.audit().await;
    assert_eq!(audit.code, Some(0), "{}", audit.stdout);
}
