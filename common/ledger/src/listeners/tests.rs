//! Listeners on both databases: what they get, and everything that they must not change.

use each_database::each_database;
use futures_util::future::join_all;

use super::*;
use crate::{
    integrators::{IntegratorEdit, IntegratorRefused},
    orders::OrderEdit,
    scene::{LEASE, Scene},
    sweep::Part,
    testing::{TestLedger, refusal},
};
use domain::{
    delivery::DeliveryStatus,
    event::EventKind,
    handoff::{AttemptOutcome, HandoffState, Verdict},
    order::Order,
    status::{By, OrderStatus},
};

use HandoffEvent::{OrderCancelled, OrderDispatched, OrderPlaced, OrderStatusChanged};

const ALL: [HandoffEvent; 4] = [
    OrderPlaced,
    OrderCancelled,
    OrderDispatched,
    OrderStatusChanged,
];

fn request(scene: &Scene, name: &str, events: &[HandoffEvent]) -> ListenRequest {
    ListenRequest {
        store_id: scene.store,
        name: name.to_owned(),
        format: Format::Order,
        events: events.to_vec(),
    }
}

async fn listen(scene: &Scene, name: &str, events: &[HandoffEvent]) -> Listening {
    let wanted = request(scene, name, events);
    scene.house.ledger.listen(&wanted).await.unwrap()
}

async fn listener(scene: &Scene) -> Integrator {
    listen(scene, "ada", &ALL).await.listener
}

async fn claim(scene: &Scene, listener: &Integrator) -> Vec<Claimed> {
    let claims = scene
        .house
        .ledger
        .claim_for_listener(listener.id, 10, LEASE);
    claims.await.unwrap().claimed
}

/// Claims the only message that is due.
async fn claim_one(scene: &Scene, listener: &Integrator) -> Claimed {
    let mut claimed = claim(scene, listener).await;
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    claimed.pop().unwrap()
}

fn answer(status: u16) -> SendResult {
    SendResult::Answer {
        status,
        retry_after: None,
    }
}

async fn reports(scene: &Scene, claimed: &Claimed, heard: &SendResult) -> Option<Concluded> {
    let (handoff, listener) = (&claimed.handoff, claimed.integrator.id);
    let key = AttemptKey {
        handoff: handoff.id,
        round: handoff.round,
        n: claimed.n,
        fence: claimed.fence,
    };
    let ledger = &scene.house.ledger;
    let concluded = ledger.conclude_for_listener(listener, key, heard, Some(b"{}"));
    concluded.await.unwrap()
}

/// Answers all messages of a listener with this status until none is left, whatever they wait for.
async fn answer_all(scene: &Scene, listener: &Integrator, order: &Order, status: u16) {
    loop {
        for claimed in claim(scene, listener).await {
            reports(scene, &claimed, &answer(status)).await.unwrap();
        }
        let handoffs = scene.handoffs(order.id).await;
        let waiting = handoffs
            .iter()
            .filter(|one| one.integrator_id == listener.id);
        match waiting.filter_map(|one| one.next_attempt_at).min() {
            Some(at) if at > scene.house.clock.now() => scene.house.clock.set(at),
            Some(_) => {}
            None => return,
        }
    }
}

async fn kinds(scene: &Scene, order: &Order) -> Vec<EventKind> {
    let ledger = &scene.house.ledger;
    let read = ledger.events_after(order.stream(), 0, 100).await.unwrap();
    read.into_iter().map(|event| event.kind).collect()
}

#[each_database]
async fn a_listener_gets_the_message_that_a_kitchen_gets_and_its_answer_is_on_record(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let Listening { listener, signing } = listen(&scene, "ada", &ALL).await;
    let order = scene.order().await;

    let pulled = claim_one(&scene, &listener).await;
    assert_eq!((pulled.n, pulled.handoff.event), (1, OrderPlaced));
    assert!(pulled.signing == [signing.unwrap()]);
    let recorded = Concluded::Recorded {
        outcome: AttemptOutcome::Acknowledged,
        verdict: Verdict::Acknowledged,
    };
    let first = reports(&scene, &pulled, &answer(200)).await;
    assert_eq!(first, Some(recorded));
    let again = reports(&scene, &pulled, &answer(200)).await;
    let outcome = AttemptOutcome::Acknowledged;
    assert_eq!(again, Some(Concluded::AlreadyRecorded { outcome }));
    assert_eq!(
        scene.handoff(pulled.handoff.id).await.state,
        HandoffState::Acknowledged
    );

    let sent = scene.claim(&kitchen).await;
    let body = |claimed: &Claimed| -> serde_json::Value {
        let mut body: serde_json::Value = serde_json::from_slice(&claimed.body).unwrap();
        let url = body.as_object_mut().unwrap().remove("callback_url");
        assert!(url.is_some());
        // The kitchen's claim moved the order.
        body["order"].as_object_mut().unwrap().remove("status");
        body["order"].as_object_mut().unwrap().remove("version");
        body
    };
    assert_eq!(body(&pulled), body(&sent));
    assert_eq!(order.id, sent.handoff.order_id.unwrap());
    scene.assert_audit_clean().await;
}

#[each_database]
async fn nobody_pulls_the_messages_of_an_integrator_and_no_worker_sends_those_of_a_listener(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let listener = listener(&scene).await;
    let other = listen(&scene, "bob", &ALL).await.listener;
    scene.order().await;
    assert!(claim(&scene, &kitchen).await.is_empty());
    scene.assert_nothing_due(&listener).await;
    let due = house.ledger.integrators_with_due_work(None, 10).await;
    assert_eq!(due.unwrap().integrators, [kitchen.id]);

    let pulled = claim_one(&scene, &listener).await;
    let mut stolen = pulled.clone();
    stolen.integrator = other.clone();
    assert_eq!(reports(&scene, &stolen, &answer(200)).await, None);
    let sent = scene.claim(&kitchen).await;
    let mut stolen = sent.clone();
    stolen.integrator = kitchen.clone();
    assert_eq!(reports(&scene, &stolen, &answer(410)).await, None);
    let mut guessed = pulled.clone();
    guessed.fence += 1;
    let concluded = reports(&scene, &guessed, &answer(200)).await;
    assert_eq!(concluded, Some(Concluded::Forgotten));
    assert_eq!(
        scene.handoff(pulled.handoff.id).await.state,
        HandoffState::Sending
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_listener_that_is_killed_loses_nothing(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let listener = listen(&scene, "ada", &[OrderPlaced]).await.listener;
    scene.order().await;
    let first = claim_one(&scene, &listener).await;
    assert!(claim(&scene, &listener).await.is_empty(), "it is leased");

    house.clock.set(first.leased_until);
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 1);
    let late = reports(&scene, &first, &answer(200)).await;
    assert_eq!(late, Some(Concluded::Fenced));
    scene.advance_until_due(first.handoff.id).await;
    let resumed = listen(&scene, "ada", &[OrderPlaced]).await;
    assert_eq!(resumed.listener.id, listener.id);
    let second = claim_one(&scene, &resumed.listener).await;
    assert_eq!((second.n, &second.body), (2, &first.body));
    assert_eq!(second.handoff.id, first.handoff.id);
    reports(&scene, &second, &answer(204)).await.unwrap();
    assert!(claim(&scene, &listener).await.is_empty());
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_waits_for_no_listener_and_is_edited_after_it(house: TestLedger) {
    let scene = Scene::with_store(&house, |store| store.auto_accept = false).await;
    let listener = listener(&scene).await;
    let order = scene.order().await;
    answer_all(&scene, &listener, &order, 200).await;
    assert_eq!(scene.status(order.id).await, OrderStatus::Pending);
    let settled = house
        .ledger
        .settle_unsettled_orders(None, 10, Part::WHOLE)
        .await;
    assert_eq!(settled.unwrap().0, 0);
    let edit = OrderEdit {
        user_note: Some(Some("no sugar".to_owned())),
        ..OrderEdit::default()
    };
    let edited = house
        .ledger
        .edit_order(order.id, None, &edit)
        .await
        .unwrap();
    assert_eq!(edited.user_note.as_deref(), Some("no sugar"));
    scene.staff_move(order.id, OrderStatus::Cancelled).await;
    let states = scene.states(order.id, &listener).await;
    let told: Vec<_> = states.iter().map(|(event, _)| *event).collect();
    assert_eq!(told, [OrderPlaced, OrderCancelled, OrderStatusChanged]);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_failing_listener_fails_no_order_tells_no_staff_and_is_never_disabled(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let listener = listen(&scene, "ada", &[OrderPlaced]).await.listener;
    for status in [500, 410, 404, 302] {
        let order = scene.order().await;
        let sent = scene.claim(&kitchen).await;
        scene.answers(&sent, 200).await;
        answer_all(&scene, &listener, &order, status).await;
        let states = scene.states(order.id, &listener).await;
        assert_eq!(states, [(OrderPlaced, HandoffState::Failed)], "{status}");
        assert_eq!(scene.status(order.id).await, OrderStatus::Accepted);
        let kinds = kinds(&scene, &order).await;
        assert!(!kinds.contains(&EventKind::HandoffFailed), "{kinds:?}");
    }
    assert_eq!(scene.stuck().await, []);
    assert_eq!(house.ledger.count_open_breakers().await.unwrap(), 0);
    assert_eq!(
        house.ledger.disable_failing_integrators(10).await.unwrap(),
        0
    );
    let order = scene.order().await;
    assert_eq!(
        claim_one(&scene, &listener).await.handoff.order_id,
        Some(order.id)
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_listener_is_no_courier(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let listener = listen(&scene, "ada", &[OrderDispatched]).await.listener;
    let dispatch = async |order: &Order| {
        for to in [
            OrderStatus::Accepted,
            OrderStatus::Preparing,
            OrderStatus::Ready,
            OrderStatus::Dispatched,
        ] {
            scene.staff_move(order.id, to).await;
        }
    };
    let order = scene.order().await;
    dispatch(&order).await;
    answer_all(&scene, &listener, &order, 404).await;
    assert_eq!(scene.now(order.id).await.delivery, None);
    assert_eq!(scene.stuck().await, []);
    let delivered = house
        .ledger
        .move_order(order.id, OrderStatus::Delivered, By::Staff, None);
    delivered.await.unwrap();

    let courier = scene.courier().await;
    let order = scene.order().await;
    dispatch(&order).await;
    let sent = scene.claim(&courier).await;
    scene.answers(&sent, 200).await;
    answer_all(&scene, &listener, &order, 404).await;
    let other = scene.order().await;
    dispatch(&other).await;
    house
        .ledger
        .archive_integrator(listener.id, None)
        .await
        .unwrap();
    assert_eq!(house.ledger.withdraw_from_archived(10).await.unwrap(), 1);
    for order in [&order, &other] {
        let delivery = scene.now(order.id).await.delivery.unwrap();
        assert_eq!(delivery.status, DeliveryStatus::ReadyForPickUp);
        assert_eq!(delivery.tracking_number, None);
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn listeners_of_one_name_share_and_of_different_names_get_each_message(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let wanted = request(&scene, "ada", &ALL);
    let twins = join_all((0..4).map(|_| house.ledger.listen(&wanted))).await;
    let twins: Vec<Listening> = twins.into_iter().map(Result::unwrap).collect();
    assert!(
        twins
            .iter()
            .all(|one| one.listener.id == twins[0].listener.id)
    );
    let shown = twins.iter().filter(|one| one.signing.is_some()).count();
    assert_eq!(shown, 1, "the secret is shown once");
    let other = listen(&scene, "bob", &ALL).await.listener;
    let orders = [scene.order().await, scene.order().await];

    let ada = &twins[0].listener;
    let share = async || {
        let claims = house.ledger.claim_for_listener(ada.id, 1, LEASE).await;
        claims.unwrap().claimed.pop().unwrap().handoff.order_id
    };
    let shared = [share().await, share().await];
    assert_eq!(shared, orders.clone().map(|order| Some(order.id)));
    assert_eq!(claim(&scene, &other).await.len(), 2);

    let fewer = listen(&scene, "ada", &[OrderCancelled]).await.listener;
    assert_eq!(
        (fewer.id, &fewer.events[..]),
        (ada.id, &[OrderCancelled][..])
    );
    scene.order().await;
    assert!(claim(&scene, ada).await.is_empty());

    for n in 2..MAX_LISTENERS {
        listen(&scene, &format!("one-{n}"), &ALL).await;
    }
    let one_more = request(&scene, "one more", &ALL);
    let refused = refusal(house.ledger.listen(&one_more).await);
    assert_eq!(refused, ListenRefused::TooMany);
    assert_eq!(listen(&scene, "bob", &ALL).await.listener.id, other.id);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_listener_that_nobody_claims_for_ends_and_is_renewed_by_those_who_do(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (ada, bob) = (
        listen(&scene, "ada", &ALL).await.listener,
        listen(&scene, "bob", &ALL).await.listener,
    );
    let order = scene.order().await;
    house.clock.advance(LISTENER_TTL / 2);
    let until = house.ledger.renew_listener(&ada).await.unwrap();
    assert_eq!(until, Some(house.clock.now() + LISTENER_TTL));
    assert_eq!(house.ledger.archive_expired_listeners(10).await.unwrap(), 0);
    house.clock.advance(LISTENER_TTL / 2);
    assert_eq!(house.ledger.archive_expired_listeners(10).await.unwrap(), 1);
    assert_eq!(house.ledger.archive_expired_listeners(10).await.unwrap(), 0);
    assert_eq!(house.ledger.listener(bob.id).await.unwrap(), None);
    assert_eq!(house.ledger.renew_listener(&bob).await.unwrap(), None);
    assert!(claim(&scene, &bob).await.is_empty());
    house.ledger.withdraw_from_archived(10).await.unwrap();
    let states = scene.states(order.id, &bob).await;
    assert!(
        states
            .iter()
            .all(|(_, state)| *state == HandoffState::Withdrawn),
        "{states:?}"
    );
    assert!(house.ledger.listener(ada.id).await.unwrap().is_some());

    let anew = listen(&scene, "bob", &ALL).await;
    assert_ne!(anew.listener.id, bob.id);
    assert!(anew.signing.is_some());
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_listener_is_not_edited_and_calls_nothing_back(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let listener = listener(&scene).await;
    let edit = IntegratorEdit {
        required: Some(true),
        ..IntegratorEdit::default()
    };
    let edited = house.ledger.edit_integrator(listener.id, None, edit).await;
    assert_eq!(refusal(edited), IntegratorRefused::Listener);
    let callback = crate::integrators::SecretKind::Callback;
    let rotated = house.ledger.rotate_secret(listener.id, callback).await;
    assert!(matches!(
        rotated,
        Err(crate::ChangeError::Refused(IntegratorRefused::Listener))
    ));
    assert!(
        house
            .ledger
            .callback_secrets(listener.id)
            .await
            .unwrap()
            .is_none()
    );
    let test = house
        .ledger
        .test_integrator(listener.id, &[])
        .await
        .unwrap();
    assert_eq!(claim_one(&scene, &listener).await.handoff.id, test);
    let nobody = ListenRequest {
        store_id: house.chance.id(house.clock.now()),
        ..request(&scene, "ada", &ALL)
    };
    assert_eq!(
        refusal(house.ledger.listen(&nobody).await),
        ListenRefused::NoSuchStore
    );
}

#[each_database]
async fn a_message_is_read_again_once_it_was_sent(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let id = scene.handoffs(order.id).await[0].id;
    let before = house.ledger.sent_message(id).await.unwrap().unwrap();
    assert_eq!(before.body, None);
    let sent = scene.claim(&kitchen).await;
    let message = house.ledger.sent_message(id).await.unwrap().unwrap();
    assert_eq!(message.body.as_ref(), Some(&sent.body));
    assert!(message.signing == sent.signing);
    let unknown = house.chance.id(house.clock.now());
    assert!(house.ledger.sent_message(unknown).await.unwrap().is_none());
}
