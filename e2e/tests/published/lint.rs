//! Public tools find nothing wrong with the documents.

use std::process::Command;

use e2e::{NpmTools, Published};

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
