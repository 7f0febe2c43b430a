//! Integrators and their secrets on both databases.

mod bound;
mod secrets;
mod stores;

use each_database::each_database;
use std::time::Duration;

use super::*;
use crate::{
    ChangeError, Failure,
    testing::{TestLedger, fixtures::new_integrator},
};
use domain::integrator::BreakerState;
use store::testing::noon;

fn kitchen(store_id: StoreId) -> NewIntegrator {
    NewIntegrator {
        confirms: Confirms::Callback,
        unknown_policy: UnknownPolicy::Hold,
        auth: OutboundAuth::Basic {
            username: "us".to_owned(),
            password: "hunter2".to_owned(),
        },
        status_map: BTreeMap::from([("COOKED".to_owned(), OrderStatus::Ready)]),
        rate_per_s: Some(10),
        answers: Answers {
            token: None,
            reference: Some("/ticket/id".parse().expect("a pointer")),
        },
        ..new_integrator(store_id)
    }
}

async fn create(house: &TestLedger, new: NewIntegrator) -> (Integrator, NewSecrets) {
    house.ledger.create_integrator(new).await.unwrap()
}

async fn stored(house: &TestLedger, id: IntegratorId) -> Stored {
    let mut tx = house.db.begin().await.unwrap();
    store::integrators::get(&mut tx, id).await.unwrap().unwrap()
}

async fn outbound(house: &TestLedger, id: IntegratorId) -> (OutboundAuth, Vec<SigningSecret>) {
    let stored = stored(house, id).await;
    let now = house.clock.now();
    house.ledger.inner.outbound_secrets(&stored, now).unwrap()
}

#[each_database]
async fn an_integrator_is_read_as_it_was_created(house: TestLedger) {
    let store = house.create_store().await;
    let (created, _) = create(&house, kitchen(store)).await;
    assert_eq!(
        created.events,
        [HandoffEvent::OrderPlaced, HandoffEvent::OrderCancelled]
    );
    assert!(created.required && created.enabled);
    assert_eq!(
        (created.auth_kind.as_str(), created.created_at),
        ("basic", noon())
    );
    assert_eq!(
        house.ledger.integrator(created.id).await.unwrap(),
        Some(created.clone())
    );
    assert_eq!(
        house.ledger.integrators(store, None, 10).await.unwrap(),
        [created.clone()]
    );
    let whole = stored(&house, created.id).await;
    assert!(whole.breaker.is_healthy() && whole.given_up.is_none());
    assert_eq!(whole.integrator, created);
    let nobody = house.chance.id(noon());
    assert_eq!(house.ledger.integrator(nobody).await.unwrap(), None);
}

#[each_database]
async fn no_order_waits_for_a_push_service_unless_somebody_says_so(house: TestLedger) {
    let store = house.create_store().await;
    let push = NewIntegrator {
        kind: IntegratorKind::Push,
        ..kitchen(store)
    };
    let (quiet, _) = create(&house, push.clone()).await;
    assert_eq!(
        (quiet.required, quiet.events),
        (false, vec![HandoffEvent::OrderStatusChanged])
    );
    let (insisted, _) = create(
        &house,
        NewIntegrator {
            required: Some(true),
            ..push
        },
    )
    .await;
    assert!(insisted.required);
}

#[each_database]
async fn an_integrator_needs_a_store(house: TestLedger) {
    let nowhere = house.chance.id(noon());
    let refused = house
        .ledger
        .create_integrator(kitchen(nowhere))
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(IntegratorRefused::NoSuchStore)
    ));
}

#[each_database]
async fn an_edit_changes_what_it_says_and_counts_the_version(house: TestLedger) {
    let (before, secrets) = create(&house, kitchen(house.create_store().await)).await;
    let edit = IntegratorEdit {
        url: Some("https://other.example/".parse().unwrap()),
        auth: Some(OutboundAuth::Bearer {
            token: "t".to_owned(),
        }),
        rate_per_s: Some(None),
        status_map: Some(BTreeMap::new()),
        events: Some(vec![HandoffEvent::OrderStatusChanged]),
        answers: AnswersEdit {
            token: Some(Some("/data".parse().unwrap())),
            reference: None,
        },
        ..IntegratorEdit::default()
    };
    let edited = house
        .ledger
        .edit_integrator(before.id, Some(1), edit.clone())
        .await
        .unwrap();
    let expected = Integrator {
        url: "https://other.example/".parse().unwrap(),
        auth_kind: "bearer".to_owned(),
        rate_per_s: None,
        status_map: BTreeMap::new(),
        events: vec![HandoffEvent::OrderStatusChanged],
        answers: Answers {
            token: Some("/data".parse().unwrap()),
            ..before.answers.clone()
        },
        version: 2,
        ..before
    };
    assert_eq!(edited, expected);
    assert_eq!(
        house.ledger.integrator(edited.id).await.unwrap(),
        Some(expected)
    );
    let (auth, signing) = outbound(&house, edited.id).await;
    assert!(
        auth == OutboundAuth::Bearer {
            token: "t".to_owned()
        }
    );
    assert!(signing == [secrets.signing], "the secrets are unchanged");
    let refused = house
        .ledger
        .edit_integrator(edited.id, Some(1), edit)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(IntegratorRefused::VersionConflict { current: 2 })
    ));
}

#[each_database]
async fn an_address_elsewhere_needs_the_credentials_again(house: TestLedger) {
    let (before, _) = create(&house, kitchen(house.create_store().await)).await;
    assert_eq!(before.auth_kind, "basic");
    let (kept, _) = outbound(&house, before.id).await;
    let moved = |url: &str| IntegratorEdit {
        url: Some(url.parse().unwrap()),
        ..IntegratorEdit::default()
    };
    for elsewhere in [
        "https://thief.example/orders",
        "https://kitchen.example:8443/orders",
        "http://kitchen.example/orders",
    ] {
        let refused = house
            .ledger
            .edit_integrator(before.id, None, moved(elsewhere))
            .await
            .unwrap_err();
        assert!(
            matches!(
                refused,
                ChangeError::Refused(IntegratorRefused::AuthRequired)
            ),
            "{elsewhere}"
        );
    }
    assert_eq!(
        house.ledger.integrator(before.id).await.unwrap(),
        Some(before.clone()),
        "nothing was changed"
    );

    let same_host = house
        .ledger
        .edit_integrator(before.id, None, moved("https://kitchen.example/v2"))
        .await
        .unwrap();
    assert_eq!(same_host.url.path(), "/v2");
    assert!(
        outbound(&house, before.id).await.0 == kept,
        "the credentials for this host are kept"
    );
    let given_up = IntegratorEdit {
        auth: Some(OutboundAuth::None),
        ..moved("https://thief.example/")
    };
    house
        .ledger
        .edit_integrator(before.id, None, given_up)
        .await
        .unwrap();
    let from_nothing = house
        .ledger
        .edit_integrator(before.id, None, moved("https://third.example/"))
        .await
        .unwrap();
    assert_eq!(
        (from_nothing.url.as_str(), from_nothing.auth_kind.as_str()),
        ("https://third.example/", "none")
    );
}

#[each_database]
async fn enabling_forgets_failures_and_wakes_a_worker(house: TestLedger) {
    let (created, _) = create(&house, kitchen(house.create_store().await)).await;
    let mut tx = house.db.begin().await.unwrap();
    let mut failing = store::integrators::lock(&mut tx, created.id)
        .await
        .unwrap()
        .unwrap();
    failing.breaker = Breaker {
        state: BreakerState::Probing,
        until: Some(noon()),
        probe: Some(house.chance.id(noon())),
        openings: 2,
        failures_in_a_row: 4,
        failing_since: Some(noon()),
        failing: (0..3).map(|_| house.chance.id(noon())).collect(),
    };
    assert!(
        store::integrators::update(&mut tx, &failing, 1)
            .await
            .unwrap()
    );
    assert!(
        !store::integrators::update(&mut tx, &failing, 1)
            .await
            .unwrap()
    );
    store::integrators::disable(&mut tx, created.id, "gone")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let disabled = stored(&house, created.id).await;
    assert_eq!(
        (
            disabled.integrator.enabled,
            disabled.integrator.disabled_reason.as_deref()
        ),
        (false, Some("gone"))
    );
    assert_eq!(
        disabled.breaker, failing.breaker,
        "the whole breaker is read back"
    );
    let enable = IntegratorEdit {
        enabled: Some(true),
        ..IntegratorEdit::default()
    };
    let enabled = house
        .ledger
        .edit_integrator(created.id, None, enable)
        .await
        .unwrap();
    assert_eq!((enabled.enabled, enabled.disabled_reason), (true, None));
    let healed = stored(&house, created.id).await;
    assert!(healed.breaker.is_healthy());
    assert_eq!(
        house.woken.hints(),
        [Hint::Handoffs {
            integrator: created.id
        }]
    );
}

#[each_database]
async fn disabling_keeps_its_reason_for_people(house: TestLedger) {
    let (created, _) = create(&house, kitchen(house.create_store().await)).await;
    let disable = IntegratorEdit {
        enabled: Some(false),
        disabled_reason: Some("being rebuilt".to_owned()),
        ..IntegratorEdit::default()
    };
    let disabled = house
        .ledger
        .edit_integrator(created.id, None, disable)
        .await
        .unwrap();
    assert_eq!(
        (disabled.enabled, disabled.disabled_reason.as_deref()),
        (false, Some("being rebuilt"))
    );
    assert_eq!(house.woken.hints(), []);
}

#[each_database]
async fn an_archived_integrator_is_listed_no_more_but_its_row_stays(house: TestLedger) {
    let (here, there) = (house.create_store().await, house.create_store().await);
    let (gone, _) = create(&house, kitchen(here)).await;
    let (kept, _) = create(&house, kitchen(here)).await;
    let (other, _) = create(&house, kitchen(there)).await;
    house
        .ledger
        .archive_integrator(gone.id, None)
        .await
        .unwrap();
    house
        .ledger
        .archive_integrator(gone.id, None)
        .await
        .unwrap();
    assert_eq!(house.ledger.integrator(gone.id).await.unwrap(), None);
    assert!(
        house
            .ledger
            .callback_secrets(gone.id)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        house.ledger.integrators(here, None, 10).await.unwrap(),
        [kept.clone()]
    );
    assert_eq!(
        house
            .ledger
            .integrators(here, Some(kept.id), 10)
            .await
            .unwrap(),
        []
    );
    let mut tx = house.db.begin().await.unwrap();
    assert_eq!(
        store::integrators::of_store(&mut tx, here).await.unwrap(),
        [kept.clone()]
    );
    assert_eq!(
        store::integrators::of_stores(&mut tx, &[there, here])
            .await
            .unwrap(),
        [(here, kept), (there, other)]
    );
    assert_eq!(
        store::integrators::of_stores(&mut tx, &[]).await.unwrap(),
        []
    );
    let row = store::integrators::get(&mut tx, gone.id)
        .await
        .unwrap()
        .unwrap();
    assert!(row.archived_at.is_some() && !row.integrator.enabled);
    drop(tx);
    let refused = house
        .ledger
        .rotate_secret(gone.id, SecretKind::Signing)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(IntegratorRefused::NotFound)
    ));
    let refused = house
        .ledger
        .edit_integrator(gone.id, None, IntegratorEdit::default())
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(IntegratorRefused::NotFound)
    ));
}
