//! Erases what people wrote about themselves from an ended order and from every copy of it, and leaves the rows.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{error::Result, execute, execute_in, fetch_all, fetch_scalars, read_all, tx::Tx};
use domain::{
    account::Role,
    event::Event,
    ids::{AccountId, OrderId, RecordId, SessionId},
    order::{Customer, Order},
    person::{ERASED, PersonalTexts},
    record::Record,
};

/// Maximum number of events of a session's stream that are looked through for its name.
const MAX_SESSION_EVENTS: u32 = 10_000;
/// Maximum number of records of an account that are rewritten.
const MAX_RECORDS: u32 = 10_000;

/// Erases contact data and notes of a locked order that has ended, and what may repeat them: events, messages, their
/// answers, and updates. Programs that follow the orders read it again if `updated_at` is moved.
pub async fn strip_order(
    tx: &mut Tx,
    order: &Order,
    texts: &PersonalTexts,
    updated_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let id = order.id;
    let reason = order.reason.as_deref();
    let delivery = order.delivery.clone().map(|mut delivery| {
        delivery.tracking_number = None;
        Json(delivery)
    });
    execute!(
        tx,
        "UPDATE orders SET customer = ?, user_note = NULL, reason = ?, delivery = ?, updated_at = ? WHERE id = ?",
        Json(Customer::default()),
        reason.map(|reason| texts.plain_reason(reason)),
        delivery,
        updated_at,
        id
    );
    execute!(
        tx,
        "UPDATE order_items SET note = NULL WHERE order_id = ? AND note IS NOT NULL",
        id
    );
    strip_events(tx, id, texts).await?;
    strip_handoffs(tx, id, texts).await?;
    strip_callbacks(tx, id, texts).await
}

async fn strip_events(tx: &mut Tx, order: OrderId, texts: &PersonalTexts) -> Result<()> {
    for mut event in crate::events::of_orders(tx, &[order]).await? {
        let mut is_changed = texts.strip(&mut event.data);
        // A customer's name is that of their account.
        let customer = event.actor.as_mut();
        if let Some(customer) = customer.filter(|actor| actor.role == Some(Role::Customer)) {
            is_changed |= customer.name.take().is_some();
        }
        if is_changed {
            write_event(tx, &event).await?;
        }
    }
    Ok(())
}

async fn write_event(tx: &mut Tx, event: &Event) -> Result<()> {
    execute!(
        tx,
        "UPDATE events SET data = ?, actor = ? WHERE stream_id = ? AND seq = ?",
        Json(&event.data),
        event.actor.as_ref().map(Json),
        event.stream,
        event.seq
    );
    Ok(())
}

async fn strip_handoffs(tx: &mut Tx, order: OrderId, texts: &PersonalTexts) -> Result<()> {
    let handoffs: Vec<(Uuid, Option<Json<Value>>)> = fetch_all!(
        tx,
        "SELECT id, cause FROM handoffs /*! FORCE INDEX (order_id) */ WHERE order_id = ?",
        order
    );
    let ids: Vec<Uuid> = handoffs.iter().map(|(id, _)| *id).collect();
    execute_in!(tx, "UPDATE handoffs SET body = NULL, error = NULL WHERE id IN ("; &ids);
    execute_in!(tx, "UPDATE attempts SET response = NULL, error = NULL WHERE handoff_id IN ("; &ids);
    for (id, cause) in handoffs {
        let Some(Json(mut cause)) = cause else {
            continue;
        };
        if texts.strip(&mut cause) {
            execute!(
                tx,
                "UPDATE handoffs SET cause = ? WHERE id = ?",
                Json(cause),
                id
            );
        }
    }
    Ok(())
}

async fn strip_callbacks(tx: &mut Tx, order: OrderId, texts: &PersonalTexts) -> Result<()> {
    let callbacks: Vec<(Uuid, Json<Value>)> = fetch_all!(
        tx,
        "SELECT id, payload FROM callbacks /*! FORCE INDEX (callbacks_of_order) */ WHERE order_id = ?",
        order
    );
    for (id, Json(mut payload)) in callbacks {
        // An empty payload says that it was removed, so that a repeat of the whole is known as one and is not stored.
        if texts.strip(&mut payload) {
            payload = Value::Object(Map::new());
        }
        execute!(
            tx,
            "UPDATE callbacks SET payload = ?, detail = NULL WHERE id = ?",
            Json(payload),
            id
        );
    }
    Ok(())
}

/// Erases the name of a closed session that bears the person's name, in its events and in the records of people's
/// changes too. The session's row is locked.
pub async fn strip_session(tx: &mut Tx, id: SessionId, texts: &PersonalTexts) -> Result<()> {
    execute!(tx, "UPDATE sessions SET name = ? WHERE id = ?", ERASED, id);
    let events: Vec<Event> = read_all!(
        tx,
        "SELECT stream_id, seq, store_id, order_id, kind, at, actor, data FROM events \
         WHERE stream_id = ? AND order_id IS NULL ORDER BY seq LIMIT ?",
        id,
        MAX_SESSION_EVENTS
    );
    for mut event in events {
        if texts.erase_in(&mut event.data["session"]["name"]) {
            write_event(tx, &event).await?;
        }
    }
    for mut record in records(tx, OF_SUBJECT, id.uuid()).await? {
        let mut fields = Value::Object(std::mem::take(&mut record.fields));
        if texts.erase_in(&mut fields) {
            write_record(tx, record.id, &record.actor, &fields).await?;
        }
    }
    Ok(())
}

/// Erases a customer's locked account: its name, its password, its sign-ins and its user of the verification service;
/// and its name and address in the records of what it changed.
pub async fn strip_account(tx: &mut Tx, id: AccountId) -> Result<()> {
    let name = format!("{ERASED}-{id}");
    execute!(
        tx,
        "UPDATE accounts SET username = ?, username_key = ?, password_hash = ?, disabled = TRUE WHERE id = ?",
        name.as_bytes(),
        name.as_bytes(),
        ERASED,
        id
    );
    execute!(tx, "DELETE FROM refresh_tokens WHERE account_id = ?", id);
    execute!(
        tx,
        "DELETE FROM external_identities WHERE account_id = ?",
        id
    );
    for mut record in records(tx, OF_SUBJECT, id.uuid()).await? {
        for name in ["username", "external_user"] {
            if let Some(field) = record.fields.get_mut(name) {
                *field = Value::Null;
            }
        }
        forget_actor(&mut record, id);
        let fields = Value::Object(std::mem::take(&mut record.fields));
        write_record(tx, record.id, &record.actor, &fields).await?;
    }
    for mut record in records(tx, OF_ACTOR, id.uuid()).await? {
        forget_actor(&mut record, id);
        let fields = Value::Object(std::mem::take(&mut record.fields));
        write_record(tx, record.id, &record.actor, &fields).await?;
    }
    execute!(
        tx,
        "UPDATE changes SET address = NULL WHERE actor_id = ?",
        id
    );
    // Of whoever guessed its password, most likely the person.
    execute!(
        tx,
        "UPDATE changes SET address = NULL WHERE subject_id = ? AND actor_id IS NULL",
        id
    );
    Ok(())
}

fn forget_actor(record: &mut Record, id: AccountId) {
    if record.actor.id == Some(id.uuid()) {
        record.actor.name = None;
    }
}

const OF_SUBJECT: &str = "SELECT id FROM changes /*! FORCE INDEX (changes_of_subject) */ \
     WHERE subject_id = ? ORDER BY id LIMIT ?";
const OF_ACTOR: &str = "SELECT id FROM changes /*! FORCE INDEX (changes_of_actor) */ \
     WHERE actor_id = ? ORDER BY id LIMIT ?";

/// Returns the records that one of the two statements finds by this id.
async fn records(tx: &mut Tx, found_by: &'static str, id: Uuid) -> Result<Vec<Record>> {
    let ids: Vec<RecordId> = fetch_scalars!(tx, found_by, id, MAX_RECORDS);
    crate::records::read(tx, &ids).await
}

async fn write_record(
    tx: &mut Tx,
    id: RecordId,
    actor: &domain::actor::Actor,
    fields: &Value,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE changes SET actor = ?, fields = ? WHERE id = ?",
        Json(actor),
        Json(fields),
        id
    );
    Ok(())
}
