//! Secrets of integrators: sealed, replaced, rotated.

use super::*;

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
    stranger.auth_sealed = platform::secrets::Keys::seeded(99).encryption.seal(
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
