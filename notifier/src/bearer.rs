//! Whose ticket opened a channel, and whether they would still be given one.

use domain::{
    account::Account,
    ids::{AccountId, StoreId},
    order::Order,
};

use crate::{Notifier, protocol::Close};

/// A ticket is good once, for a moment; the channel that it opened lasts for as long as this is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bearer {
    account: AccountId,
    /// `None`: listens to what is its own.
    serves: Option<StoreId>,
}

impl Bearer {
    /// `None` for an order that is nothing to this account.
    pub(crate) fn of_order(account: &Account, order: &Order) -> Option<Self> {
        let is_own = order.account_id == Some(account.id);
        let own = Self {
            account: account.id,
            serves: None,
        };
        Self::of_store(account, order.store_id).or(is_own.then_some(own))
    }

    /// `None` for a store that this account does not serve.
    pub(crate) fn of_store(account: &Account, store: StoreId) -> Option<Self> {
        account.serves(store).then_some(Self {
            account: account.id,
            serves: Some(store),
        })
    }

    /// As staff, beside whose orders they are.
    pub(crate) fn is_staff(&self) -> bool {
        self.serves.is_some()
    }

    /// Refused once the account is disabled, or serves the store no more. While the ledger can't be read nothing has
    /// changed.
    pub(crate) async fn must_still_be_allowed(&self, notifier: &Notifier) -> Result<(), Close> {
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
