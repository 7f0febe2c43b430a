//! Keys on both databases: what they may, when they end, and that nobody signs in to their accounts.

use each_database::each_database;
use std::time::Duration;

use super::*;
use crate::{
    accounts::{AccountChange, TicketSubject},
    external_identities::ExternalIdentityRefused,
    testing::{TestLedger, fixtures::new_account, refusal},
};
use domain::account::Role;

async fn maker(house: &TestLedger, name: &str, role: Role, stores: &[StoreId]) -> AccountId {
    let new = crate::accounts::NewAccount {
        stores: stores.to_vec(),
        ..new_account(name, role)
    };
    house.ledger.create_account(&new).await.unwrap().id
}

fn new_key(made_by: AccountId, stores: &[StoreId]) -> NewApiKey {
    NewApiKey {
        name: "Till".to_owned(),
        stores: stores.to_vec(),
        actions: vec![KeyAction::OrdersWrite, KeyAction::MenuRead],
        expires_at: None,
        made_by,
    }
}

async fn change(house: &TestLedger, account: AccountId, change: AccountChange) {
    let changed = house.ledger.change_account(account, &change, |_| Ok(()));
    changed.await.unwrap();
}

/// Returns the key as it is now.
async fn now(house: &TestLedger, key: &ApiKey) -> ApiKey {
    house.ledger.api_key(key.id).await.unwrap().unwrap()
}

#[each_database]
async fn a_key_is_found_by_its_text_and_only_its_hash_is_stored(house: TestLedger) {
    let (a, b) = (house.create_store().await, house.create_store().await);
    let mia = maker(&house, "mia", Role::Manager, &[a, b]).await;
    let until = house.clock.now() + TimeDelta::days(1);
    let new = NewApiKey {
        expires_at: Some(until),
        ..new_key(mia, &[b, a, b])
    };
    let (key, text) = house.ledger.create_api_key(&new).await.unwrap();
    assert_eq!((&key.stores, key.expires_at), (&vec![a, b], Some(until)));
    let hash = key_hash(&text).unwrap();
    let found = house.ledger.api_key_by_hash(&hash).await.unwrap();
    assert_eq!(found.as_ref(), Some(&key));
    let (other, other_text) = house.ledger.create_api_key(&new).await.unwrap();
    assert_ne!((key.id, &text), (other.id, &other_text));
    let mut flipped = hash;
    flipped[0] ^= 1;
    assert_eq!(house.ledger.api_key_by_hash(&flipped).await.unwrap(), None);
    assert_eq!(key_hash(&text[..text.len() - 1]), None);

    let listed = house.ledger.api_keys(Some(&[a]), None, 10).await.unwrap();
    assert_eq!(listed, [key.clone(), other.clone()]);
    let rest = house.ledger.api_keys(None, Some(key.id), 10).await.unwrap();
    assert_eq!(rest, [other]);
    let elsewhere = house.create_store().await;
    let none = house.ledger.api_keys(Some(&[elsewhere]), None, 10).await;
    assert_eq!(none.unwrap(), []);
}

#[each_database]
async fn nobody_makes_a_key_with_more_than_their_own_rights(house: TestLedger) {
    let (ours, theirs) = (house.create_store().await, house.create_store().await);
    let mia = maker(&house, "mia", Role::Manager, &[ours]).await;
    let sam = maker(&house, "sam", Role::Staff, &[ours]).await;
    let cora = maker(&house, "cora", Role::Customer, &[]).await;
    let root = maker(&house, "root", Role::Operator, &[]).await;
    let (key, _) = house
        .ledger
        .create_api_key(&new_key(mia, &[ours]))
        .await
        .unwrap();
    house
        .ledger
        .create_api_key(&new_key(root, &[ours, theirs]))
        .await
        .unwrap();
    let gone = maker(&house, "gone", Role::Manager, &[ours]).await;
    let disabled = AccountChange {
        disabled: Some(true),
        ..AccountChange::default()
    };
    change(&house, gone, disabled).await;
    for (by, stores) in [
        (mia, &[ours, theirs][..]),
        (mia, &[]),
        (sam, &[ours]),
        (cora, &[ours]),
        (gone, &[ours]),
        // A key makes no key, although its account is a manager.
        (key.id, &[ours]),
    ] {
        let refused = house.ledger.create_api_key(&new_key(by, stores)).await;
        assert_eq!(refusal(refused), ApiKeyRefused::NotAllowed);
    }
    let past = NewApiKey {
        expires_at: Some(house.clock.now()),
        ..new_key(mia, &[ours])
    };
    let refused = house.ledger.create_api_key(&past).await;
    assert_eq!(refusal(refused), ApiKeyRefused::Expired);
    let nowhere = house.chance.id(house.clock.now());
    let refused = house
        .ledger
        .create_api_key(&new_key(root, &[nowhere]))
        .await;
    assert!(matches!(refusal(refused), ApiKeyRefused::Account(_)));
}

#[each_database]
async fn an_account_has_so_many_keys_and_an_ended_one_makes_room(house: TestLedger) {
    let store = house.create_store().await;
    let mia = maker(&house, "mia", Role::Manager, &[store]).await;
    let new = new_key(mia, &[store]);
    let (first, _) = house.ledger.create_api_key(&new).await.unwrap();
    for _ in 1..MAX_KEYS_OF_MAKER {
        house.ledger.create_api_key(&new).await.unwrap();
    }
    let refused = house.ledger.create_api_key(&new).await;
    assert_eq!(refusal(refused), ApiKeyRefused::TooMany);
    house.ledger.end_api_key(first.id).await.unwrap();
    house.ledger.create_api_key(&new).await.unwrap();
}

#[each_database]
async fn a_key_ends_once_and_leaves_the_list(house: TestLedger) {
    let store = house.create_store().await;
    let mia = maker(&house, "mia", Role::Manager, &[store]).await;
    let (key, _) = house
        .ledger
        .create_api_key(&new_key(mia, &[store]))
        .await
        .unwrap();
    let ended_at = house.clock.now();
    house.ledger.end_api_key(key.id).await.unwrap();
    house.clock.advance(Duration::from_secs(60));
    house.ledger.end_api_key(key.id).await.unwrap();
    assert_eq!(now(&house, &key).await.ended_at, Some(ended_at));
    assert_eq!(house.ledger.api_keys(None, None, 10).await.unwrap(), []);
    let account = house.ledger.credentials_of(key.id).await.unwrap().unwrap();
    assert!(account.account.disabled);
}

#[each_database]
async fn a_key_loses_the_stores_that_its_maker_loses_and_ends_without_any(house: TestLedger) {
    let (a, b) = (house.create_store().await, house.create_store().await);
    let mia = maker(&house, "mia", Role::Manager, &[a, b]).await;
    let make = async |stores: &[StoreId]| {
        let made = house.ledger.create_api_key(&new_key(mia, stores)).await;
        made.unwrap().0
    };
    let (both, only_a, only_b) = (make(&[a, b]).await, make(&[a]).await, make(&[b]).await);
    let leaves = |stores: &[StoreId]| AccountChange {
        stores: Some(stores.to_vec()),
        ..AccountChange::default()
    };
    change(&house, mia, leaves(&[b])).await;
    assert_eq!(now(&house, &both).await.stores, [b]);
    assert_eq!(now(&house, &both).await.ended_at, None);
    assert!(now(&house, &only_a).await.ended_at.is_some());
    assert_eq!(now(&house, &only_b).await, only_b);
    // What was lost does not come back with the store.
    change(&house, mia, leaves(&[a, b])).await;
    assert_eq!(now(&house, &both).await.stores, [b]);
    assert!(now(&house, &only_a).await.ended_at.is_some());

    // Staff manage nothing.
    let demoted = AccountChange {
        role: Some(Role::Staff),
        ..AccountChange::default()
    };
    change(&house, mia, demoted).await;
    for key in [&both, &only_b] {
        assert!(now(&house, key).await.ended_at.is_some());
    }
}

#[each_database]
async fn keys_end_with_a_maker_who_is_disabled_and_no_others(house: TestLedger) {
    let store = house.create_store().await;
    let mia = maker(&house, "mia", Role::Manager, &[store]).await;
    let root = maker(&house, "root", Role::Operator, &[]).await;
    let make = async |by| {
        let made = house.ledger.create_api_key(&new_key(by, &[store])).await;
        made.unwrap().0
    };
    let (mias, roots) = (make(mia).await, make(root).await);
    let new_password = AccountChange {
        password_hash: Some("$argon2id$2".to_owned()),
        ..AccountChange::default()
    };
    change(&house, mia, new_password).await;
    assert_eq!(now(&house, &mias).await.ended_at, None);
    for disabled in [true, false] {
        let wanted = AccountChange {
            disabled: Some(disabled),
            ..AccountChange::default()
        };
        change(&house, mia, wanted).await;
        assert!(
            now(&house, &mias).await.ended_at.is_some(),
            "it stays ended"
        );
    }
    assert_eq!(now(&house, &roots).await.ended_at, None);
    // An operator who becomes the manager of another store has none of these rights left.
    let moved = AccountChange {
        role: Some(Role::Manager),
        stores: Some(vec![house.create_store().await]),
        ..AccountChange::default()
    };
    change(&house, root, moved).await;
    assert!(now(&house, &roots).await.ended_at.is_some());
}

#[each_database]
async fn the_account_of_a_key_is_no_user(house: TestLedger) {
    let store = house.create_store().await;
    let mia = maker(&house, "mia", Role::Manager, &[store]).await;
    let long = NewApiKey {
        name: "ü".repeat(60),
        ..new_key(mia, &[store])
    };
    let (key, _) = house.ledger.create_api_key(&long).await.unwrap();
    let account = house.ledger.credentials_of(key.id).await.unwrap().unwrap();
    let username = &account.account.username;
    assert!(username.len() <= 100, "{username}");
    assert_eq!(house.ledger.credentials(username).await.unwrap(), None);
    let users = house
        .ledger
        .accounts(Some(&[store]), None, 10)
        .await
        .unwrap();
    assert_eq!(users.iter().map(|one| one.id).collect::<Vec<_>>(), [mia]);
    let wanted = AccountChange {
        password_hash: Some("$argon2id$2".to_owned()),
        ..AccountChange::default()
    };
    let refused = house.ledger.change_account(key.id, &wanted, |_| Ok(()));
    assert_eq!(refusal(refused.await), AccountRefused::NoSuchAccount);
    let linked = house.ledger.link_external_identity(key.id, "17").await;
    assert!(matches!(
        refusal(linked),
        ExternalIdentityRefused::NoSuchAccount
    ));
}

#[each_database]
async fn a_ticket_of_a_key_that_expired_or_ended_opens_nothing(house: TestLedger) {
    let store = house.create_store().await;
    let mia = maker(&house, "mia", Role::Manager, &[store]).await;
    let minute = TimeDelta::minutes(1);
    let expiring = NewApiKey {
        expires_at: Some(house.clock.now() + minute),
        ..new_key(mia, &[store])
    };
    let (key, _) = house.ledger.create_api_key(&expiring).await.unwrap();
    let (other, _) = house
        .ledger
        .create_api_key(&new_key(mia, &[store]))
        .await
        .unwrap();
    let subject = TicketSubject::Store(store);
    let ticket = async |of| house.ledger.issue_ticket(of, subject).await.unwrap().0;
    let redeemed = async |ticket: String| {
        let redeemed = house.ledger.redeem_ticket(&ticket).await.unwrap();
        redeemed.map(|(account, _)| account.id)
    };
    assert_eq!(redeemed(ticket(key.id).await).await, Some(key.id));
    house.clock.advance(Duration::from_secs(45));
    let (late, others) = (ticket(key.id).await, ticket(other.id).await);
    house.clock.advance(Duration::from_secs(15));
    assert_eq!(redeemed(late).await, None);
    assert_eq!(redeemed(others).await, Some(other.id));
    let last = ticket(other.id).await;
    house.ledger.end_api_key(other.id).await.unwrap();
    assert_eq!(redeemed(last).await, None);
}

#[each_database]
async fn a_use_is_recorded_once_a_minute_and_never_goes_back(house: TestLedger) {
    let store = house.create_store().await;
    let mia = maker(&house, "mia", Role::Manager, &[store]).await;
    let (key, _) = house
        .ledger
        .create_api_key(&new_key(mia, &[store]))
        .await
        .unwrap();
    let first = house.clock.now();
    assert!(is_use_recorded(&key, house.clock.now()));
    house.ledger.record_api_key_use(key.id).await.unwrap();
    let used = now(&house, &key).await;
    assert_eq!(used.last_used_at, Some(first));
    house.clock.advance(Duration::from_secs(59));
    assert!(!is_use_recorded(&used, house.clock.now()));
    house.clock.advance(Duration::from_secs(1));
    assert!(is_use_recorded(&used, house.clock.now()));
    house.ledger.record_api_key_use(key.id).await.unwrap();
    house.clock.set(first);
    house.ledger.record_api_key_use(key.id).await.unwrap();
    let last = now(&house, &key).await.last_used_at;
    assert_eq!(last, Some(first + TimeDelta::minutes(1)));
}
