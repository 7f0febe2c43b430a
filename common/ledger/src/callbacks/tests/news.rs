//! Several callbacks for one order: each counts once, only forward, and the newest wins.

use each_database::each_database;
use std::time::Duration;

use super::{
    Applied, Illegal, Parked, Stale, Unchanged, Unmapped, handed_over, last_result, parcel, results,
};
use crate::{
    callbacks::Received,
    scene::{STOCK, Scene, numbered, word},
    testing::TestLedger,
};
use domain::{callback::Update, hint::Hint, status::OrderStatus};

fn permutations_of_four() -> Vec<[usize; 4]> {
    let all = (0..256_usize).map(|n| [n / 64, n / 16 % 4, n / 4 % 4, n % 4]);
    let permutations: Vec<_> = all
        .filter(|four| (0..4).all(|one| four.contains(&one)))
        .collect();
    assert_eq!(permutations.len(), 24);
    permutations
}

#[each_database]
async fn an_order_waits_for_the_callback_where_that_is_what_confirms(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    drop(house.woken.take());
    scene.send_callback(&kitchen, word(order, "accepted")).await;
    assert_eq!(house.woken.hints(), [Hint::Callbacks { order }]);
    assert_eq!(
        house
            .ledger
            .orders_with_unapplied_callbacks(10)
            .await
            .unwrap(),
        [order]
    );
    assert_eq!(house.ledger.callbacks_left().await.unwrap(), 1);
    assert_eq!(house.ledger.apply_callbacks(order).await.unwrap(), 1);
    assert_eq!(house.ledger.apply_callbacks(order).await.unwrap(), 0);
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    assert_eq!(last_result(&scene).await, Applied);
    scene.says(&kitchen, order, word(order, "Preparing")).await;
    scene.says(&kitchen, order, word(order, "ready")).await;
    assert_eq!(scene.status(order).await, OrderStatus::Ready);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn its_own_words_are_mapped_and_unknown_ones_are_recorded(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene
        .integrator(|new| {
            new.status_map.insert("COOKED".into(), OrderStatus::Ready);
        })
        .await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    scene.says(&kitchen, order, word(order, "burnt")).await;
    assert_eq!(last_result(&scene).await, Unmapped);
    scene.says(&kitchen, order, word(order, "COOKED")).await;
    assert_eq!(scene.status(order).await, OrderStatus::Ready);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn of_two_things_in_one_callback_the_one_that_somebody_should_see_is_on_record(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    scene.says(&kitchen, order, word(order, "accepted")).await;
    let nothing_new_and_nonsense = Update {
        status: Some("accepted".to_owned()),
        ..parcel(order, "on the moon", None)
    };
    scene.says(&kitchen, order, nothing_new_and_nonsense).await;
    assert_eq!(results(&scene).await, [Some(Applied), Some(Unmapped)]);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_replayed_callback_counts_once(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    let first = house
        .ledger
        .receive_callback(&kitchen, "msg_A", word(order, "accepted"))
        .await
        .unwrap();
    assert!(matches!(first, Received::Stored { .. }));
    // Webhook ids are compared exactly: a different case is a different callback.
    assert!(matches!(
        house
            .ledger
            .receive_callback(&kitchen, "msg_a", word(order, "accepted"))
            .await
            .unwrap(),
        Received::Stored { .. }
    ));
    house.ledger.apply_callbacks(order).await.unwrap();
    let moves = house.woken.events().len();
    for _ in 0..3 {
        let again = house
            .ledger
            .receive_callback(&kitchen, "msg_A", word(order, "accepted"))
            .await
            .unwrap();
        assert_eq!(again, Received::Duplicate);
        house.ledger.apply_callbacks(order).await.unwrap();
    }
    assert_eq!(house.woken.events().len(), moves);
    assert_eq!(results(&scene).await, [Some(Applied), Some(Unchanged)]);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn in_whatever_order_updates_come_the_newest_stands_at_the_end(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let updates = [
        ("accepted", 1),
        ("preparing", 2),
        ("ready", 3),
        ("dispatched", 4),
    ];
    let mut overtaken = 0;
    for permutation in permutations_of_four() {
        // Callbacks that come after a newer one.
        overtaken += (1..4)
            .filter(|at| {
                permutation[..*at]
                    .iter()
                    .any(|before| *before > permutation[*at])
            })
            .count();
        for (one_by_one, in_one_second) in
            [(true, false), (false, false), (true, true), (false, true)]
        {
            let order = scene
                .order_with(|order| order.lines[0].quantity = 1)
                .await
                .id;
            let claimed = scene.claim(&kitchen).await;
            scene.answers(&claimed, 200).await;
            for at in permutation {
                let (status, sequence) = updates[at];
                let update = if in_one_second {
                    Update {
                        occurred_at: Some(house.clock.now()),
                        ..word(order, status)
                    }
                } else {
                    numbered(order, status, sequence)
                };
                scene.send_callback(&kitchen, update).await;
                if one_by_one {
                    house.ledger.apply_callbacks(order).await.unwrap();
                }
            }
            house.ledger.apply_callbacks(order).await.unwrap();
            assert_eq!(
                scene.status(order).await,
                OrderStatus::Dispatched,
                "{permutation:?}"
            );
        }
    }
    let results = results(&scene).await;
    let count = |wanted| {
        results
            .iter()
            .filter(|result| **result == Some(wanted))
            .count()
    };
    assert_eq!(
        (count(Stale), count(Applied)),
        (4 * overtaken, 4 * (24 * 4 - overtaken))
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn without_numbers_only_forward_moves_count(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    scene.says(&kitchen, order, word(order, "ready")).await;
    assert_eq!(scene.status(order).await, OrderStatus::Ready);
    scene.says(&kitchen, order, word(order, "preparing")).await;
    assert_eq!(last_result(&scene).await, Stale);
    scene.says(&kitchen, order, word(order, "ready")).await;
    assert_eq!(last_result(&scene).await, Unchanged);
    scene.says(&kitchen, order, word(order, "rejected")).await;
    assert_eq!(last_result(&scene).await, Illegal);
    assert_eq!(scene.status(order).await, OrderStatus::Ready);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_time_from_the_future_hides_no_later_update_and_is_known_again(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    let year = Duration::from_secs(365 * 24 * 3600);
    let future = Update {
        occurred_at: Some(house.clock.now() + year),
        ..word(order, "preparing")
    };
    let ledger = &house.ledger;
    let received = ledger
        .receive_callback(&kitchen, "future", future.clone())
        .await;
    assert!(
        matches!(received, Ok(Received::Stored { .. })),
        "{received:?}"
    );
    ledger.apply_callbacks(order).await.unwrap();
    assert_eq!(scene.status(order).await, OrderStatus::Preparing);

    house.clock.advance(Duration::from_secs(1));
    let repeated = ledger.receive_callback(&kitchen, "future", future).await;
    assert_eq!(repeated.unwrap(), Received::Duplicate);
    let ready = Update {
        occurred_at: Some(house.clock.now()),
        ..word(order, "ready")
    };
    scene.says(&kitchen, order, ready).await;
    assert_eq!(scene.status(order).await, OrderStatus::Ready);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_later_time_wins_where_there_are_no_sequences(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    let at = |seconds| Some(house.clock.now() + Duration::from_secs(seconds));
    scene
        .says(
            &kitchen,
            order,
            Update {
                occurred_at: at(20),
                ..word(order, "preparing")
            },
        )
        .await;
    scene
        .says(
            &kitchen,
            order,
            Update {
                occurred_at: at(10),
                ..word(order, "ready")
            },
        )
        .await;
    assert_eq!(last_result(&scene).await, Stale);
    assert_eq!(scene.status(order).await, OrderStatus::Preparing);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn in_one_second_forward_moves_and_ends_count_and_steps_back_are_stale(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    // A sequence decides only between two updates that both have one.
    for sequence in [None, Some(1)] {
        for end in ["cancelled", "delivered"] {
            let order = scene.order().await.id;
            let claimed = scene.claim(&kitchen).await;
            scene.answers(&claimed, 200).await;
            let first = Update {
                sequence,
                ..word(order, "accepted")
            };
            let updates = [
                (first, Applied),
                (word(order, "preparing"), Applied),
                (word(order, "preparing"), Unchanged),
                (word(order, "ready"), Applied),
                (word(order, "preparing"), Stale),
                (word(order, end), Applied),
                (word(order, "ready"), Stale),
                (word(order, end), Unchanged),
            ];
            for (update, expected) in updates {
                let told = format!("{:?} towards {end}", update.status);
                let update = Update {
                    occurred_at: Some(house.clock.now()),
                    ..update
                };
                scene.says(&kitchen, order, update).await;
                assert_eq!(last_result(&scene).await, expected, "{told}");
            }
            assert_eq!(scene.status(order).await.as_str(), end);
            for cancellation in scene.claims(&kitchen).await.claimed {
                scene.answers(&cancellation, 200).await;
            }
        }
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_late_callback_never_reopens_an_ended_order(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    scene.staff_move(order, OrderStatus::Cancelled).await;
    for status in ["accepted", "ready", "delivered"] {
        scene.says(&kitchen, order, word(order, status)).await;
        assert_eq!(last_result(&scene).await, Illegal);
    }
    assert_eq!(scene.status(order).await, OrderStatus::Cancelled);
    assert_eq!(scene.stock().await, STOCK);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_callback_that_cannot_be_read_is_parked_at_the_fifth_failure_and_stops_no_other(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    scene.send_callback(&kitchen, word(order, "accepted")).await;
    scene
        .damage("UPDATE callbacks SET payload = '\"nonsense\"'")
        .await;
    scene.send_callback(&kitchen, word(order, "ready")).await;
    assert_eq!(house.ledger.apply_callbacks(order).await.unwrap(), 1);
    assert_eq!(scene.status(order).await, OrderStatus::Ready);
    for _ in 1..5 {
        assert_eq!(results(&scene).await, [None, Some(Applied)]);
        house.ledger.apply_callbacks(order).await.unwrap();
    }
    assert_eq!(results(&scene).await, [Some(Parked), Some(Applied)]);
    assert_eq!(
        house
            .ledger
            .orders_with_unapplied_callbacks(10)
            .await
            .unwrap(),
        []
    );
    let stuck = scene.stuck().await;
    assert_eq!((stuck.len(), stuck[0].order_id), (1, Some(order)));
    scene.assert_audit_clean().await;
}
