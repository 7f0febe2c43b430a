//! Tickets for the live channel, because a browser can't send a token with a WebSocket.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::api_keys::with_expiry;
use crate::{CrashPoints, Ledger, Result, in_one_transaction};
use domain::{
    account::Account,
    ids::{AccountId, OrderId, StoreId},
};
use platform::secrets::sha256;
use store::{
    StoreError,
    accounts::tickets::{self, StoredTicket},
};

/// Lifetime of a ticket.
pub const TICKET_TTL: Duration = Duration::from_secs(30);

/// Subject that a ticket lets its bearer listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketSubject {
    Order(OrderId),
    Store(StoreId),
}

impl Ledger {
    /// Issues a single-use ticket for the live channel, valid for [`TICKET_TTL`]. The caller has checked the account's
    /// permission.
    #[crate::boxed]
    pub async fn issue_ticket(
        &self,
        account: AccountId,
        subject: TicketSubject,
    ) -> Result<(String, DateTime<Utc>)> {
        let ticket = self.inner.chance.token();
        let hash = sha256(ticket.as_bytes());
        let (word, subject_id) = match subject {
            TicketSubject::Order(id) => ("order", id.uuid()),
            TicketSubject::Store(id) => ("store", id.uuid()),
        };
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let expires_at = change.now + TICKET_TTL;
            let stored = StoredTicket {
                hash,
                account,
                subject: word.to_owned(),
                subject_id,
                expires_at,
            };
            tickets::insert_ticket(&mut change.tx, &stored).await?;
            Ok((ticket.clone(), expires_at))
        })
    }

    /// Redeems a ticket; `None` if it is unknown, used or expired, or if its account was disabled since.
    #[crate::boxed]
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<Option<(Account, TicketSubject)>> {
        let hash = sha256(ticket.as_bytes());
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let Some(taken) = tickets::take_ticket(&mut change.tx, &hash).await? else {
                return Ok(None);
            };
            if taken.expires_at <= change.now {
                return Ok(None);
            }
            let subject = match taken.subject.as_str() {
                "order" => TicketSubject::Order(taken.subject_id.into()),
                "store" => TicketSubject::Store(taken.subject_id.into()),
                other => {
                    return Err(StoreError::corrupt("live_tickets", taken.subject_id, other).into());
                }
            };
            let found = match store::accounts::by_id(&mut change.tx, taken.account).await? {
                Some(found) => Some(with_expiry(&mut change.tx, found, change.now).await?),
                None => None,
            };
            let account = found
                .map(|found| found.account)
                .filter(|account| !account.disabled);
            Ok(account.map(|account| (account, subject)))
        })
    }
}
