//! scripts/check-commits: accepts good commit messages, names what is wrong with bad ones, and installs as a hook.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use e2e::Folder;

use super::root;

/// Good messages.
const ACCEPTED: &[&str] = &[
    "feat(api): add a liveness check",
    "fix(store)!: embed the schema\n\nTests need it.\n",
    "docs: feed the reader one example\n\n# A comment of git's\n",
    "test(e2e): bring up one gateway\n\n# ------------------------ >8 ------------------------\ndiff --git a b\n",
    "Merge branch 'a'; and also 'b'",
    "fixup! feat(api): add a liveness check",
];

/// Bad messages, each with a part of its refusal.
const REFUSED: &[(&str, &str)] = &[
    ("add a liveness check", "is not \"type(scope): subject\""),
    (
        "feature(api): add a liveness check",
        "is not \"type(scope): subject\"",
    ),
    ("feat(api):add a check", "is not \"type(scope): subject\""),
    ("feat(api): Add a check", "starts with a capital letter"),
    ("feat(api): added a check", "is in the past tense"),
    ("feat(api): made a check", "is in the past tense"),
    ("feat(api): adding a check", "is a participle"),
    ("feat(api): adds a check", "is in the third person"),
    ("docs: what the api answers", "is not a verb"),
    ("test: the gateway's timeout is tested", "is not a verb"),
    ("feat(api): add a check.", "ends with a full stop"),
    (
        "feat(api): add a check; remove another",
        "joins two changes",
    ),
    (
        "feat(api): add a check and also remove another",
        "joins two changes",
    ),
    (
        "feat(api): add one check after another until the subject is too long to read",
        "has 76 characters",
    ),
    (
        "feat: add a check\nIt was missing.",
        "the second line is not blank",
    ),
    ("# only a comment\n", "the message is empty"),
];

fn check_commits(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(root().join("scripts/check-commits"));
    ours_alone(&mut command)
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("scripts/check-commits can be run")
}

/// Makes git ignore the repository, hooks and settings of whoever runs the tests.
fn ours_alone(command: &mut Command) -> &mut Command {
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CEILING_DIRECTORIES", std::env::temp_dir())
}

fn git(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    ours_alone(&mut command)
        .current_dir(folder)
        .args(["-c", "user.name=test", "-c", "user.email=test@localhost"])
        .args(arguments)
        .output()
        .expect("git can be run")
}

fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = git(folder, arguments);
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn commit(folder: &Path, message: &str) -> Output {
    git(
        folder,
        &["commit", "--quiet", "--allow-empty", "--message", message],
    )
}

/// A new repository that contains the script; `None` on a machine without git.
fn repository() -> Option<Folder> {
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!(
            "SKIPPED: the history and the hook of scripts/check-commits: git is not installed"
        );
        return None;
    }
    let folder = Folder::new();
    done(folder.path(), &["init", "--quiet"]);
    fs::create_dir(folder.path().join("scripts")).expect("a folder can be created");
    fs::copy(
        root().join("scripts/check-commits"),
        folder.path().join("scripts/check-commits"),
    )
    .expect("the script can be copied");
    Some(folder)
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_commit_message_is_accepted_or_refused_with_the_reason() {
    let folder = Folder::new();
    let file = folder.path().join("message");
    let check = |message: &str| {
        fs::write(&file, message).expect("a file can be written");
        check_commits(folder.path(), &["--message", "message"])
    };
    for message in ACCEPTED {
        let output = check(message);
        assert!(output.status.success(), "{message:?}: {}", errors(&output));
    }
    let long_line = format!("feat: add a check\n\n{}\n", "word ".repeat(21));
    let long_line = (long_line.as_str(), "line 3 has 104 characters");
    for (message, refusal) in REFUSED.iter().copied().chain([long_line]) {
        let output = check(message);
        assert_eq!(output.status.code(), Some(1), "{message:?}: {output:?}");
        assert!(
            errors(&output).contains(refusal),
            "{message:?}: {refusal:?} is missing in {}",
            errors(&output)
        );
    }
}

#[test]
fn only_the_commits_after_the_base_are_checked() {
    let Some(folder) = repository() else { return };
    let folder = folder.path();
    commit(folder, "old ways; of commits");
    let base = done(folder, &["rev-parse", "HEAD"]);
    // A history without the script's own base commit is not checked.
    let output = check_commits(folder, &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(errors(&output).contains("SKIPPED"), "{output:?}");

    commit(folder, "feat: add a check");
    let output = check_commits(folder, &[&base]);
    assert!(output.status.success(), "{output:?}");
    assert!(errors(&output).contains("checked 1 commits"), "{output:?}");

    commit(folder, "feat: added another");
    commit(folder, "fixup! feat: added another");
    let output = check_commits(folder, &[&format!("{base}..HEAD")]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for refusal in ["is in the past tense", "fixup! feat: added another"] {
        assert!(errors(&output).contains(refusal), "{output:?}");
    }
    assert_eq!(check_commits(folder, &["nowhere"]).status.code(), Some(2));
}

#[test]
fn the_commit_hook_is_installed_and_replaces_no_other_hook() {
    let Some(folder) = repository() else { return };
    let folder = folder.path();
    for _twice in 0..2 {
        let output = check_commits(folder, &["--install"]);
        assert!(output.status.success(), "{output:?}");
    }
    let output = commit(folder, "feat: added a check");
    assert!(
        !output.status.success(),
        "the hook lets it pass: {output:?}"
    );
    assert!(
        errors(&output).contains("is in the past tense"),
        "{output:?}"
    );
    let output = commit(folder, "feat: add a check");
    assert!(output.status.success(), "{output:?}");

    done(folder, &["config", "core.hooksPath", "hooks"]);
    let output = check_commits(folder, &["--install"]);
    assert!(output.status.success(), "{output:?}");
    let hook = folder.join("hooks/commit-msg");
    assert!(hook.exists(), "core.hooksPath is not followed");

    fs::write(&hook, "#!/bin/sh\n").expect("a file can be written");
    let output = check_commits(folder, &["--install"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(
        fs::read_to_string(&hook).expect("it was just written"),
        "#!/bin/sh\n"
    );
}
