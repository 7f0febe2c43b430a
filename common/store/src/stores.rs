//! Stores, and the counters of their order numbers and of their own streams.

use sqlx::types::Json;

use crate::{
    error::Result,
    execute, fetch_optional, for_update, push_ids, read_in, read_optional,
    rows::{ReadRow, Row, read_rows},
    statements::Statement,
    tx::Tx,
};
use domain::{
    ids::StoreId,
    store::{Contact, Store},
};

/// Returns a store, archived or not: old orders still refer to it.
pub async fn get(tx: &mut Tx, id: StoreId) -> Result<Option<Store>> {
    read(tx, id, select!("WHERE id = ?")).await
}

/// Locks a store against concurrent edits and returns it, archived or not.
pub async fn lock(tx: &mut Tx, id: StoreId) -> Result<Option<Store>> {
    let sql = for_update!(tx, select!("WHERE id = ?"));
    read(tx, id, sql).await
}

/// Returns the products that exist, archived ones too, by id.
pub async fn many(tx: &mut Tx, ids: &[StoreId]) -> Result<Vec<Store>> {
    Ok(read_in!(tx, select!("WHERE id IN ("), ids, ") ORDER BY id"))
}

/// Returns stores that are not archived, by id, after `after`; with `among`, only those.
pub async fn list(
    tx: &mut Tx,
    among: Option<&[StoreId]>,
    after: Option<StoreId>,
    limit: u32,
) -> Result<Vec<Store>> {
    if among.is_some_and(<[StoreId]>::is_empty) {
        return Ok(Vec::new());
    }
    let rows = {
        let mut query = Statement::new(tx, select!("WHERE archived_at IS NULL AND id > "));
        query.push_bind(after.unwrap_or(StoreId::MIN));
        if let Some(among) = among {
            query.push(" AND id IN (");
            push_ids(&mut query, among);
            query.push(")");
        }
        query.push(" ORDER BY id LIMIT ").push_bind(limit);
        query.fetch_all(tx).await?
    };
    read_rows(rows)
}

/// Locks a store's counters and returns its last order number and its stream's last event number; `None` if there is no
/// such store.
pub async fn lock_counters(tx: &mut Tx, id: StoreId) -> Result<Option<(i64, i64)>> {
    let sql = for_update!(
        tx,
        "SELECT last_number, last_seq FROM store_counters WHERE store_id = ?"
    );
    Ok(fetch_optional!(tx, sql, id))
}

/// Inserts a store with its counters at 0.
pub async fn insert(tx: &mut Tx, store: &Store) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO stores (id, name, timezone, currency, phone, email, address, lat, lng, external_location_id, \
             auto_accept, accept_within_s, deliver_accepted_after_h, timing, paused, language, \
             archived_at, version, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        store.id,
        &store.name,
        &store.timezone,
        store.currency,
        &store.contact.phone,
        &store.contact.email,
        &store.contact.address,
        store.contact.lat,
        store.contact.lng,
        store.external_location_id.as_deref().map(str::as_bytes),
        store.auto_accept,
        i64::from(store.accept_within_s),
        store.deliver_accepted_after_h.map(i64::from),
        Json(&store.timing),
        store.paused,
        &store.language,
        store.archived_at,
        store.version,
        store.created_at
    );
    execute!(
        tx,
        "INSERT INTO store_counters (store_id, last_number, last_seq) VALUES (?, 0, 0)",
        store.id
    );
    Ok(())
}

/// Writes the editable columns if the store still has `version`, and increments it; `false` if not.
pub async fn update(tx: &mut Tx, store: &Store, version: i64) -> Result<bool> {
    let changed = execute!(
        tx,
        "UPDATE stores SET name = ?, timezone = ?, phone = ?, email = ?, address = ?, lat = ?, lng = ?, \
         external_location_id = ?, auto_accept = ?, accept_within_s = ?, deliver_accepted_after_h = ?, \
         timing = ?, paused = ?, language = ?, archived_at = ?, version = version + 1 \
         WHERE id = ? AND version = ?",
        &store.name,
        &store.timezone,
        &store.contact.phone,
        &store.contact.email,
        &store.contact.address,
        store.contact.lat,
        store.contact.lng,
        store.external_location_id.as_deref().map(str::as_bytes),
        store.auto_accept,
        i64::from(store.accept_within_s),
        store.deliver_accepted_after_h.map(i64::from),
        Json(&store.timing),
        store.paused,
        &store.language,
        store.archived_at,
        store.id,
        version
    );
    Ok(changed == 1)
}

async fn read(tx: &mut Tx, id: StoreId, sql: &'static str) -> Result<Option<Store>> {
    Ok(read_optional!(tx, sql, id))
}

/// `SELECT` of a store's columns, with the rest of the statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, timezone, currency, phone, email, address, lat, lng, external_location_id, \
             auto_accept, accept_within_s, deliver_accepted_after_h, timing, paused, language, archived_at, version, \
             created_at \
             FROM stores ",
            $rest
        )
    };
}
use select;

impl ReadRow for Store {
    const TABLE: &'static str = "stores";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            timezone: row.get("timezone")?,
            currency: row.get("currency")?,
            contact: Contact {
                phone: row.get("phone")?,
                email: row.get("email")?,
                address: row.get("address")?,
                lat: row.get("lat")?,
                lng: row.get("lng")?,
            },
            external_location_id: row.parse_optional("external_location_id", String::from_utf8)?,
            auto_accept: row.get("auto_accept")?,
            accept_within_s: row.count("accept_within_s")?,
            deliver_accepted_after_h: row
                .parse_optional("deliver_accepted_after_h", |hours: i64| {
                    u32::try_from(hours)
                })?,
            timing: row
                .get::<Option<Json<_>>>("timing")?
                .map_or_else(Default::default, |Json(it)| it),
            paused: row.get("paused")?,
            language: row.get("language")?,
            archived_at: row.get("archived_at")?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
        })
    }
}
