//! Keys of programs: each is an account of its own, with the rights of a manager of some stores, for some actions.

use chrono::{DateTime, Utc};

use super::{
    account::{Account, Role},
    ids::{AccountId, StoreId},
    words::words,
};

/// Beginning of every key, by which people and secret scanners recognise one.
pub const PREFIX: &str = "exk_";

words! {
    /// Action that a key may be allowed. The API's access table says which operations belong to it.
    pub enum KeyAction {
        /// Reads orders, their events, and statistics.
        OrdersRead = "orders:read",
        /// Places, edits, moves and cancels orders.
        OrdersWrite = "orders:write",
        /// Reads sessions and the orders in them.
        SessionsRead = "sessions:read",
        /// Opens and closes sessions, and renews their codes.
        SessionsWrite = "sessions:write",
        /// Reads products and menus.
        MenuRead = "menu:read",
        /// Creates, edits and archives products, and changes stock.
        MenuWrite = "menu:write",
        /// Reads the settings of stores.
        StoresRead = "stores:read",
        /// Edits and pauses stores.
        StoresWrite = "stores:write",
        /// Reads handoffs, callbacks, and what is stuck.
        HandoffsRead = "handoffs:read",
        /// Retries handoffs.
        HandoffsWrite = "handoffs:write",
        /// Reads integrators and their health.
        IntegratorsRead = "integrators:read",
        /// Connects, edits, tests and archives integrators, and listens for a store's messages.
        IntegratorsWrite = "integrators:write",
        /// Opens the live channels of orders and stores.
        LiveRead = "live:read",
    }
}

/// A key as people see it. Only a hash of the key itself is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Account that the key acts as.
    pub id: AccountId,
    pub name: String,
    pub stores: Vec<StoreId>,
    pub actions: Vec<KeyAction>,
    /// Account that made it. A key ends with its maker's rights.
    pub made_by: AccountId,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Time of a use, up to a minute before the last one.
    pub last_used_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    #[must_use]
    pub fn is_in_force(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && self.expires_at.is_none_or(|until| now < until)
    }

    #[must_use]
    pub fn may(&self, action: KeyAction) -> bool {
        self.actions.contains(&action)
    }

    /// Returns the account that the key acts as, under the key's name.
    #[must_use]
    pub fn account(&self) -> Account {
        Account {
            id: self.id,
            username: self.name.clone(),
            role: Role::Manager,
            stores: self.stores.clone(),
            integrators: Vec::new(),
            disabled: self.ended_at.is_some(),
            created_at: self.created_at,
        }
    }
}

/// Returns true if the text may be a key: anything else need not be looked up.
#[must_use]
pub fn is_well_formed(key: &str) -> bool {
    key.strip_prefix(PREFIX).is_some_and(|secret| {
        let is_base64url = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        secret.len() == 43 && secret.bytes().all(is_base64url)
    })
}

/// Writes actions as they are stored.
#[must_use]
pub fn actions_to_text(actions: &[KeyAction]) -> String {
    let words: Vec<&str> = actions.iter().map(|action| action.as_str()).collect();
    words.join(" ")
}

/// Reads stored actions. One that this version does not know allows nothing.
#[must_use]
pub fn actions_from_text(text: &str) -> Vec<KeyAction> {
    text.split(' ')
        .filter_map(|word| word.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noon;

    #[test]
    fn an_action_that_is_not_known_allows_nothing_and_hides_no_other() {
        let text = actions_to_text(KeyAction::ALL);
        assert_eq!(actions_from_text(&text), KeyAction::ALL);
        assert!(text.len() <= 500, "the column is full");
        assert_eq!(
            actions_from_text("orders:write future:read menu:read"),
            [KeyAction::OrdersWrite, KeyAction::MenuRead]
        );
        assert_eq!(actions_from_text(""), []);
    }

    #[test]
    fn only_what_may_be_a_key_is_looked_up() {
        let secret = "aB3-_".repeat(9);
        let key = format!("{PREFIX}{}", &secret[..43]);
        assert!(is_well_formed(&key));
        for other in [
            "",
            "exk_",
            &key[4..],
            &format!("{key}x"),
            &key[..46],
            &format!("{}=", &key[..46]),
            &format!("EXK_{}", &key[4..]),
        ] {
            assert!(!is_well_formed(other), "{other}");
        }
    }

    #[test]
    fn a_key_is_in_force_until_it_ends_or_expires() {
        let second = chrono::TimeDelta::seconds(1);
        let key = ApiKey {
            id: AccountId::MIN,
            name: "till".to_owned(),
            stores: Vec::new(),
            actions: Vec::new(),
            made_by: AccountId::MIN,
            created_at: noon(),
            expires_at: Some(noon() + second),
            last_used_at: None,
            ended_at: None,
        };
        assert!(key.is_in_force(noon()));
        assert!(!key.is_in_force(noon() + second));
        let ended = ApiKey {
            ended_at: Some(noon()),
            expires_at: None,
            ..key
        };
        assert!(!ended.is_in_force(noon()));
    }
}
