//! Checks our signatures with the Python package `standardwebhooks`, in both directions.

use std::{io::Write, process::Stdio};

use e2e::{Expediter, Folder, Integrator, Launch, PythonTools, Received, Shop, text, until};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handoffs_and_callbacks_are_signed_as_the_published_library_does_it() {
    let Some(tools) = PythonTools::found("signatures, with the published library") else {
        return;
    };
    let folder = Folder::new();
    let expediter = Launch::new(folder.path())
        .set("worker.allow_http", true)
        .set("worker.allow_networks", r#"["127.0.0.0/8"]"#)
        .start()
        .await;
    let integrator = Integrator::start(expediter.launch().clock());
    integrator.set_callback_statuses([]);
    let shop = Shop::open(&expediter, &integrator, 10).await;

    let order_id = place(&expediter, &shop).await;
    let first = integrator.wait_for_requests(1).await.remove(0);
    assert_eq!(first.signature.split(' ').count(), 1);
    assert_eq!(
        ask(&tools, &verify(&shop.signing_secret, &first)),
        json!({"verified": true})
    );
    let longer = Received {
        body: [&first.body[..], b" "].concat(),
        ..first.clone()
    };
    let later = Received {
        timestamp: (first.timestamp.parse::<i64>().unwrap() + 1).to_string(),
        ..first.clone()
    };
    for (secret, forged) in [
        (&shop.signing_secret, &longer),
        (&shop.signing_secret, &later),
        (&shop.callback_secret, &first),
    ] {
        let answer = ask(&tools, &verify(secret, forged));
        assert_eq!(answer["verified"], false, "{answer}");
    }

    // During a rotation both secrets are valid, so that the receiver can switch at any time.
    let path = format!("/api/v1/integrators/{}/rotate-secret", shop.integrator_id);
    let rotate = expediter
        .by_operator(Method::POST, &path)
        .json(&json!({"secret": "signing"}));
    let (status, rotated) = expediter.answer(rotate).await;
    assert_eq!(status, 200, "{rotated}");
    let fresh = text(&rotated["value"]);
    assert_ne!(fresh, shop.signing_secret);
    place(&expediter, &shop).await;
    let second = integrator.wait_for_requests(2).await.remove(1);
    assert_eq!(second.signature.split(' ').count(), 2);
    for secret in [&fresh, &shop.signing_secret] {
        assert_eq!(
            ask(&tools, &verify(secret, &second)),
            json!({"verified": true})
        );
    }

    let body = json!({"order_id": order_id, "status": "ready"}).to_string();
    let sign = json!({"do": "sign", "secret": shop.callback_secret, "id": "msg_1", "body": body});
    let signed = ask(&tools, &sign);
    let path = format!("/api/v1/integrators/{}/callbacks", shop.integrator_id);
    for (body, expected) in [(body.clone(), 202), (format!("{body} "), 401)] {
        let request = expediter
            .request(Method::POST, &path)
            .header("content-type", "application/json")
            .header("webhook-id", "msg_1")
            .header("webhook-timestamp", text(&signed["timestamp"]))
            .header("webhook-signature", text(&signed["signature"]))
            .body(body);
        let (status, answer) = expediter.answer(request).await;
        assert_eq!(status, expected, "{answer}");
    }
    until("the order to be ready", || async {
        let order = expediter.read(&format!("/api/v1/orders/{order_id}")).await;
        (order["status"] == "ready").then_some(())
    })
    .await;
}

async fn place(expediter: &Expediter, shop: &Shop) -> String {
    let order = json!({"items": [{"product_id": shop.espresso, "quantity": 1}], "user_note": "sans œuf, 東京"});
    let (status, order) = expediter.post(&shop.guests_path(), &order).await;
    assert_eq!(status, 201, "{order}");
    text(&order["id"])
}

fn verify(secret: &str, received: &Received) -> Value {
    json!({
        "do": "verify",
        "secret": secret,
        "headers": {
            "webhook-id": received.webhook_id,
            "webhook-timestamp": received.timestamp,
            "webhook-signature": received.signature,
        },
        "body": String::from_utf8(received.body.clone()).expect("JSON is UTF-8"),
    })
}

/// Sends one line to `e2e/python/standard_webhooks.py`; returns its answer.
fn ask(tools: &PythonTools, asked: &Value) -> Value {
    let mut child = tools
        .command("python3")
        .arg(PythonTools::file("standard_webhooks.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python-tools looked for python3");
    let mut stdin = child.stdin.take().expect("it is piped");
    writeln!(stdin, "{asked}").expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it was started");
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).expect("it answers with one line of JSON")
}
