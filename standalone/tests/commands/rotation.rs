//! A rotation of standalone's keys, as docs/operations.md describes it.

use std::{fs, path::PathBuf};

use e2e::{Ended, Folder};

use crate::launch;

/// Standalone's file of keys.
struct KeyFile(PathBuf);

impl KeyFile {
    fn of(folder: &Folder) -> Self {
        Self(folder.path().join("data/secrets.key"))
    }

    /// Returns the value of a line.
    fn value(&self, name: &str) -> String {
        let text = fs::read_to_string(&self.0).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_matches([' ', '=', '"']).to_owned() + "="
    }

    fn write(&self, lines: &[(&str, String)]) {
        let lines = lines
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"));
        fs::write(&self.0, lines.collect::<String>()).unwrap();
    }
}

/// Returns a key of 32 bytes that is as good as any for a test.
fn a_key(letter: &str) -> String {
    format!("{}E=", letter.repeat(42))
}

async fn command(folder: &Folder, name: &str) -> Ended {
    launch(folder).argument(name).run().await
}

/// Starts, and places an order that the kitchen must accept: it takes only requests that are signed with its secret.
async fn serves(folder: &Folder) {
    let mut running = launch(folder).start().await;
    let order = launch(folder).argument("demo-order");
    let order = order.argument("--url").argument(&running.url);
    let ended = order.argument("lemon").run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    running.sigint().await;
}

#[tokio::test]
async fn both_keys_are_replaced_and_the_old_ones_go_once_the_audit_says_so() {
    let folder = Folder::new();
    let none = command(&folder, "reseal").await;
    assert_eq!(none.code, Some(2), "{none:?}");
    serves(&folder).await;
    let file = KeyFile::of(&folder);
    let old = ["encryption_key", "jwt_key"].map(|name| file.value(name));
    let audit = command(&folder, "audit").await;
    assert!(!audit.stdout.contains("stored secret"), "{audit:?}");

    let quoted = |key: &str| format!("\"{key}\"");
    let new = [
        ("encryption_key", quoted(&a_key("a"))),
        ("jwt_key", quoted(&a_key("b"))),
    ];
    let previous = [
        ("previous_encryption_keys", format!("[\"{}\"]", old[0])),
        ("previous_jwt_keys", format!("[\"{}\"]", old[1])),
    ];
    let [new, previous] = [new, previous];
    file.write(&[&new[..], &previous[..]].concat());
    let needs_previous = async |count: u32| {
        let audit = command(&folder, "audit").await;
        let expected = format!("Sealed with a previous encryption key: {count} stored secrets.");
        assert!(audit.stdout.contains(&expected), "{audit:?}");
        assert_eq!(audit.code, Some(0), "{audit:?}");
    };
    needs_previous(6).await;
    serves(&folder).await;
    // On another port, the demonstration writes the addresses and logins of its two integrators again.
    needs_previous(4).await;
    let resealed = command(&folder, "reseal").await;
    assert_eq!(resealed.code, Some(0), "{resealed:?}");
    assert!(
        resealed.stdout.contains("Sealed again: 4 stored secrets."),
        "{resealed:?}"
    );
    for name in ["audit", "reseal"] {
        let told = command(&folder, name).await;
        assert_eq!(told.code, Some(0), "{told:?}");
        let expected = "No stored secret needs a previous encryption key any more.";
        assert!(told.stdout.contains(expected), "{told:?}");
    }

    file.write(&new);
    serves(&folder).await;
    // Without the key that they need, the secrets are told of, and nothing is touched.
    file.write(&[
        ("encryption_key", quoted(&a_key("c"))),
        ("jwt_key", quoted(&a_key("b"))),
    ]);
    let lost = command(&folder, "reseal").await;
    assert_eq!(lost.code, Some(1), "{lost:?}");
    assert!(
        lost.stdout
            .contains("Sealed with none of the keys given here: 6 stored secrets."),
        "{lost:?}"
    );
    file.write(&new);
    serves(&folder).await;
}
