//! Secrets of integrators: sealed, replaced, rotated.

use super::*;
use crate::{persons::KnownPerson, resealing::Seals};
use domain::person::Person;
use platform::secrets::Keys;

#[each_database]
async fn secrets_are_stored_sealed_and_open_as_they_were_given(house: TestLedger) {
    let (created, secrets) = create(&house, kitchen(house.create_store().await)).await;
    let (auth, signing) = outbound(&house, created.id).await;
    assert!(auth == kitchen(created.store_id).auth);
    assert!(signing == [secrets.signing.clone()]);
    let (of, callback) = house
        .ledger
        .callback_secrets(created.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(of, created);
    assert!(callback == [secrets.callback.clone()] && secrets.callback != secrets.signing);
    let whole = stored(&house, created.id).await;
    let clear = |sealed: &[u8], word: &str| {
        sealed
            .windows(word.len())
            .any(|part| part == word.as_bytes())
    };
    assert!(!clear(&whole.auth_sealed, "hunter2"));
    assert!(!clear(&whole.signing_sealed, &secrets.signing.reveal()));
    assert!(!clear(&whole.callback_sealed, &secrets.callback.reveal()));
}

#[each_database]
async fn a_replaced_secret_is_good_for_one_more_day(house: TestLedger) {
    let (created, first) = create(&house, kitchen(house.create_store().await)).await;
    let id = created.id;
    let (rotated, signing) = house
        .ledger
        .rotate_secret(id, SecretKind::Signing)
        .await
        .unwrap();
    let (_, callback) = house
        .ledger
        .rotate_secret(id, SecretKind::Callback)
        .await
        .unwrap();
    assert_eq!(rotated.version, 2);
    let callback_secrets = async || house.ledger.callback_secrets(id).await.unwrap().unwrap().1;
    assert!(outbound(&house, id).await.1 == [signing.clone(), first.signing]);
    assert!(callback_secrets().await == [callback.clone(), first.callback]);
    house.clock.advance(Duration::from_secs(24 * 3600));
    assert!(outbound(&house, id).await.1 == [signing]);
    assert!(callback_secrets().await == [callback]);
}

#[each_database]
async fn a_second_rotation_ends_the_first_secret(house: TestLedger) {
    let (created, _) = create(&house, kitchen(house.create_store().await)).await;
    let (_, second) = house
        .ledger
        .rotate_secret(created.id, SecretKind::Signing)
        .await
        .unwrap();
    let (_, third) = house
        .ledger
        .rotate_secret(created.id, SecretKind::Signing)
        .await
        .unwrap();
    assert!(outbound(&house, created.id).await.1 == [third, second]);
}

#[each_database]
async fn a_secret_sealed_with_another_key_is_an_error_that_tells_nothing_of_it(house: TestLedger) {
    let (created, _) = create(&house, kitchen(house.create_store().await)).await;
    let mut stranger = stored(&house, created.id).await;
    stranger.auth_sealed = Keys::seeded(99).encryption.seal(
        &house.chance,
        created.id.uuid(),
        b"{\"type\":\"bearer\",\"token\":\"t0ken\"}",
    );
    let opened: Result<_> = house.ledger.inner.outbound_secrets(&stranger, noon());
    assert!(matches!(opened, Err(Failure::Undecryptable(_))));
    stranger.auth_sealed =
        house
            .keys
            .encryption
            .seal(&house.chance, created.id.uuid(), b"{\"type\":\"t0ken\"}");
    let opened: Result<_> = house.ledger.inner.outbound_secrets(&stranger, noon());
    let Err(Failure::Undecryptable(why)) = opened else {
        panic!("it opened")
    };
    assert!(!why.contains("t0ken"), "{why}");
}

/// Returns an integrator's secrets as a process with these keys opens them: its auth, then all that sign.
fn opened(ledger: &Ledger, stored: &Stored) -> Result<(OutboundAuth, Vec<String>)> {
    let (auth, mut signing) = ledger.inner.outbound_secrets(stored, noon())?;
    let (current, old) = (&stored.callback_sealed, &stored.old_callback);
    signing.extend(
        ledger
            .inner
            .open_secrets(stored.integrator.id, current, old, noon())?,
    );
    Ok((auth, signing.iter().map(SigningSecret::reveal).collect()))
}

/// Returns ledgers of processes at each step of a rotation: all have the old key, then the new one is beside it, then it
/// is the first, and in the end it is alone.
fn steps(house: &TestLedger) -> [Ledger; 4] {
    [
        Keys::seeded(1),
        Keys::seeded_beside(1, &[2]),
        Keys::seeded_beside(2, &[1]),
        Keys::seeded(2),
    ]
    .map(|keys| house.ledger_with_keys(&keys))
}

#[each_database]
async fn processes_of_neighbouring_steps_of_a_rotation_read_each_others_secrets(house: TestLedger) {
    let store = house.create_store().await;
    let steps = steps(&house);
    for (at, maker) in steps.iter().enumerate() {
        let (created, secrets) = maker.create_integrator(kitchen(store)).await.unwrap();
        let (_, signing) = maker
            .rotate_secret(created.id, SecretKind::Signing)
            .await
            .unwrap();
        let row = stored(&house, created.id).await;
        for (reader_at, reader) in steps.iter().enumerate() {
            let read = opened(reader, &row);
            match at.abs_diff(reader_at) {
                0 | 1 => {}
                2 => continue,
                _ => {
                    assert!(matches!(read, Err(Failure::Undecryptable(_))));
                    continue;
                }
            }
            let (auth, all) = read.unwrap();
            assert!(auth == kitchen(store).auth);
            assert!(
                all == [&signing, &secrets.signing, &secrets.callback].map(SigningSecret::reveal)
            );
        }
        // An edit by the neighbour keeps what it does not change.
        let neighbour = steps.get(at + 1).unwrap_or(maker);
        let edit = IntegratorEdit {
            name: Some("Kitchen 2".to_owned()),
            ..IntegratorEdit::default()
        };
        neighbour
            .edit_integrator(created.id, None, edit)
            .await
            .unwrap();
        assert!(opened(maker, &stored(&house, created.id).await).is_ok());
    }
}

#[each_database]
async fn everything_that_a_previous_key_sealed_is_sealed_again_once(house: TestLedger) {
    let [_, _, swapped, alone] = steps(&house);
    let mut ids = Vec::new();
    for _ in 0..5 {
        let (created, _) = create(&house, kitchen(house.create_store().await)).await;
        ids.push(created.id);
    }
    // Also replaced secrets, and integrators that are gone.
    for kind in [SecretKind::Signing, SecretKind::Callback] {
        house.ledger.rotate_secret(ids[1], kind).await.unwrap();
    }
    house.ledger.archive_integrator(ids[2], None).await.unwrap();
    let by_swapped = swapped.create_integrator(kitchen(house.create_store().await));
    ids.push(by_swapped.await.unwrap().0.id);
    // An erasure that is not done knows its person.
    let person = Person::email("zoe@example.com").unwrap();
    let known = KnownPerson {
        person,
        hash: [7; 32],
    };
    let erasure = house.ledger.request_erasure(&known).await.unwrap();
    let mut before = Vec::new();
    for id in &ids {
        before.push(stored(&house, *id).await);
    }
    let seals = |newest, previous| Seals {
        newest,
        previous,
        unreadable: 0,
    };
    assert_eq!(swapped.seals().await.unwrap(), seals(3, 18));
    assert_eq!(swapped.reseal().await.unwrap(), 18);
    assert_eq!(swapped.seals().await.unwrap(), seals(21, 0));
    assert_eq!(alone.seals().await.unwrap(), seals(21, 0));
    for before in &before {
        let now = stored(&house, before.integrator.id).await;
        assert!(opened(&swapped, before).unwrap() == opened(&alone, &now).unwrap());
        assert_eq!(now.integrator, before.integrator, "nobody has edited it");
    }
    let sealed = |row: &Stored| (row.auth_sealed.clone(), row.old_signing.clone());
    let once = sealed(&stored(&house, ids[1]).await);
    assert_eq!(swapped.reseal().await.unwrap(), 0);
    assert_eq!(sealed(&stored(&house, ids[1]).await), once);
    house.clock.advance(Duration::from_secs(600));
    alone.continue_erasures().await.unwrap();
    let erasure = alone.erasure(erasure.id).await.unwrap().unwrap();
    assert!(erasure.done_at.is_some(), "the new key opens the person");
}

#[each_database]
async fn secrets_that_are_replaced_while_all_are_sealed_again_are_not_lost(house: TestLedger) {
    let [_, prepared, swapped, alone] = steps(&house);
    let mut ids = Vec::new();
    for _ in 0..4 {
        let (created, _) = create(&house, kitchen(house.create_store().await)).await;
        ids.push(created.id);
    }
    let replaced = ids.iter().map(|id| {
        // Processes of both steps replace secrets.
        let by = if *id == ids[0] { &prepared } else { &swapped };
        by.rotate_secret(*id, SecretKind::Signing)
    });
    let (replaced, one, other) = tokio::join!(
        futures_util::future::join_all(replaced),
        swapped.reseal(),
        swapped.reseal()
    );
    one.unwrap();
    other.unwrap();
    // The process that still signs with the old key may have been the last.
    swapped.reseal().await.unwrap();
    assert_eq!(alone.seals().await.unwrap().unreadable, 0);
    for (id, replaced) in ids.iter().zip(replaced) {
        let (_, secret) = replaced.unwrap();
        let (_, signing) = opened(&alone, &stored(&house, *id).await).unwrap();
        assert_eq!(signing[0], secret.reveal());
    }
}

#[each_database]
async fn a_secret_that_no_key_opens_is_counted_and_left(house: TestLedger) {
    let stranger = house.ledger_with_keys(&Keys::seeded(9));
    let (created, _) = create(&house, kitchen(house.create_store().await)).await;
    let by_stranger = stranger.create_integrator(kitchen(house.create_store().await));
    let theirs = by_stranger.await.unwrap().0.id;
    let before = stored(&house, theirs).await;
    let swapped = house.ledger_with_keys(&Keys::seeded_beside(2, &[1]));
    assert_eq!(swapped.reseal().await.unwrap(), 3);
    let seals = swapped.seals().await.unwrap();
    assert_eq!((seals.newest, seals.previous, seals.unreadable), (3, 0, 3));
    let after = stored(&house, theirs).await;
    assert_eq!(after.signing_sealed, before.signing_sealed);
    assert!(opened(&swapped, &stored(&house, created.id).await).is_ok());
}
