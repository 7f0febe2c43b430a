//! Lists of orders: found by an index, and cut off after some thousand rows.

use super::*;
use domain::order::search::Search;

#[each_database(store)]
async fn orders_are_found_by_an_index_whatever_is_asked_for(house: TestDb) {
    let Filled { stores, order } = fill_tables(&house).await;
    let any = OrderFilter::default;
    let statuses = vec![Pending, Processing];
    let some = Some(stores[..3].to_vec());
    let one = Some(stores[..1].to_vec());
    let session = order.session.as_ref().map(|session| session.id);
    let (placed_after, placed_before) = (
        Some(house.clock.now() - TimeDelta::hours(9)),
        Some(house.clock.now() - TimeDelta::hours(8)),
    );
    let account = order.account_id;
    let filters = [
        any(),
        OrderFilter {
            statuses: statuses.clone(),
            ..any()
        },
        OrderFilter {
            statuses: vec![Delivered],
            ..any()
        },
        OrderFilter {
            placed_after,
            ..any()
        },
        OrderFilter {
            placed_after,
            placed_before,
            statuses: statuses.clone(),
            ..any()
        },
        OrderFilter {
            fulfilment: Some(Fulfilment::Delivery),
            ..any()
        },
        OrderFilter {
            stores: one.clone(),
            ..any()
        },
        OrderFilter {
            stores: some.clone(),
            statuses: statuses.clone(),
            ..any()
        },
        OrderFilter {
            stores: some.clone(),
            statuses: OrderStatus::ALL.to_vec(),
            ..any()
        },
        OrderFilter {
            stores: some.clone(),
            placed_after,
            ..any()
        },
        OrderFilter {
            stores: one.clone(),
            placed_after,
            placed_before,
            ..any()
        },
        OrderFilter {
            stores: one.clone(),
            placed_before,
            statuses: vec![Delivered],
            ..any()
        },
        OrderFilter {
            stores: some.clone(),
            reference: order.reference.clone(),
            ..any()
        },
        OrderFilter {
            stores: some.clone(),
            number: order.number,
            ..any()
        },
        OrderFilter {
            stores: one.clone(),
            number: order.number,
            account,
            placed_after,
            ..any()
        },
        OrderFilter {
            stores: one.clone(),
            search: Search::new("anna"),
            ..any()
        },
        OrderFilter {
            stores: some.clone(),
            search: Search::new("anna"),
            placed_before,
            ..any()
        },
        OrderFilter {
            stores: some.clone(),
            updated_after: placed_after,
            ..any()
        },
        OrderFilter {
            stores: one.clone(),
            updated_after: placed_after,
            placed_before,
            statuses: statuses.clone(),
            session,
            reference: order.reference.clone(),
            ..any()
        },
        OrderFilter {
            stores: one,
            fulfilment: Some(Fulfilment::Delivery),
            ..any()
        },
        OrderFilter { account, ..any() },
        OrderFilter {
            account,
            statuses: statuses.clone(),
            placed_after,
            ..any()
        },
        OrderFilter {
            account,
            reference: order.reference.clone(),
            ..any()
        },
        OrderFilter { session, ..any() },
        OrderFilter {
            session,
            stores: some,
            statuses,
            ..any()
        },
    ];
    let mut tx = house.db.read().await.unwrap();
    for filter in &filters {
        for after in [None, Some(order.id)] {
            let place = match after {
                Some(id) => Some(position_of(&mut tx, filter, id).await.unwrap()),
                None => None,
            };
            for walk in walks(filter) {
                let plan: Vec<Step> = run_walk(&mut tx, filter, walk, place, PAGE).await.unwrap();
                let what = format!("{walk:?} of {filter:?} after {after:?}");
                assert_no_full_scan(&what, &plan);
                if matches!(walk, Walk::StoreByReference(_)) {
                    assert!(
                        plan.iter().any(|step| step.uses("orders_by_reference")),
                        "{what}: {plan:#?}"
                    );
                } else if !matches!(walk, Walk::StoreByNumber(_)) {
                    assert_is_in_order(&what, &plan);
                }
            }
        }
    }
    let rests: Vec<(StoreId, i64)> = stores.iter().map(|store| (*store, 600)).collect();
    for rests in [&rests[..], &rests[..1]] {
        let plan: Vec<Step> = stats::run_query(&mut tx, rests).await.unwrap();
        assert_no_full_scan("the rest of the stats", &plan);
    }
}

#[each_database(store)]
async fn a_page_ends_after_some_thousand_orders_however_few_fit_and_the_next_goes_on(
    house: TestDb,
) {
    let Filled { stores, .. } = fill_tables(&house).await;
    let mut tx = house.db.read().await.unwrap();
    for of in [None, Some(stores)] {
        let filter = OrderFilter {
            fulfilment: Some(Fulfilment::Delivery),
            stores: of.clone(),
            ..OrderFilter::default()
        };
        let (mut after, mut found, mut pages) = (None, 0, 0);
        loop {
            let page = orders::list::list(&mut tx, &filter, after, PAGE)
                .await
                .unwrap();
            (found, pages, after) = (found + page.orders.len(), pages + 1, page.next);
            if after.is_none() {
                break;
            }
        }
        // With eight stores, the walk of each store examines that many orders.
        assert_eq!((found, pages), (1, if of.is_none() { 2 } else { 1 }));
    }
}

#[each_database(store)]
async fn a_session_with_very_many_orders_is_shown_with_its_last_ones(house: TestDb) {
    let Filled { order, .. } = fill_tables(&house).await;
    // The session was inserted with the order's id, and with the order's reference as its code.
    let one_session =
        "UPDATE orders SET session_id = (SELECT id FROM sessions WHERE code = x'522D32353030')";
    let mut tx = house.db.begin().await.unwrap();
    testing::run(&mut tx, one_session).await.unwrap();
    tx.commit().await.unwrap();
    let session = SessionId::from(order.id.uuid());
    let mut tx = house.db.read().await.unwrap();
    let shown = orders::of_session(&mut tx, session, None, PAGE).await;
    let shown = shown.unwrap();
    let older = orders::of_session(&mut tx, session, shown.last().copied(), PAGE).await;
    let unfinished = orders::unfinished_of_session(&mut tx, session, PAGE).await;
    let (older, unfinished) = (older.unwrap(), unfinished.unwrap());
    assert!(shown.iter().chain(&older).rev().is_sorted() && unfinished.iter().rev().is_sorted());
    assert_eq!((shown.len(), older.len()), (PAGE as usize, PAGE as usize));
    assert_eq!(unfinished.len(), 40);
    assert_eq!(shown.first(), unfinished.first());
    let counted = intake::count_unfinished(&mut tx, &[session]).await;
    assert_eq!(counted.unwrap()[&session], 40);
}
