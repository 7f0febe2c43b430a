//! Locks orders together with their sessions, past those that others hold.

use super::{OrderRow, columns, with_items};
use crate::{
    error::Result,
    read_in,
    rows::{ReadRow, Row},
    tx::Tx,
};
use domain::{
    ids::{OrderId, SessionId},
    order::Order,
};

/// A locked order. Its session, if it has one, is locked too.
#[derive(Clone, Debug)]
pub struct Available {
    pub order: Order,
    /// Last number of the order's own stream.
    pub last_seq: i64,
    /// Last number of the session's stream; `None` if the order has no session.
    pub session_seq: Option<i64>,
}

/// Orders that were locked, and sessions of others that somebody holds.
#[derive(Clone, Debug, Default)]
pub struct Availables {
    pub locked: Vec<Available>,
    pub held_sessions: Vec<SessionId>,
}

struct AvailableRow {
    row: OrderRow,
    session_seq: Option<i64>,
}

/// Locks orders and their sessions with one statement, by id, and skips what another transaction has locked. Nobody is
/// waited for, so sessions need not be locked before orders here. If only its session is held, an order is locked for
/// nothing until the end of the transaction.
pub async fn lock_available_with_sessions(tx: &mut Tx, ids: &[OrderId]) -> Result<Availables> {
    // SQLite has one writer and no row locks.
    let end = tx.pick(") ORDER BY o.id FOR UPDATE SKIP LOCKED", ") ORDER BY o.id");
    let rows: Vec<AvailableRow> = read_in!(
        tx,
        concat!(
            "SELECT ",
            columns!(),
            ", s.name AS session_name, s.last_seq AS session_seq FROM orders o /*! FORCE INDEX (PRIMARY) */ \
             LEFT JOIN sessions s /*! FORCE INDEX (PRIMARY) */ ON s.id = o.session_id WHERE o.id IN ("
        ),
        ids,
        end
    );
    let (mut free, mut held_sessions) = (Vec::new(), Vec::new());
    for row in rows {
        match &row.row.order.session {
            Some(session) if row.session_seq.is_none() => held_sessions.push(session.id),
            _ => free.push(row),
        }
    }
    let seqs: Vec<_> = free
        .iter()
        .map(|row| (row.row.last_seq, row.session_seq))
        .collect();
    let orders = with_items(tx, free.into_iter().map(|row| row.row).collect()).await?;
    let locked = orders.into_iter().zip(seqs);
    Ok(Availables {
        locked: locked
            .map(|(order, (last_seq, session_seq))| Available {
                order,
                last_seq,
                session_seq,
            })
            .collect(),
        held_sessions,
    })
}

impl ReadRow for AvailableRow {
    const TABLE: &'static str = OrderRow::TABLE;

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            row: OrderRow::read(row)?,
            session_seq: row.get("session_seq")?,
        })
    }
}
