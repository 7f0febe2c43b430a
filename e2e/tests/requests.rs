//! `requests.http`, as a reader would run it.

use std::{fs, path::Path};

use e2e::{Ground, RequestFile};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_of_the_file_is_answered_as_it_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../requests.http");
    let text = fs::read_to_string(path).expect("it lies beside the README");
    let file = RequestFile::parse(&text);
    assert_eq!(
        file.len(),
        text.matches("\n###").count(),
        "each title has its request"
    );
    let ground = Ground::embedded();
    let expediter = ground.launch().start().await;
    let password = expediter.password("operator").to_owned();
    file.run(
        &expediter,
        &[("host", &expediter.url), ("password", &password)],
    )
    .await;
    let audit = expediter.audit().await;
    assert_eq!(audit.code, Some(0), "{}", audit.stdout);
}
