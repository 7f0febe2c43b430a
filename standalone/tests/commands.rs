//! The administration commands, as they are typed.

use std::{fs, path::Path};

use e2e::{Folder, Launch};

fn launch(folder: &Folder) -> Launch {
    Launch::of(Path::new(env!("CARGO_BIN_EXE_expediter")), folder.path())
}

#[tokio::test]
async fn check_config_says_where_everything_would_be_and_starts_nothing() {
    let folder = Folder::new();
    let ended = launch(&folder).argument("check-config").run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("data/expediter.db"), "{ended:?}");
    assert!(!folder.path().join("data").exists());
    let ended = launch(&folder)
        .set("intake.writers", 0)
        .argument("check-config")
        .run()
        .await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("intake.writers"), "{ended:?}");
}

#[tokio::test]
async fn audit_finds_nothing_in_a_fresh_house_whether_it_runs_or_not() {
    let folder = Folder::new();
    let none = launch(&folder).argument("audit").run().await;
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.stderr.contains("no database"), "{none:?}");
    let mut running = launch(&folder).start().await;
    let beside = running.audit().await;
    assert_eq!(beside.code, Some(0), "{beside:?}");
    running.sigint().await;
    let after = running.audit().await;
    assert_eq!(after.code, Some(0), "{after:?}");
    assert!(after.stdout.contains("every promise is kept"), "{after:?}");
}

#[tokio::test]
async fn migrate_makes_the_schema_but_not_under_a_living_process() {
    let folder = Folder::new();
    let ended = launch(&folder).argument("migrate").run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let audit = launch(&folder).argument("audit").run().await;
    assert_eq!(audit.code, Some(0), "{audit:?}");
    let _running = launch(&folder).start().await;
    let ended = launch(&folder).argument("migrate").run().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("another expediter is running"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn openapi_writes_the_documents() {
    let folder = Folder::new();
    let ended = launch(&folder)
        .argument("openapi")
        .argument("made")
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = fs::read_to_string(folder.path().join("made/expediter.json")).unwrap();
    assert!(text.contains("\"openapi\": \"3.1.0\""));
}

#[tokio::test]
async fn demo_order_prints_every_step_until_the_order_is_ready() {
    let folder = Folder::new();
    let running = launch(&folder).start().await;
    let command = launch(&folder)
        .argument("demo-order")
        .argument("--url")
        .argument(&running.url);
    let ended = command.argument("lemon").run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut rest = ended.stdout.as_str();
    for step in [
        "1 × Lemonade",
        "pending",
        "accepted",
        "preparing",
        "order 1 is ready",
        "Order 1 is ready to be served.",
    ] {
        let at = rest
            .find(step)
            .unwrap_or_else(|| panic!("{step}: {ended:?}"));
        rest = &rest[at..];
    }
    assert!(ended.stdout.contains("attempt 1/5: 200"), "{ended:?}");
}

#[tokio::test]
async fn demo_order_says_when_nobody_is_there() {
    let folder = Folder::new();
    let ended = launch(&folder)
        .argument("demo-order")
        .argument("--url")
        .argument("http://127.0.0.1:1")
        .run()
        .await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("no expediter answers"), "{ended:?}");
}
