//! The ledger's epoch: a database that lost commits gives the same numbers out again, so whatever was given out before
//! is void from then on ([ADR 28](../../../docs/adr/0028-streams-have-an-epoch.md)).

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::{Change, CrashPoints, Failure, Ledger, Result, in_one_transaction};
use domain::{
    event::Event,
    ids::{EpochId, StreamId, min_id_at},
    retention::MIN_AGE,
};
use store::{StoreError, Tx, epochs::Epoch};

/// Number of events remembered. A database loses its last commits, so the last events are the ones to look for.
const MAX_WITNESSES: usize = 128;
/// Number of replaced epochs remembered; the database must not go back to one of them.
const MAX_REPLACED: usize = 64;

/// Memory of this process of what the database must have.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    epoch: Option<EpochId>,
    /// Epochs that this process knew before the current one.
    replaced: VecDeque<EpochId>,
    witnesses: VecDeque<Witness>,
}

/// Event that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Witness {
    stream: StreamId,
    seq: i64,
    /// `None` if only its number is known.
    at: Option<DateTime<Utc>>,
}

/// Database as one transaction sees it.
struct Found {
    epoch: Option<Epoch>,
    home: Option<Vec<u8>>,
    /// The first witness that is missing or is another event now.
    lost: Option<Witness>,
}

/// Reason for a new epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// There is no epoch yet.
    First,
    /// SQLite, at the start of a process: a file that was restored looks like any other.
    Restart,
    /// Another server than that on which the epoch began.
    OtherServer,
    /// The database has an epoch that was replaced.
    OldEpoch,
    Lost(Witness),
    Asked,
}

impl Memory {
    /// Remembers an event that was committed.
    pub(crate) fn note(&self, event: &Event) {
        self.remember(Witness {
            stream: event.stream,
            seq: event.seq,
            at: Some(event.at),
        });
    }

    fn remember(&self, witness: Witness) {
        let mut remembered = self.0.lock();
        if remembered.witnesses.len() == MAX_WITNESSES {
            remembered.witnesses.pop_front();
        }
        remembered.witnesses.push_back(witness);
    }

    fn witnesses(&self) -> Vec<Witness> {
        self.0.lock().witnesses.iter().copied().collect()
    }

    /// Notes the database's epoch. What was known in another one counts no more.
    fn adopt(&self, epoch: EpochId) {
        let mut remembered = self.0.lock();
        if remembered.replaced.contains(&epoch) {
            // Read before another task adopted its successor.
            return;
        }
        match remembered.epoch.replace(epoch) {
            Some(old) if old != epoch => {
                remembered.witnesses.clear();
                if remembered.replaced.len() == MAX_REPLACED {
                    remembered.replaced.pop_front();
                }
                remembered.replaced.push_back(old);
            }
            _ => {}
        }
    }

    /// Returns why the numbers given out so far are void; `None` if they are not, or if another process has said so.
    fn judge(&self, found: &Found) -> Option<Reason> {
        let remembered = self.0.lock();
        let Some(epoch) = &found.epoch else {
            return Some(Reason::First);
        };
        if remembered.replaced.contains(&epoch.id) {
            return Some(Reason::OldEpoch);
        }
        match &found.home {
            None if remembered.epoch.is_none() => return Some(Reason::Restart),
            Some(home) if *home != epoch.home => return Some(Reason::OtherServer),
            _ => {}
        }
        let is_known = remembered.epoch == Some(epoch.id);
        found.lost.filter(|_| is_known).map(Reason::Lost)
    }
}

impl Ledger {
    /// Remembers an event that was heard of: the database must have it from now on.
    pub fn note_event(&self, event: &Event) {
        self.inner.epochs.note(event);
    }

    /// Remembers that a stream had reached a number.
    pub fn note_number(&self, stream: StreamId, seq: i64) {
        self.inner.epochs.remember(Witness {
            stream,
            seq,
            at: None,
        });
    }

    /// Returns the epoch of the database. Begins a new one if the database lost an event that this process knows, went
    /// back to an epoch that was replaced, or is another server than before.
    #[crate::boxed]
    pub async fn check_epoch(&self) -> Result<EpochId> {
        let memory = &self.inner.epochs;
        let found = {
            let mut tx = self.inner.db.read().await?;
            look(&mut tx, &memory.witnesses(), self.inner.clock.now()).await?
        };
        match (memory.judge(&found), found.epoch) {
            (None, Some(epoch)) => {
                memory.adopt(epoch.id);
                Ok(epoch.id)
            }
            _ => self.begin_epoch(None).await,
        }
    }

    /// Begins a new epoch in any case, for an operator who knows that the database lost commits.
    #[crate::boxed]
    pub async fn renew_epoch(&self) -> Result<EpochId> {
        self.begin_epoch(Some(Reason::Asked)).await
    }

    /// Judges once more where the changes are made, and begins a new epoch if that is so.
    async fn begin_epoch(&self, asked: Option<Reason>) -> Result<EpochId> {
        let mut epoch = self.try_begin_epoch(asked).await;
        if matches!(epoch, Err(Failure::Store(StoreError::UniqueKeyTaken))) {
            // Another process has inserted the row meanwhile.
            epoch = self.try_begin_epoch(asked).await;
        }
        let epoch = epoch?;
        self.inner.epochs.adopt(epoch);
        Ok(epoch)
    }

    async fn try_begin_epoch(&self, asked: Option<Reason>) -> Result<EpochId> {
        let memory = &self.inner.epochs;
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            store::epochs::lock(&mut change.tx).await?;
            let found = look(&mut change.tx, &memory.witnesses(), change.now).await?;
            match (asked.or(memory.judge(&found)), found.epoch) {
                (None, Some(epoch)) => Ok(epoch.id),
                (reason, old) => begin(change, reason, old, found.home).await,
            }
        })
    }
}

async fn begin(
    change: &mut Change<'_>,
    reason: Option<Reason>,
    old: Option<Epoch>,
    home: Option<Vec<u8>>,
) -> Result<EpochId> {
    let epoch = Epoch {
        id: change.inner.chance.id(change.now),
        home: home.unwrap_or_default(),
    };
    match (&old, reason) {
        (None, _) => store::epochs::insert(&mut change.tx, &epoch, change.now).await?,
        (Some(_), _) => store::epochs::replace(&mut change.tx, &epoch, change.now).await?,
    }
    match reason {
        Some(Reason::Lost(Witness { stream, seq, .. })) => tracing::error!(
            %stream, seq, epoch = %epoch.id,
            "the database lost commits: event {seq} of stream {stream} is missing or is another one; all screens begin \
             anew (docs/operations.md, \"After a takeover or a restore\")"
        ),
        Some(Reason::OldEpoch) => tracing::error!(
            epoch = %epoch.id,
            "the database went back to an epoch that had been replaced; all screens begin anew \
             (docs/operations.md, \"After a takeover or a restore\")"
        ),
        Some(Reason::OtherServer) => tracing::warn!(
            epoch = %epoch.id,
            "another database server than before; in case it lacks commits, all screens begin anew"
        ),
        Some(Reason::First | Reason::Restart | Reason::Asked) | None => {
            tracing::debug!(epoch = %epoch.id, ?reason, "new epoch");
        }
    }
    Ok(epoch.id)
}

/// Reads everything that the judgement needs.
async fn look(tx: &mut Tx, witnesses: &[Witness], now: DateTime<Utc>) -> Result<Found> {
    let epoch = store::epochs::get(tx).await?;
    let home = store::epochs::home(tx).await?;
    let events: Vec<_> = witnesses
        .iter()
        .map(|event| (event.stream, event.seq))
        .collect();
    let times = store::epochs::times_of(tx, &events).await?;
    let mut streams: Vec<StreamId> = witnesses.iter().map(|event| event.stream).collect();
    streams.sort_unstable();
    streams.dedup();
    let heads: HashMap<_, _> = store::events::heads(tx, &streams)
        .await?
        .into_iter()
        .collect();
    // What is older may have been deleted by retention.
    let kept_from = now - MIN_AGE;
    let is_there = |witness: &&Witness| {
        let Some(reached) = heads.get(&witness.stream) else {
            return witness.stream.uuid() < min_id_at(kept_from);
        };
        let is_same = |at: DateTime<Utc>| match times.get(&(witness.stream, witness.seq)) {
            Some(time) => at == *time,
            None => at < kept_from,
        };
        *reached >= witness.seq && witness.at.is_none_or(is_same)
    };
    let lost = witnesses.iter().find(|witness| !is_there(witness)).copied();
    Ok(Found { epoch, home, lost })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use each_database::each_database;
    use store::testing::run;

    use super::*;
    use crate::{NoWake, testing::TestLedger};
    use domain::session::Session;
    use std::sync::Arc;

    /// Takes the last event of every stream back, as a takeover by a server that lacks the last commits does.
    async fn lose_last_events(house: &TestLedger) {
        let mut tx = house.db.begin().await.unwrap();
        for statement in [
            "DELETE FROM events WHERE seq = 2",
            "UPDATE sessions SET last_seq = 1",
            "DELETE FROM outbox",
        ] {
            run(&mut tx, statement).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Renews the session's code, which is one event.
    async fn one_event(ledger: &Ledger, session: &Session) {
        let now = ledger.sessions(&[session.id]).await.unwrap();
        let renewed = ledger.renew_session_code(session.id, &now[0].code).await;
        renewed.unwrap();
    }

    #[each_database]
    async fn an_epoch_lasts_as_long_as_nothing_is_lost(house: TestLedger) {
        let (ledger, other) = (&house.ledger, house.ledger_with_wake(Arc::new(NoWake)));
        let epoch = ledger.check_epoch().await.unwrap();
        let store = house.create_store().await;
        let session = ledger.open_session(store, "1").await.unwrap();
        one_event(ledger, &session).await;
        assert_eq!(ledger.check_epoch().await.unwrap(), epoch);
        let asked = other.renew_epoch().await.unwrap();
        assert_ne!(asked, epoch);
        assert_eq!(ledger.check_epoch().await.unwrap(), asked);
        assert_eq!(other.check_epoch().await.unwrap(), asked);
    }

    #[each_database]
    async fn a_number_that_went_back_begins_an_epoch_once_for_all_processes(house: TestLedger) {
        let (ledger, other) = (&house.ledger, house.ledger_with_wake(Arc::new(NoWake)));
        let store = house.create_store().await;
        let session = ledger.open_session(store, "1").await.unwrap();
        other.check_epoch().await.unwrap();
        let epoch = ledger.check_epoch().await.unwrap();
        assert_eq!(other.check_epoch().await.unwrap(), epoch);
        one_event(ledger, &session).await;
        // The other process was told of it.
        let told = other.events_after(session.id.into(), 1, 1).await.unwrap();
        other.note_event(&told[0]);
        lose_last_events(&house).await;
        let (one, two) = tokio::join!(ledger.check_epoch(), other.check_epoch());
        let now = ledger.check_epoch().await.unwrap();
        assert_ne!(now, epoch);
        assert!(one.unwrap() == now || two.unwrap() == now);
        assert_eq!(other.check_epoch().await.unwrap(), now);
        assert_eq!(ledger.check_epoch().await.unwrap(), now);
    }

    #[each_database]
    async fn a_number_that_was_given_out_again_is_known_by_its_time(house: TestLedger) {
        let ledger = &house.ledger;
        let store = house.create_store().await;
        let session = ledger.open_session(store, "1").await.unwrap();
        let epoch = ledger.check_epoch().await.unwrap();
        one_event(ledger, &session).await;
        lose_last_events(&house).await;
        house.clock.advance(std::time::Duration::from_micros(1));
        // Another process, so that this one remembers the lost event only.
        let other = house.ledger_with_wake(Arc::new(NoWake));
        one_event(&other, &session).await;
        one_event(&other, &session).await;
        let renewed = ledger.check_epoch().await.unwrap();
        assert_ne!(renewed, epoch);
        assert_eq!(ledger.check_epoch().await.unwrap(), renewed);
    }

    #[each_database]
    async fn a_stream_that_was_only_read_is_known_by_its_number(house: TestLedger) {
        let store = house.create_store().await;
        let session = house.ledger.open_session(store, "1").await.unwrap();
        one_event(&house.ledger, &session).await;
        let reader = house.ledger_with_wake(Arc::new(NoWake));
        let epoch = reader.check_epoch().await.unwrap();
        reader.note_number(session.id.into(), 2);
        assert_eq!(reader.check_epoch().await.unwrap(), epoch);
        lose_last_events(&house).await;
        assert_ne!(reader.check_epoch().await.unwrap(), epoch);
    }

    /// Covers a second takeover, which lacks the epoch that the first one began.
    #[each_database]
    async fn an_epoch_that_was_replaced_does_not_come_back(house: TestLedger) {
        let ledger = &house.ledger;
        let first = ledger.check_epoch().await.unwrap();
        let second = ledger.renew_epoch().await.unwrap();
        let mut tx = house.db.begin().await.unwrap();
        let mut back = store::epochs::lock(&mut tx).await.unwrap().unwrap();
        back.id = first;
        let then = house.clock.now() - TimeDelta::hours(1);
        store::epochs::replace(&mut tx, &back, then).await.unwrap();
        tx.commit().await.unwrap();
        let third = ledger.check_epoch().await.unwrap();
        assert!(![first, second].contains(&third));
    }

    #[each_database]
    async fn another_server_is_another_epoch(house: TestLedger) {
        let epoch = house.ledger.check_epoch().await.unwrap();
        let mut tx = house.db.begin().await.unwrap();
        run(&mut tx, "UPDATE ledger_epoch SET home = x'01'")
            .await
            .unwrap();
        let on_sqlite = matches!(tx, Tx::Sqlite(..));
        tx.commit().await.unwrap();
        let now = house.ledger.check_epoch().await.unwrap();
        assert_eq!(now == epoch, on_sqlite, "a file has no server");
        assert_eq!(house.ledger.check_epoch().await.unwrap(), now);
    }

    #[each_database]
    async fn a_new_process_trusts_a_server_and_not_a_file(house: TestLedger) {
        let epoch = house.ledger.check_epoch().await.unwrap();
        let next = house.ledger_with_wake(Arc::new(NoWake));
        let now = next.check_epoch().await.unwrap();
        let tx = house.db.read().await.unwrap();
        assert_eq!(now == epoch, matches!(tx, Tx::MySql(..)));
    }
}
