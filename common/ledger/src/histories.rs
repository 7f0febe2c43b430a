//! Random histories of orders, played on the real ledger and on a model written by hand from docs/design.md.
//!
//! The test can fail. It found that a callback did not acknowledge a handoff that was retried by hand and not sent
//! since, and that an integrator that was disabled for a moment never heard of the end of an order that it had. It was
//! also seen to find each of these faults, put into the code on purpose: stock not returned by a rejection, one attempt
//! too many, a cancellation sent to the integrator that had rejected the order, a callback with the same sequence
//! applied, an outcome accepted with an old fence.

mod model; // what must come of it
mod play; // both, side by side
mod step; // what may happen

use std::collections::BTreeSet;

use self::{
    model::OutcomeEffect,
    play::{Coverage, play},
    step::Plan,
};
use crate::testing::{TestLedger, on_mysql, on_sqlite};
use domain::{
    callback::CallbackResult, delivery::DeliveryStatus, handoff::HandoffState, status::OrderStatus,
};
use platform::chance::Chance;

const HISTORIES: u64 = 1000;
/// Number of histories on MySQL, where each statement costs a round trip.
const HISTORIES_ON_MYSQL: u64 = 50;
/// Maximum number of shorter histories tried for a broken one.
const SHORTENINGS: usize = 200;
/// Seed printed by a run, to repeat it.
const SEED: Option<u64> = None;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_random_histories_are_as_the_model_tells_them() {
    on_sqlite(async |house: TestLedger| {
        let seen = play_all(&house, HISTORIES).await;
        assert_full_coverage(&seen);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_random_histories_on_mysql_are_as_the_model_tells_them() {
    on_mysql(async |house: TestLedger| {
        play_all(&house, HISTORIES_ON_MYSQL).await;
    })
    .await;
}

async fn play_all(house: &TestLedger, histories: u64) -> Vec<Coverage> {
    let first = SEED.unwrap_or_else(|| u64::from_le_bytes(Chance::system().bytes()));
    let mut all = Vec::new();
    for seed in (0..histories).map(|n| first.wrapping_add(n)) {
        let plan = Plan::drawn(seed);
        match play(house, &plan).await {
            Ok(seen) => all.push(seen),
            Err(_) => panic!("seed {seed}: {}", shortest(house, plan).await),
        }
        drop(house.woken.take());
    }
    assert_eq!(
        house.ledger.audit().await.unwrap(),
        [],
        "seed {first} and on"
    );
    all
}

/// Shortens a broken history: cuts it off after the broken step, then leaves out one step after the other as long as it
/// stays broken.
async fn shortest(house: &TestLedger, mut plan: Plan) -> String {
    let mut left = SHORTENINGS;
    let mut broken = match play(house, &plan).await {
        Err(broken) => broken,
        Ok(_) => return format!("broken once, but not when played again: {plan:#?}"),
    };
    plan.steps.truncate(broken.after_steps + 1);
    let mut at = plan.steps.len();
    while at > 0 && left > 0 {
        at -= 1;
        left -= 1;
        let mut shorter = plan.clone();
        shorter.steps.remove(at);
        if let Err(still) = play(house, &shorter).await {
            (plan, broken) = (shorter, still);
            plan.steps.truncate(broken.after_steps + 1);
            at = at.min(plan.steps.len());
        }
    }
    format!("{}\nafter {plan:#?}", broken.what)
}

/// Checks that every status, state and result occurred: histories that draw too little would find nothing.
fn assert_full_coverage(seen: &[Coverage]) {
    let statuses: BTreeSet<_> = seen.iter().flat_map(|one| &one.statuses).collect();
    let drafts_aside = OrderStatus::ALL
        .iter()
        .filter(|status| **status != OrderStatus::Draft);
    assert!(drafts_aside.eq(statuses), "statuses");
    let states: BTreeSet<_> = seen.iter().flat_map(|one| &one.states).collect();
    let unparked = HandoffState::ALL
        .iter()
        .filter(|state| **state != HandoffState::Parked);
    assert_eq!(unparked.collect::<BTreeSet<_>>(), states);
    let results: BTreeSet<_> = seen.iter().flat_map(|one| &one.results).collect();
    for result in [
        CallbackResult::Applied,
        CallbackResult::Unchanged,
        CallbackResult::Stale,
        CallbackResult::Unmapped,
        CallbackResult::Illegal,
    ] {
        assert!(results.contains(&result), "{result}");
    }
    let deliveries: BTreeSet<_> = seen.iter().flat_map(|one| &one.deliveries).collect();
    assert!(DeliveryStatus::ALL.iter().eq(deliveries), "deliveries");
    for heeded in [
        OutcomeEffect::Recorded,
        OutcomeEffect::CalledOff,
        OutcomeEffect::Fenced,
    ] {
        assert!(
            seen.iter().any(|one| one.heeded.contains(&heeded)),
            "{heeded:?}"
        );
    }
    assert!(
        seen.iter().any(|one| one.somebody_was_archived),
        "archiving"
    );
    assert!(
        seen.iter().any(|one| one.most_rounds > 1),
        "retries by hand"
    );
}
