//! Data of an embedded process are their owner's alone.

use super::*;

/// Returns what other users may do with a file or folder.
fn mode_for_others(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o077
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Asserts that others can neither list the folder nor read any file in it.
fn is_private(data: &Path) {
    let files = fs::read_dir(data).unwrap().map(|file| file.unwrap().path());
    let files: Vec<_> = files.chain([data.to_owned()]).collect();
    assert!(data.join("expediter.db").exists(), "{files:?}");
    for file in files {
        assert_eq!(mode_for_others(&file), 0, "{}", file.display());
    }
}

#[tokio::test]
async fn whichever_command_is_the_first_the_data_is_its_owners_alone() {
    let firsts: [&[&str]; 4] = [
        &["operator", "olga"],
        &["create-user", "carl", "--role", "customer"],
        &["migrate"],
        &["mock-users", "--set", "demo.mock_users=true"],
    ];
    for first in firsts {
        for folder_exists in [false, true] {
            let folder = Folder::new();
            let data = folder.path().join("data");
            if folder_exists {
                fs::create_dir(&data).unwrap();
                set_mode(&data, 0o777);
            }
            let arguments = first.iter();
            let ended = arguments
                .fold(launch(&folder), Launch::argument)
                .run()
                .await;
            assert_eq!(ended.code, Some(0), "{first:?}: {ended:?}");
            is_private(&data);
        }
    }
    let folder = Folder::new();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    set_mode(&data, 0o755);
    let mut running = launch(&folder).start().await;
    is_private(&data);
    assert!(data.join("expediter.db-wal").exists());
    let ended = launch(&folder)
        .argument("operator")
        .argument("olga")
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    is_private(&data);
    running.sigint().await;
    is_private(&data);
}

#[tokio::test]
async fn data_that_others_can_access_is_refused_by_every_command() {
    let folder = Folder::new();
    launch(&folder).start().await.sigint().await;
    let data = folder.path().join("data");
    for (path, right, loose) in [
        (data.clone(), 0o700, 0o755),
        (data.clone(), 0o700, 0o710),
        (data.join("expediter.db"), 0o600, 0o644),
        (data.join("expediter.db"), 0o600, 0o660),
        (data.join("demo.json"), 0o600, 0o604),
        (data.join("kitchen.journal"), 0o600, 0o640),
        (data.join("courier.db"), 0o600, 0o640),
    ] {
        set_mode(&path, loose);
        let commands: [&[&str]; 4] = [&[], &["migrate"], &["audit"], &["operator", "olga"]];
        for command in commands {
            let arguments = command.iter();
            let ended = arguments
                .fold(launch(&folder), Launch::argument)
                .run()
                .await;
            assert_eq!(ended.code, Some(2), "{command:?}: {ended:?}");
            assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
            let words = format!("chmod {right:o}");
            assert!(ended.stderr.contains(&words), "{command:?}: {ended:?}");
            let named = path.file_name().unwrap().to_str().unwrap();
            assert!(ended.stderr.contains(named), "{command:?}: {ended:?}");
        }
        set_mode(&path, right);
    }
    let audit = launch(&folder).argument("audit").run().await;
    assert_eq!(audit.code, Some(0), "{audit:?}");
}

#[tokio::test]
async fn a_database_elsewhere_is_its_owners_alone_and_its_folder_stays_as_it_is() {
    let folder = Folder::new();
    let elsewhere = folder.path().join("srv");
    fs::create_dir(&elsewhere).unwrap();
    set_mode(&elsewhere, 0o755);
    let database = elsewhere.join("orders.db");
    let command = || {
        let url = format!("sqlite://{}", database.display());
        let command = launch(&folder).set("database.url", url);
        command.argument("operator")
    };
    let made = command().argument("olga").run().await;
    assert_eq!(made.code, Some(0), "{made:?}");
    assert_eq!(mode_for_others(&database), 0);
    assert_eq!(mode_for_others(&elsewhere), 0o055);
    set_mode(&database, 0o644);
    let refused = command().argument("otto").run().await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("chmod 600"), "{refused:?}");
}
