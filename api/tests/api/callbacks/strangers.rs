//! A caller that cannot sign for an integrator learns nothing about it and uses up none of its rate limit.

use serde_json::json;

use super::{Kitchen, a_kitchen, post_callback};
use crate::app::{Answer, App, TRUST_TEST_PROXY, with_app, with_app_configured};

#[tokio::test]
async fn whether_there_is_such_an_integrator_shows_in_no_answer() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let there = a_kitchen(&app, store).await.id.to_string();
        let nobody = "01980000-0000-7000-8000-000000000001".to_owned();
        let now = app.house.clock.now().timestamp();
        let (now, old) = (now.to_string(), (now - 301).to_string());
        let wrong: [&[(&'static str, &str)]; 7] = [
            &[],
            &[("webhook-id", "m-1")],
            &[("webhook-id", "m-1"), ("webhook-timestamp", &now)],
            &[
                ("webhook-timestamp", &now),
                ("webhook-signature", "v1,AA=="),
            ],
            &[
                ("webhook-id", "m-1"),
                ("webhook-timestamp", "yesterday"),
                ("webhook-signature", "v1,AA=="),
            ],
            &[
                ("webhook-id", "m-1"),
                ("webhook-timestamp", &old),
                ("webhook-signature", "v1,AA=="),
            ],
            &[
                ("webhook-id", "m-1"),
                ("webhook-timestamp", &now),
                ("webhook-signature", "v1,AA=="),
                ("authorization", "Bearer x"),
            ],
        ];
        for headers in wrong {
            let mut told = Vec::new();
            for integrator in [&there, &nobody] {
                let path = format!("/api/v1/integrators/{integrator}/callbacks");
                let ask = headers
                    .iter()
                    .fold(app.post(&path, json!({})), |ask, (name, value)| {
                        ask.header(name, value)
                    });
                let mut problem = ask.send().await.problem(401, "bad_signature");
                problem["request_id"].take();
                told.push(problem);
            }
            assert_eq!(told[0], told[1], "{headers:?}");
            assert!(told[0]["detail"].is_string(), "{headers:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_integrator_that_has_signed_is_counted_for_itself_there() {
    let limits = [TRUST_TEST_PROXY, ("rate_limits.integrator_per_minute", "2")];
    with_app_configured(
        &limits,
        |routes| routes,
        async |app: App| {
            let store = app.house.create_store().await;
            let (one, other) = (a_kitchen(&app, store).await, a_kitchen(&app, store).await);
            let update = json!({"reference": "K-1", "status": "ready"});
            let say = async |kitchen: &Kitchen, webhook_id: &str| {
                let answer: Answer = post_callback(&app, kitchen, webhook_id, &update).await;
                answer.status.as_u16()
            };
            // No valid signature yet: these two count against the address.
            assert_eq!(
                [say(&one, "m-1").await, say(&other, "m-1").await],
                [202, 202]
            );
            let nobody = Kitchen {
                id: app.house.chance.id(app.house.clock.now()),
                callback: one.callback.clone(),
            };
            assert_eq!(say(&nobody, "m-1").await, 429);
            for kitchen in [&one, &other] {
                let answers = [
                    say(kitchen, "m-2").await,
                    say(kitchen, "m-3").await,
                    say(kitchen, "m-4").await,
                ];
                assert_eq!(answers, [202, 202, 429]);
            }
        },
    )
    .await;
}
