//! Accounts, their roles, and in which capacity one stands towards a store.

use chrono::{DateTime, Utc};

use super::{
    ids::{AccountId, IntegratorId, StoreId},
    words::words,
};

words! {
    pub enum Role {
        /// Everything, everywhere.
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

/// Somebody (a person or a program) who can sign in. The password's hash never leaves `store` and `ledger`.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub id: AccountId,
    /// Compared as bytes.
    pub username: String,
    pub role: Role,
    /// The stores of a manager or of staff; empty for other roles.
    pub stores: Vec<StoreId>,
    /// Whose account it is, for the role `integrator`; empty for other roles. Archived ones are left out.
    pub integrators: Vec<SpokenFor>,
    pub disabled: bool,
    pub created_at: DateTime<Utc>,
}

/// An integrator that an account speaks for, and the store that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpokenFor {
    pub integrator: IntegratorId,
    pub store_id: StoreId,
}

impl Account {
    /// Staff, manager or operator of that store.
    #[must_use]
    pub fn serves(&self, store: StoreId) -> bool {
        match self.role {
            Role::Operator => true,
            Role::Manager | Role::Staff => self.stores.contains(&store),
            Role::Customer | Role::Integrator => false,
        }
    }

    /// Manager of that store, or operator.
    #[must_use]
    pub fn manages(&self, store: StoreId) -> bool {
        self.role != Role::Staff && self.serves(store)
    }

    /// The account of an integrator of that store.
    #[must_use]
    pub fn speaks_at(&self, store: StoreId) -> bool {
        self.integrators.iter().any(|one| one.store_id == store)
    }
}
