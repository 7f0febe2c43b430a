//! Holder of the ticket that opened a channel, and the check that the account is still allowed.

use domain::{
    account::Account,
    ids::{AccountId, StoreId},
    order::Order,
};

use crate::{Notifier, protocol::Close};

/// Account that opened a channel with a ticket. A ticket is valid once and briefly; its channel stays open for as long
/// as the account is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TicketHolder {
    account: AccountId,
    /// Store whose staff the account is; `None` if it listens to its own order.
    serves: Option<StoreId>,
}

impl TicketHolder {
    /// Returns the holder for an order; `None` if the account may not see it.
    pub(crate) fn for_order(account: &Account, order: &Order) -> Option<Self> {
        let is_own = order.account_id == Some(account.id);
        let own = Self {
            account: account.id,
            serves: None,
        };
        Self::for_store(account, order.store_id).or(is_own.then_some(own))
    }

    /// Returns the holder for a store; `None` if the account does not serve it.
    pub(crate) fn for_store(account: &Account, store: StoreId) -> Option<Self> {
        account.serves(store).then_some(Self {
            account: account.id,
            serves: Some(store),
        })
    }

    /// Returns true if the account listens as staff, not as the order's owner.
    pub(crate) fn is_staff(&self) -> bool {
        self.serves.is_some()
    }

    /// Refuses an account that is disabled or no longer serves the store. If the ledger cannot be read, the channel
    /// stays open.
    pub(crate) async fn check_still_allowed(&self, notifier: &Notifier) -> Result<(), Close> {
        let read = notifier.read(async |ledger| ledger.credentials_of(self.account).await);
        match read.await {
            Err(Close::TryAgain) => Ok(()),
            Err(close) => Err(close),
            Ok(Some(now)) if self.is_allowed(&now.account) => Ok(()),
            Ok(_) => Err(Close::Revoked),
        }
    }

    fn is_allowed(&self, now: &Account) -> bool {
        !now.disabled && self.serves.is_none_or(|store| now.serves(store))
    }
}
