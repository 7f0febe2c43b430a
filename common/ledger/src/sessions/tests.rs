//! Sessions: names, codes and closes under concurrency.

use each_database::each_database;
use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::{
    intake::PlaceRefused,
    testing::{TestLedger, fixtures::guest_order, refusal},
};

/// Returns the numbers and kinds of the events in a session's stream.
async fn told(house: &TestLedger, session: SessionId) -> Vec<(i64, EventKind)> {
    let events = house
        .ledger
        .events_after(session.into(), 0, 100)
        .await
        .unwrap();
    events.iter().map(|event| (event.seq, event.kind)).collect()
}

#[each_database]
async fn twenty_opens_of_one_name_are_one(house: TestLedger) {
    let store = house.create_store().await;
    let opens = (0..20).map(|i| {
        let ledger = house.ledger.clone();
        // Names that people would take for the same one.
        let name = if i % 2 == 0 { "Table 1" } else { " table  1" };
        tokio::spawn(async move { ledger.open_session(store, name).await })
    });
    let answers: Vec<_> = join_all(opens)
        .await
        .into_iter()
        .map(|done| done.unwrap())
        .collect();
    let (opened, refusals): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.is_ok());
    assert_eq!(opened.len(), 1);
    for refused in refusals {
        assert_eq!(refusal(refused), SessionRefused::NameTaken);
    }
    let open = house
        .ledger
        .sessions_of_store(store, SessionState::Open, None, 100)
        .await
        .unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        told(&house, open[0].id).await,
        [(1, EventKind::SessionOpened)]
    );
}

#[each_database]
async fn a_closed_sessions_name_is_free_again_and_another_stores_never_was_taken(
    house: TestLedger,
) {
    let (store, other) = (house.create_store().await, house.create_store().await);
    let first = house.ledger.open_session(store, "Table 1").await.unwrap();
    house.ledger.open_session(other, "Table 1").await.unwrap();
    assert_eq!(
        refusal(house.ledger.open_session(store, "TABLE 1").await),
        SessionRefused::NameTaken
    );
    house.ledger.close_session(first.id).await.unwrap();
    let second = house.ledger.open_session(store, "TABLE 1").await.unwrap();
    assert_ne!(first.code, second.code);
    // Two closed sessions with the same name are no conflict either.
    house.ledger.close_session(second.id).await.unwrap();
}

#[each_database]
async fn a_store_that_is_unknown_or_archived_opens_no_session(house: TestLedger) {
    let unknown = house.chance.id(house.clock.now());
    let archived = house
        .create_store_with(|store| store.archived_at = Some(store.created_at))
        .await;
    for store in [unknown, archived] {
        assert_eq!(
            refusal(house.ledger.open_session(store, "A").await),
            SessionRefused::NoSuchStore
        );
    }
}

#[each_database]
async fn what_is_opened_is_read_back_and_its_event_tells_everything_but_the_code(
    house: TestLedger,
) {
    let store = house.create_store().await;
    let opened = house.ledger.open_session(store, "Table 1").await.unwrap();
    assert_eq!(
        house.ledger.session_by_code(&opened.code).await.unwrap(),
        Some(opened.clone())
    );
    assert_eq!(
        house.ledger.session(opened.id).await.unwrap(),
        Some(opened.clone())
    );
    assert_eq!(house.ledger.session_by_code("ac35").await.unwrap(), None);
    let events = house
        .ledger
        .events_after(opened.id.into(), 0, 10)
        .await
        .unwrap();
    assert_eq!(house.woken.events(), events);
    assert_eq!(events[0].data, opened.public_facts());
    assert_eq!(events[0].data["session"]["state"], "OPEN");
    assert!(
        !serde_json::to_string(&events)
            .unwrap()
            .contains(&opened.code)
    );
    assert_eq!(
        house.ledger.stream_head(opened.id.into()).await.unwrap(),
        Some(1)
    );
}

#[each_database]
async fn closing_at_the_same_time_and_again_closes_once(house: TestLedger) {
    let store = house.create_store().await;
    let opened = house.ledger.open_session(store, "Table 1").await.unwrap();
    house.clock.advance(Duration::from_secs(60));
    let closes = (0..8).map(|_| {
        let (ledger, id) = (house.ledger.clone(), opened.id);
        tokio::spawn(async move { ledger.close_session(id).await.unwrap().session })
    });
    let closed: Vec<_> = join_all(closes)
        .await
        .into_iter()
        .map(|done| done.unwrap())
        .collect();
    house.clock.advance(Duration::from_secs(60));
    let again = house.ledger.close_session(opened.id).await.unwrap();
    assert!(closed.iter().all(|session| *session == again.session));
    assert_eq!(again.unfinished, []);
    assert_eq!(again.session.state, SessionState::Closed);
    assert_eq!(
        again.session.closed_at,
        Some(opened.opened_at + chrono::TimeDelta::minutes(1))
    );
    assert_eq!(
        told(&house, opened.id).await,
        [(1, EventKind::SessionOpened), (2, EventKind::SessionClosed)]
    );
}

#[each_database]
async fn a_close_that_finishes_delivers_what_was_accepted_and_names_what_was_not(
    house: TestLedger,
) {
    let store = house
        .create_store_with(|store| store.auto_accept = false)
        .await;
    let product = house.create_product(store).await;
    let opened = house.ledger.open_session(store, "Table 1").await.unwrap();
    let mut orders = Vec::new();
    for to in [
        None,
        Some(OrderStatus::Accepted),
        Some(OrderStatus::Ready),
        Some(OrderStatus::Rejected),
    ] {
        let order = house.place_guest_order(&opened, product).await;
        // Staff may skip forward steps, but not the acceptance.
        for status in [OrderStatus::Accepted]
            .into_iter()
            .filter(|_| to == Some(OrderStatus::Ready))
            .chain(to)
        {
            house
                .ledger
                .move_order(order.id, status, By::Staff, Some("no reason"))
                .await
                .unwrap();
        }
        orders.push(order.id);
    }

    let closed = house.ledger.close_session(opened.id).await.unwrap();
    let unfinished: Vec<_> = closed.unfinished.iter().map(|order| order.id).collect();
    assert_eq!(unfinished, orders[..3]);

    let finished = house.ledger.finish_session(opened.id).await.unwrap();
    let unfinished: Vec<_> = finished.unfinished.iter().map(|order| order.id).collect();
    assert_eq!(unfinished, orders[..1]);
    let statuses: Vec<_> = house
        .ledger
        .session_snapshot(&opened.code)
        .await
        .unwrap()
        .unwrap()
        .orders
        .iter()
        .map(|order| order.status)
        .collect();
    use OrderStatus::{Delivered, Pending, Rejected};
    assert_eq!(statuses, [Pending, Delivered, Delivered, Rejected]);
    assert_eq!(
        house.ledger.session(opened.id).await.unwrap(),
        Some(finished.session)
    );
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn a_fresh_code_ends_the_old_one_and_only_one_of_two_at_once_gets_it(house: TestLedger) {
    let store = house.create_store().await;
    let opened = house.ledger.open_session(store, "Table 1").await.unwrap();
    let renewals = (0..8).map(|_| {
        let (ledger, opened) = (house.ledger.clone(), opened.clone());
        tokio::spawn(async move { ledger.renew_session_code(opened.id, &opened.code).await })
    });
    let answers: Vec<_> = join_all(renewals)
        .await
        .into_iter()
        .map(|done| done.unwrap())
        .collect();
    let renewed: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().ok())
        .collect();
    assert_eq!(renewed.len(), 1);
    assert_eq!(
        house.ledger.session_by_code(&opened.code).await.unwrap(),
        None
    );
    let found = house
        .ledger
        .session_by_code(&renewed[0].code)
        .await
        .unwrap();
    assert_eq!(found.as_ref(), Some(renewed[0]));
    assert_eq!(
        told(&house, opened.id).await,
        [
            (1, EventKind::SessionOpened),
            (2, EventKind::SessionCodeRenewed)
        ]
    );
    let events = serde_json::to_string(
        &house
            .ledger
            .events_after(opened.id.into(), 0, 10)
            .await
            .unwrap(),
    )
    .unwrap();
    assert!(!events.contains(&opened.code) && !events.contains(&renewed[0].code));
}

#[each_database]
async fn a_code_that_was_drawn_elsewhere_is_taken_once_and_told_apart_from_a_name(
    house: TestLedger,
) {
    let (store, ledger) = (house.create_store().await, &house.ledger);
    let code = "ac35940dff4d472ce4801a154de92406f3163565";
    let first = ledger
        .open_session_with_code(store, "Table 1", code)
        .await
        .unwrap();
    assert_eq!(first.code, code);
    let taken = ledger.open_session_with_code(store, "Table 2", code).await;
    assert_eq!(refusal(taken), SessionRefused::CodeTaken);
    let other = "0".repeat(40);
    let taken = ledger
        .open_session_with_code(store, "table 1", &other)
        .await;
    assert_eq!(refusal(taken), SessionRefused::NameTaken);
    let second = ledger
        .open_session_with_code(store, "Table 2", &other)
        .await
        .unwrap();
    let renewed = ledger.set_session_code(second.id, &other, code).await;
    assert_eq!(refusal(renewed), SessionRefused::CodeTaken);
    assert_eq!(ledger.session(second.id).await.unwrap(), Some(second));

    assert!(ledger.is_session_open(store, " TABLE  1").await.unwrap());
    ledger.close_session(first.id).await.unwrap();
    assert!(!ledger.is_session_open(store, "Table 1").await.unwrap());
}

#[each_database]
async fn an_order_that_races_the_close_is_before_it_or_refused(house: TestLedger) {
    let store = house.create_store().await;
    let product = house.create_product(store).await;
    for round in 0..5 {
        let opened = house
            .ledger
            .open_session(store, &format!("Table {round}"))
            .await
            .unwrap();
        let places = (0..8).map(|_| {
            let (house, opened) = (house.clone(), opened.clone());
            tokio::spawn(async move {
                house
                    .ledger
                    .place_order(guest_order(&opened, product))
                    .await
            })
        });
        let close = {
            let (ledger, id) = (house.ledger.clone(), opened.id);
            tokio::spawn(async move { ledger.close_session(id).await.unwrap() })
        };
        let placed =
            join_all(places)
                .await
                .into_iter()
                .filter(|done| match done.as_ref().unwrap() {
                    Ok(_) => true,
                    Err(ChangeError::Refused(PlaceRefused::SessionClosed)) => false,
                    Err(error) => panic!("{error:?}"),
                });
        let (placed, closed) = (placed.count(), close.await.unwrap());
        assert_eq!(
            closed.unfinished.len(),
            placed,
            "an order that the close did not list was placed after it"
        );
        let told = told(&house, opened.id).await;
        assert_eq!(told.last().unwrap().1, EventKind::SessionClosed);
        assert_eq!(told.len(), placed + 2);
    }
}

#[each_database]
async fn a_list_is_paged_by_state_newest_first(house: TestLedger) {
    let store = house.create_store().await;
    let mut ids = Vec::new();
    for number in 1..=5 {
        ids.push(
            house
                .ledger
                .open_session(store, &format!("Table {number}"))
                .await
                .unwrap()
                .id,
        );
    }
    house.ledger.close_session(ids[1]).await.unwrap();
    let ledger = &house.ledger;
    let page = async |state, before, limit| {
        let page = ledger
            .sessions_of_store(store, state, before, limit)
            .await
            .unwrap();
        page.into_iter()
            .map(|session| session.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        page(SessionState::Open, None, 3).await,
        [ids[4], ids[3], ids[2]]
    );
    assert_eq!(page(SessionState::Open, Some(ids[2]), 3).await, [ids[0]]);
    assert_eq!(page(SessionState::Closed, None, 3).await, [ids[1]]);
}

#[each_database]
async fn rows_are_locked_by_id_and_those_that_do_not_exist_are_left_out(house: TestLedger) {
    let store = house.create_store().await;
    let first = house.ledger.open_session(store, "1").await.unwrap();
    let second = house.ledger.open_session(store, "2").await.unwrap();
    let unknown = house.chance.id(house.clock.now());
    let mut tx = house.db.begin().await.unwrap();
    let locked = store::sessions::lock_many(&mut tx, &[second.id, unknown, first.id])
        .await
        .unwrap();
    assert_eq!(locked, [first.clone(), second.clone()]);
    tx.rollback().await;
    assert_eq!(
        house
            .ledger
            .sessions(&[second.id, unknown, first.id])
            .await
            .unwrap(),
        [first, second]
    );
}
