//! Tests of the administration commands, run as processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "commands/archive.rs"]
mod archive; // files of ended orders
#[path = "commands/asked.rs"]
mod asked; // the orders that an integrator knows
#[path = "commands/private_data.rs"]
mod private_data; // files that nobody else may read
#[path = "commands/rotation.rs"]
mod rotation; // new keys

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use e2e::{Ended, Expediter, Folder, Launch};
use serde_json::Value;

fn launch(folder: &Folder) -> Launch {
    Launch::of(Path::new(env!("CARGO_BIN_EXE_expediter")), folder.path())
}

#[tokio::test]
async fn check_config_says_where_everything_would_be_and_starts_nothing() {
    let folder = Folder::new();
    let ended = launch(&folder).argument("check-config").run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("data/expediter.db"), "{ended:?}");
    assert!(ended.stdout.contains("a backup is all"), "{ended:?}");
    assert!(!folder.path().join("data").exists());
    let ended = launch(&folder)
        .set("database.url", "mysql://me:hunter2@a:3306,b:3306,[::1]/x")
        .set("broker.url", "amqp://me:hunter2@mq1,mq2/%2f")
        .argument("check-config")
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for shown in [
        "mysql://me:***@a:3306,b:3306,[::1]/x",
        "amqp://me:***@mq1,mq2/%2f",
        "The first of these hosts",
        "survives the loss of a machine on Galera",
    ] {
        assert!(ended.stdout.contains(shown), "{shown}: {ended:?}");
    }
    let ended = launch(&folder)
        .set("database.url", "mysql://me:hunter2@a,,b/x")
        .set("broker.url", "amqp://me:hunter2@mq1,mq1/%2f")
        .argument("check-config")
        .run()
        .await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for named in ["database.url", "broker.url"] {
        assert!(ended.stderr.contains(named), "{ended:?}");
    }
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
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
    // Runs the command line that the start printed.
    let mut printed = running.said.lines().filter_map(|line| {
        let (_, typed) = line.split_once(env!("CARGO_BIN_EXE_expediter"))?;
        typed.contains(" demo-order ").then_some(typed)
    });
    let arguments = printed
        .next()
        .expect("the start prints the command")
        .split_whitespace();
    let command = arguments.fold(launch(&folder), Launch::argument);
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

/// Runs a command with the given standard input.
fn with_input(folder: &Folder, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_expediter"))
        .current_dir(folder.path())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

async fn command(folder: &Folder, arguments: &[&str]) -> Ended {
    let launch = arguments.iter().fold(launch(folder), Launch::argument);
    launch.run().await
}

async fn me(running: &Expediter, username: &str, password: &str) -> (u16, Value) {
    let me = running.request(reqwest::Method::GET, "/api/v1/me");
    running
        .answer(me.basic_auth(username, Some(password)))
        .await
}

/// Returns the id of the demonstration's store.
async fn store_of(running: &Expediter) -> String {
    let code = running.demo["session_code"].as_str().unwrap();
    let (_, session) = running.get(&format!("/api/v1/sessions/{code}")).await;
    session["store_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn create_user_prints_the_password_or_reads_it_and_its_account_signs_in() {
    let folder = Folder::new();
    let running = launch(&folder).start().await;
    let made = command(&folder, &["create-user", "oz", "--role", "operator"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let password = made.stdout.trim();
    let (status, account) = me(&running, "oz", password).await;
    assert_eq!((status, &account["role"]), (200, &"operator".into()));

    let store = &store_of(&running).await;
    let staff = [
        "create-user",
        "sam",
        "--role",
        "staff",
        "--store",
        store,
        "--password-stdin",
    ];
    let made = with_input(&folder, &staff, "correct horse\nbattery\n");
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert!(!String::from_utf8_lossy(&made.stdout).contains("horse"));
    let (status, account) = me(&running, "sam", "correct horse").await;
    assert_eq!(
        (status, &account["stores"][0]),
        (200, &store.as_str().into())
    );

    let short = with_input(
        &folder,
        &[
            "create-user",
            "ben",
            "--role",
            "customer",
            "--password-stdin",
        ],
        "short\n",
    );
    assert_eq!(short.status.code(), Some(2), "{short:?}");
    for (wrong, why) in [
        (vec!["create-user", "oz", "--role", "operator"], "is taken"),
        (
            vec!["create-user", "kim", "--role", "staff"],
            "add --store ID",
        ),
        (
            vec!["create-user", "kim", "--role", "manager"],
            "add --store ID",
        ),
        (
            vec!["create-user", "kim", "--role", "integrator"],
            "add --integrator ID",
        ),
        (
            vec!["create-user", "kim", "--role", "customer", "--store", store],
            "other roles must not",
        ),
        (
            vec!["create-user", "a b", "--role", "customer"],
            "a username must have",
        ),
        (vec!["create-user", "kim", "--role", "king"], "is no"),
        (vec!["create-user", "kim"], "--role"),
    ] {
        let refused = command(&folder, &wrong).await;
        assert_eq!(refused.code, Some(2), "{wrong:?}: {refused:?}");
        assert!(refused.stderr.contains(why), "{wrong:?}: {refused:?}");
    }
}

#[tokio::test]
async fn mock_users_have_a_token_a_role_for_a_day_and_the_same_accounts_the_second_time() {
    let folder = Folder::new();
    let running = launch(&folder).start().await;
    let refused = command(&folder, &["mock-users"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("demo.mock_users"), "{refused:?}");

    let mut accounts = Vec::new();
    for _ in 0..2 {
        let printed = launch(&folder)
            .set("demo.mock_users", true)
            .argument("mock-users")
            .run()
            .await;
        assert_eq!(printed.code, Some(0), "{printed:?}");
        let mut ids = Vec::new();
        for line in printed.stdout.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let request = running.request(reqwest::Method::GET, "/api/v1/me");
            let (status, account) = running.answer(request.bearer_auth(words[2])).await;
            assert_eq!(
                (status, account["role"].as_str()),
                (200, Some(words[0])),
                "{line}"
            );
            assert_eq!(account["username"], words[1]);
            ids.push(account["id"].clone());
        }
        assert_eq!(ids.len(), 5, "{printed:?}");
        accounts.push(ids);
    }
    assert_eq!(accounts[0], accounts[1]);
    let audit = running.audit().await;
    assert_eq!(audit.code, Some(0), "{audit:?}");
}

#[tokio::test]
async fn mock_users_of_an_empty_house_get_a_store_and_an_integrator() {
    let folder = Folder::new();
    let printed = launch(&folder)
        .set("demo.mock_users", true)
        .argument("mock-users")
        .run()
        .await;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let added = command(&folder, &["add-products"]).await;
    assert!(
        added.stdout.contains("Mock store: 20 products created"),
        "{added:?}"
    );
}

#[tokio::test]
async fn mock_users_serve_the_store_that_is_named_also_if_they_are_there_already() {
    let folder = Folder::new();
    let running = launch(&folder).start().await;
    let mock_users = async |store: Option<&str>| {
        let mut launch = launch(&folder)
            .set("demo.mock_users", true)
            .argument("mock-users");
        if let Some(store) = store {
            launch = launch.argument("--store").argument(store);
        }
        launch.run().await
    };
    let first = mock_users(None).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    let token = |stdout: &str, role: &str| {
        let line = stdout.lines().find(|line| line.starts_with(role)).unwrap();
        line.split_whitespace().nth(2).unwrap().to_owned()
    };
    let body = serde_json::json!({"name": "Another", "timezone": "UTC", "currency": "EUR"});
    let request = running.request(reqwest::Method::POST, "/api/v1/stores");
    let request = request
        .bearer_auth(token(&first.stdout, "operator"))
        .json(&body);
    let (status, store) = running.answer(request).await;
    assert_eq!(status, 201, "{store}");
    let placed = mock_users(store["id"].as_str()).await;
    assert_eq!(placed.code, Some(0), "{placed:?}");
    for role in ["manager", "staff"] {
        // A process knows an account for five seconds: the change is read in the database.
        let request = running.request(reqwest::Method::GET, "/api/v1/users");
        let request = request.bearer_auth(token(&placed.stdout, "operator"));
        let (_, users) = running.answer(request).await;
        let name = format!("mock-{role}");
        let users = users["items"].as_array().unwrap();
        let user = users.iter().find(|user| user["username"] == *name).unwrap();
        assert_eq!(user["stores"], serde_json::json!([store["id"]]), "{role}");
    }
    let unknown = mock_users(Some("01980000-0000-7000-8000-000000000000")).await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("there is no store"), "{unknown:?}");
    let audit = running.audit().await;
    assert_eq!(audit.code, Some(0), "{audit:?}");
}

#[tokio::test]
async fn add_products_makes_twenty_and_the_second_time_none() {
    let folder = Folder::new();
    let none = command(&folder, &["add-products"]).await;
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.stderr.contains("there is no store yet"), "{none:?}");

    let running = launch(&folder).start().await;
    for said in [
        "20 products created, 0 already existed",
        "0 products created, 20 already existed",
    ] {
        let added = command(&folder, &["add-products"]).await;
        assert_eq!(added.code, Some(0), "{added:?}");
        assert!(added.stdout.contains(said), "{added:?}");
    }
    let store = &store_of(&running).await;
    let list = format!("/api/v1/products?store_id={store}&limit=100");
    let request = running.request(reqwest::Method::GET, &list);
    let request = request.basic_auth("operator", Some(running.password("operator")));
    let (_, page) = running.answer(request).await;
    let items = page["items"].as_array().unwrap();
    let samples = items
        .iter()
        .filter(|item| item["sku"].as_str().unwrap().starts_with("SAMPLE-"));
    assert_eq!(samples.count(), 20);

    let said = command(&folder, &["add-products", "--store", store]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let unknown = "01a21293-b600-74ff-8db8-3961076aa15c";
    let refused = command(&folder, &["add-products", "--store", unknown]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("there is no store"), "{refused:?}");
}
