//! Callbacks that are judged before they are applied, and what their senders may read.

use ledger::callbacks::CallbackFilter;

use super::*;
use crate::integrator_accounts::sign_in_integrator;

/// Returns what the answer says, and the result that the callback has once it is applied.
async fn said_and_done(app: &App, kitchen: &Kitchen, id: &str, body: &Value) -> (String, String) {
    let answer = post_callback(app, kitchen, id, body).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    let order = body["order_id"].as_str().unwrap().parse().unwrap();
    app.house.ledger.apply_callbacks(order).await.unwrap();
    let filter = CallbackFilter {
        integrator: Some(kitchen.id),
        ..CallbackFilter::default()
    };
    let kept = app
        .house
        .ledger
        .callbacks(&filter, None, 100)
        .await
        .unwrap();
    let kept = kept.into_iter().find(|kept| kept.webhook_id == id).unwrap();
    let said = answer.json()["result"].as_str().unwrap().to_owned();
    (
        said,
        kept.result.map_or("waiting", |it| it.as_str()).to_owned(),
    )
}

#[tokio::test]
async fn what_is_known_at_once_is_said_in_the_answer_and_comes_true() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let kitchen = a_kitchen(&app, store).await;
        let order = an_order(&app, store).await;
        let with = |fields: Value| {
            let mut body = json!({"order_id": order});
            body.as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
            body
        };
        let mut n = 0;
        let mut judge = async |fields: Value| {
            n += 1;
            said_and_done(&app, &kitchen, &format!("m-{n}"), &with(fields)).await
        };
        let pair = |said: &str, done: &str| (said.to_owned(), done.to_owned());
        for unmapped in [
            json!({"status": "in the oven"}),
            json!({"delivery": {"status": "LOST"}}),
            json!({"status": "accepted", "delivery": {"status": "on its way"}}),
        ] {
            assert_eq!(judge(unmapped).await, pair("unmapped", "unmapped"));
        }
        assert_eq!(
            judge(json!({"status": "accepted"})).await,
            pair("stored", "applied")
        );
        assert_eq!(
            judge(json!({"status": "in_the_pan"})).await,
            pair("stored", "applied")
        );
        let cancelled = json!({"status": "cancelled", "reason": "burnt", "sequence": 5});
        assert_eq!(judge(cancelled.clone()).await, pair("stored", "applied"));
        for illegal in [
            json!({"status": "ready"}),
            json!({"status": "delivered"}),
            json!({"status": "rejected", "sequence": 6}),
            json!({"status": "accepted", "sequence": 7}),
        ] {
            assert_eq!(judge(illegal).await, pair("illegal", "illegal"));
        }
        assert_eq!(judge(cancelled).await, pair("stored", "stale"));
        assert_eq!(
            judge(json!({"status": "ready", "sequence": 1})).await,
            pair("stored", "stale")
        );
        assert_eq!(
            judge(json!({"status": "cancelled"})).await,
            pair("stored", "unchanged")
        );
    })
    .await;
}

#[tokio::test]
async fn an_account_reads_its_own_integrator_its_callbacks_and_what_it_was_sent() {
    with_app(async |app: App| {
        let (ours, theirs) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let (kitchen, other) = (a_kitchen(&app, ours).await, a_kitchen(&app, theirs).await);
        let pos = sign_in_integrator(&app, "pos", &[kitchen.id]).await;
        let get = async |path: String| app.get(&path).by(&pos).send().await;
        let own = get(format!("/api/v1/integrators/{}", kitchen.id)).await;
        assert_eq!(own.ok()["id"], json!(kitchen.id));
        assert!(!own.text.contains("whsec_"), "{}", own.text);
        get(format!("/api/v1/integrators/{}", other.id))
            .await
            .problem(404, "not_found");
        let patch = app.patch(
            &format!("/api/v1/integrators/{}", kitchen.id),
            json!({"name": "x"}),
        );
        patch.by(&pos).send().await.problem(403, "forbidden");
        get("/api/v1/integrators".to_owned())
            .await
            .problem(403, "forbidden");

        let order = an_order(&app, ours).await;
        let body = json!({"order_id": order, "status": "on a tray"});
        post_callback(&app, &kitchen, "m-1", &body).await.ok();
        app.house.ledger.apply_callbacks(order).await.unwrap();
        let listed = get("/api/v1/callbacks".to_owned()).await.ok();
        assert_eq!(listed["items"][0]["result"], "unmapped");
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
        let others = format!("/api/v1/callbacks?integrator_id={}", other.id);
        get(others).await.problem(404, "not_found");

        let handoffs = get("/api/v1/handoffs".to_owned()).await.ok();
        let path = format!(
            "/api/v1/handoffs/{}",
            handoffs["items"][0]["id"].as_str().unwrap()
        );
        let shown = get(path.clone()).await.ok();
        let shown: Value = serde_json::from_str(shown["body"].as_str().unwrap()).unwrap();
        assert_eq!(shown["order"]["id"], json!(order), "as it will be sent");
        let claimed =
            app.house
                .ledger
                .claim_handoffs(kitchen.id, 1, std::time::Duration::from_secs(10));
        let claimed = claimed.await.unwrap().claimed;
        let sent = String::from_utf8(claimed[0].body.to_vec()).unwrap();
        assert_eq!(get(path).await.ok()["body"], json!(sent));
    })
    .await;
}
