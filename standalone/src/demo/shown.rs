//! Routes of the demonstration's page beyond the public API: `GET /demo.json` and `GET /demo/handoffs.json`.

use chrono::{DateTime, Utc};
use domain::{handoff::Attempt, money::Money};
use ledger::handoffs::RecentHandoff;
use poem::{
    EndpointExt, Route,
    error::{InternalServerError, NotFoundError},
    get, handler,
    web::{Data, Json},
};
use serde::{Deserialize, Serialize};

use super::{COURIER_PATH, Demo, KITCHEN_PATH};

pub(crate) const DEMO_PATH: &str = "/demo.json";
pub(crate) const HANDOFFS_PATH: &str = "/demo/handoffs.json";
/// Number of orders whose handoffs are shown.
const ORDERS_SHOWN: u32 = 20;

/// Adds both routes, the kitchen's and the courier's.
pub(crate) fn mount(route: Route, demo: &Demo) -> Route {
    route
        .at(DEMO_PATH, get(show_demo).data(demo.clone()))
        .at(HANDOFFS_PATH, get(show_handoffs).data(demo.clone()))
        .nest(KITCHEN_PATH, demo.kitchen().routes())
        .nest(COURIER_PATH, demo.courier().routes())
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ShownDemo {
    pub(crate) session_code: String,
    pub(crate) session_name: String,
    pub(crate) store_name: String,
    pub(crate) public_url: String,
    /// Path below which the kitchen is served.
    pub(crate) kitchen: String,
    /// Path below which the courier is served.
    pub(crate) courier: String,
    pub(crate) menu: Vec<ShownProduct>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ShownProduct {
    pub(crate) product_id: String,
    pub(crate) name: String,
    pub(crate) price: Money,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ShownHandoff {
    pub(crate) id: String,
    pub(crate) order_number: Option<i64>,
    pub(crate) integrator: String,
    pub(crate) event: String,
    pub(crate) state: String,
    pub(crate) round: u32,
    pub(crate) max_attempts: u32,
    pub(crate) next_attempt_at: Option<DateTime<Utc>>,
    pub(crate) waiting_for: Option<String>,
    pub(crate) waiting_until: Option<DateTime<Utc>>,
    /// Attempts of this round.
    pub(crate) attempts: Vec<ShownAttempt>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ShownAttempt {
    pub(crate) n: u32,
    pub(crate) started_at: DateTime<Utc>,
    /// `None` while the attempt is in flight.
    pub(crate) outcome: Option<String>,
    /// False if the integrator said "slow down".
    pub(crate) counted: bool,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
}

#[derive(Serialize)]
struct ShownHandoffs {
    handoffs: Vec<ShownHandoff>,
}

#[handler]
async fn show_demo(Data(demo): Data<&Demo>) -> poem::Result<Json<ShownDemo>> {
    let menu = demo
        .ledger
        .menu(demo.store)
        .await
        .map_err(InternalServerError)?;
    let menu = menu.ok_or(NotFoundError)?.menu;
    let store = menu.store;
    let table = demo.table().await.map_err(InternalServerError)?;
    let menu = menu.products.into_iter().map(|one| ShownProduct {
        product_id: one.product.id.to_string(),
        name: one.product.name,
        price: one.product.price,
    });
    Ok(Json(ShownDemo {
        session_code: table.code,
        session_name: table.name,
        store_name: store.name,
        public_url: demo.public_url.to_string(),
        kitchen: KITCHEN_PATH.to_owned(),
        courier: COURIER_PATH.to_owned(),
        menu: menu.collect(),
    }))
}

#[handler]
async fn show_handoffs(Data(demo): Data<&Demo>) -> poem::Result<Json<ShownHandoffs>> {
    let recent = demo.ledger.recent_handoffs(demo.store, ORDERS_SHOWN).await;
    let recent = recent.map_err(InternalServerError)?;
    Ok(Json(ShownHandoffs {
        handoffs: recent.into_iter().map(Into::into).collect(),
    }))
}

impl From<RecentHandoff> for ShownHandoff {
    fn from(recent: RecentHandoff) -> Self {
        let handoff = recent.handoff;
        let this_round = recent
            .attempts
            .into_iter()
            .filter(|attempt| attempt.round == handoff.round);
        Self {
            id: handoff.id.to_string(),
            order_number: recent.order_number,
            integrator: recent.integrator_name,
            event: handoff.event.to_string(),
            state: handoff.state.to_string(),
            round: handoff.round,
            max_attempts: handoff.max_attempts,
            next_attempt_at: handoff.next_attempt_at,
            waiting_for: recent.waiting.map(|waiting| waiting.reason.to_string()),
            waiting_until: recent.waiting.and_then(|waiting| waiting.until),
            attempts: this_round.map(Into::into).collect(),
        }
    }
}

impl From<Attempt> for ShownAttempt {
    fn from(attempt: Attempt) -> Self {
        Self {
            n: attempt.n,
            started_at: attempt.started_at,
            outcome: attempt.outcome.map(|outcome| outcome.to_string()),
            counted: attempt.counted,
            status: attempt.http_status,
            error: attempt.error,
        }
    }
}
