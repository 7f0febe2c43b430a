//! Edits and placements concurrent with everything else: one of them comes first, and nothing is lost.

use each_database::each_database;
use std::sync::Arc;

use futures_util::future::join_all;

use super::{items, line, pieces, refusal};
use crate::{
    ChangeError, Ledger, NoWake,
    orders::{EditRefused, ItemsEdit, OrderRefused},
    scene::{LEASE, QUANTITY, STOCK, Scene},
    testing::TestLedger,
};
use domain::{
    event::EventKind,
    ids::OrderId,
    status::{By, OrderStatus},
};

const ROUNDS: u32 = 12;

/// Returns the ledgers of two processes.
fn two(house: &TestLedger) -> [Ledger; 2] {
    [
        house.ledger.clone(),
        house.ledger_with_wake(Arc::new(NoWake)),
    ]
}

async fn pieces_of(scene: &Scene, order: OrderId) -> i64 {
    let items = scene.now(order).await.items;
    items.iter().map(|item| i64::from(item.quantity)).sum()
}

#[each_database]
async fn an_edit_and_a_claim_at_once_send_what_the_order_then_is(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    for _ in 0..ROUNDS {
        let order = scene.order().await;
        let [editor, worker] = two(&house);
        let edit = pieces(&scene, 1);
        let (edited, claims) = tokio::join!(
            editor.edit_order(order.id, None, &edit),
            worker.claim_handoffs(kitchen.id, 10, LEASE),
        );
        // A claim skips rows that others have locked.
        let claimed = match claims.unwrap().claimed.pop() {
            Some(claimed) => claimed,
            None => scene.claim(&kitchen).await,
        };
        let quantity = match edited {
            Ok(_) => 1,
            refused => {
                let status = OrderStatus::Processing;
                assert_eq!(refusal(refused), EditRefused::NotEditable { status });
                QUANTITY
            }
        };
        let body = String::from_utf8_lossy(&claimed.body).into_owned();
        assert!(
            body.contains(&format!("\"quantity\":\"{quantity}\"")),
            "{body}"
        );
        assert_eq!(pieces_of(&scene, order.id).await, i64::from(quantity));
        scene.answers(&claimed, 200).await;
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_edit_and_a_cancel_at_once_leave_all_stock_where_it_was(house: TestLedger) {
    let scene = Scene::new(&house).await;
    for round in 0..ROUNDS {
        let order = scene.order().await;
        let [editor, canceller] = two(&house);
        let edit = pieces(&scene, 1 + round);
        let (edited, cancelled) = tokio::join!(
            editor.edit_order(order.id, None, &edit),
            canceller.move_order(order.id, OrderStatus::Cancelled, By::Owner, None),
        );
        cancelled.unwrap();
        if edited.is_err() {
            let status = OrderStatus::Cancelled;
            assert_eq!(refusal(edited), EditRefused::NotEditable { status });
        }
        assert_eq!(scene.stock().await, STOCK);
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_edit_and_an_acceptance_at_once_are_one_after_the_other(house: TestLedger) {
    let scene = Scene::new(&house).await;
    for _ in 0..ROUNDS {
        let order = scene.order().await;
        let [editor, staff] = two(&house);
        let edit = pieces(&scene, 1);
        let (edited, accepted) = tokio::join!(
            editor.edit_order(order.id, None, &edit),
            staff.move_order(order.id, OrderStatus::Accepted, By::Staff, None),
        );
        accepted.unwrap();
        let told = scene.told(order.id).await;
        use EventKind::{OrderEdited, OrderPlaced, OrderStatusChanged};
        if edited.is_ok() {
            assert_eq!(told, [OrderPlaced, OrderEdited, OrderStatusChanged]);
        } else {
            assert_eq!(told, [OrderPlaced, OrderStatusChanged]);
        }
        scene.staff_move(order.id, OrderStatus::Cancelled).await;
    }
    assert_eq!(scene.stock().await, STOCK);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn of_two_edits_of_one_version_one_is_done_and_without_a_version_both_are(house: TestLedger) {
    let scene = Scene::new(&house).await;
    for _ in 0..ROUNDS {
        let order = scene.order().await;
        let [one, other] = two(&house);
        let more = items(ItemsEdit::Add(line(scene.product, 1)));
        let (first, second) = tokio::join!(
            one.edit_order(order.id, Some(1), &more),
            other.edit_order(order.id, Some(1), &more),
        );
        let (done, refused): (Vec<_>, Vec<_>) =
            [first, second].into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), refused.len()), (1, 1));
        for refused in refused {
            assert_eq!(
                refusal(refused),
                EditRefused::VersionConflict { current: 2 }
            );
        }
        let (first, second) = tokio::join!(
            one.edit_order(order.id, None, &more),
            other.edit_order(order.id, None, &more),
        );
        first.unwrap();
        second.unwrap();
        assert_eq!(pieces_of(&scene, order.id).await, i64::from(QUANTITY) + 3);
        assert_eq!(scene.now(order.id).await.version, 4);
        scene.staff_move(order.id, OrderStatus::Cancelled).await;
    }
    assert_eq!(scene.stock().await, STOCK);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_draft_is_placed_once_however_many_place_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let session = house
        .ledger
        .open_session(scene.store, "Table 1")
        .await
        .unwrap();
    for (number, in_session) in [(1, false), (2, true)] {
        let draft = scene
            .draft_like(|draft| draft.session = in_session.then_some(session.id))
            .await;
        let ledgers = two(&house);
        let places = (0..10).map(|n| {
            let ledger = ledgers[n % 2].clone();
            async move { ledger.place_draft(draft.id, By::Owner, None).await.unwrap() }
        });
        for placed in join_all(places).await {
            assert_eq!(
                (placed.status, placed.number),
                (OrderStatus::Pending, Some(number))
            );
        }
        assert_eq!(scene.told(draft.id).await, [EventKind::OrderPlaced]);
        assert_eq!(scene.states(draft.id, &kitchen).await.len(), 1);
    }
    assert_eq!(scene.stock().await, STOCK - 2 * i64::from(QUANTITY));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_draft_that_is_placed_edited_and_removed_at_once_comes_to_one_of_these(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    for _ in 0..ROUNDS {
        let draft = scene.draft(vec![line(scene.product, 2)]).await;
        let [one, other] = two(&house);
        let edit = pieces(&scene, 1);
        let (placed, edited, removed) = tokio::join!(
            one.place_draft(draft.id, By::Owner, None),
            other.edit_order(draft.id, None, &edit),
            one.remove_order(draft.id, By::Owner, None),
        );
        match removed.unwrap() {
            None => {
                assert_eq!(refusal(placed), OrderRefused::Unknown);
                assert_eq!(house.ledger.order(draft.id).await.unwrap(), None);
            }
            Some(cancelled) => {
                placed.unwrap();
                assert_eq!(cancelled.status, OrderStatus::Cancelled);
            }
        }
        assert!(matches!(
            edited,
            Ok(_)
                | Err(ChangeError::Refused(
                    EditRefused::Unknown | EditRefused::NotEditable { .. }
                ))
        ));
        assert_eq!(scene.stock().await, STOCK);
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn buyers_and_editors_of_the_last_pieces_never_have_more_than_there_are(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let mut orders = Vec::new();
    for _ in 0..10 {
        orders.push(
            scene
                .order_with(|order| order.lines = vec![line(scene.product, 5)])
                .await
                .id,
        );
    }
    let ledgers = two(&house);
    let all = (0..30).map(|n| {
        let (ledger, order) = (ledgers[n % 2].clone(), orders[n % 10]);
        let edit = pieces(&scene, 12);
        let mut wanted = scene.wanted(crate::intake::Placer::Account(
            house.chance.id(house.clock.now()),
        ));
        wanted.lines = vec![line(scene.product, 7)];
        async move {
            if n < 20 {
                ledger.edit_order(order, None, &edit).await.is_ok()
            } else {
                ledger.place_order(wanted).await.is_ok()
            }
        }
    });
    let done = join_all(all).await.into_iter().filter(|done| *done).count();
    assert!(done > 0);
    let mut held = 0;
    for order in scene.all_orders().await {
        held += order
            .items
            .iter()
            .map(|item| i64::from(item.quantity))
            .sum::<i64>();
    }
    assert_eq!(scene.stock().await, STOCK - held);
    assert!(scene.stock().await >= 0);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_move_of_what_was_changed_since_it_was_seen_is_refused(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let ledger = &house.ledger;
    let seen = scene.order().await;
    ledger
        .edit_order(seen.id, None, &pieces(&scene, 1))
        .await
        .unwrap();
    let (to, by) = (OrderStatus::Cancelled, By::Owner);
    let conflict = OrderRefused::VersionConflict { current: 2 };
    let moved = ledger
        .move_order_if_unchanged(seen.id, Some(&seen), to, by, None, None)
        .await;
    assert_eq!(refusal(moved), conflict);
    let removed = ledger
        .remove_order_if_unchanged(seen.id, Some(&seen), by, None)
        .await;
    assert_eq!(refusal(removed), conflict);
    // A move does not change the version.
    let edited = scene.now(seen.id).await;
    ledger
        .move_order(seen.id, OrderStatus::Accepted, By::Staff, None)
        .await
        .unwrap();
    let moved = ledger
        .move_order_if_unchanged(
            seen.id,
            Some(&edited),
            OrderStatus::Preparing,
            By::Staff,
            None,
            None,
        )
        .await;
    assert_eq!(refusal(moved), conflict);
    let accepted = scene.now(seen.id).await;
    let moved = ledger
        .move_order_if_unchanged(
            seen.id,
            Some(&accepted),
            OrderStatus::Preparing,
            By::Staff,
            None,
            None,
        )
        .await;
    assert_eq!(moved.unwrap().status, OrderStatus::Preparing);
}
