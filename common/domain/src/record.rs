//! Records of what people changed besides orders: stores and their menus, integrators, accounts, sessions and retries.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    actor::Actor,
    ids::{RecordId, StoreId},
    words::words,
};

words! {
    pub enum Subject {
        Store = "store",
        Category = "category",
        OptionGroup = "option_group",
        Product = "product",
        Integrator = "integrator",
        Account = "account",
        ApiKey = "api_key",
        Session = "session",
        /// A message that a person had sent again.
        Handoff = "handoff",
        /// Messages that a person had sent again together.
        Retry = "retry",
        /// A customer whose data was asked for or erased; the id is that of the request.
        Customer = "customer",
    }
}

words! {
    pub enum Action {
        Created = "created",
        Edited = "edited",
        Archived = "archived",
        Deleted = "deleted",
        /// A key was ended before its time.
        Ended = "ended",
        /// The stock of a product was counted or corrected.
        StockChanged = "stock_changed",
        SecretRotated = "secret_rotated",
        /// A session was closed.
        Closed = "closed",
        CodeRenewed = "code_renewed",
        Retried = "retried",
        /// A test message was sent to an integrator.
        Tested = "tested",
        /// So many wrong passwords came for an account that no further ones are looked at for a while.
        SignInsLimited = "sign_ins_limited",
        /// The data of a customer was handed out.
        Exported = "exported",
        ErasureRequested = "erasure_requested",
        /// The data of a customer is gone.
        Erased = "erased",
    }
}

/// One change by a person or a program, with what it changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub id: RecordId,
    /// `None` for what belongs to no store, such as an operator's account.
    pub store_id: Option<StoreId>,
    pub subject: Subject,
    pub subject_id: Uuid,
    pub action: Action,
    pub at: DateTime<Utc>,
    pub actor: Actor,
    /// Client address of the request, for IPv6 its /64; `None` without a request, and for what an older version wrote.
    pub address: Option<String>,
    /// Fields that changed, each with its value before and after; a secret has none.
    pub fields: Map<String, Value>,
}

/// Fields that every change changes, or none.
const NOT_SHOWN: [&str; 4] = ["id", "store_id", "version", "created_at"];

/// Returns the fields that differ, each as `{"from","to"}`. Without a state before, all that are set.
#[must_use]
pub fn difference<T: Serialize>(before: Option<&T>, after: &T) -> Map<String, Value> {
    let members = |value: &T| match serde_json::to_value(value) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let before = before.map(members).unwrap_or_default();
    let after = members(after).into_iter();
    let shown = after.filter(|(name, _)| !NOT_SHOWN.contains(&name.as_str()));
    let changed = shown.filter_map(|(name, to)| {
        let from = before.get(&name).unwrap_or(&Value::Null);
        (*from != to).then(|| (name, json!({"from": from, "to": to})))
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_the_fields_that_changed_with_both_values() {
        let before = json!({"id": 1, "version": 1, "name": "Tea", "price": 200, "sku": null});
        let after = json!({"id": 1, "version": 2, "name": "Tea", "price": 250, "sku": "T"});
        let changed = difference(Some(&before), &after);
        assert_eq!(
            Value::from(changed),
            json!({"price": {"from": 200, "to": 250}, "sku": {"from": null, "to": "T"}})
        );
        let made = difference(None, &before);
        assert_eq!(
            Value::from(made),
            json!({"name": {"from": null, "to": "Tea"}, "price": {"from": null, "to": 200}})
        );
        assert!(difference(Some(&after), &after).is_empty());
    }
}
