//! Runs the guide's code for signatures in Rust, Python, JavaScript and with `openssl`, on its test vectors.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use chrono::DateTime;
use domain::signature::{Signed, SigningSecret};
use e2e::Folder;
use serde_json::{Value, json};
use store::testing::environment;

use crate::{
    blocks::{blocks, docs, guide},
    signature,
};

/// One message of `vectors.json`.
struct Vector<'v>(&'v Value);

impl Vector<'_> {
    fn text(&self, field: &str) -> &str {
        let text = self.0[field].as_str();
        text.unwrap_or_else(|| panic!("no {field}: {}", self.0))
    }

    fn now(&self) -> u64 {
        self.0["now"].as_u64().expect("a Unix time")
    }

    fn is_valid(&self) -> bool {
        self.0["valid"].as_bool().expect("true or false")
    }

    /// Returns true if its signature is the one that the sender makes.
    fn is_signed_once(&self) -> bool {
        self.is_valid() && !self.text("signature").contains(' ')
    }
}

fn vectors() -> Vec<Value> {
    let file = fs::read_to_string(docs("integrators/vectors.json")).expect("the vectors are there");
    let vectors: Vec<Value> = serde_json::from_str(&file).expect("a list");
    for valid in [true, false] {
        let count = vectors.iter().filter(|one| one["valid"] == valid).count();
        assert!(count >= 6, "{count} vectors are {valid}");
    }
    vectors
}

/// Compares what a language makes of each vector, a signature and a verdict, with what is right.
fn assert_agrees(language: &str, made: impl Fn(&Vector<'_>) -> (Option<String>, bool)) {
    for vector in vectors() {
        let vector = Vector(&vector);
        let (signature, verdict) = made(&vector);
        let name = vector.text("name");
        assert_eq!(verdict, vector.is_valid(), "{language}: {name}");
        if let Some(signature) = signature.filter(|_| vector.is_signed_once()) {
            assert_eq!(signature, vector.text("signature"), "{language}: {name}");
        }
    }
}

#[test]
fn the_vectors_are_what_expediter_itself_makes_of_them() {
    assert_agrees("expediter", |vector| {
        let secret = SigningSecret::parse(vector.text("secret")).expect("a secret");
        let (id, timestamp) = (vector.text("id"), vector.text("timestamp"));
        let signed = Signed {
            id,
            timestamp,
            signature: vector.text("signature"),
        };
        let now = i64::try_from(vector.now()).ok();
        let now = now.and_then(|now| DateTime::from_timestamp(now, 0));
        let verified = domain::signature::verify(
            std::slice::from_ref(&secret),
            signed,
            vector.text("body").as_bytes(),
            now.expect("a time"),
            Duration::from_secs(300),
        );
        let timestamp = timestamp.parse().ok();
        let signature = timestamp.map(|at| secret.sign(id, at, vector.text("body").as_bytes()));
        (signature, verified.is_ok())
    });
}

#[test]
fn the_guides_rust_agrees_with_every_vector() {
    assert_agrees("Rust", |vector| {
        let body = vector.text("body").as_bytes();
        let [secret, id, timestamp] = ["secret", "id", "timestamp"].map(|field| vector.text(field));
        let signature = signature::sign(secret, id, timestamp, body);
        let given = vector.text("signature");
        let verdict = signature::verify(secret, id, timestamp, given, body, vector.now());
        (signature, verdict)
    });
    let well_made = signature::sign("whsec_AAAA", "a", "1", b"");
    assert!(well_made.is_some_and(|text| text.starts_with("v1,")));
    for malformed in ["", "whsec_%", "AAAA"] {
        assert_eq!(signature::sign(malformed, "a", "1", b""), None);
    }
}

/// Reads a list of vectors on standard input; prints a list of `[signature, verdict]`.
const PYTHON: &str = r#"
import json, sys
from signature import sign, verify
def judge(v):
    body = v["body"].encode()
    signed = sign(v["secret"], v["id"], v["timestamp"], body)
    return [signed, verify(v["secret"], v["id"], v["timestamp"], v["signature"], body, v["now"])]
print(json.dumps([judge(v) for v in json.load(sys.stdin)]))
"#;

const JAVASCRIPT: &str = r#"
import { readFileSync } from "node:fs";
import { sign, verify } from "./signature.mjs";
const judge = (v) => {
  const body = Buffer.from(v.body);
  const signed = sign(v.secret, v.id, v.timestamp, body);
  return [signed, verify(v.secret, v.id, v.timestamp, v.signature, body, v.now)];
};
console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(judge)));
"#;

#[test]
fn the_guides_python_agrees_with_every_vector() {
    run_module("python3", "signature.py", "judge.py", PYTHON);
}

#[test]
fn the_guides_javascript_agrees_with_every_vector() {
    run_module("node", "signature.mjs", "judge.mjs", JAVASCRIPT);
}

fn run_module(program: &str, module: &str, main: &str, judge: &str) {
    if !is_there(program) {
        return;
    }
    let folder = Folder::new();
    write_block(&folder, module);
    fs::write(folder.path().join(main), judge).expect("the test's directory can be written");
    let vectors = Value::from(vectors());
    let mut command = Command::new(program);
    command.arg(main);
    let made: Value = serde_json::from_str(&run(&mut command, &folder, &vectors.to_string()))
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let made = vectors.as_array().into_iter().flatten().zip(
        made.as_array()
            .expect("it prints one verdict for each vector"),
    );
    let made: Vec<_> = made.collect();
    assert_agrees(program, |vector| {
        let (_, made) = made
            .iter()
            .find(|(of, _)| **of == *vector.0)
            .expect("a verdict for each vector");
        let signature = made[0].as_str().expect("a signature");
        (Some(signature.to_owned()), made[1] == json!(true))
    });
}

#[test]
fn the_guides_openssl_commands_agree_with_every_vector() {
    if !is_there("openssl") {
        return;
    }
    let folder = Folder::new();
    write_block(&folder, "signature.sh");
    assert_agrees("openssl", |vector| {
        fs::write(folder.path().join("body.json"), vector.text("body"))
            .expect("the test's directory can be written");
        let mut command = Command::new("sh");
        command.arg("signature.sh");
        for field in ["secret", "id", "timestamp", "signature"] {
            command.env(field.to_uppercase(), vector.text(field));
        }
        command.env("NOW", vector.now().to_string());
        let printed = run(&mut command, &folder, "");
        let line = |begins: &str| {
            printed
                .lines()
                .find_map(|line| line.strip_prefix(begins))
                .map(str::to_owned)
        };
        let age = line("signed ").and_then(|rest| rest.split(' ').next()?.parse::<i64>().ok());
        // Without a timestamp, the shell counts from 0.
        let is_recent = age.is_some_and(|age| age.abs() <= 300);
        let is_good = line("the signature is good").is_some();
        (line("right signature: "), is_good && is_recent)
    });
}

/// Writes a code block of the guide into a file of its name.
pub(super) fn write_block(folder: &Folder, name: &str) {
    let guide = guide();
    let block = blocks(&guide).into_iter().find(|(known, _)| *known == name);
    let (_, text) = block.unwrap_or_else(|| panic!("the guide has no block {name}"));
    fs::write(folder.path().join(name), text).expect("the test's directory can be written");
}

/// Returns true if a program can be run. If not, prints that its language is not tested.
///
/// # Panics
/// In CI, if it cannot.
#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
pub(super) fn is_there(program: &str) -> bool {
    let version = if program == "openssl" {
        "version"
    } else {
        "--version"
    };
    let found = Command::new(program).arg(version).output();
    let is_there = found.is_ok_and(|output| output.status.success());
    assert!(
        is_there || !environment::in_ci(),
        "CI must not skip {program}"
    );
    if !is_there {
        eprintln!("SKIPPED: {program} is missing");
    }
    is_there
}

/// Runs a command in the folder; returns what it prints. A failure to judge one vector is visible in that.
pub(super) fn run(command: &mut Command, folder: &Folder, input: &str) -> String {
    let mut child = command
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program is there");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that reads no input may have ended before.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it was started");
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}
