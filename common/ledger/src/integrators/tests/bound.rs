//! One store has so many enabled integrators and no more.

use each_database::each_database;

use super::*;
use crate::testing::refusal;

#[each_database]
async fn a_store_has_fifty_enabled_integrators_and_those_that_are_not_count_for_nothing(
    house: TestLedger,
) {
    let ledger = &house.ledger;
    let (store, other) = (house.create_store().await, house.create_store().await);
    let connect = async |store| ledger.create_integrator(new_integrator(store)).await;
    let edit = async |id, edit| ledger.edit_integrator(id, None, edit).await;
    let enabled = |enabled| IntegratorEdit {
        enabled: Some(enabled),
        ..IntegratorEdit::default()
    };
    let mut connected = Vec::new();
    for _ in 0..MAX_ENABLED_PER_STORE {
        connected.push(connect(store).await.unwrap().0);
    }
    let full = IntegratorRefused::TooMany { store };
    assert_eq!(refusal(connect(store).await), full);

    // Others may still be edited, and another store has room of its own.
    let renamed = IntegratorEdit {
        name: Some("Grill".to_owned()),
        ..IntegratorEdit::default()
    };
    edit(connected[0].id, renamed).await.unwrap();
    let elsewhere = connect(other).await.unwrap().0;
    let joins = IntegratorEdit {
        stores: Some(vec![other, store]),
        ..IntegratorEdit::default()
    };
    assert_eq!(refusal(edit(elsewhere.id, joins.clone()).await), full);

    edit(connected[0].id, enabled(false)).await.unwrap();
    edit(elsewhere.id, joins).await.unwrap();
    assert_eq!(refusal(edit(connected[0].id, enabled(true)).await), full);
    let leaves = IntegratorEdit {
        stores: Some(vec![other]),
        ..IntegratorEdit::default()
    };
    edit(elsewhere.id, leaves).await.unwrap();
    edit(connected[0].id, enabled(true)).await.unwrap();
    assert_eq!(refusal(connect(store).await), full);
    ledger
        .archive_integrator(connected[1].id, None)
        .await
        .unwrap();
    connect(store).await.unwrap();
    assert_eq!(ledger.audit().await.unwrap(), []);
}
