//! Accounts, their roles, and their rights at a store.

use chrono::{DateTime, Utc};

use super::{
    ids::{AccountId, IntegratorId, StoreId},
    words::words,
};

words! {
    pub enum Role {
        /// Full access to everything.
        Operator = "operator",
        /// Its own stores' settings, products, staff, integrators, retries.
        Manager = "manager",
        /// Its own stores' sessions, orders, availability, pause.
        Staff = "staff",
        /// Its own orders.
        Customer = "customer",
        /// Its own integrators' handoffs, their orders, availability and stock by sku.
        Integrator = "integrator",
    }
}

/// A person or a program that can sign in. The password hash never leaves `store` and `ledger`.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub id: AccountId,
    /// Compared as bytes when its owner signs in; no two differ by case only.
    pub username: String,
    pub role: Role,
    /// The stores of a manager or of staff; empty for other roles.
    pub stores: Vec<StoreId>,
    /// The integrators of an account with the role `integrator`, without archived ones; empty for other roles.
    pub integrators: Vec<IntegratorRef>,
    pub disabled: bool,
    pub created_at: DateTime<Utc>,
}

/// An integrator that an account acts for, and the stores that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegratorRef {
    pub integrator: IntegratorId,
    /// The first one first.
    pub stores: Vec<StoreId>,
}

impl Account {
    /// Returns true for staff and managers of the store, and for operators.
    #[must_use]
    pub fn serves(&self, store: StoreId) -> bool {
        match self.role {
            Role::Operator => true,
            Role::Manager | Role::Staff => self.stores.contains(&store),
            Role::Customer | Role::Integrator => false,
        }
    }

    /// Returns true for managers of the store, and for operators.
    #[must_use]
    pub fn manages(&self, store: StoreId) -> bool {
        self.role != Role::Staff && self.serves(store)
    }

    /// Returns true if the account acts for an integrator of the store.
    #[must_use]
    pub fn represents_integrator_at(&self, store: StoreId) -> bool {
        let mut integrators = self.integrators.iter();
        integrators.any(|one| one.stores.contains(&store))
    }
}
