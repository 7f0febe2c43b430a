//! Tickets for the live channel, stored as hashes, each for one use.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{error::Result, for_update, on, tx::Tx};
use domain::ids::AccountId;

/// A ticket as stored, by its hash.
#[derive(Clone, Debug)]
pub struct StoredTicket {
    pub hash: [u8; 32],
    pub account: AccountId,
    pub subject: String,
    pub subject_id: Uuid,
    pub expires_at: DateTime<Utc>,
}

pub async fn insert_ticket(tx: &mut Tx, ticket: &StoredTicket) -> Result<()> {
    on!(tx, |conn| {
        sqlx::query(
        "INSERT INTO live_tickets (ticket_hash, account_id, subject, subject_id, expires_at) VALUES (?, ?, ?, ?, ?)"
    )
    .bind(ticket.hash.as_slice())
    .bind(ticket.account.uuid())
    .bind(&ticket.subject)
    .bind(ticket.subject_id)
    .bind(ticket.expires_at)
    .execute(conn)
    .await?
    .rows_affected()
    });
    Ok(())
}

/// Deletes a ticket and returns it: of two callers with the same ticket, only one gets it.
pub async fn take_ticket(tx: &mut Tx, hash: &[u8; 32]) -> Result<Option<StoredTicket>> {
    let sql = for_update!(
        tx,
        "SELECT account_id, subject, subject_id, expires_at FROM live_tickets WHERE ticket_hash = ?"
    );
    let row: Option<(Uuid, String, Uuid, DateTime<Utc>)> =
        on!(&mut *tx, |conn| sqlx::query_as(sql)
            .bind(hash.as_slice())
            .fetch_optional(conn)
            .await?);
    let Some((account, subject, subject_id, expires_at)) = row else {
        return Ok(None);
    };
    on!(tx, |conn| sqlx::query(
        "DELETE FROM live_tickets WHERE ticket_hash = ?"
    )
    .bind(hash.as_slice())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(Some(StoredTicket {
        hash: *hash,
        account: account.into(),
        subject,
        subject_id,
        expires_at,
    }))
}
