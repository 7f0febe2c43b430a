//! Public tools find nothing wrong with the documents.

use std::{fs, process::Command};

use e2e::{Folder, NpmTools, Published};

fn assert_finds_nothing(mut tool: Command) {
    let done = tool.output().expect("npm-tools looked for it");
    let (out, err) = (&done.stdout, &done.stderr);
    let said = [out.as_slice(), err.as_slice()].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn redocly_finds_nothing_wrong_with_the_openapi_documents() {
    let Some(tools) = NpmTools::found("the OpenAPI documents, with Redocly CLI") else {
        return;
    };
    let mut tool = tools.command("redocly");
    tool.arg("lint")
        .arg("--config")
        .arg(Published::path("redocly.yaml"))
        .args(["expediter.json", "integrators.yaml"].map(Published::path));
    assert_finds_nothing(tool);
}

#[test]
fn the_asyncapi_parser_finds_nothing_wrong_with_the_live_channels_document() {
    let Some(tools) = NpmTools::found("the AsyncAPI document, with AsyncAPI's parser") else {
        return;
    };
    let mut tool = tools.command("node");
    tool.arg(NpmTools::file("asyncapi.mjs"))
        .arg(Published::path("live.yaml"));
    assert_finds_nothing(tool);
}

#[test]
fn orval_makes_a_client_of_the_api_document_without_a_warning() {
    let Some(tools) = NpmTools::found("the API document, with orval") else {
        return;
    };
    let folder = Folder::new();
    let client = folder.path().join("client.ts");
    let mut tool = tools.command("orval");
    tool.arg("--input")
        .arg(Published::path("expediter.json"))
        .arg("--output")
        .arg(&client)
        .args(["--client", "fetch"]);
    let done = tool.output().expect("npm-tools looked for it");
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(done.status.success(), "{said}");
    let warns = ["warn", "\u{26a0}", "error", "deprecated"];
    let warned = warns
        .iter()
        .find(|word| said.to_lowercase().contains(**word));
    assert_eq!(warned, None, "{said}");
    let client = fs::read_to_string(&client).expect("orval has written it");
    for operation in ["placeOrder", "listOrders", "getSession"] {
        assert!(
            client.contains(&format!("export const {operation} = ")),
            "{operation}"
        );
    }
}
