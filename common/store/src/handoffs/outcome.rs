//! State changes of a handoff after an attempt, a callback or a person's decision.

use chrono::{DateTime, Utc};

use crate::{error::Result, execute, failures::shortened, fetch_scalar, tx::Tx, update_many};
use domain::{
    handoff::{Handoff, HandoffState},
    ids::{HandoffId, OrderId},
    integrator::HandoffEvent,
};

/// A locked handoff after an outcome or a decision: its lease is over.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The handoff as it is from now on.
    pub handoff: Handoff,
    /// Time of its next attempt; `None` keeps the last one.
    pub due_at: Option<DateTime<Utc>>,
}

/// Writes what outcomes change in locked handoffs, and releases their leases.
pub async fn write_moved(tx: &mut Tx, moved: &[Moved]) -> Result<()> {
    update_many!(
        tx,
        "id",
        "UPDATE handoffs /*! FORCE INDEX (PRIMARY) */ SET leased_until = NULL, ",
        moved,
        |row| row.handoff.id,
        [
            "state = " row.handoff.state, ", ";
            "reason = " row.handoff.reason.as_deref(), ", ";
            "reference = " row.handoff.reference.as_deref().map(str::as_bytes), ", ";
            "confirmed_at = " row.handoff.confirmed_at, ", ";
            "closed_at = " row.handoff.closed_at, ", ";
            "uncounted = " row.handoff.uncounted, ", ";
            "due_at = COALESCE(" row.due_at, ", due_at) WHERE id IN (";
        ]
    );
    Ok(())
}

/// A locked handoff that callbacks tell of. If an attempt is in flight, its lease stays until the outcome arrives or the
/// lease expires.
#[derive(Clone, Copy, Debug)]
pub struct Reported {
    pub id: HandoffId,
    /// True if it is acknowledged now.
    pub acknowledged: bool,
    /// True if its integrator confirms the order; an earlier confirmation is kept.
    pub confirmed: bool,
}

/// Writes what callbacks change in locked handoffs.
pub async fn write_reported(tx: &mut Tx, reported: &[Reported], now: DateTime<Utc>) -> Result<()> {
    update_many!(
        tx,
        "id",
        "UPDATE handoffs /*! FORCE INDEX (PRIMARY) */ SET ",
        reported,
        |row| row.id,
        [
            "reason = CASE WHEN " row.acknowledged, " THEN NULL ELSE reason END, ";
            "state = COALESCE(" row.acknowledged.then_some(HandoffState::Acknowledged), ", state), ";
            "closed_at = COALESCE(" row.acknowledged.then_some(now), ", closed_at), ";
            "confirmed_at = COALESCE(confirmed_at, " row.confirmed.then_some(now), ") WHERE id IN (";
        ]
    );
    Ok(())
}

/// Invalidates every outstanding lease by a new fence.
pub async fn renew_fence(tx: &mut Tx, id: HandoffId, fence: i64) -> Result<()> {
    execute!(tx, "UPDATE handoffs SET fence = ? WHERE id = ?", fence, id);
    Ok(())
}

/// Undoes a claim: one attempt fewer, in the given state, due at the given time.
pub async fn put_back(
    tx: &mut Tx,
    id: HandoffId,
    state: HandoffState,
    due_at: DateTime<Utc>,
    why: &str,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET state = ?, due_at = ?, error = ?, leased_until = NULL, attempts = attempts - 1 \
         WHERE id = ?",
        state,
        due_at,
        shortened(why),
        id
    );
    Ok(())
}

/// Returns whether a later handoff of the same order to the same integrator is waiting for this one.
pub async fn has_open_after(tx: &mut Tx, handoff: &Handoff) -> Result<bool> {
    let Some(order) = handoff.order_id else {
        return Ok(false);
    };
    let waiting: i64 = fetch_scalar!(
        tx,
        "SELECT COUNT(*) FROM handoffs /*! FORCE INDEX (order_id) */ WHERE order_id = ? AND integrator_id = ? AND position > ? \
         AND state IN ('due', 'waiting')",
        order,
        handoff.integrator_id,
        handoff.position
    );
    Ok(waiting > 0)
}

/// Returns whether its integrator was sent something newer about its order, in any round. News never overtake a
/// dispatch: as long as the order is on its way, somebody must bring it. It is sent after them.
pub async fn is_overtaken(tx: &mut Tx, handoff: &Handoff) -> Result<bool> {
    let order = handoff
        .order_id
        .filter(|_| handoff.event != HandoffEvent::OrderDispatched);
    let Some(order) = order else {
        return Ok(false);
    };
    let newer: i64 = fetch_scalar!(
        tx,
        "SELECT COUNT(*) FROM handoffs l /*! FORCE INDEX (order_id) */ WHERE l.order_id = ? AND l.integrator_id = ? AND l.position > ? \
         AND (l.attempts > 0 OR (l.round > 1 AND (SELECT COUNT(*) FROM attempts a WHERE a.handoff_id = l.id) > 0))",
        order,
        handoff.integrator_id,
        handoff.position
    );
    Ok(newer > 0)
}

/// Opens a new round of attempts at this position, due at once.
pub async fn reopen(
    tx: &mut Tx,
    id: HandoffId,
    position: i32,
    deadline: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET state = 'due', round = round + 1, attempts = 0, due_at = ?, deadline = ?, reason = NULL, \
         error = NULL, claim_failures = 0, leased_until = NULL, closed_at = NULL, uncounted = 0, position = ? \
         WHERE id = ?",
        now,
        deadline,
        position,
        id
    );
    Ok(())
}

/// Sets a new time for the first attempt of an order's handoffs that nobody has tried, with its deadline, and the
/// deadline of what is to be sent after it.
pub async fn reschedule(
    tx: &mut Tx,
    order: OrderId,
    due_at: DateTime<Utc>,
    deadline: DateTime<Utc>,
    later_deadline: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs /*! FORCE INDEX (order_id) */ SET \
         due_at = CASE WHEN event = 'order.placed' THEN ? ELSE due_at END, \
         deadline = CASE WHEN event = 'order.placed' THEN ? ELSE ? END \
         WHERE order_id = ? AND state = 'due' AND round = 1 AND attempts = 0",
        due_at,
        deadline,
        later_deadline,
        order
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use each_database::each_database;

    use super::*;
    use crate::{
        attempts::{self, Ended, NewAttempt},
        handoffs::{NewClaim, NewHandoff, claim, insert, lock},
        testing::TestDb,
    };
    use domain::handoff::AttemptOutcome;

    #[each_database(store)]
    async fn rows_that_differ_are_written_each_with_its_own_values_in_one_statement(house: TestDb) {
        let now = house.clock.now();
        let at = |micros: i64| now + chrono::TimeDelta::microseconds(micros);
        let order: OrderId = house.chance.id(now);
        let made: Vec<NewHandoff> = (0..13)
            .map(|n| NewHandoff {
                id: house.chance.id(now),
                store_id: house.chance.id(now),
                order_id: Some(order),
                integrator_id: house.chance.id(now),
                position: n,
                event: HandoffEvent::OrderPlaced,
                required: true,
                max_attempts: 5,
                due_at: at(1),
                deadline: at(900_000_000),
                cause: None,
                created_at: now,
            })
            .collect();
        let mut tx = house.db.begin().await.unwrap();
        insert(&mut tx, &made).await.unwrap();
        let bytes = |n: usize| vec![0xff, 0x00, b'\'', b'\\', u8::try_from(n).unwrap()];
        let claims: Vec<NewClaim> = made
            .iter()
            .enumerate()
            .map(|(n, new)| NewClaim {
                id: new.id,
                attempts: 1,
                fence: i64::MIN + n as i64,
                leased_until: at(5),
                body: (n % 3 != 0).then(|| bytes(n)),
            })
            .collect();
        claim(&mut tx, &claims).await.unwrap();
        let begun: Vec<NewAttempt> = made
            .iter()
            .map(|new| NewAttempt {
                id: house.chance.id(now),
                handoff_id: new.id,
                round: 1,
                n: 1,
                fence: 1,
                started_at: now,
            })
            .collect();
        attempts::insert(&mut tx, &begun).await.unwrap();
        let ended: Vec<Ended> = made
            .iter()
            .enumerate()
            .map(|(n, new)| Ended {
                handoff_id: new.id,
                round: 1,
                // There is no such attempt of the last one.
                n: if n == 12 { 2 } else { 1 },
                outcome: if n % 2 == 0 {
                    AttemptOutcome::Retry
                } else {
                    AttemptOutcome::Unknown
                },
                counted: n % 4 != 0,
                http_status: (n % 2 == 0).then_some(500),
                error: (n % 2 == 1).then(|| format!("früh 🫖 {n}")),
                answer: (n % 5 == 0).then(|| bytes(n)),
                at: at(n as i64),
            })
            .collect();
        attempts::end(&mut tx, &ended).await.unwrap();
        let mut moved = Vec::new();
        for (n, new) in made.iter().enumerate() {
            let stored = lock(&mut tx, new.id).await.unwrap().unwrap();
            assert_eq!(stored.body, (n % 3 != 0).then(|| bytes(n)), "{n}");
            assert_eq!(
                (stored.fence, stored.leased_until),
                (i64::MIN + n as i64, Some(at(5)))
            );
            let mut handoff = stored.handoff;
            let is_retry = n % 2 == 0;
            handoff.state = if is_retry {
                HandoffState::Waiting
            } else {
                HandoffState::Failed
            };
            handoff.next_attempt_at = is_retry.then(|| at(if n == 4 { 1 } else { n as i64 + 7 }));
            handoff.reason = (!is_retry).then(|| "refused".to_owned());
            handoff.reference = (n % 3 == 0).then(|| format!("ö'\\{n}"));
            handoff.closed_at = (!is_retry).then(|| at(n as i64));
            handoff.confirmed_at = (n == 3).then(|| at(3));
            handoff.uncounted = u32::from(n == 2);
            let due_at = handoff.next_attempt_at.filter(|_| n != 4);
            moved.push(Moved { handoff, due_at });
        }
        write_moved(&mut tx, &moved).await.unwrap();
        for (n, moved) in moved.iter().enumerate() {
            let stored = lock(&mut tx, moved.handoff.id).await.unwrap().unwrap();
            assert_eq!(stored.handoff, moved.handoff, "{n}");
            assert_eq!(stored.leased_until, None);
            let attempt = attempts::of_handoff(&mut tx, moved.handoff.id)
                .await
                .unwrap();
            let (attempt, ended) = (&attempt[0], &ended[n]);
            if n == 12 {
                assert_eq!(attempt.outcome, None);
                continue;
            }
            assert_eq!(attempt.ended_at, Some(ended.at), "{n}");
            assert_eq!(attempt.outcome, Some(ended.outcome), "{n}");
            assert_eq!(attempt.counted, ended.counted, "{n}");
            assert_eq!(attempt.http_status, ended.http_status, "{n}");
            assert_eq!(attempt.error, ended.error, "{n}");
            assert_eq!(attempt.response.is_some(), ended.answer.is_some(), "{n}");
        }
    }
}
