//! Accounts, refresh tokens and tickets on both databases.

use each_database::each_database;
use std::time::Duration;

use super::{sign_ins::REUSE_GRACE, *};
use crate::{
    ChangeResult,
    testing::{TestLedger, fixtures::new_account, refusal},
};

const TTL: Duration = Duration::from_secs(86_400);

fn named(username: &str, role: Role, stores: &[StoreId]) -> NewAccount {
    NewAccount {
        password_hash: "$argon2id$1".to_owned(),
        stores: stores.to_vec(),
        ..new_account(username, role)
    }
}

async fn customer(house: &TestLedger, username: &str) -> Account {
    let new = named(username, Role::Customer, &[]);
    house.ledger.create_account(&new).await.unwrap()
}

async fn signed_in(house: &TestLedger, account: &Account, ttl: Duration) -> Refreshed {
    house
        .ledger
        .start_sign_in(account.id, None, ttl)
        .await
        .unwrap()
}

fn new_password(hash: &str) -> AccountChange {
    AccountChange {
        password_hash: Some(hash.into()),
        ..AccountChange::default()
    }
}

async fn refreshed(house: &TestLedger, token: &str) -> ChangeResult<Refreshed, RefreshRefused> {
    house.ledger.refresh_sign_in(token, TTL).await
}

#[test]
fn no_change_of_an_account_prints_its_hash() {
    let printed = format!("{:?}", new_password("$argon2id$secret"));
    assert!(!printed.contains("secret"), "{printed}");
}

#[each_database]
async fn an_account_is_read_as_it_was_created(house: TestLedger) {
    let (a, b) = (house.create_store().await, house.create_store().await);
    // Unsorted, with a duplicate.
    let new = named("sam.ß", Role::Staff, &[b, a, b]);
    let created = house.ledger.create_account(&new).await.unwrap();
    assert_eq!(created.stores, [a, b]);
    let found = house.ledger.credentials("sam.ß").await.unwrap().unwrap();
    assert_eq!(
        (&found.account, found.password_hash.as_str()),
        (&created, "$argon2id$1")
    );
    assert_eq!(
        house.ledger.credentials_of(created.id).await.unwrap(),
        Some(found)
    );
    assert_eq!(house.ledger.credentials("sam.ss").await.unwrap(), None);
}

#[each_database]
async fn a_username_is_taken_once_whatever_its_case(house: TestLedger) {
    customer(&house, "anna").await;
    for username in ["anna", "Anna", "ANNA"] {
        let again = named(username, Role::Customer, &[]);
        let again = house.ledger.create_account(&again).await;
        let username = username.to_owned();
        assert_eq!(refusal(again), AccountRefused::UsernameTaken { username });
    }
    customer(&house, "anna ").await;
}

#[each_database]
async fn an_account_of_what_does_not_exist_is_refused(house: TestLedger) {
    let store: StoreId = house.chance.id(house.clock.now());
    let new = named("sam", Role::Staff, &[store]);
    let refused = refusal(house.ledger.create_account(&new).await);
    assert_eq!(refused, AccountRefused::UnknownStore { store });
    let integrator: IntegratorId = house.chance.id(house.clock.now());
    let new = NewAccount {
        integrators: vec![integrator],
        ..named("pos", Role::Integrator, &[])
    };
    let refused = refusal(house.ledger.create_account(&new).await);
    assert_eq!(refused, AccountRefused::UnknownIntegrator { integrator });
    assert_eq!(house.ledger.accounts(None, None, 10).await.unwrap(), []);
}

#[each_database]
async fn a_change_is_kept_and_what_it_does_not_name_stays(house: TestLedger) {
    let (a, b) = (house.create_store().await, house.create_store().await);
    let account = house
        .ledger
        .create_account(&named("sam", Role::Staff, &[a]))
        .await
        .unwrap();
    let wanted = AccountChange {
        stores: Some(vec![b]),
        ..AccountChange::default()
    };
    let changed = house
        .ledger
        .change_account(account.id, &wanted, |_| Ok(()))
        .await
        .unwrap();
    let expected = Account {
        stores: vec![b],
        ..account.clone()
    };
    assert_eq!(changed, expected);
    let wanted = AccountChange {
        disabled: Some(true),
        role: Some(Role::Manager),
        password_hash: Some("$argon2id$2".into()),
        ..AccountChange::default()
    };
    house
        .ledger
        .change_account(account.id, &wanted, |_| Ok(()))
        .await
        .unwrap();
    let found = house
        .ledger
        .credentials_of(account.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        found.account,
        Account {
            disabled: true,
            role: Role::Manager,
            ..expected
        }
    );
    assert_eq!(found.password_hash, "$argon2id$2");
}

#[each_database]
async fn a_change_that_is_not_allowed_changes_nothing(house: TestLedger) {
    let account = customer(&house, "anna").await;
    let wanted = AccountChange {
        disabled: Some(true),
        ..AccountChange::default()
    };
    let change = house.ledger.change_account(account.id, &wanted, |seen| {
        assert!(!seen.disabled, "the current state is seen");
        Err(AccountRefused::NotAllowed)
    });
    assert_eq!(refusal(change.await), AccountRefused::NotAllowed);
    let found = house
        .ledger
        .credentials_of(account.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.account, account);
}

#[each_database]
async fn lists_go_by_id_and_may_be_limited_to_stores(house: TestLedger) {
    let (a, b) = (house.create_store().await, house.create_store().await);
    let first = customer(&house, "c").await;
    let both = house
        .ledger
        .create_account(&named("b", Role::Staff, &[a, b]))
        .await
        .unwrap();
    let other = house
        .ledger
        .create_account(&named("a", Role::Staff, &[b]))
        .await
        .unwrap();
    let list = async |stores: Option<&[StoreId]>, after: Option<AccountId>, limit: u32| {
        house.ledger.accounts(stores, after, limit).await.unwrap()
    };
    assert_eq!(list(None, None, 2).await, [first.clone(), both.clone()]);
    assert_eq!(list(None, Some(both.id), 2).await, [other.clone()]);
    assert_eq!(list(Some(&[a]), None, 9).await, std::slice::from_ref(&both));
    assert_eq!(list(Some(&[a, b]), None, 9).await, [both, other]);
    assert_eq!(list(Some(&[]), None, 9).await, []);
}

#[each_database]
async fn the_reuse_of_a_refresh_token_ends_its_sign_in_and_no_other(house: TestLedger) {
    let account = customer(&house, "anna").await;
    let first = signed_in(&house, &account, TTL).await;
    let other = signed_in(&house, &account, TTL).await;
    let second = refreshed(&house, &first.token).await.unwrap();
    house.clock.advance(REUSE_GRACE);
    refreshed(&house, &first.token)
        .await
        .expect("the response may have been lost");
    house.clock.advance(Duration::from_micros(1));
    assert_eq!(
        refusal(refreshed(&house, &first.token).await),
        RefreshRefused::Reused
    );
    assert_eq!(
        refusal(refreshed(&house, &second.token).await),
        RefreshRefused::NotValid
    );
    assert_eq!(
        refreshed(&house, &other.token).await.unwrap().account,
        account
    );
}

#[each_database]
async fn a_new_password_and_a_disabled_account_end_every_sign_in(house: TestLedger) {
    for wanted in [
        new_password("$2"),
        AccountChange {
            disabled: Some(true),
            ..AccountChange::default()
        },
    ] {
        let account = customer(&house, &format!("{:?}", wanted.disabled)).await;
        let sign_in = signed_in(&house, &account, TTL).await;
        house
            .ledger
            .change_account(account.id, &wanted, |_| Ok(()))
            .await
            .unwrap();
        assert_eq!(
            refusal(refreshed(&house, &sign_in.token).await),
            RefreshRefused::NotValid
        );
    }
}

#[each_database]
async fn a_password_that_was_changed_since_it_was_looked_at_signs_nobody_in(house: TestLedger) {
    let account = customer(&house, "anna").await;
    let mark = house
        .ledger
        .credentials("anna")
        .await
        .unwrap()
        .unwrap()
        .password_mark();
    house
        .ledger
        .start_sign_in(account.id, Some(mark), TTL)
        .await
        .unwrap();
    house
        .ledger
        .change_account(account.id, &new_password("$2"), |_| Ok(()))
        .await
        .unwrap();
    let late = house
        .ledger
        .start_sign_in(account.id, Some(mark), TTL)
        .await;
    assert_eq!(refusal(late), SignInRefused);
    let disabled = AccountChange {
        disabled: Some(true),
        ..AccountChange::default()
    };
    house
        .ledger
        .change_account(account.id, &disabled, |_| Ok(()))
        .await
        .unwrap();
    let late = house.ledger.start_sign_in(account.id, None, TTL).await;
    assert_eq!(refusal(late), SignInRefused);
}

#[each_database]
async fn of_two_new_passwords_for_one_old_one_the_second_is_refused(house: TestLedger) {
    let account = customer(&house, "anna").await;
    let mark = house
        .ledger
        .credentials("anna")
        .await
        .unwrap()
        .unwrap()
        .password_mark();
    let change = async |hash: &str| {
        let wanted = AccountChange {
            password_mark: Some(mark),
            ..new_password(hash)
        };
        house
            .ledger
            .change_account(account.id, &wanted, |_| Ok(()))
            .await
    };
    change("$2").await.unwrap();
    assert_eq!(refusal(change("$3").await), AccountRefused::PasswordChanged);
    let found = house.ledger.credentials("anna").await.unwrap().unwrap();
    assert_eq!(found.password_hash, "$2");
}

#[each_database]
async fn no_successor_outlives_a_password_that_changes_while_it_is_made(house: TestLedger) {
    let account = customer(&house, "anna").await;
    for round in 0..40 {
        let tokens = [
            signed_in(&house, &account, TTL).await,
            signed_in(&house, &account, TTL).await,
        ];
        let password = new_password(&format!("${round}"));
        let (a, b, changed) = tokio::join!(
            refreshed(&house, &tokens[0].token),
            refreshed(&house, &tokens[1].token),
            house
                .ledger
                .change_account(account.id, &password, |_| Ok(())),
        );
        changed.unwrap();
        for successor in [a, b].into_iter().flatten() {
            let late = refreshed(&house, &successor.token).await;
            assert_eq!(refusal(late), RefreshRefused::NotValid, "round {round}");
        }
    }
}

#[each_database]
async fn of_two_refreshes_at_once_both_succeed_and_leave_the_family_alive(house: TestLedger) {
    let account = customer(&house, "anna").await;
    let first = signed_in(&house, &account, TTL).await;
    let (a, b) = tokio::join!(
        refreshed(&house, &first.token),
        refreshed(&house, &first.token)
    );
    refreshed(&house, &a.unwrap().token).await.unwrap();
    refreshed(&house, &b.unwrap().token).await.unwrap();
}

#[each_database]
async fn a_ticket_works_once_and_for_thirty_seconds(house: TestLedger) {
    let account = customer(&house, "anna").await;
    let subject = TicketSubject::Order(house.chance.id(house.clock.now()));
    let issue = async || {
        house
            .ledger
            .issue_ticket(account.id, subject)
            .await
            .unwrap()
            .0
    };
    let redeem = async |ticket: &str| house.ledger.redeem_ticket(ticket).await.unwrap();
    let ticket = issue().await;
    let (a, b) = tokio::join!(redeem(&ticket), redeem(&ticket));
    assert_eq!(
        [a, b].into_iter().flatten().collect::<Vec<_>>(),
        [(account.clone(), subject)]
    );
    let late = issue().await;
    house.clock.advance(TICKET_TTL);
    assert_eq!(redeem(&late).await, None);
    assert_eq!(redeem("made up").await, None);
    let wanted = AccountChange {
        disabled: Some(true),
        ..AccountChange::default()
    };
    let ticket = issue().await;
    house
        .ledger
        .change_account(account.id, &wanted, |_| Ok(()))
        .await
        .unwrap();
    assert_eq!(redeem(&ticket).await, None);
}

#[each_database]
async fn what_has_ended_is_pruned(house: TestLedger) {
    let account = customer(&house, "anna").await;
    signed_in(&house, &account, Duration::from_secs(60)).await;
    let kept = signed_in(&house, &account, TTL).await;
    let subject = TicketSubject::Store(house.create_store().await);
    house
        .ledger
        .issue_ticket(account.id, subject)
        .await
        .unwrap();
    house.clock.advance(Duration::from_secs(61));
    assert_eq!(house.ledger.prune().await.unwrap(), 2);
    refreshed(&house, &kept.token).await.unwrap();
}
