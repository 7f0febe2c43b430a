//! `expediter audit --ask`: what an integrator knows and the ledger has lost.

use std::{fs, path::Path};

use e2e::{Ended, Expediter, Folder};

use super::{command, launch};

/// Copies a folder, as a backup of a stopped process does.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Places an order and waits until it is ready.
async fn order(folder: &Folder, running: &Expediter) {
    let ended = launch(folder).argument("demo-order");
    let ended = ended.argument("--url").argument(&running.url);
    let ended = ended.argument("lemon").run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

async fn ask(folder: &Folder, url: &str, more: &[&str]) -> Ended {
    command(folder, &[&["audit", "--ask", url], more].concat()).await
}

#[tokio::test]
async fn an_audit_after_a_restore_tells_which_orders_the_kitchen_has_and_the_ledger_has_not() {
    let (folder, restored) = (Folder::new(), Folder::new());
    let mut running = launch(&folder).start().await;
    order(&folder, &running).await;
    running.sigint().await;
    copy(&folder.path().join("data"), &restored.path().join("data"));
    let running = launch(&folder).start().await;
    let board = format!("{}/kitchen/board", running.url);
    order(&folder, &running).await;

    let all_known = ask(&folder, &board, &[]).await;
    assert_eq!(all_known.code, Some(0), "{all_known:?}");
    assert!(
        all_known.stdout.contains("2 orders of the list"),
        "{all_known:?}"
    );
    let lost = ask(&restored, &board, &[]).await;
    assert_eq!(lost.code, Some(1), "{lost:?}");
    let missing = lost
        .stdout
        .lines()
        .filter(|line| line.starts_with("missing: "));
    assert_eq!(missing.count(), 1, "{lost:?}");
    let of_today = ask(&restored, &board, &["--ask-since", "2100-01-01T00:00:00Z"]).await;
    assert_eq!(of_today.code, Some(0), "{of_today:?}");
    assert!(of_today.stdout.contains("2 entries are"), "{of_today:?}");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_said_and_a_header_is_not_printed() {
    let folder = Folder::new();
    let running = launch(&folder).start().await;
    let header = folder.path().join("header");
    fs::write(&header, "authorization: Bearer hunter2\n").unwrap();
    let header = ["--ask-header-file", header.to_str().unwrap()];
    for (path, said) in [
        ("/courier/deliveries", "it answered 401"),
        ("/healthz", "is no list of orders"),
        ("/nowhere", "it answered 404"),
    ] {
        let ended = ask(&folder, &format!("{}{path}", running.url), &header).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(said), "{said}: {ended:?}");
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!told.contains("hunter2"), "{ended:?}");
    }
    fs::write(folder.path().join("header"), "hunter2").unwrap();
    let ended = ask(&folder, &running.url, &header).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("one line") && !ended.stderr.contains("hunter2"),
        "{ended:?}"
    );
}
