//! Stores on both databases.

use super::*;
use crate::{ChangeError, testing::TestLedger};
use each_database::each_database;
use store::testing::noon;

fn a_new_store(name: &str) -> NewStore {
    NewStore {
        name: name.to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        currency: "EUR".parse().unwrap(),
        contact: Contact {
            phone: Some("+49 30 1".to_owned()),
            email: None,
            address: Some("Straße 1, Köln".to_owned()),
            lat: Some(52.0),
            lng: Some(-13.405),
        },
        auto_accept: false,
        accept_within_s: 300,
        deliver_accepted_after_h: Some(12),
        timing: Default::default(),
        language: "de".parse().unwrap(),
    }
}

#[each_database]
async fn a_store_is_read_as_it_was_created(house: TestLedger) {
    let created = house
        .ledger
        .create_store(a_new_store("Café"))
        .await
        .unwrap();
    assert_eq!((created.version, created.created_at), (1, noon()));
    assert_eq!(created.contact.lat, Some(52.0));
    let read = house.ledger.store(created.id).await.unwrap();
    assert_eq!(read, Some(created));
    let nowhere = house.chance.id(noon());
    assert_eq!(house.ledger.store(nowhere).await.unwrap(), None);
}

#[each_database]
async fn a_new_store_counts_from_nothing(house: TestLedger) {
    let store = house
        .ledger
        .create_store(a_new_store("Café"))
        .await
        .unwrap();
    let mut tx = house.db.begin().await.unwrap();
    let counters = store::stores::lock_counters(&mut tx, store.id)
        .await
        .unwrap();
    assert_eq!(counters, Some((0, 0)));
    let nowhere = house.chance.id(noon());
    let counters = store::stores::lock_counters(&mut tx, nowhere)
        .await
        .unwrap();
    assert_eq!(counters, None);
}

#[each_database]
async fn stores_are_listed_page_by_page_and_only_those_asked_for(house: TestLedger) {
    let mut ids = Vec::new();
    for name in ["A", "B", "C", "D"] {
        ids.push(
            house
                .ledger
                .create_store(a_new_store(name))
                .await
                .unwrap()
                .id,
        );
    }
    house.ledger.archive_store(ids[1], None).await.unwrap();
    let listed = async |among: Option<&[StoreId]>, after, limit| -> Vec<StoreId> {
        let stores = house.ledger.stores(among, after, limit).await.unwrap();
        stores.into_iter().map(|store| store.id).collect()
    };
    assert_eq!(listed(None, None, 2).await, [ids[0], ids[2]]);
    assert_eq!(listed(None, Some(ids[2]), 2).await, [ids[3]]);
    assert_eq!(
        listed(Some(&[ids[3], ids[1], ids[0]]), None, 10).await,
        [ids[0], ids[3]]
    );
    assert_eq!(listed(Some(&[]), None, 10).await, []);
    let mut tx = house.db.read().await.unwrap();
    let many = store::stores::many(&mut tx, &[ids[2], ids[1], ids[0]])
        .await
        .unwrap();
    let many: Vec<StoreId> = many.into_iter().map(|store| store.id).collect();
    assert_eq!(many, [ids[0], ids[1], ids[2]], "including archived ones");
    assert_eq!(store::stores::many(&mut tx, &[]).await.unwrap(), []);
}

#[each_database]
async fn an_edit_changes_what_it_says_and_nothing_else(house: TestLedger) {
    let before = house
        .ledger
        .create_store(a_new_store("Café"))
        .await
        .unwrap();
    let edit = StoreEdit {
        name: Some("Bar".to_owned()),
        phone: Some(None),
        lat: Some(Some(1.5)),
        accept_within_s: Some(60),
        deliver_accepted_after_h: Some(None),
        language: Some("pt-BR".parse().unwrap()),
        ..StoreEdit::default()
    };
    let edited = house
        .ledger
        .edit_store(before.id, Some(1), edit)
        .await
        .unwrap();
    let mut expected = Store {
        name: "Bar".to_owned(),
        accept_within_s: 60,
        deliver_accepted_after_h: None,
        language: "pt-BR".parse().unwrap(),
        version: 2,
        ..before
    };
    expected.contact.phone = None;
    expected.contact.lat = Some(1.5);
    assert_eq!(edited, expected);
    assert_eq!(house.ledger.store(edited.id).await.unwrap(), Some(expected));
    assert_eq!(house.woken.rows(), [], "screens are not told of settings");
}

#[each_database]
async fn an_edit_of_an_older_version_is_refused_with_the_current_one(house: TestLedger) {
    let id = house
        .ledger
        .create_store(a_new_store("Café"))
        .await
        .unwrap()
        .id;
    let rename = |name: &str| StoreEdit {
        name: Some(name.to_owned()),
        ..StoreEdit::default()
    };
    house
        .ledger
        .edit_store(id, Some(1), rename("first"))
        .await
        .unwrap();
    let refused = house
        .ledger
        .edit_store(id, Some(1), rename("second"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            ChangeError::Refused(StoreRefused::VersionConflict { current: 2 })
        ),
        "{refused:?}"
    );
    let refused = house.ledger.archive_store(id, Some(1)).await.unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(StoreRefused::VersionConflict { current: 2 })
    ));
    assert_eq!(house.ledger.store(id).await.unwrap().unwrap().name, "first");
    let mut tx = house.db.begin().await.unwrap();
    let stale = store::stores::get(&mut tx, id).await.unwrap().unwrap();
    assert!(!store::stores::update(&mut tx, &stale, 1).await.unwrap());
}

#[each_database]
async fn pausing_tells_the_screens_once(house: TestLedger) {
    let id = house
        .ledger
        .create_store(a_new_store("Café"))
        .await
        .unwrap()
        .id;
    let pause = |paused| StoreEdit {
        paused: Some(paused),
        ..StoreEdit::default()
    };
    house
        .ledger
        .edit_store(id, None, pause(true))
        .await
        .unwrap();
    house
        .ledger
        .edit_store(id, None, pause(true))
        .await
        .unwrap();
    house
        .ledger
        .edit_store(id, None, pause(false))
        .await
        .unwrap();
    let told: Vec<_> = house
        .woken
        .events()
        .into_iter()
        .map(|event| (event.stream, event.seq, event.kind, event.data))
        .collect();
    let paused = |seq, paused| {
        (
            id.into(),
            seq,
            EventKind::StorePaused,
            json!({"paused": paused}),
        )
    };
    assert_eq!(told, [paused(1, true), paused(2, false)]);
    let mut tx = house.db.begin().await.unwrap();
    assert_eq!(
        store::stores::lock_counters(&mut tx, id).await.unwrap(),
        Some((0, 2))
    );
}

#[each_database]
async fn twenty_edits_at_once_are_all_kept(house: TestLedger) {
    let id = house
        .ledger
        .create_store(a_new_store("Café"))
        .await
        .unwrap()
        .id;
    let edits = (0..20).map(|n| {
        let edit = StoreEdit {
            accept_within_s: Some(100 + n),
            ..StoreEdit::default()
        };
        house.ledger.edit_store(id, None, edit)
    });
    for edited in futures_util::future::join_all(edits).await {
        edited.unwrap();
    }
    assert_eq!(house.ledger.store(id).await.unwrap().unwrap().version, 21);
}

#[each_database]
async fn an_archived_store_stays_readable_and_takes_no_edits(house: TestLedger) {
    let id = house
        .ledger
        .create_store(a_new_store("Café"))
        .await
        .unwrap()
        .id;
    assert!(house.ledger.menu(id).await.unwrap().is_some());
    let archived = house.ledger.archive_store(id, Some(1)).await.unwrap();
    assert_eq!(archived.archived_at, Some(noon()));
    house.clock.advance(std::time::Duration::from_secs(60));
    let again = house.ledger.archive_store(id, None).await.unwrap();
    assert_eq!(again, archived, "archiving is idempotent");
    assert_eq!(house.ledger.store(id).await.unwrap(), Some(archived));
    assert!(house.ledger.menu(id).await.unwrap().is_none());
    let refused = house
        .ledger
        .edit_store(id, None, StoreEdit::default())
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(StoreRefused::NotFound)
    ));
}
