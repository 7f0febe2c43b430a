//! The binary: mock users, the document, and settings that are refused.

use std::{fs, path::Path, process::Command};

use courier::{Courier, CourierError, CourierSettings};

use crate::{CALLBACK, Caller, Place, secret};

fn binary(place: &Place, arguments: &[&str]) -> (bool, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_courier"))
        .args(arguments)
        .arg("--database")
        .arg(place.path().join("courier.db"))
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    (ended.status.success(), said)
}

#[tokio::test]
async fn mock_users_can_be_made_twice_and_each_time_their_tokens_work() {
    let place = Place::new();
    for _ in 0..2 {
        let (succeeded, said) = binary(&place, &["mock-users"]);
        assert!(succeeded, "{said}");
        let tokens: Vec<(&str, &str)> = said
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .collect();
        assert_eq!(tokens.len(), 3, "{said}");
        let settings = CourierSettings::new(place.path().join("courier.db"));
        let courier = Courier::open(settings).await.unwrap();
        for (username, token) in tokens {
            let caller = Caller::with(&courier, token.trim());
            assert_eq!(caller.get("/deliveries").await.0, 200, "{username}");
        }
        courier.close().await;
    }
}

#[test]
fn the_committed_document_is_the_one_that_the_courier_serves() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == courier::openapi_document(),
        "courier/openapi.json is outdated: run `make openapi` and review the difference"
    );
    let place = Place::new();
    assert_eq!(binary(&place, &["openapi"]), (true, committed));
}

#[tokio::test]
async fn a_callback_secret_alone_is_refused_and_no_secret_is_printed() {
    let place = Place::new();
    let settings = CourierSettings {
        callback_secret: Some(secret(CALLBACK)),
        ..place.settings()
    };
    let opened = Courier::open(settings.clone()).await;
    assert!(matches!(opened, Err(CourierError::CallbackSecretAlone)));
    let settings = CourierSettings {
        signing_secret: Some(secret(crate::SIGNING)),
        login: Some(courier::Login {
            username: "expediter".into(),
            password: "very secret".into(),
        }),
        ..settings
    };
    let courier = Courier::open(settings).await.unwrap();
    let printed = format!("{courier:?}");
    assert!(printed.contains("expediter"), "{printed}");
    for hidden in ["very secret", "whsec", "Y2Fsb", "token_key"] {
        assert!(!printed.contains(hidden), "{printed}");
    }
}
