//! A store's rules, which stand beside its counters: intake locks and reads that row anyway.

use sqlx::types::Json;

use crate::{error::Result, execute, fetch_optional, tx::Tx};
use domain::{capacity::StoreRules, ids::StoreId};

/// Returns the store's rules; the default, if it has none.
pub async fn get(tx: &mut Tx, store: StoreId) -> Result<StoreRules> {
    let row: Option<(Option<Json<StoreRules>>,)> = fetch_optional!(
        tx,
        "SELECT rules FROM store_counters WHERE store_id = ?",
        store
    );
    let rules = row.and_then(|(rules,)| rules);
    Ok(rules.map(|Json(rules)| rules).unwrap_or_default())
}

/// Writes the store's rules, whose row is locked. The default is no rules, so that intake reads nothing.
pub async fn set(tx: &mut Tx, store: StoreId, rules: &StoreRules) -> Result<()> {
    let written = (*rules != StoreRules::default()).then_some(Json(rules));
    execute!(
        tx,
        "UPDATE store_counters SET rules = ? WHERE store_id = ?",
        written,
        store
    );
    Ok(())
}
