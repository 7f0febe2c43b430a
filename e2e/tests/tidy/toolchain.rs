//! Checks that the workspace's `rust-version` is true: no dependency needs a newer compiler.

use std::process::Command;

use serde_json::Value;

use super::workspace_files;

fn number(version: &str) -> Vec<u64> {
    version
        .split('.')
        .map(|part| part.parse().expect("a number"))
        .chain([0, 0])
        .take(3)
        .collect()
}

/// Returns the packages that need more than `ours`, with what they need.
fn that_need_more(metadata: &Value, ours: &str) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages
        .iter()
        .filter_map(|package| Some((package["name"].as_str()?, package["rust_version"].as_str()?)))
        .filter(|(_, needed)| number(needed) > number(ours))
        .map(|(name, needed)| format!("{name} needs Rust {needed}"))
        .collect()
}

#[test]
fn no_dependency_needs_a_newer_compiler_than_we_say() {
    let sample = serde_json::json!({"packages": [
        {"name": "newer", "rust_version": "1.95.1"}, {"name": "as_new", "rust_version": "1.95.0"},
        {"name": "older", "rust_version": "1.60"}, {"name": "silent", "rust_version": null},
    ]});
    assert_eq!(that_need_more(&sample, "1.95"), ["newer needs Rust 1.95.1"]);

    // Packages for other platforms were never downloaded.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let listed = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", &platform])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(
        listed.status.success(),
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let metadata: Value = serde_json::from_slice(&listed.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let ours = packages.iter().find(|package| package["name"] == "e2e");
    let ours = ours
        .and_then(|e2e| e2e["rust_version"].as_str())
        .expect("a rust-version");
    assert_eq!(that_need_more(&metadata, ours), Vec::<String>::new());

    let readme = workspace_files();
    let readme = readme
        .iter()
        .find(|file| file.path == "README.md")
        .expect("a README");
    assert!(
        readme.text.contains(&format!("Needs Rust {ours} or newer")),
        "README.md names another Rust than {ours}"
    );
}
