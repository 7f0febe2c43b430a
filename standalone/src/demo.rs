//! Demonstration store: created on an empty database, and reused at every start.

mod kept; // data/demo.json
mod make; // store, accounts, the kitchen and the courier as integrators
mod menu; // the pizzeria's menu, hours and capacity
mod shown; // GET /demo.json and /demo/handoffs.json

use std::sync::Arc;

use courier::Courier;
use domain::{
    ids::{ProductId, StoreId},
    session::{Session, SessionState},
};
use kitchen::Kitchen;
use ledger::{ChangeError, Ledger, sessions::SessionRefused};
use runtime::config::Settings;

pub(crate) use self::{
    kept::{Login, SavedDemo},
    make::{DemoBuilder, make},
    shown::{DEMO_PATH, HANDOFFS_PATH, ShownDemo, ShownHandoff, ShownProduct, mount},
};
use crate::{data_dir::DataDir, refusal::Refusal};

/// Path below which the kitchen is served.
const KITCHEN_PATH: &str = "/kitchen";
/// Path below which the courier is served.
const COURIER_PATH: &str = "/courier";
const TABLE: &str = "Table 1";
/// Maximum number of open sessions searched for the demonstration's table.
const MAX_SESSIONS: u32 = 100;

/// Demonstration of a running process. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Demo {
    ledger: Ledger,
    store: StoreId,
    public_url: Arc<str>,
    kitchen: Kitchen,
    courier: Courier,
    logins: Arc<[Login]>,
}

/// State of a data directory's demonstration, whose logins are printed at every start.
#[derive(Debug)]
pub(crate) enum DemoState {
    /// Created completely or partly by an earlier start.
    SavedDemo(Box<SavedDemo>),
    /// No demonstration yet; this start creates it if the database is empty.
    Perhaps,
    No,
}

impl DemoState {
    /// Reads the state. Refuses to listen beyond loopback, because the logins are printed on the terminal.
    pub(crate) fn of(settings: &Settings, data_dir: &DataDir) -> Result<Self, Refusal> {
        let kept = SavedDemo::read(data_dir)?;
        let listen = settings.http.api_listen;
        if (settings.demo.enabled || kept.is_some()) && !listen.ip().is_loopback() {
            return Err(Refusal::DemoBeyondLoopback { listen });
        }
        Ok(match kept {
            _ if !settings.demo.enabled => Self::No,
            Some(kept) => Self::SavedDemo(Box::new(kept)),
            None => Self::Perhaps,
        })
    }
}

/// Allows plain HTTP to loopback for the demonstration's kitchen and courier; all other addresses stay guarded.
pub(crate) fn allow_loopback(settings: &mut Settings) {
    let worker = &mut settings.worker;
    worker.allow_http_on_loopback = true;
    for network in ["127.0.0.0/8", "::1/128"] {
        worker
            .allow_networks
            .push(network.parse().expect("a valid network"));
    }
}

impl Demo {
    pub(crate) fn kitchen(&self) -> &Kitchen {
        &self.kitchen
    }

    pub(crate) fn courier(&self) -> &Courier {
        &self.courier
    }

    pub(crate) fn logins(&self) -> &[Login] {
        &self.logins
    }

    /// Returns the table's code and the first product of the menu.
    pub(crate) async fn first_order(&self) -> anyhow::Result<(String, Option<ProductId>)> {
        let code = self.table().await?.code;
        let menu = self.ledger.menu(self.store).await?;
        let first = menu.and_then(|read| read.menu.products.into_iter().next());
        let product = first.map(|one| one.product.id);
        Ok((code, product))
    }

    /// Returns the open session of the table, opening a new one if it was closed.
    async fn table(&self) -> ledger::ChangeResult<Session, SessionRefused> {
        if let Some(open) = self.open_table().await? {
            return Ok(open);
        }
        match self.ledger.open_session(self.store, TABLE).await {
            Err(ChangeError::Refused(SessionRefused::NameTaken)) => {
                // Another request has just opened it.
                let open = self.open_table().await?;
                open.ok_or(ChangeError::Refused(SessionRefused::NameTaken))
            }
            opened => opened,
        }
    }

    async fn open_table(&self) -> ledger::Result<Option<Session>> {
        let sessions =
            self.ledger
                .sessions_of_store(self.store, SessionState::Open, None, MAX_SESSIONS);
        let open = sessions.await?;
        Ok(open.into_iter().find(|session| session.name == TABLE))
    }
}
