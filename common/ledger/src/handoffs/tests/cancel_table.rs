//! A table of every moment at which an order may be cancelled, with its exact results.

use super::{Acknowledged, Due, Failed, OrderCancelled, OrderPlaced, Withdrawn};
use crate::{
    handoffs::Claimed,
    scene::{STOCK, Scene, word},
    testing::TestLedger,
};
use domain::{
    handoff::{AttemptOutcome, HandoffState, SendResult},
    ids::OrderId,
    integrator::Integrator,
    status::{By, OrderStatus},
};
use each_database::each_database;

use AttemptOutcome::{Gone, Refused, Retry, Unknown};
use Met::{Accepts, IsBusy, IsGone, IsLost, IsUnreachable, NeverLeft, Refuses};
use OrderStatus::{Accepted, Cancelled, Preparing, Ready, Rejected};

/// Result of a request.
#[derive(Clone, Copy, Debug)]
enum Met {
    Accepts,
    Refuses,
    IsGone,
    IsBusy,
    IsUnreachable,
    IsLost,
    /// The process stops between the claim and the request.
    NeverLeft,
}

const ALL_MET: [Met; 7] = [
    Accepts,
    Refuses,
    IsGone,
    IsBusy,
    IsUnreachable,
    IsLost,
    NeverLeft,
];

/// Expected state of order and kitchen afterwards.
#[derive(Clone, Debug, PartialEq)]
struct Stands {
    order: OrderStatus,
    placed: HandoffState,
    /// True if the kitchen will be sent an `order.cancelled`.
    is_told: bool,
    outcomes: Vec<Option<AttemptOutcome>>,
}

fn stands(
    order: OrderStatus,
    placed: HandoffState,
    is_told: bool,
    outcome: Option<AttemptOutcome>,
) -> Stands {
    Stands {
        order,
        placed,
        is_told,
        outcomes: outcome.map(Some).into_iter().collect(),
    }
}

/// Expected state after a cancel while the request is on the wire: it may have arrived, so the order is called off
/// whatever the response.
fn cancelled_during(met: Met) -> Stands {
    match met {
        Accepts => stands(
            Cancelled,
            Acknowledged,
            true,
            Some(AttemptOutcome::Acknowledged),
        ),
        Refuses => stands(Cancelled, Failed, true, Some(Refused)),
        IsGone => stands(Cancelled, Failed, true, Some(Gone)),
        IsBusy | IsUnreachable => stands(Cancelled, Withdrawn, true, Some(Retry)),
        IsLost => stands(Cancelled, Withdrawn, true, Some(Unknown)),
        NeverLeft => stands(Cancelled, Withdrawn, true, None),
    }
}

/// Expected state after a cancel after the response: an accepted order may be cancelled too.
fn cancelled_after(met: Met) -> Stands {
    match met {
        Accepts => stands(
            Cancelled,
            Acknowledged,
            true,
            Some(AttemptOutcome::Acknowledged),
        ),
        // The order has already failed: there is nothing to cancel, and nobody to tell.
        Refuses => stands(OrderStatus::Failed, Failed, false, Some(Refused)),
        IsGone => stands(OrderStatus::Failed, Failed, false, Some(Gone)),
        // A busy kitchen may have received the order all the same; an unreachable one has not.
        IsBusy => stands(Cancelled, Withdrawn, true, Some(Retry)),
        IsUnreachable => stands(Cancelled, Withdrawn, false, Some(Retry)),
        IsLost => stands(Cancelled, Withdrawn, true, Some(Unknown)),
        NeverLeft => stands(Cancelled, Withdrawn, false, None),
    }
}

async fn meets(scene: &Scene, claimed: &Claimed, met: Met) {
    let answered = match met {
        Accepts => 200,
        Refuses => 422,
        IsGone => 410,
        IsBusy => 503,
        IsUnreachable => {
            let error = "nobody listens".to_owned();
            let heard = SendResult::NotConnected { error };
            scene.heard(claimed, heard, b"").await;
            return;
        }
        IsLost => {
            scene.is_lost(claimed).await;
            return;
        }
        NeverLeft => {
            let (ledger, now) = (&scene.house.ledger, scene.house.clock.now());
            let deferred = ledger.defer_attempt(claimed, now, "shutdown").await;
            return deferred.unwrap();
        }
    };
    scene.answers(claimed, answered).await;
}

/// Cancels the order; the resulting state shows if that was allowed.
async fn cancel(scene: &Scene, order: OrderId, by: By) {
    let ledger = &scene.house.ledger;
    let _ = ledger
        .move_order(order, Cancelled, by, Some("why not"))
        .await;
}

async fn how_it_stands(scene: &Scene, kitchen: &Integrator, order: OrderId) -> Stands {
    let handoffs = scene.states(order, kitchen).await;
    assert_eq!(handoffs[0].0, OrderPlaced);
    let is_told = match &handoffs[1..] {
        [] => false,
        [told] => {
            assert_eq!(*told, (OrderCancelled, Due));
            true
        }
        more => panic!("told twice: {more:?}"),
    };
    let mut tx = scene.house.db.read().await.unwrap();
    let placed = store::handoffs::of_order(&mut tx, order).await.unwrap();
    let attempts = store::attempts::of_handoff(&mut tx, placed[0].id)
        .await
        .unwrap();
    drop(tx);
    Stands {
        order: scene.status(order).await,
        placed: handoffs[0].1,
        is_told,
        outcomes: attempts.iter().map(|attempt| attempt.outcome).collect(),
    }
}

/// Checks that stock is returned exactly if the order is called off, and that nothing but the cancellation is sent any
/// more.
async fn the_rest_is_right(scene: &Scene, kitchen: &Integrator, stands: &Stands) {
    let is_back = scene.stock().await == STOCK;
    assert_eq!(is_back, stands.order.is_unsuccessful(), "{stands:?}");
    if stands.order.is_unsuccessful() {
        for claimed in scene.claims(kitchen).await.claimed {
            assert_eq!(claimed.handoff.event, OrderCancelled);
            scene.answers(&claimed, 200).await;
        }
        scene.assert_nothing_due(kitchen).await;
    }
}

#[each_database]
async fn a_cancel_comes_to_one_exact_result_wherever_it_falls(house: TestLedger) {
    for by in [By::Owner, By::Guest, By::Staff] {
        let scene = Scene::new(&house).await;
        let kitchen = scene.kitchen().await;
        let order = scene.order().await.id;
        cancel(&scene, order, by).await;
        let before = how_it_stands(&scene, &kitchen, order).await;
        assert_eq!(before, stands(Cancelled, Withdrawn, false, None), "{by}");
        the_rest_is_right(&scene, &kitchen, &before).await;

        for met in ALL_MET {
            for is_during in [true, false] {
                let scene = Scene::new(&house).await;
                let kitchen = scene.kitchen().await;
                let order = scene.order().await.id;
                let claimed = scene.claim(&kitchen).await;
                if is_during {
                    cancel(&scene, order, by).await;
                    meets(&scene, &claimed, met).await;
                } else {
                    meets(&scene, &claimed, met).await;
                    cancel(&scene, order, by).await;
                }
                let expected = if is_during {
                    cancelled_during(met)
                } else {
                    cancelled_after(met)
                };
                let stands = how_it_stands(&scene, &kitchen, order).await;
                assert_eq!(stands, expected, "by {by}, during: {is_during}, {met:?}");
                the_rest_is_right(&scene, &kitchen, &stands).await;
            }
        }
    }
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn a_cancel_at_the_outcome_comes_to_what_one_of_the_two_orders_gives(house: TestLedger) {
    for met in ALL_MET.into_iter().cycle().take(4 * ALL_MET.len()) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.kitchen().await;
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        tokio::join!(
            meets(&scene, &claimed, met),
            cancel(&scene, order, By::Staff)
        );
        let stands = how_it_stands(&scene, &kitchen, order).await;
        let either = [cancelled_during(met), cancelled_after(met)];
        assert!(either.contains(&stands), "{met:?}: {stands:?}");
        the_rest_is_right(&scene, &kitchen, &stands).await;
    }
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn a_cancel_beside_a_callback_comes_to_what_one_of_the_two_orders_gives(house: TestLedger) {
    // The callback's status; the order's status after the callback alone; its final status if a cancel follows and
    // is allowed; and if the kitchen is then told.
    let table = [
        ("accepted", Accepted, Cancelled, true),
        ("preparing", Preparing, Cancelled, true),
        ("ready", Ready, Cancelled, true),
        ("rejected", Rejected, Rejected, false),
        ("cancelled", OrderStatus::Processing, Cancelled, true),
        ("burnt", OrderStatus::Processing, Cancelled, true),
    ];
    for (said, after_it, in_the_end, is_told) in table {
        for by in [By::Owner, By::Staff] {
            for cancel_first in [Some(true), Some(false), None] {
                let scene = Scene::new(&house).await;
                let kitchen = scene.slow_kitchen().await;
                let order = scene.order().await.id;
                let claimed = scene.claim(&kitchen).await;
                scene.answers(&claimed, 200).await;
                scene.send_callback(&kitchen, word(order, said)).await;
                let applies = async { assert!(house.ledger.apply_callbacks(order).await.is_ok()) };
                let cancels = cancel(&scene, order, by);
                match cancel_first {
                    Some(true) => {
                        cancels.await;
                        applies.await;
                    }
                    Some(false) => {
                        applies.await;
                        cancels.await;
                    }
                    None => {
                        tokio::join!(applies, cancels);
                    }
                }
                let has = Some(AttemptOutcome::Acknowledged);
                let first = stands(Cancelled, Acknowledged, true, has);
                // Its store lets its owner cancel until the preparation begins.
                let can_cancel =
                    by == By::Staff || after_it == Accepted || after_it.awaits_acceptance();
                let last = if can_cancel || after_it == Rejected {
                    stands(in_the_end, Acknowledged, is_told, has)
                } else {
                    stands(after_it, Acknowledged, false, has)
                };
                let stands = how_it_stands(&scene, &kitchen, order).await;
                let expected = match cancel_first {
                    Some(true) => vec![first],
                    Some(false) => vec![last],
                    None => vec![first, last],
                };
                assert!(
                    expected.contains(&stands),
                    "{said} by {by} {cancel_first:?}: {stands:?}"
                );
                the_rest_is_right(&scene, &kitchen, &stands).await;
            }
        }
    }
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}
