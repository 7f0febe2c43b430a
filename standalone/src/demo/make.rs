//! Creates the demonstration; each part only if it is missing, so that the next start completes an interrupted one.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use api::auth::Passwords;
use courier::{Courier, CourierSettings};
use domain::{
    account::Role,
    answers::Answers,
    ids::{IntegratorId, StoreId},
    integrator::{CallbackAuth, Confirms, Format, IntegratorKind, OutboundAuth, UnknownPolicy},
    language::Language,
    store::Contact,
    timing::StoreTiming,
};
use kitchen::{Kitchen, KitchenSettings};
use ledger::{
    ChangeError, Ledger,
    accounts::{AccountRefused, NewAccount},
    integrators::{IntegratorEdit, NewIntegrator, SecretKind},
    stores::NewStore,
};
use url::Url;

use super::{
    COURIER_PATH, Demo, DemoState, KITCHEN_PATH,
    kept::{SavedDemo, SavedIntegrator},
    menu,
};
use crate::data_dir::DataDir;

const STORE: &str = "Harbour Pizzeria";
const KITCHEN: &str = "Harbour kitchen";
const COURIER: &str = "Harbour courier";
/// Account of this process at the courier.
const COURIER_USERNAME: &str = "expediter";
/// Time between two steps of a delivery, short enough to be watched.
const COURIER_STEP: Duration = Duration::from_secs(3);
const TIMEZONE: &str = "Europe/Berlin";
/// Page size for stores and integrators; the demonstration has one or two of each.
const PAGE: u32 = 100;

/// Dependencies for creating the demonstration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DemoBuilder<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) passwords: &'a Passwords,
    pub(crate) data_dir: &'a DataDir,
    /// Address where this process listens.
    pub(crate) local_url: &'a Url,
    /// Address that is shown to people.
    pub(crate) public_url: &'a str,
}

/// Creates or completes the demonstration; `None` if it is disabled or the database has stores of its own.
pub(crate) async fn make(
    demo_state: DemoState,
    builder: DemoBuilder<'_>,
) -> anyhow::Result<Option<Demo>> {
    let ledger = builder.ledger;
    let mut kept = match demo_state {
        DemoState::SavedDemo(kept) => *kept,
        DemoState::Perhaps if ledger.stores(None, None, 1).await?.is_empty() => {
            SavedDemo::begin(builder.data_dir, ledger.chance())?
        }
        DemoState::Perhaps | DemoState::No => return Ok(None),
    };
    let store = builder.store(&mut kept).await?;
    if !kept.complete {
        menu::make(ledger, store).await?;
        builder.accounts(&kept, store).await?;
    }
    let kitchen = builder.kitchen(&mut kept, store).await?;
    let courier = builder.courier(&mut kept, store).await?;
    let demo = Demo {
        ledger: ledger.clone(),
        store,
        public_url: builder.public_url.into(),
        kitchen,
        courier,
        logins: kept.logins.clone().into(),
    };
    demo.table().await?;
    if !kept.complete {
        kept.complete = true;
        kept.save()?;
    }
    Ok(Some(demo))
}

impl DemoBuilder<'_> {
    async fn store(&self, kept: &mut SavedDemo) -> anyhow::Result<StoreId> {
        let stores = self.ledger.stores(None, None, PAGE).await?;
        if let Some(id) = kept.store
            && stores.iter().any(|store| store.id == id)
        {
            return Ok(id);
        }
        // Another database, or the last start was interrupted before it saved the store's id.
        kept.complete = false;
        let known = stores.into_iter().find(|store| store.name == STORE);
        let store = match known {
            Some(store) => store,
            None => self.ledger.create_store(a_store()).await?,
        };
        kept.store = Some(store.id);
        kept.save()?;
        Ok(store.id)
    }

    async fn accounts(&self, kept: &SavedDemo, store: StoreId) -> anyhow::Result<()> {
        for login in &kept.logins {
            let hash = self
                .passwords
                .hash(self.ledger.chance(), &login.password)
                .await;
            let Ok(password_hash) = hash else {
                bail!("hashing a password failed")
            };
            let new = NewAccount {
                username: login.username.clone(),
                password_hash,
                role: login.role,
                stores: match login.role {
                    Role::Manager | Role::Staff => vec![store],
                    _ => Vec::new(),
                },
                integrators: Vec::new(),
            };
            match self.ledger.create_account(&new).await {
                Ok(_) | Err(ChangeError::Refused(AccountRefused::UsernameTaken { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Registers the kitchen as the store's integrator, and creates it.
    async fn kitchen(&self, kept: &mut SavedDemo, store: StoreId) -> anyhow::Result<Kitchen> {
        let url = self.local_url.join(&format!("{KITCHEN_PATH}/orders"))?;
        let saved = kept.kitchen.clone();
        let kitchen = self.integrator(kept.complete, saved, a_kitchen(store, url));
        let secrets = kitchen.await?;
        kept.kitchen = Some(secrets.clone());
        kept.save()?;
        let (signing, callback) = (secrets.signing_secret, secrets.callback_secret);
        let mut settings = KitchenSettings::new(
            signing.parse().context("the kitchen's signing secret")?,
            callback.parse().context("the kitchen's callback secret")?,
        );
        settings.journal = Some(self.data_dir.file("kitchen.journal"));
        Ok(Kitchen::new(settings)?)
    }

    /// Registers the courier as the store's integrator, and opens it.
    async fn courier(&self, kept: &mut SavedDemo, store: StoreId) -> anyhow::Result<Courier> {
        let password = kept.courier_password(self.ledger.chance())?;
        let login = courier::Login {
            username: COURIER_USERNAME.to_owned(),
            password,
        };
        let new = a_courier(store, self.local_url, &login)?;
        let saved = kept.courier.clone();
        let secrets = self.integrator(kept.complete, saved, new).await?;
        kept.courier = Some(secrets.clone());
        kept.save()?;
        let (signing, callback) = (secrets.signing_secret, secrets.callback_secret);
        let mut settings = CourierSettings::new(self.data_dir.file("courier.db"));
        settings.step = COURIER_STEP;
        settings.signing_secret = Some(signing.parse().context("the courier's signing secret")?);
        settings.callback_secret = Some(callback.parse().context("the courier's callback secret")?);
        settings.login = Some(login);
        Ok(Courier::open(settings).await?)
    }

    /// Registers an integrator of the store, or updates its addresses to that of this process.
    async fn integrator(
        &self,
        complete: bool,
        saved: Option<SavedIntegrator>,
        new: NewIntegrator,
    ) -> anyhow::Result<SavedIntegrator> {
        let integrators = self.ledger.integrators(new.store_id, None, PAGE).await?;
        if let Some(saved) = saved {
            let listed = integrators
                .iter()
                .find(|integrator| integrator.id == saved.integrator);
            if let Some(integrator) = listed {
                if integrator.url != new.url {
                    let edit = IntegratorEdit {
                        url: Some(new.url),
                        auth: Some(new.auth),
                        ..IntegratorEdit::default()
                    };
                    self.ledger
                        .edit_integrator(integrator.id, None, edit)
                        .await?;
                }
                return Ok(saved);
            }
            if complete {
                // It was archived on purpose, so it is not created again.
                return Ok(saved);
            }
        }
        let unfinished = integrators
            .iter()
            .find(|integrator| integrator.name == new.name);
        if let Some(integrator) = unfinished {
            return self.fresh_secrets(integrator.id).await;
        }
        let (integrator, secrets) = self.ledger.create_integrator(new).await?;
        Ok(SavedIntegrator {
            integrator: integrator.id,
            signing_secret: secrets.signing.reveal(),
            callback_secret: secrets.callback.reveal(),
        })
    }

    /// Rotates both secrets: the first ones were returned once, to a process that died before it saved them.
    async fn fresh_secrets(&self, integrator: IntegratorId) -> anyhow::Result<SavedIntegrator> {
        let (_, signing) = self
            .ledger
            .rotate_secret(integrator, SecretKind::Signing)
            .await?;
        let (_, callback) = self
            .ledger
            .rotate_secret(integrator, SecretKind::Callback)
            .await?;
        Ok(SavedIntegrator {
            integrator,
            signing_secret: signing.reveal(),
            callback_secret: callback.reveal(),
        })
    }
}

fn a_store() -> NewStore {
    NewStore {
        name: STORE.to_owned(),
        timezone: TIMEZONE.to_owned(),
        currency: menu::CURRENCY.parse().expect("EUR is a currency"),
        contact: Contact {
            address: Some("Quay 1, Harbour".to_owned()),
            ..Contact::default()
        },
        auto_accept: true,
        accept_within_s: 600,
        deliver_accepted_after_h: None,
        timing: StoreTiming {
            order_ahead_days: 7,
            ..StoreTiming::default()
        },
        language: Language::default(),
    }
}

fn a_kitchen(store_id: StoreId, url: Url) -> NewIntegrator {
    NewIntegrator {
        store_id,
        further_stores: Vec::new(),
        name: KITCHEN.to_owned(),
        kind: IntegratorKind::Kitchen,
        format: Format::Order,
        events: None,
        url,
        required: Some(true),
        confirms: Confirms::Acknowledgement,
        unknown_policy: UnknownPolicy::Resend,
        callback_auth: CallbackAuth::Signature,
        auth: OutboundAuth::None,
        status_map: BTreeMap::new(),
        answers: Answers::default(),
        max_attempts: 5,
        concurrency: 8,
        rate_per_s: None,
    }
}

/// Returns the courier, which takes dispatched orders and needs a sign-in.
fn a_courier(
    store_id: StoreId,
    local_url: &Url,
    login: &courier::Login,
) -> anyhow::Result<NewIntegrator> {
    let at = |path: &str| local_url.join(&format!("{COURIER_PATH}/{path}"));
    Ok(NewIntegrator {
        name: COURIER.to_owned(),
        kind: IntegratorKind::Delivery,
        format: Format::Delivery,
        required: Some(false),
        auth: OutboundAuth::SignIn {
            url: at("signin")?,
            username: login.username.clone(),
            password: login.password.clone(),
        },
        ..a_kitchen(store_id, at("deliveries")?)
    })
}
