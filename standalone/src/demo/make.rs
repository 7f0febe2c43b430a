//! Creates the demonstration; each part only if it is missing, so that the next start completes an interrupted one.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use api::auth::Passwords;
use domain::{
    account::Role,
    answers::Answers,
    ids::{IntegratorId, StoreId},
    integrator::{CallbackAuth, Confirms, Format, IntegratorKind, OutboundAuth, UnknownPolicy},
    money::Money,
    store::Contact,
};
use kitchen::{Kitchen, KitchenSettings};
use ledger::{
    ChangeError, Ledger,
    accounts::{AccountRefused, NewAccount},
    integrators::{IntegratorEdit, NewIntegrator, SecretKind},
    products::{NewProduct, ProductRefused},
    stores::NewStore,
};
use url::Url;

use super::{
    Demo, DemoState, KITCHEN_PATH,
    kept::{SavedDemo, SavedKitchen},
};
use crate::data_dir::DataDir;

const STORE: &str = "Harbour Café";
const KITCHEN: &str = "Harbour kitchen";
const TIMEZONE: &str = "Europe/Berlin";
const CURRENCY: &str = "EUR";
/// Sku, name, price in cents, and the stock of products that have one.
const MENU: &[(&str, &str, i64, Option<u32>)] = &[
    ("ESP", "Espresso", 250, None),
    ("FLW", "Flat white", 380, None),
    ("LEM", "Lemonade", 420, None),
    ("FIS", "Fish sandwich", 890, None),
    ("SOU", "Soup of the day", 650, None),
    ("CIN", "Cinnamon bun", 340, Some(24)),
];
/// Page size for stores and integrators; the demonstration has one of each.
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
        DemoState::SavedDemo(kept) => kept,
        DemoState::Perhaps if ledger.stores(None, None, 1).await?.is_empty() => {
            SavedDemo::begin(builder.data_dir, ledger.chance())?
        }
        DemoState::Perhaps | DemoState::No => return Ok(None),
    };
    let store = builder.store(&mut kept).await?;
    if !kept.complete {
        builder.products(store).await?;
        builder.accounts(&kept, store).await?;
    }
    let secrets = builder.integrator(&mut kept, store).await?;
    let mut settings = KitchenSettings::new(
        secrets
            .signing_secret
            .parse()
            .context("the kitchen's signing secret")?,
        secrets
            .callback_secret
            .parse()
            .context("the kitchen's callback secret")?,
    );
    settings.journal = Some(builder.data_dir.file("kitchen.journal"));
    let kitchen = Kitchen::new(settings)?;
    let demo = Demo {
        ledger: ledger.clone(),
        store,
        public_url: builder.public_url.into(),
        kitchen,
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

    async fn products(&self, store_id: StoreId) -> anyhow::Result<()> {
        for (sku, name, price, stock) in MENU {
            let new = NewProduct {
                store_id,
                sku: Some((*sku).to_owned()),
                name: (*name).to_owned(),
                description: None,
                price: Money::new(*price, CURRENCY.parse()?),
                available: true,
                stock: *stock,
            };
            match self.ledger.create_product(new, None).await {
                Ok(_) | Err(ChangeError::Refused(ProductRefused::SkuTaken)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
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

    /// Registers the kitchen as the store's integrator, or updates its URL to the address of this process.
    async fn integrator(
        &self,
        kept: &mut SavedDemo,
        store: StoreId,
    ) -> anyhow::Result<SavedKitchen> {
        let url = self.local_url.join(&format!("{KITCHEN_PATH}/orders"))?;
        let integrators = self.ledger.integrators(store, None, PAGE).await?;
        if let Some(kitchen) = &kept.kitchen {
            let listed = integrators
                .iter()
                .find(|integrator| integrator.id == kitchen.integrator);
            if let Some(integrator) = listed {
                if integrator.url != url {
                    let edit = IntegratorEdit {
                        url: Some(url),
                        ..IntegratorEdit::default()
                    };
                    self.ledger
                        .edit_integrator(integrator.id, None, edit)
                        .await?;
                }
                return Ok(kitchen.clone());
            }
            if kept.complete {
                // It was archived on purpose, so it is not created again.
                return Ok(kitchen.clone());
            }
        }
        let unfinished = integrators
            .iter()
            .find(|integrator| integrator.name == KITCHEN);
        let kitchen = match unfinished {
            Some(integrator) => self.fresh_secrets(integrator.id).await?,
            None => {
                let (integrator, secrets) =
                    self.ledger.create_integrator(a_kitchen(store, url)).await?;
                SavedKitchen {
                    integrator: integrator.id,
                    signing_secret: secrets.signing.reveal(),
                    callback_secret: secrets.callback.reveal(),
                }
            }
        };
        kept.kitchen = Some(kitchen.clone());
        kept.save()?;
        Ok(kitchen)
    }

    /// Rotates both secrets: the first ones were returned once, to a process that died before it saved them.
    async fn fresh_secrets(&self, integrator: IntegratorId) -> anyhow::Result<SavedKitchen> {
        let (_, signing) = self
            .ledger
            .rotate_secret(integrator, SecretKind::Signing)
            .await?;
        let (_, callback) = self
            .ledger
            .rotate_secret(integrator, SecretKind::Callback)
            .await?;
        Ok(SavedKitchen {
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
        currency: CURRENCY.parse().expect("EUR is a currency"),
        contact: Contact {
            address: Some("Quay 1, Harbour".to_owned()),
            ..Contact::default()
        },
        auto_accept: true,
        accept_within_s: 600,
        deliver_accepted_after_h: None,
    }
}

fn a_kitchen(store_id: StoreId, url: Url) -> NewIntegrator {
    NewIntegrator {
        store_id,
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
