//! A store to try things with: made on an empty database, and found again at every start.

mod kept; // data/demo.json
mod make; // store, products, accounts, the kitchen as integrator
mod shown; // GET /demo.json and /demo/handoffs.json

use std::sync::Arc;

use domain::{
    ids::{ProductId, StoreId},
    session::{Session, SessionState},
};
use kitchen::Kitchen;
use ledger::{Ledger, LedgerError, sessions::SessionRefused};
use runtime::config::Settings;

pub(crate) use self::{
    kept::{Kept, Login},
    make::{Making, make},
    shown::{DEMO_PATH, HANDOFFS_PATH, ShownDemo, ShownHandoff, ShownProduct, mount},
};
use crate::{data_dir::DataDir, refusal::Refusal};

/// Where the kitchen is served, beside everything else.
const KITCHEN_PATH: &str = "/kitchen";
const TABLE: &str = "Table 1";
/// Open sessions that are looked through for the demonstration's table.
const MOST_TABLES: u32 = 100;

/// The demonstration of a running process. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Demo {
    ledger: Ledger,
    store: StoreId,
    public_url: Arc<str>,
    kitchen: Kitchen,
    logins: Arc<[Login]>,
}

/// Whether a data directory has a demonstration, with logins that are printed at every start.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Made, or half made, by an earlier start.
    Kept(Kept),
    /// To be made if the database is empty.
    Perhaps,
    No,
}

impl Standing {
    /// Refuses to be reached from elsewhere with logins that anybody may read off a terminal.
    pub(crate) fn of(settings: &Settings, data_dir: &DataDir) -> Result<Self, Refusal> {
        let kept = Kept::read(data_dir)?;
        let listen = settings.http.api_listen;
        if (settings.demo.enabled || kept.is_some()) && !listen.ip().is_loopback() {
            return Err(Refusal::DemoBeyondLoopback { listen });
        }
        Ok(match kept {
            _ if !settings.demo.enabled => Self::No,
            Some(kept) => Self::Kept(kept),
            None => Self::Perhaps,
        })
    }
}

/// The kitchen of the demonstration is on this machine and speaks plain HTTP; others stay as guarded as ever.
pub(crate) fn allow_loopback(settings: &mut Settings) {
    let worker = &mut settings.worker;
    worker.allow_http_on_loopback = true;
    for network in ["127.0.0.0/8", "::1/128"] {
        worker
            .allow_networks
            .push(network.parse().expect("it is written as a network"));
    }
}

impl Demo {
    pub(crate) fn kitchen(&self) -> &Kitchen {
        &self.kitchen
    }

    pub(crate) fn logins(&self) -> &[Login] {
        &self.logins
    }

    /// What to order first, and the table's code.
    pub(crate) async fn first_order(&self) -> anyhow::Result<(String, Option<ProductId>)> {
        let code = self.table().await?.code;
        let menu = self.ledger.menu(self.store).await?;
        let product = menu.and_then(|(_, products)| products.first().map(|product| product.id));
        Ok((code, product))
    }

    /// The store's open table; a new one where it was closed.
    async fn table(&self) -> Result<Session, LedgerError<SessionRefused>> {
        if let Some(open) = self.open_table().await? {
            return Ok(open);
        }
        match self.ledger.open_session(self.store, TABLE).await {
            Err(LedgerError::Refused(SessionRefused::NameTaken)) => {
                // Somebody else has just opened it.
                let open = self.open_table().await?;
                open.ok_or(LedgerError::Refused(SessionRefused::NameTaken))
            }
            opened => opened,
        }
    }

    async fn open_table(&self) -> Result<Option<Session>, LedgerError<SessionRefused>> {
        let sessions =
            self.ledger
                .sessions_of_store(self.store, SessionState::Open, None, MOST_TABLES);
        let open = sessions.await.map_err(LedgerError::widen)?;
        Ok(open.into_iter().find(|session| session.name == TABLE))
    }
}
