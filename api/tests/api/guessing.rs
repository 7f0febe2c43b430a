//! Limits on guessing passwords: failures are counted in the database, for all processes together.

use std::time::Duration;

use domain::account::Role;
use serde_json::json;

use crate::app::{Answer, App, PASSWORD, TRUST_TEST_PROXY, basic, with_app_configured};

const ME: &str = "/api/v1/me";

async fn with_limits<F: Future<Output = ()>>(body: impl FnOnce(App) -> F) {
    with_app_configured(&[TRUST_TEST_PROXY], |routes| routes, body).await;
}

async fn sign_in(app: &App, username: &str, password: &str, from: &str) -> Answer {
    let body = json!({"username": username, "password": password});
    app.post("/api/v1/token", body).from(from).send().await
}

/// Fails sign-ins from a new address each time, so that only the username's failures count.
async fn fail(app: &App, username: &str, times: u8) {
    for last in 1..=times {
        let answer = sign_in(app, username, "wrong", &format!("192.0.2.{last}")).await;
        answer.problem(401, "incorrect_credentials");
    }
}

fn sign_ins(app: &App, result: &str) -> u64 {
    app.state
        .metrics
        .sign_ins
        .with_label_values(&[result])
        .get()
}

#[tokio::test]
async fn after_ten_wrong_passwords_no_password_is_looked_at_in_any_process() {
    with_limits(async |app: App| {
        let another = app.another();
        app.account("anna", Role::Customer, &[]).await;
        fail(&app, "anna", 5).await;
        fail(&another, "anna", 5).await;
        let looked_at = sign_ins(&app, "incorrect");
        for app in [&app, &another] {
            for password in ["wrong", PASSWORD] {
                let answer = sign_in(app, "anna", password, "192.0.2.99").await;
                answer.problem(429, "rate_limited");
                assert_eq!(answer.header("retry-after"), "900");
            }
            let answer = app.get(ME).by(&basic("anna", PASSWORD)).from("192.0.2.99");
            answer.send().await.problem(429, "rate_limited");
        }
        assert_eq!(
            (sign_ins(&app, "incorrect"), sign_ins(&app, "ok")),
            (looked_at, 0)
        );
        assert_eq!(sign_ins(&app, "limited"), 3);
        app.house.clock.advance(Duration::from_secs(900));
        sign_in(&another, "anna", PASSWORD, "192.0.2.99").await.ok();
    })
    .await;
}

#[tokio::test]
async fn a_name_that_nobody_has_is_limited_just_so() {
    with_limits(async |app: App| {
        fail(&app, "nobody", 10).await;
        let answer = sign_in(&app, "nobody", "x", "192.0.2.99").await;
        answer.problem(429, "rate_limited");
        assert_eq!(answer.header("retry-after"), "900");
    })
    .await;
}

#[tokio::test]
async fn a_success_forgives_what_failed_before() {
    with_limits(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        for _ in 0..3 {
            for _ in 0..9 {
                let answer = sign_in(&app, "anna", "wrong", "192.0.2.99").await;
                answer.problem(401, "incorrect_credentials");
            }
            sign_in(&app, "anna", PASSWORD, "192.0.2.99").await.ok();
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_guesses_elsewhere_does_not_lock_the_owner_out_where_they_have_signed_in() {
    with_limits(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let (at_home, away) = ("198.51.100.1", "198.51.100.2");
        sign_in(&app, "anna", PASSWORD, at_home).await.ok();
        fail(&app, "anna", 10).await;
        sign_in(&app, "anna", PASSWORD, away)
            .await
            .problem(429, "rate_limited");
        sign_in(&app, "anna", PASSWORD, at_home).await.ok();
        let another = app.another();
        let by_basic = another.get(ME).by(&basic("anna", PASSWORD)).from(at_home);
        by_basic.send().await.ok();
        // The owner's successes do not clear the failures elsewhere.
        sign_in(&app, "anna", PASSWORD, away)
            .await
            .problem(429, "rate_limited");
    })
    .await;
}

#[tokio::test]
async fn a_guest_at_the_owners_address_does_not_lock_them_out_and_is_told_nothing_after_ten_tries()
{
    with_limits(async |app: App| {
        let another = app.another();
        app.account("anna", Role::Customer, &[]).await;
        app.account("ben", Role::Customer, &[]).await;
        let here = "198.51.100.1";
        for name in ["anna", "ben"] {
            sign_in(&app, name, PASSWORD, here).await.ok();
        }
        let by_basic = async |app: &App, password: &str| {
            let asked = app.get(ME).by(&basic("anna", password)).from(here);
            asked.send().await
        };
        for tried in 0..99 {
            let app = if tried % 2 == 0 { &app } else { &another };
            let wrong = format!("wrong {tried}");
            let answer = match tried % 3 {
                0 => by_basic(app, &wrong).await,
                _ => sign_in(app, "anna", &wrong, here).await,
            };
            match tried {
                0..10 => drop(answer.problem(401, "incorrect_credentials")),
                10..30 => {
                    answer.problem(429, "rate_limited");
                    assert_eq!(answer.header("retry-after"), "900");
                }
                _ => assert!(matches!(answer.status.as_u16(), 401 | 429)),
            }
            if [29, 30, 98].contains(&tried) {
                sign_in(app, "anna", PASSWORD, here).await.ok();
                // Its verified password has expired.
                app.house.clock.advance(Duration::from_secs(61));
                by_basic(app, PASSWORD).await.ok();
            }
        }
        sign_in(&app, "ben", PASSWORD, here).await.ok();
    })
    .await;
}

#[tokio::test]
async fn guessing_at_the_owners_address_ends_in_every_process_and_by_every_way() {
    with_limits(async |app: App| {
        let another = app.another();
        app.account("anna", Role::Customer, &[]).await;
        app.account("ben", Role::Customer, &[]).await;
        let here = "198.51.100.1";
        let by_basic = async |app: &App, name: &str| {
            let asked = app.get(ME).by(&basic(name, PASSWORD)).from(here);
            asked.send().await
        };
        // Both processes have verified the password a moment ago.
        for app in [&app, &another] {
            by_basic(app, "anna").await.ok();
        }
        by_basic(&app, "ben").await.ok();
        for _ in 0..100 {
            sign_in(&app, "anna", "wrong", here).await;
        }
        assert_eq!(sign_ins(&app, "incorrect"), 100);
        for app in [&app, &another] {
            // A wrong one first: a verified password must not tell the guesser of the right one.
            for password in ["wrong", PASSWORD] {
                let answer = sign_in(app, "anna", password, here).await;
                answer.problem(429, "rate_limited");
            }
            let answer = by_basic(app, "anna").await;
            answer.problem(429, "rate_limited");
        }
        by_basic(&app, "ben").await.ok();
        app.house.clock.advance(Duration::from_secs(900));
        by_basic(&app, "anna").await.ok();
    })
    .await;
}

#[tokio::test]
async fn a_verified_password_tells_nothing_to_those_who_guess_from_elsewhere() {
    with_limits(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let ask = async |from: &str| {
            let asked = app.get(ME).by(&basic("anna", PASSWORD)).from(from);
            asked.send().await
        };
        ask("198.51.100.1").await.ok();
        fail(&app, "anna", 10).await;
        ask("192.0.2.99").await.problem(429, "rate_limited");
        ask("198.51.100.1").await.ok();
    })
    .await;
}

#[tokio::test]
async fn an_address_that_tries_one_name_after_the_other_is_limited_for_all() {
    with_limits(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        for number in 0..30 {
            let answer = sign_in(&app, &format!("name{number}"), "x", "2001:db8::1").await;
            answer.problem(401, "incorrect_credentials");
        }
        // Another address in the same network counts as the same client.
        let answer = sign_in(&app, "anna", PASSWORD, "2001:db8::2").await;
        answer.problem(429, "rate_limited");
        sign_in(&app, "anna", PASSWORD, "2001:db8:0:1::2")
            .await
            .ok();
    })
    .await;
}

#[tokio::test]
async fn tokens_in_hand_work_while_their_owner_is_guessed_at() {
    with_limits(async |app: App| {
        let anna = app.account("anna", Role::Customer, &[]).await;
        fail(&app, "anna", 10).await;
        app.get(ME).by(&app.bearer(&anna)).send().await.ok();
        let change = json!({"password": PASSWORD, "new_password": "something else"});
        let changed = app
            .post("/api/v1/me/password", change)
            .by(&app.bearer(&anna));
        changed.send().await.problem(429, "rate_limited");
    })
    .await;
}

#[tokio::test]
async fn many_guesses_at_once_are_no_more_than_one_after_the_other() {
    with_limits(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let guess = async |last: u8| {
            let from = format!("192.0.2.{last}");
            sign_in(&app, "anna", "wrong", &from).await.status.as_u16()
        };
        let answers = futures_util::future::join_all((0..40).map(guess)).await;
        let looked_at = answers.iter().filter(|status| **status == 401).count();
        let at_once = app.state.settings.accounts.argon2_concurrency;
        assert!((10..10 + at_once).contains(&looked_at), "{answers:?}");
        assert!(answers.iter().all(|status| matches!(status, 401 | 429)));
    })
    .await;
}

#[tokio::test]
async fn a_basic_password_that_was_right_is_not_hashed_again_for_a_minute() {
    with_limits(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let ask = async |password: &str| app.get(ME).by(&basic("anna", password)).send().await;
        for _ in 0..3 {
            ask(PASSWORD).await.ok();
        }
        assert_eq!(sign_ins(&app, "ok"), 1);
        ask("open sesam")
            .await
            .problem(401, "incorrect_credentials");
        app.house.clock.advance(Duration::from_secs(60));
        ask(PASSWORD).await.ok();
        assert_eq!(sign_ins(&app, "ok"), 2);
    })
    .await;
}

#[tokio::test]
async fn a_programs_requests_at_once_verify_their_password_once() {
    with_limits(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let ask = async |_| app.get(ME).by(&basic("anna", PASSWORD)).send().await.ok();
        futures_util::future::join_all((0..40).map(ask)).await;
        assert_eq!(sign_ins(&app, "ok"), 1);
    })
    .await;
}
