//! Work that is due and not done yet: how much there is, and since when the oldest waits.

use chrono::{DateTime, Utc};

use crate::{
    error::Result, fetch_one, handoffs::an_earlier_one_is_open, outbox::MAX_COUNTED, tx::Tx,
};

/// Number of waiting pieces of work, at most [`MAX_COUNTED`], and the time from which the oldest waits.
pub type Waiting = (i64, Option<DateTime<Utc>>);

/// Counts the handoffs that a worker should send now. Those whose integrator is switched off or left alone, or which an
/// earlier one blocks, wait for something else; those of listeners are fetched.
pub async fn handoffs(tx: &mut Tx, now: DateTime<Utc>) -> Result<Waiting> {
    let mut all: Waiting = (0, None);
    for state in ["due", "waiting"] {
        let (waiting, since): Waiting = fetch_one!(
            tx,
            concat!(
                "SELECT COUNT(*), MIN(due_at) FROM (SELECT h.due_at FROM handoffs h /*! FORCE INDEX (handoffs_by_state) */ \
                 JOIN integrators i ON i.id = h.integrator_id AND i.enabled = TRUE AND i.breaker_state = 'closed' \
                   AND i.listens_until IS NULL \
                 WHERE h.state = ? AND h.due_at <= ? AND NOT ",
                an_earlier_one_is_open!(),
                " ORDER BY h.due_at LIMIT ?) w"
            ),
            state,
            now,
            MAX_COUNTED
        );
        all.0 += waiting;
        all.1 = match (all.1, since) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    all.0 = all.0.min(MAX_COUNTED);
    Ok(all)
}

/// Counts the callbacks that belong to an order and are not applied yet.
pub async fn callbacks(tx: &mut Tx) -> Result<Waiting> {
    Ok(fetch_one!(
        tx,
        "SELECT COUNT(*), MIN(received_at) FROM (SELECT received_at FROM callbacks /*! FORCE INDEX (callbacks_left_over) */ \
         WHERE applied_at IS NULL AND order_id IS NOT NULL ORDER BY received_at LIMIT ?) w",
        MAX_COUNTED
    ))
}
