//! One integrator for several stores: what it is handed, how it joins and leaves them, and what each of them sees.

use each_database::each_database;
use serde_json::Value;

use super::*;
use crate::{
    accounts::NewAccount,
    callbacks::{CallbackFilter, KeptCallback},
    scene::{Scene, word},
    sweep::Part,
    testing::{fixtures::new_account, refusal},
};
use OrderStatus::{Accepted, Cancelled, Pending};
use domain::{account::Role, callback::Update, ids::OrderId, order::Order};

/// Two stores with one kitchen, and a third without any.
struct Chain {
    here: Scene,
    there: Scene,
    kitchen: Integrator,
}

impl Chain {
    async fn new(house: &TestLedger, change: impl FnOnce(&mut NewIntegrator)) -> Self {
        let (here, there) = (Scene::new(house).await, Scene::new(house).await);
        let kitchen = here.integrator(|new| {
            new.further_stores = vec![there.store, here.store, there.store];
            change(new);
        });
        Self {
            kitchen: kitchen.await,
            here,
            there,
        }
    }

    /// Sets the stores of the kitchen.
    async fn set_stores(&self, stores: &[StoreId]) -> ChangeResult<Integrator, IntegratorRefused> {
        let edit = IntegratorEdit {
            stores: Some(stores.to_vec()),
            ..IntegratorEdit::default()
        };
        let ledger = &self.here.house.ledger;
        ledger.edit_integrator(self.kitchen.id, None, edit).await
    }

    async fn handed(&self, order: &Order) -> Vec<HandoffEvent> {
        let states = self.here.states(order.id, &self.kitchen).await;
        states.into_iter().map(|(event, _)| event).collect()
    }

    /// Claims what is due, and returns each message with its order.
    async fn messages(&self) -> Vec<(OrderId, Value)> {
        let claimed = self.here.claims(&self.kitchen).await.claimed;
        let mut messages = Vec::new();
        for one in claimed {
            let body = serde_json::from_slice(&one.body).unwrap();
            messages.push((one.handoff.order_id.unwrap(), body));
            self.here.answers(&one, 200).await;
        }
        messages
    }
}

#[each_database]
async fn an_integrator_is_handed_the_orders_of_each_of_its_stores_and_told_which(
    house: TestLedger,
) {
    let chain = Chain::new(&house, |_| {}).await;
    let elsewhere = Scene::new(&house).await;
    assert_eq!(
        chain.kitchen.stores(),
        [chain.here.store, chain.there.store]
    );
    // At once, so that one batch may hold the orders of several stores.
    let (a, b, c, d) = tokio::join!(
        chain.here.order(),
        chain.there.order(),
        elsewhere.order(),
        chain.there.order()
    );
    assert_eq!(chain.handed(&c).await, []);
    house.ledger.settle_order(c.id).await.unwrap();
    assert_eq!(
        elsewhere.status(c.id).await,
        Accepted,
        "no integrator must confirm it"
    );
    for order in [&a, &b, &d] {
        assert_eq!(order.status, Pending);
        assert_eq!(chain.handed(order).await, [HandoffEvent::OrderPlaced]);
    }
    let mut messages = chain.messages().await;
    messages.sort_by_key(|(order, _)| *order);
    let mut expected = [&a, &b, &d].map(|order| (order.id, order.store_id.to_string()));
    expected.sort();
    let sellers = messages.iter().map(|(order, body)| {
        let seller = body["seller"]["id"].as_str().unwrap();
        (*order, seller.to_owned())
    });
    assert_eq!(sellers.collect::<Vec<_>>(), expected);
    for order in [&a, &b, &d] {
        assert_eq!(chain.here.status(order.id).await, Accepted);
        let handoff = chain.here.handoffs(order.id).await.remove(0);
        assert_eq!(handoff.store_id, order.store_id);
    }
    chain.here.assert_audit_clean().await;
}

#[each_database]
async fn its_callbacks_count_for_orders_of_any_of_its_stores_and_each_store_sees_its_own(
    house: TestLedger,
) {
    let chain = Chain::new(&house, |new| new.confirms = Confirms::Callback).await;
    let (a, b) = (
        chain.here.order().await,
        chain
            .there
            .order_with(|order| order.reference = Some("R-9".to_owned()))
            .await,
    );
    chain.messages().await;
    chain
        .here
        .says(&chain.kitchen, a.id, word(a.id, "accepted"))
        .await;
    let by_reference = Update {
        order_id: None,
        reference: Some("R-9".to_owned()),
        ..word(b.id, "accepted")
    };
    // By the scene that counts the kitchen's messages.
    chain.here.send_callback(&chain.kitchen, by_reference).await;
    chain.there.apply_callbacks(b.id).await;
    for order in [&a, &b] {
        assert_eq!(chain.here.status(order.id).await, Accepted);
    }
    let seen = async |stores: &[StoreId]| {
        let filter = CallbackFilter {
            stores: Some(stores.to_vec()),
            ..CallbackFilter::default()
        };
        let listed = house.ledger.callbacks(&filter, None, 10).await.unwrap();
        let of = |one: KeptCallback| (one.order_id, one.store_id);
        listed.into_iter().map(of).collect::<Vec<_>>()
    };
    let (of_a, of_b) = (
        (Some(a.id), Some(chain.here.store)),
        (Some(b.id), Some(chain.there.store)),
    );
    assert_eq!(seen(&[chain.here.store]).await, [of_a]);
    assert_eq!(seen(&[chain.there.store]).await, [of_b]);
    // Once each, although the integrator belongs to both stores.
    assert_eq!(
        seen(&[chain.here.store, chain.there.store]).await,
        [of_b, of_a]
    );
    // A store that it has left still sees what came.
    chain.set_stores(&[chain.here.store]).await.unwrap();
    assert_eq!(seen(&[chain.there.store]).await, [of_b]);
    chain.here.assert_audit_clean().await;
}

#[each_database]
async fn a_reference_that_comes_before_its_order_is_matched_at_any_of_its_stores(
    house: TestLedger,
) {
    let chain = Chain::new(&house, |new| new.confirms = Confirms::Callback).await;
    let early = Update {
        order_id: None,
        reference: Some("R-7".to_owned()),
        ..word(OrderId::MIN, "accepted")
    };
    chain.there.send_callback(&chain.kitchen, early).await;
    let order = chain
        .there
        .order_with(|order| order.reference = Some("R-7".to_owned()))
        .await;
    let matched = house.ledger.match_references(None, 10, Part::WHOLE).await;
    assert_eq!(matched.unwrap().0, 1);
    chain.there.apply_callbacks(order.id).await;
    assert_eq!(chain.there.status(order.id).await, Accepted);
    chain.here.assert_audit_clean().await;
}

#[each_database]
async fn a_store_that_it_leaves_hands_it_nothing_new_and_what_was_handed_goes_on(
    house: TestLedger,
) {
    let chain = Chain::new(&house, |new| new.confirms = Confirms::Callback).await;
    let before = chain.there.order().await;
    let edited = chain.set_stores(&[chain.here.store]).await.unwrap();
    assert_eq!(edited.stores(), [chain.here.store]);
    assert_eq!(edited.version, 2);
    let after = chain.there.order().await;
    assert_eq!(chain.handed(&after).await, []);
    house.ledger.settle_order(after.id).await.unwrap();
    assert_eq!(
        chain.there.status(after.id).await,
        Accepted,
        "nobody must confirm it any more"
    );
    assert_eq!(
        house
            .ledger
            .integrators(chain.there.store, None, 10)
            .await
            .unwrap(),
        []
    );

    // It is sent, it waits for the callback, and the callback counts.
    assert_eq!(chain.messages().await[0].0, before.id);
    assert_eq!(chain.there.settle_unsettled().await, 0);
    chain
        .there
        .says(&chain.kitchen, before.id, word(before.id, "accepted"))
        .await;
    assert_eq!(chain.there.status(before.id).await, Accepted);
    // Whoever received an order is told that it is cancelled.
    chain.there.staff_move(before.id, Cancelled).await;
    assert_eq!(
        chain.handed(&before).await,
        [HandoffEvent::OrderPlaced, HandoffEvent::OrderCancelled]
    );
    // It comes back.
    let both = [chain.there.store, chain.here.store];
    let edited = chain.set_stores(&both).await.unwrap();
    assert_eq!(edited.stores(), [chain.here.store, chain.there.store]);
    let again = chain.there.order().await;
    assert_eq!(chain.handed(&again).await, [HandoffEvent::OrderPlaced]);
    chain.here.assert_audit_clean().await;
}

#[each_database]
async fn an_integrator_that_joins_holds_up_no_order_that_came_before(house: TestLedger) {
    let chain = Chain::new(&house, |new| new.further_stores = Vec::new()).await;
    let other = chain.there.kitchen().await;
    let (first, second) = (chain.there.order().await, chain.there.order().await);
    house.clock.advance(std::time::Duration::from_secs(1));
    let both = [chain.here.store, chain.there.store];
    chain.set_stores(&both).await.unwrap();
    let third = chain.there.order().await;
    let claimed = chain.there.claims(&other).await.claimed;
    assert_eq!(claimed.len(), 3);
    for one in &claimed {
        chain.there.answers(one, 200).await;
    }
    assert_eq!(chain.there.status(first.id).await, Accepted);
    assert_eq!(chain.there.status(second.id).await, Accepted);
    assert_ne!(
        chain.there.status(third.id).await,
        Accepted,
        "it waits for both"
    );
    assert_eq!(chain.there.settle_unsettled().await, 0);
    chain.messages().await;
    assert_eq!(chain.there.status(third.id).await, Accepted);
    chain.here.assert_audit_clean().await;
}

#[each_database]
async fn a_disabled_integrator_leaves_the_orders_of_all_its_stores_to_staff(house: TestLedger) {
    let chain = Chain::new(&house, |_| {}).await;
    chain.here.disable(chain.kitchen.id).await;
    let other = chain.there.kitchen().await;
    let order = chain.there.order().await;
    assert_eq!(chain.handed(&order).await, []);
    let claimed = chain.there.claim(&other).await;
    chain.there.answers(&claimed, 200).await;
    // The other one has confirmed; the shared one was left out.
    assert_ne!(chain.there.status(order.id).await, Accepted);
    assert_eq!(chain.there.settle_unsettled().await, 0);
    chain.there.staff_move(order.id, Accepted).await;
    chain.here.assert_audit_clean().await;
}

#[each_database]
async fn an_archived_store_takes_no_orders_and_the_others_go_on(house: TestLedger) {
    let chain = Chain::new(&house, |_| {}).await;
    // Its first store.
    house
        .ledger
        .archive_store(chain.here.store, None)
        .await
        .unwrap();
    let order = chain.there.order().await;
    let messages = chain.messages().await;
    assert_eq!(messages.len(), 1);
    assert_eq!(chain.there.status(order.id).await, Accepted);
    house
        .ledger
        .archive_integrator(chain.kitchen.id, None)
        .await
        .unwrap();
    let later = chain.there.order().await;
    assert_eq!(chain.handed(&later).await, []);
    chain.here.assert_audit_clean().await;
}

#[each_database]
async fn its_stores_are_edited_as_a_whole_and_its_first_one_stays(house: TestLedger) {
    let chain = Chain::new(&house, |_| {}).await;
    let (here, there) = (chain.here.store, chain.there.store);
    let archived = house.create_store().await;
    house.ledger.archive_store(archived, None).await.unwrap();
    let nowhere: StoreId = house.chance.id(house.clock.now());
    let refused = refusal(chain.set_stores(&[there]).await);
    assert_eq!(refused, IntegratorRefused::FirstStoreMissing);
    for store in [archived, nowhere] {
        let refused = refusal(chain.set_stores(&[here, store]).await);
        assert_eq!(refused, IntegratorRefused::NoSuchFurtherStore { store });
        let new = NewIntegrator {
            further_stores: vec![store],
            ..new_integrator(here)
        };
        let refused = refusal(house.ledger.create_integrator(new).await);
        assert_eq!(refused, IntegratorRefused::NoSuchFurtherStore { store });
    }
    let known = house
        .ledger
        .integrator(chain.kitchen.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((known.stores(), known.version), (vec![here, there], 1));
    let edit = IntegratorEdit {
        name: Some("Aggregator".to_owned()),
        ..IntegratorEdit::default()
    };
    let edited = house
        .ledger
        .edit_integrator(known.id, None, edit)
        .await
        .unwrap();
    assert_eq!(
        edited.stores(),
        [here, there],
        "an edit of something else keeps them"
    );
    for store in [here, there] {
        let listed = house.ledger.integrators(store, None, 10).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].stores(), [here, there]);
        let after = house
            .ledger
            .integrators(store, Some(known.id), 10)
            .await
            .unwrap();
        assert_eq!(after, []);
    }
}

#[each_database]
async fn its_account_acts_at_all_its_stores(house: TestLedger) {
    let chain = Chain::new(&house, |_| {}).await;
    let new = NewAccount {
        integrators: vec![chain.kitchen.id],
        ..new_account("aggregator", Role::Integrator)
    };
    let account = house.ledger.create_account(&new).await.unwrap();
    let (here, there) = (chain.here.store, chain.there.store);
    let read = async || {
        let found = house.ledger.credentials_of(account.id).await.unwrap();
        found.unwrap().account
    };
    assert_eq!(read().await, account);
    assert!(account.represents_integrator_at(here) && account.represents_integrator_at(there));
    let listed = house
        .ledger
        .accounts(Some(&[there]), None, 10)
        .await
        .unwrap();
    assert_eq!(listed, [account.clone()]);
    chain.set_stores(&[here]).await.unwrap();
    assert!(!read().await.represents_integrator_at(there));
    let listed = house
        .ledger
        .accounts(Some(&[there]), None, 10)
        .await
        .unwrap();
    assert_eq!(listed, []);
}
