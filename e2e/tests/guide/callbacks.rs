//! Sends callbacks with the guide's code in Rust, Python, JavaScript and with `curl`.

use std::{fs, process::Command};

use e2e::{Folder, client, text, until};
use serde_json::{Value, json};

use crate::{
    callback::call_back,
    examples::Scene,
    languages::{is_there, run, write_block},
};

/// These read URL, SECRET, ID and UPDATE from the environment, and print the status of the answer.
const PYTHON: &str = r#"
import json, os
from callback import call_back
update = json.loads(os.environ["UPDATE"])
print(call_back(os.environ["URL"], os.environ["SECRET"], os.environ["ID"], update))
"#;

const JAVASCRIPT: &str = r#"
import { callBack } from "./callback.mjs";
const { URL, SECRET, ID, UPDATE } = process.env;
console.log(await callBack(URL, SECRET, ID, JSON.parse(UPDATE)));
"#;

/// One callback to send.
struct Sending<'s> {
    url: &'s str,
    secret: &'s str,
    id: &'s str,
    update: &'s Value,
}

impl Sending<'_> {
    async fn by_rust(&self) -> u16 {
        let body = self.update.to_string();
        let sent = call_back(&client(), self.url, self.secret, self.id, body).await;
        sent.expect("an answer")
    }

    /// Runs a program beside the guide's code; returns the number in the last line that it prints.
    fn by(&self, program: &str, arguments: &[&str]) -> u16 {
        let folder = Folder::new();
        for name in ["signature.py", "signature.mjs"]
            .into_iter()
            .chain(CALLBACKS)
        {
            write_block(&folder, name);
        }
        let update = self.update.to_string();
        fs::write(folder.path().join("body.json"), &update)
            .expect("the test's directory can be written");
        let mut command = Command::new(program);
        command.args(arguments).envs([
            ("URL", self.url),
            ("SECRET", self.secret),
            ("ID", self.id),
            ("UPDATE", &update),
        ]);
        let printed = run(&mut command, &folder, "");
        let status = printed.lines().last().and_then(|line| line.parse().ok());
        status.unwrap_or_else(|| panic!("{program} printed {printed:?}"))
    }
}

const CALLBACKS: [&str; 3] = ["callback.py", "callback.mjs", "callback.sh"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_that_the_guides_code_sends_is_taken_in_every_language() {
    let scene = Scene::open().await;
    scene.wait_for_status("accepted").await;
    let url = format!(
        "{}{}",
        scene.expediter.url,
        scene.kitchens.path("/callbacks")
    );
    let programs: [(&str, &[&str], &[&str]); 3] = [
        ("python3", &["python3"], &["-c", PYTHON]),
        (
            "node",
            &["node"],
            &["--input-type=module", "-e", JAVASCRIPT],
        ),
        ("sh", &["openssl", "curl"], &["callback.sh"]),
    ];
    let update = |sequence: usize| json!({"order_id": scene.order_id, "status": "preparing", "sequence": sequence, "reason": "sans œuf, 東京"});
    let mut ids = vec!["rust"];
    let wrong = &scene.couriers.callback_secret;
    for (secret, expected) in [(wrong, 401), (&scene.kitchens.callback_secret, 202)] {
        let sending = Sending {
            url: &url,
            secret,
            id: "rust",
            update: &update(1),
        };
        assert_eq!(sending.by_rust().await, expected);
        for (index, (program, needs, arguments)) in programs.iter().enumerate() {
            if !needs.iter().all(|needed| is_there(needed)) {
                continue;
            }
            let sending = Sending {
                id: program,
                update: &update(index + 2),
                ..sending
            };
            assert_eq!(sending.by(program, arguments), expected, "{program}");
            if expected == 202 {
                ids.push(program);
            }
        }
    }
    until("a result of every callback", || async {
        let path = format!("/api/v1/callbacks?integrator_id={}", scene.kitchens.id);
        let callbacks = scene.expediter.read(&path).await;
        let callbacks = callbacks["items"].as_array().expect("a list").clone();
        let counted = callbacks.iter().filter(|one| {
            let counts = ["applied", "unchanged"];
            one["result"]
                .as_str()
                .is_some_and(|it| counts.contains(&it))
        });
        let counted: Vec<String> = counted.map(|one| text(&one["webhook_id"])).collect();
        let all = ids.iter().all(|id| counted.iter().any(|one| one == id));
        (all && counted.len() == ids.len()).then_some(())
    })
    .await;
    scene.wait_for_status("preparing").await;
    let audit = scene.expediter.audit().await;
    assert_eq!(audit.code, Some(0), "{}", audit.stdout);
}
