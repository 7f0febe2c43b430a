//! Batches of outcomes of all kinds: their statements do not grow with their orders, and each outcome counts as if it
//! were alone.

use std::sync::atomic::Ordering;

use each_database::each_database;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{PendingOutcome, conclude_in_one_transaction};
use crate::{
    handoffs::{Claimed, Claims, Concluded, conclude_batch::parts},
    scene::{LEASE, QUANTITY, STOCK, Scene, word},
    testing::TestLedger,
};
use domain::{
    handoff::{AttemptOutcome, HandoffState, RetryAfter, SendResult, Verdict},
    integrator::{Confirms, Integrator, UnknownPolicy},
    order::Order,
    status::OrderStatus,
};
use store::testing::STATEMENTS;

/// Maximum statements of a claim, with BEGIN and COMMIT.
const MOST_CLAIMING: u64 = 15;
/// Maximum statements of a batch of outcomes, with BEGIN and COMMIT.
const MOST: u64 = 13;
/// Two inserts of so many rows as make no round number have two statements.
const UNEVEN: u64 = 2;
/// Maximum statements of a batch whose orders fail: they give stock and capacity back, and integrators are told.
const MOST_FAILING: u64 = 22;

fn answer(status: u16) -> SendResult {
    SendResult::Answer {
        status,
        retry_after: None,
    }
}

fn slow_down() -> SendResult {
    SendResult::Answer {
        status: 429,
        retry_after: Some(RetryAfter::After(std::time::Duration::from_secs(30))),
    }
}

fn lost() -> SendResult {
    SendResult::Lost {
        error: "reset — früher als gedacht".to_owned(),
    }
}

fn pending(claimed: &Claimed, heard: &SendResult) -> PendingOutcome {
    let (concluded, _) = oneshot::channel();
    PendingOutcome {
        claimed: claimed.clone(),
        heard: heard.clone(),
        answer: Some(format!(r#"{{"reference":"R-{}"}}"#, claimed.handoff.id).into_bytes()),
        used_cached_token: false,
        concluded,
    }
}

fn statements() -> u64 {
    STATEMENTS.load(Ordering::Relaxed)
}

async fn claim_all(scene: &Scene, kitchen: &Integrator, many: usize) -> (Claims, u64) {
    let before = statements();
    let ledger = &scene.house.ledger;
    let claims = ledger
        .claim_handoffs(kitchen.id, many, LEASE)
        .await
        .unwrap();
    (claims, statements() - before)
}

/// A scene with orders of one uncounted piece, and a kitchen.
async fn scene_of(house: &TestLedger, orders: usize) -> (Scene, Integrator) {
    let scene = Scene::new(house).await;
    let kitchen = scene.kitchen().await;
    let tea = house.create_product(scene.store).await;
    for _ in 0..orders {
        scene
            .order_with(|order| order.lines = vec![crate::testing::fixtures::line(tea, 1)])
            .await;
    }
    (scene, kitchen)
}

async fn count_batch(scene: &Scene, claims: &Claims, heard: &SendResult) -> u64 {
    let batch: Vec<PendingOutcome> = claims
        .claimed
        .iter()
        .map(|one| pending(one, heard))
        .collect();
    let before = statements();
    let concluded = conclude_in_one_transaction(&scene.house.ledger.inner, &batch).await;
    let counted = statements() - before;
    assert!(concluded.unwrap().iter().all(Option::is_some));
    counted
}

macro_rules! counts {
    ($($name:ident: $orders:literal, $more:expr;)+) => {$(
        #[each_database]
        async fn $name(house: TestLedger) {
            let (scene, kitchen) = scene_of(&house, $orders).await;
            let (claims, claiming) = claim_all(&scene, &kitchen, $orders).await;
            assert_eq!(claims.claimed.len(), $orders);
            assert!(claiming <= MOST_CLAIMING + $more, "a claim of {} has {claiming} statements", $orders);
            let acknowledging = count_batch(&scene, &claims, &answer(200)).await;
            assert!(acknowledging <= MOST + $more, "{} acknowledgements have {acknowledging} statements", $orders);
            for one in &claims.claimed {
                let order = one.handoff.order_id.unwrap();
                assert_eq!(scene.status(order).await, OrderStatus::Accepted);
                let reference = scene.handoff(one.handoff.id).await.reference;
                assert_eq!(reference, Some(format!("R-{}", one.handoff.id)));
            }
            scene.assert_audit_clean().await;
        }
    )+};
}

counts! {
    one_order_is_claimed_and_acknowledged_with_few_statements: 1, 0;
    so_many_orders_as_make_no_round_number_are_claimed_and_acknowledged_with_few_statements: 63, UNEVEN;
    a_full_batch_is_claimed_and_acknowledged_with_few_statements: 64, 0;
}

#[each_database]
async fn retries_refusals_and_unknown_outcomes_have_few_statements_however_many_they_are(
    house: TestLedger,
) {
    for (heard, most) in [
        (answer(503), MOST),
        (lost(), MOST),
        (slow_down(), MOST),
        (answer(422), MOST_FAILING),
    ] {
        let (scene, kitchen) = scene_of(&house, 48).await;
        let (claims, _) = claim_all(&scene, &kitchen, 64).await;
        assert_eq!(claims.claimed.len(), 48);
        let counted = count_batch(&scene, &claims, &heard).await;
        assert!(counted <= most, "48 of {heard:?} have {counted} statements");
        scene.assert_audit_clean().await;
    }
}

#[each_database]
async fn outcomes_of_all_kinds_in_one_batch_count_as_if_each_were_alone(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene
        .integrator(|new| new.unknown_policy = UnknownPolicy::Hold)
        .await;
    let listening = scene
        .integrator(|new| {
            new.required = None;
            new.confirms = Confirms::Callback;
            new.events = Some(vec![
                domain::integrator::HandoffEvent::OrderStatusChanged,
                domain::integrator::HandoffEvent::OrderCancelled,
            ]);
        })
        .await;
    let mut orders: Vec<Order> = Vec::new();
    for _ in 0..10 {
        orders.push(scene.order().await);
    }
    assert_eq!(scene.stock().await, STOCK - 10 * i64::from(QUANTITY));
    let claims = scene.claims(&kitchen).await.claimed;
    assert_eq!(claims.len(), 10);
    let of = |at: usize| {
        let order = orders[at].id;
        claims
            .iter()
            .find(|one| one.handoff.order_id == Some(order))
            .unwrap()
    };
    // Somebody cancels one of them while it is on the wire, and a callback acknowledges another.
    scene.staff_move(orders[5].id, OrderStatus::Cancelled).await;
    scene
        .says(&kitchen, orders[6].id, word(orders[6].id, "preparing"))
        .await;
    let heard = [
        answer(200),
        answer(503),
        lost(),
        answer(422),
        slow_down(),
        answer(503),
        answer(200),
        answer(400),
        answer(200),
        answer(500),
    ];
    let concluded = join_all(heard.iter().enumerate().map(|(at, heard)| {
        let body: Option<&[u8]> = Some(b"\xff\x00 not text");
        house.ledger.conclude_attempt(of(at), heard, body, false)
    }));
    let concluded: Vec<Concluded> = concluded.await.into_iter().map(Result::unwrap).collect();
    let recorded = |at: usize| match &concluded[at] {
        Concluded::Recorded { outcome, verdict } => (*outcome, verdict.clone()),
        other => panic!("{at}: {other:?}"),
    };
    assert_eq!(
        recorded(0),
        (AttemptOutcome::Acknowledged, Verdict::Acknowledged)
    );
    assert!(matches!(
        recorded(1),
        (AttemptOutcome::Retry, Verdict::TryAgain { .. })
    ));
    assert_eq!(recorded(2), (AttemptOutcome::Unknown, Verdict::Hold));
    assert!(matches!(
        recorded(3),
        (AttemptOutcome::Refused, Verdict::Failed { .. })
    ));
    assert!(matches!(
        recorded(4),
        (AttemptOutcome::Retry, Verdict::Postpone { .. })
    ));
    assert_eq!(
        concluded[5],
        Concluded::CalledOff {
            outcome: AttemptOutcome::Retry
        }
    );
    assert_eq!(
        recorded(6),
        (AttemptOutcome::Acknowledged, Verdict::Acknowledged)
    );
    let expected = [
        (HandoffState::Acknowledged, OrderStatus::Accepted),
        (HandoffState::Waiting, OrderStatus::Processing),
        (HandoffState::Held, OrderStatus::Processing),
        (HandoffState::Failed, OrderStatus::Failed),
        (HandoffState::Due, OrderStatus::Processing),
        (HandoffState::Withdrawn, OrderStatus::Cancelled),
        (HandoffState::Acknowledged, scene.status(orders[6].id).await),
        (HandoffState::Failed, OrderStatus::Failed),
        (HandoffState::Acknowledged, OrderStatus::Accepted),
        (HandoffState::Waiting, OrderStatus::Processing),
    ];
    for (at, (state, status)) in expected.into_iter().enumerate() {
        let handoff = scene.handoff(of(at).handoff.id).await;
        assert_eq!(handoff.state, state, "{at}");
        assert_eq!(scene.status(orders[at].id).await, status, "{at}");
        if let Concluded::Recorded {
            verdict: Verdict::TryAgain { at: due } | Verdict::Postpone { at: due },
            ..
        } = &concluded[at]
        {
            assert_eq!(handoff.next_attempt_at, Some(*due), "{at}");
        }
        assert_eq!(handoff.uncounted, u32::from(at == 4), "{at}");
        let mut tx = house.db.read().await.unwrap();
        let attempts = store::attempts::of_handoff(&mut tx, handoff.id)
            .await
            .unwrap();
        assert_eq!(attempts.len(), 1, "{at}");
        assert_eq!(attempts[0].ended_at, Some(house.clock.now()), "{at}");
        assert_eq!(attempts[0].error.is_some(), at == 2, "{at}");
        assert_eq!(attempts[0].counted, at != 4, "{at}");
    }
    // Three orders have ended without success: their stock is back, and whoever listens is told of each.
    assert_eq!(scene.stock().await, STOCK - 7 * i64::from(QUANTITY));
    let told = scene.states(orders[3].id, &listening).await;
    assert!(!told.is_empty(), "{told:?}");
    let positions: Vec<i32> = scene
        .handoffs(orders[3].id)
        .await
        .iter()
        .filter(|one| one.integrator_id == listening.id)
        .map(|one| one.position)
        .collect();
    let in_a_row: Vec<i32> = (1..).take(positions.len()).collect();
    assert_eq!(positions, in_a_row);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn failures_that_share_a_commit_are_on_the_record_of_the_breaker(house: TestLedger) {
    let (scene, kitchen) = scene_of(&house, 20).await;
    let (claims, _) = claim_all(&scene, &kitchen, 64).await;
    let batch: Vec<PendingOutcome> = claims
        .claimed
        .iter()
        .enumerate()
        .map(|(at, one)| pending(one, &answer(if at == 19 { 200 } else { 500 })))
        .collect();
    conclude_in_one_transaction(&house.ledger.inner, &batch)
        .await
        .unwrap();
    let mut tx = house.db.read().await.unwrap();
    let stored = store::integrators::get(&mut tx, kitchen.id)
        .await
        .unwrap()
        .unwrap();
    assert!(!stored.breaker.is_healthy());
    drop(tx);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn two_outcomes_of_one_order_share_no_part_of_a_batch(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, till) = (scene.kitchen().await, scene.kitchen().await);
    scene.order().await;
    let (a, b) = (scene.claim(&kitchen).await, scene.claim(&till).await);
    let batch = vec![
        pending(&a, &answer(200)),
        pending(&b, &answer(200)),
        pending(&a, &slow_down()),
    ];
    let sizes: Vec<usize> = parts(batch).map(|part| part.len()).collect();
    assert_eq!(sizes, [1, 1, 1]);
}

#[each_database]
async fn a_row_that_cannot_be_read_fails_only_its_own_refusal(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let (poisoned, sound) = (scene.order().await, scene.order().await);
    let claims = scene.claims(&kitchen).await.claimed;
    scene
        .damage("UPDATE orders SET fulfilment = 'by owl' WHERE number = 1")
        .await;
    assert_eq!((poisoned.number, sound.number), (Some(1), Some(2)));
    let refused = answer(422);
    let concluded = claims
        .iter()
        .map(|one| house.ledger.conclude_attempt(one, &refused, None, false));
    for (one, concluded) in claims.iter().zip(join_all(concluded).await) {
        assert_eq!(
            concluded.is_err(),
            one.order_number == Some(1),
            "{concluded:?}"
        );
    }
    scene
        .damage("UPDATE orders SET fulfilment = 'pickup' WHERE number = 1")
        .await;
    assert_eq!(scene.status(sound.id).await, OrderStatus::Failed);
    assert_eq!(scene.status(poisoned.id).await, OrderStatus::Processing);
}

#[each_database]
async fn an_integrator_that_somebody_holds_delays_no_outcome_of_another(house: TestLedger) {
    let (scene, other) = (Scene::new(&house).await, Scene::new(&house).await);
    let (held, free) = (scene.kitchen().await, other.kitchen().await);
    scene.order().await;
    other.order().await;
    let (of_held, of_free) = (scene.claim(&held).await, other.claim(&free).await);
    let mut holder = crate::Change::begin(&house.ledger.inner).await.unwrap();
    store::integrators::lock(&mut holder.tx, held.id)
        .await
        .unwrap();
    let failed = answer(500);
    let conclude = |one| house.ledger.conclude_attempt(one, &failed, None, false);
    // SQLite has a single writer, for which everybody waits.
    let mut holder = Some(holder);
    if let Some(on_sqlite) = holder.take_if(|holder| holder.tx.pick("mysql", "sqlite") == "sqlite")
    {
        on_sqlite.rollback().await;
    }
    let rest = async {
        let concluded = conclude(&of_free).await;
        if let Some(holder) = holder {
            holder.rollback().await;
        }
        concluded
    };
    let (first, second) = tokio::join!(conclude(&of_held), rest);
    for concluded in [first, second] {
        assert!(matches!(concluded.unwrap(), Concluded::Recorded { .. }));
    }
    scene.assert_audit_clean().await;
}
