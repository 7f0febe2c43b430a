//! Reads what belongs to orders, for the archive.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    attempts,
    error::Result,
    fetch_in, handoffs, read_in,
    rows::{ReadRow, Row, optional_text, text},
    tx::Tx,
};
use domain::{
    callback::CallbackResult,
    handoff::{Attempt, Cause, Handoff},
    ids::{AccountId, CallbackId, HandoffId, IntegratorId, OrderId},
};

/// A handoff with everything that is known of it.
#[derive(Clone, Debug)]
pub struct ArchivedHandoff {
    pub handoff: Handoff,
    pub cause: Option<Cause>,
    pub body: Option<String>,
    pub attempts: Vec<Attempt>,
    pub rounds: Vec<Round>,
}

/// A round of attempts that a person opened.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub round: i32,
    pub account_id: AccountId,
    pub opened_at: DateTime<Utc>,
}

/// A callback about an order.
#[derive(Clone, Debug)]
pub struct ArchivedCallback {
    pub id: CallbackId,
    pub order_id: OrderId,
    pub integrator_id: IntegratorId,
    pub webhook_id: String,
    pub payload: Value,
    pub received_at: DateTime<Utc>,
    pub applied_at: Option<DateTime<Utc>>,
    pub result: Option<CallbackResult>,
    pub detail: Option<String>,
}

/// Returns the handoffs of these orders, by id.
pub async fn handoffs_of(tx: &mut Tx, orders: &[OrderId]) -> Result<Vec<ArchivedHandoff>> {
    let mut found = handoffs::stored_of_orders(tx, orders).await?;
    found.sort_by_key(|stored| stored.handoff.id);
    let ids: Vec<HandoffId> = found.iter().map(|stored| stored.handoff.id).collect();
    let attempts = attempts::with_responses(tx, &ids).await?;
    let rounds: Vec<(HandoffId, i32, AccountId, DateTime<Utc>)> = fetch_in!(
        tx,
        "SELECT handoff_id, round, account_id, opened_at FROM handoff_rounds WHERE handoff_id IN (",
        ids,
        ") ORDER BY handoff_id, round"
    );
    let archived = found.into_iter().map(|stored| {
        let id = stored.handoff.id;
        let attempts = attempts.iter().filter(|(of, _)| *of == id);
        let rounds = rounds.iter().filter(|(of, ..)| *of == id);
        ArchivedHandoff {
            attempts: attempts.map(|(_, attempt)| attempt.clone()).collect(),
            rounds: rounds
                .map(|(_, round, account_id, opened_at)| Round {
                    round: *round,
                    account_id: *account_id,
                    opened_at: *opened_at,
                })
                .collect(),
            cause: stored.cause,
            body: stored.body.map(text),
            handoff: stored.handoff,
        }
    });
    Ok(archived.collect())
}

/// Returns the callbacks of these orders, by id.
pub async fn callbacks_of(tx: &mut Tx, orders: &[OrderId]) -> Result<Vec<ArchivedCallback>> {
    let mut found: Vec<ArchivedCallback> = read_in!(
        tx,
        "SELECT id, order_id, integrator_id, webhook_id, repeated_id, payload, received_at, applied_at, result, detail \
         FROM callbacks /*! FORCE INDEX (callbacks_of_order) */ WHERE order_id IN (",
        orders,
        ")"
    );
    found.sort_by_key(|callback| callback.id);
    Ok(found)
}

impl ReadRow for ArchivedCallback {
    const TABLE: &'static str = "callbacks";

    fn read(row: &Row<'_>) -> Result<Self> {
        // A refused one is kept under a key, beside the id that it repeated.
        let repeated = row.get("repeated_id").map(optional_text)?;
        Ok(Self {
            id: row.get::<Uuid>("id")?.into(),
            order_id: row.get("order_id")?,
            integrator_id: row.get("integrator_id")?,
            webhook_id: match repeated {
                Some(id) => id,
                None => row.get("webhook_id").map(text)?,
            },
            payload: row.get("payload").map(|Json(payload)| payload)?,
            received_at: row.get("received_at")?,
            applied_at: row.get("applied_at")?,
            result: row.get("result")?,
            detail: row.get("detail")?,
        })
    }
}
