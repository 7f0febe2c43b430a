//! `expediter trigger EVENT`: makes a small order, marked as a test, and moves it until the event happens.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use reqwest::Method;
use runtime::config::Settings;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    remote::{Remote, RemoteError},
    say, store_of,
};
use crate::{
    command_line::{Trigger, TriggerEvent},
    refusal::Refusal,
};

/// Time for the whole way; integrators may move the order beside us.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
const NOTE: &str = "TEST by expediter trigger: do not prepare";
/// Statuses on the way to the courier.
const TO_DISPATCHED: [&str; 5] = ["processing", "accepted", "preparing", "ready", "dispatched"];

pub(crate) async fn trigger(settings: &Settings, options: Trigger) -> Result<ExitCode, Refusal> {
    let remote = Remote::new(settings, &options.remote)?;
    let store = store_of(&remote, options.store).await?;
    let failed = |cause: anyhow::Error| Refusal::failed("trigger")(format!("{cause:#}"));
    let done = match options.event {
        TriggerEvent::Test => test(&remote, &store).await,
        event => order(&remote, &store, &options, event).await,
    };
    done.map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Sends a test message to each listener of the store.
async fn test(remote: &Remote, store: &str) -> anyhow::Result<()> {
    let integrators = integrators(remote, store).await?;
    let listeners = integrators
        .iter()
        .filter(|one| !one["listens_until"].is_null());
    let mut sent = 0;
    for listener in listeners {
        let path = format!("integrators/{}/test", word(listener, "id"));
        let handoff = remote
            .send(Method::POST, &path, None, Duration::ZERO)
            .await?;
        say(format_args!(
            "test to listener {:?}: handoff {}",
            word(listener, "name"),
            word(&handoff, "id")
        ));
        sent += 1;
    }
    if sent == 0 {
        bail!("nobody listens to this store: start `expediter listen` first");
    }
    Ok(())
}

async fn order(
    remote: &Remote,
    store: &str,
    options: &Trigger,
    event: TriggerEvent,
) -> anyhow::Result<()> {
    let integrators = integrators(remote, store).await?;
    let real: Vec<&str> = integrators
        .iter()
        .filter(|one| one["listens_until"].is_null() && one["enabled"] == true)
        .map(|one| word(one, "name"))
        .collect();
    let placed = place(remote, store, options).await?;
    let id = word(&placed, "id");
    say(format_args!("order {} placed: {id}", placed["number"]));
    if !real.is_empty() {
        say(format_args!(
            "It is a real order with the note {NOTE:?}, so it also goes to: {}",
            real.join(", ")
        ));
    }
    match event {
        TriggerEvent::OrderPlaced | TriggerEvent::Test => {}
        TriggerEvent::OrderCancelled => {
            until_told(remote, id).await?;
            move_to(remote, id, &["cancelled"]).await?;
        }
        TriggerEvent::OrderDispatched => move_to(remote, id, &TO_DISPATCHED).await?,
        TriggerEvent::OrderStatusChanged => move_to(remote, id, &TO_DISPATCHED[..2]).await?,
    }
    Ok(())
}

async fn integrators(remote: &Remote, store: &str) -> anyhow::Result<Vec<Value>> {
    let listed = remote
        .get(&format!("integrators?store_id={store}&limit=100"))
        .await?;
    Ok(listed["items"].as_array().cloned().unwrap_or_default())
}

async fn place(remote: &Remote, store: &str, options: &Trigger) -> anyhow::Result<Value> {
    let item = match &options.sku {
        Some(sku) => json!({"sku": sku, "quantity": 1}),
        None => {
            let menu = remote.get(&format!("stores/{store}/menu")).await?;
            let products = menu["items"].as_array();
            let first = products.and_then(|products| {
                products.iter().find(|one| {
                    one["available"] != false && one["stock"].as_i64().is_none_or(|left| left > 0)
                })
            });
            let first = first.context("the store has nothing to sell: create a product first")?;
            json!({"product_id": first["id"], "quantity": 1})
        }
    };
    let wanted = json!({
        "store_id": store, "fulfilment": "delivery", "items": [item], "user_note": NOTE,
        "customer": {"name": "Test", "phone": "+49 30 000000", "address": "Test street 1"},
    });
    Ok(remote.post("orders", &wanted).await?)
}

/// Waits until everybody was told of the order, as far as they answer: only they are told that it is cancelled.
async fn until_told(remote: &Remote, order: &str) -> anyhow::Result<()> {
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        let handoffs = remote.get(&format!("orders/{order}/handoffs")).await?;
        let handoffs = handoffs.as_array().map_or(&[][..], Vec::as_slice);
        let is_told = |one: &Value| {
            let state = word(one, "state");
            one["event"] != "order.placed" || !matches!(state, "due" | "sending")
        };
        if !handoffs.is_empty() && handoffs.iter().all(is_told) {
            return Ok(());
        }
        if Instant::now() > give_up_at {
            bail!(
                "not everybody was told of the order, so not everybody is told that it is cancelled: is `expediter listen` running?"
            );
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Moves the order along this way, as far as nobody else does, and prints each step.
async fn move_to(remote: &Remote, order: &str, way: &[&str]) -> anyhow::Result<()> {
    let target = way.last().context("a way has an end")?;
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        let now = remote.get(&format!("orders/{order}")).await?;
        let (status, next) = (word(&now, "status"), now["next"].as_array());
        let passed = way.iter().position(|step| *step == status);
        if status == *target {
            return Ok(());
        }
        let may = |step: &&&str| {
            let mut next = next.into_iter().flatten();
            next.any(|one| one == **step)
        };
        let ahead = &way[passed.map_or(0, |at| at + 1)..];
        match ahead.iter().find(may) {
            Some(step) => {
                let body = json!({"status": step, "reason": "test"});
                let path = format!("orders/{order}/status");
                let moved = remote.send(Method::PUT, &path, Some(&body), Duration::ZERO);
                match moved.await {
                    Ok(_) => say(format_args!("order {} is {step}", now["number"])),
                    // Somebody else moved it at the same moment.
                    Err(RemoteError::Refused { status, .. }) if status == 409 => {}
                    Err(error) => return Err(error.into()),
                }
            }
            None if next.is_some_and(Vec::is_empty) => {
                bail!("the order is {status}, and can't become {target} any more")
            }
            None => sleep(LOOK_INTERVAL).await,
        }
        if Instant::now() > give_up_at {
            bail!("the order is still {status}, not {target}");
        }
    }
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
