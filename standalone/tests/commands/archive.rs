//! `expediter archive`: whole files, each order once.

use std::{fs, io::Read, os::unix::fs::PermissionsExt};

use chrono::TimeDelta;
use e2e::{Folder, until};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::{command, launch};

/// Returns the file's lines.
fn read(path: &std::path::Path) -> Vec<Value> {
    let mut text = String::new();
    let file = fs::File::open(path).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn archive_writes_an_ended_order_once_into_a_file_that_is_its_owners() {
    let folder = Folder::new();
    let running = launch(&folder).start().await;
    let when = command(&folder, &["archive", "old"]).await;
    assert_eq!(when.code, Some(2), "{when:?}");
    assert!(when.stderr.contains("--before"), "{when:?}");

    let items =
        json!({"items": [{"product_id": running.demo["menu"][0]["product_id"], "quantity": 1}]});
    let path = format!("/api/v1/sessions/{}/orders", running.session_code());
    let (status, order) = running.post(&path, &items).await;
    assert_eq!(status, 201, "{order}");
    let id = order["id"].as_str().unwrap();
    let cancel = running
        .request(reqwest::Method::PUT, &format!("/api/v1/orders/{id}/status"))
        .basic_auth("staff", Some(running.password("staff")))
        .json(&json!({"status": "cancelled", "reason": "no milk"}));
    let (status, cancelled) = running.answer(cancel).await;
    assert_eq!(status, 200, "{cancelled}");

    // For the archive, the order is twenty days old.
    let yesterday = launch(&folder).clock().now() - TimeDelta::days(1);
    let later = launch(&folder).set(
        "testing.clock_pace",
        format!("20 since {}", yesterday.to_rfc3339()),
    );
    let archive = ["archive", "old", "--before", "2100-01-01T00:00:00Z"];
    let later = archive
        .into_iter()
        .fold(later, |launch, word| launch.argument(word));
    // Its kitchen is still told of the end, for a moment.
    let written = until("the order to be archived", async || {
        let ended = later.run().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout.contains("1 order archived.").then_some(ended)
    });
    let written = written.await;
    let first = written.stdout.lines().next().unwrap();
    let name = format!("orders-000001-{id}.jsonl.gz");
    assert_eq!(first, format!("old/{name}: 1 order"));
    let file = folder.path().join("old").join(&name);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let lines = read(&file);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["order"]["status"], "cancelled");
    assert_eq!(lines[0]["events"][0]["type"], "order.placed");

    let nothing = later.run().await;
    assert!(nothing.stdout.contains("No more orders"), "{nothing:?}");
    let mut names: Vec<_> = fs::read_dir(folder.path().join("old"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["archive.lock", &name]);
    let audit = running.audit().await;
    assert_eq!(audit.code, Some(0), "{audit:?}");
}
