//! Every list that people ask for finds its rows by an index, whatever they ask it for.

use chrono::TimeDelta;
use serde_json::json;

use super::{Step, assert_no_full_scan, fill_handoffs};
use crate::{
    domain::{
        callback::{CallbackResult, Update},
        handoff::HandoffState::{self, Acknowledged, Failed, Held, Parked},
        ids::{CallbackId, IntegratorId, OrderId},
        integrator::HandoffEvent,
        stuck::StuckLimits,
    },
    store::{
        self,
        callbacks::{CallbackFilter, NewCallback},
        handoffs::{HandoffFilter, Page, list as handoffs},
        retries,
        sweep::stuck,
    },
    testing::{House, each_database},
};

each_database! {
    async fn handoffs_are_found_without_reading_them_all(house: House) {
        let (store, integrator, order) = fill_handoffs(&house).await;
        let (stores, integrator, order) = (Some(vec![store]), Some(IntegratorId::from(integrator)), Some(OrderId::from(order)));
        let any = HandoffFilter::default;
        let to_look_at: Vec<HandoffState> = vec![Failed, Held, Parked];
        let lately = Some(house.clock.now() - TimeDelta::hours(1));
        let filters = [
            any(),
            HandoffFilter { stores: stores.clone(), ..any() },
            HandoffFilter { stores: stores.clone(), states: to_look_at.clone(), ..any() },
            HandoffFilter { stores: stores.clone(), states: vec![Acknowledged], created_after: lately, ..any() },
            HandoffFilter { stores: stores.clone(), integrator, states: to_look_at.clone(), ..any() },
            HandoffFilter { stores: stores.clone(), order, ..any() },
            HandoffFilter { integrator, ..any() },
            HandoffFilter { integrator, states: to_look_at.clone(), reason: Some("refused".into()), ..any() },
            HandoffFilter { order, ..any() },
            HandoffFilter { order, states: vec![Failed], ..any() },
            HandoffFilter { states: to_look_at.clone(), ..any() },
            HandoffFilter { states: to_look_at, event: Some(HandoffEvent::OrderPlaced), created_before: lately, with_order: true, ..any() },
        ];
        let mut tx = house.db.read().await.unwrap();
        for filter in &filters {
            for page in [Page::NewestFirst { before: None }, Page::OldestFirst { after: None }] {
                for walk in handoffs::walks(filter) {
                    let plan: Vec<Step> = handoffs::walked(&mut tx, filter, walk, page, 51).await.unwrap();
                    assert_no_full_scan(&format!("{filter:?} {walk:?} {page:?}"), &plan);
                }
            }
        }
    }

    async fn callbacks_are_found_without_reading_them_all(house: House) {
        let now = house.clock.now();
        let integrators: Vec<IntegratorId> = (0..16).map(|_| house.chance.id(now)).collect();
        let mut tx = house.db.begin().await.unwrap();
        for n in 0..800_usize {
            let id: CallbackId = house.chance.id(now);
            let order: OrderId = house.chance.id(now);
            let update: Update = serde_json::from_value(json!({"order_id": order, "status": "ready"})).unwrap();
            let new = NewCallback {
                id, integrator_id: integrators[n % 16], webhook_id: &id.to_string(), order_id: Some(order), update: &update, received_at: now,
            };
            store::callbacks::insert(&mut tx, new).await.unwrap();
            store::callbacks::applied(&mut tx, id, CallbackResult::Applied, None, now).await.unwrap();
        }
        tx.commit().await.unwrap();
        let any = CallbackFilter::default;
        let filters = [
            (any(), None),
            (CallbackFilter { received_after: Some(now), ..any() }, None),
            (CallbackFilter { order: Some(house.chance.id(now)), ..any() }, None),
            (CallbackFilter { stores: Some(vec![house.chance.id(now)]), ..any() }, Some(integrators[0])),
            (CallbackFilter { results: vec![None, Some(CallbackResult::Illegal)], ..any() }, Some(integrators[0])),
        ];
        let mut tx = house.db.read().await.unwrap();
        for (filter, integrator) in &filters {
            let plan: Vec<Step> = store::callbacks::list::walked(&mut tx, filter, *integrator, None, 51).await.unwrap();
            assert_no_full_scan(&format!("{filter:?}"), &plan);
        }
    }

    async fn what_stands_still_is_found_without_reading_all_there_is(house: House) {
        let (store, ..) = fill_handoffs(&house).await;
        let looks = stuck::looks(&StuckLimits::default(), house.clock.now());
        let mut tx = house.db.read().await.unwrap();
        // Tables that are empty here are read by whatever is cheapest.
        for look in looks.iter().filter(|look| look.is_of_handoffs()) {
            for stores in [None, Some([store].as_slice())] {
                let plan: Vec<Step> = stuck::looked(&mut tx, look, stores, 200).await.unwrap();
                let plan: Vec<Step> = plan.into_iter().filter(|step| step.is_of("h")).collect();
                assert_no_full_scan(&format!("{look:?}"), &plan);
            }
        }
    }

    async fn retries_are_found_without_reading_them_all(house: House) {
        let now = house.clock.now();
        let (store, account) = (house.chance.id(now), house.chance.id(now));
        let mut tx = house.db.begin().await.unwrap();
        for n in 0..500 {
            let new = retries::NewRetry {
                id: house.chance.id(now),
                by: if n % 50 == 0 { account } else { house.chance.id(now) },
                store: (n % 40 == 0).then_some(store),
                filter: &json!({}),
                started_at: now,
            };
            retries::insert(&mut tx, new).await.unwrap();
        }
        tx.commit().await.unwrap();
        let mut tx = house.db.read().await.unwrap();
        let one = retries::Walk::One(house.chance.id(now));
        for walk in [retries::Walk::All, one, retries::Walk::OfStore(store), retries::Walk::By(account)] {
            let plan: Vec<Step> = retries::walked(&mut tx, walk, None, 51).await.unwrap();
            assert_no_full_scan(&format!("{walk:?}"), &plan);
        }
    }
}
