//! Tickets for the live channel, stored as hashes, each for one use.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{error::Result, execute, fetch_optional, for_update, rows::Text, tx::Tx};
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
    execute!(
        tx,
        "INSERT INTO live_tickets (ticket_hash, account_id, subject, subject_id, expires_at) VALUES (?, ?, ?, ?, ?)",
        ticket.hash.as_slice(),
        ticket.account,
        &ticket.subject,
        ticket.subject_id,
        ticket.expires_at
    );
    Ok(())
}

/// Deletes a ticket and returns it: of two callers with the same ticket, only one gets it.
pub async fn take_ticket(tx: &mut Tx, hash: &[u8; 32]) -> Result<Option<StoredTicket>> {
    let sql = for_update!(
        tx,
        "SELECT account_id, subject, subject_id, expires_at FROM live_tickets WHERE ticket_hash = ?"
    );
    let row: Option<(AccountId, Text, Uuid, DateTime<Utc>)> =
        fetch_optional!(tx, sql, hash.as_slice());
    let Some((account, Text(subject), subject_id, expires_at)) = row else {
        return Ok(None);
    };
    execute!(
        tx,
        "DELETE FROM live_tickets WHERE ticket_hash = ?",
        hash.as_slice()
    );
    Ok(Some(StoredTicket {
        hash: *hash,
        account,
        subject,
        subject_id,
        expires_at,
    }))
}
