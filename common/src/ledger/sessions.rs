//! Sessions: opened, closed, given a fresh code.

use super::{Change, Ledger, LedgerError, Points, Result, in_one_transaction, orders};
use crate::{
    domain::{
        event::EventKind,
        ids::{SessionId, StoreId},
        order::Order,
        session::{Session, SessionState, is_code, name_key},
        status::{By, OrderStatus},
    },
    store::{self, StoreError, events::Counter},
};

/// Why a session does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefused {
    #[error("the store has an open session of this name")]
    NameTaken,
    #[error("there is no such store, or it is archived")]
    NoSuchStore,
    #[error("there is no such session, or it has another code now")]
    NoSuchSession,
}

/// A session after its close.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedSession {
    pub session: Session,
    /// The orders that have not come to their end, which the close does not wait for.
    pub unfinished: Vec<Order>,
}

impl Ledger {
    /// A name is taken while the store has an open session whose name people would take for the same.
    pub async fn open_session(
        &self,
        store: StoreId,
        name: &str,
    ) -> Result<Session, SessionRefused> {
        in_one_transaction!(&self.inner, Points::ORDERS, |change| {
            let known = store::stores::get(&mut change.tx, store).await?;
            if known.is_none_or(|store| store.archived_at.is_some()) {
                return Err(LedgerError::Refused(SessionRefused::NoSuchStore));
            }
            let chance = &self.inner.chance;
            let mut session = Session {
                id: chance.id(change.now),
                store_id: store,
                code: chance.session_code(),
                name: name.to_owned(),
                state: SessionState::Open,
                opened_at: change.now,
                closed_at: None,
                seq: 0,
            };
            match store::sessions::insert(&mut change.tx, &session, &name_key(name)).await {
                Ok(()) => {}
                // The other unique key is the code, and nobody draws 160 bits twice.
                Err(StoreError::UniqueKeyTaken) => {
                    return Err(LedgerError::Refused(SessionRefused::NameTaken));
                }
                Err(error) => return Err(error.into()),
            }
            session.seq = tell(&mut change, &session, EventKind::SessionOpened);
            Ok(session)
        })
    }

    pub async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::sessions::get(&mut tx, id).await?)
    }

    /// Also one whose code reads no more: ask [`Session::reads_at`].
    pub async fn session_by_code(&self, code: &str) -> Result<Option<Session>> {
        if !is_code(code) {
            return Ok(None);
        }
        let mut tx = self.inner.db.read().await?;
        Ok(store::sessions::by_code(&mut tx, code).await?)
    }

    /// Newest first, `limit` at most; `before` is the last of the page before.
    pub async fn sessions_of_store(
        &self,
        store: StoreId,
        state: SessionState,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::sessions::list(&mut tx, store, state, before, limit).await?)
    }

    /// Those that exist, by id.
    pub async fn sessions(&self, ids: &[SessionId]) -> Result<Vec<Session>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::sessions::many(&mut tx, ids).await?)
    }

    /// Once closed it stays as it is; closing it again only answers what is unfinished. No order lands after it.
    pub async fn close_session(&self, id: SessionId) -> Result<ClosedSession, SessionRefused> {
        self.close(id, false).await
    }

    /// The same, and everything that was accepted and not handed to a courier counts as delivered; also in a session
    /// that was closed before.
    pub async fn close_session_and_finish(
        &self,
        id: SessionId,
    ) -> Result<ClosedSession, SessionRefused> {
        self.close(id, true).await
    }

    async fn close(&self, id: SessionId, finish: bool) -> Result<ClosedSession, SessionRefused> {
        in_one_transaction!(&self.inner, Points::ORDERS, |change| {
            let mut session = lock(&mut change, id).await?;
            if session.state == SessionState::Open {
                session.state = SessionState::Closed;
                session.closed_at = Some(change.now);
                store::sessions::close(&mut change.tx, id, change.now).await?;
                session.seq = tell(&mut change, &session, EventKind::SessionClosed);
            }
            let mut unfinished = Vec::new();
            for order in store::orders::of_session(&mut change.tx, id).await? {
                if order.status.is_end() {
                    continue;
                }
                if finish && is_as_good_as_delivered(order.status) {
                    // All are locked before the first is moved: moving also locks handoffs.
                    let locked = orders::lock(&mut change, order.id).await?;
                    unfinished.extend(locked.filter(|order| !order.status.is_end()));
                } else {
                    unfinished.push(order);
                }
            }
            if finish {
                for order in &mut unfinished {
                    if is_as_good_as_delivered(order.status) {
                        session.seq += finish_order(&mut change, order).await?;
                    }
                }
                unfinished.retain(|order| !order.status.is_end());
            }
            Ok(ClosedSession {
                session,
                unfinished,
            })
        })
    }

    /// The old code stops at once. It must be the present one: of two at the same time the second is refused, so that
    /// nobody is shown a code that is dead already.
    pub async fn renew_session_code(
        &self,
        id: SessionId,
        old_code: &str,
    ) -> Result<Session, SessionRefused> {
        in_one_transaction!(&self.inner, Points::ORDERS, |change| {
            let mut session = lock(&mut change, id).await?;
            if session.code != old_code {
                return Err(LedgerError::Refused(SessionRefused::NoSuchSession));
            }
            session.code = self.inner.chance.session_code();
            store::sessions::set_code(&mut change.tx, id, &session.code).await?;
            Ok(session)
        })
    }
}

/// What stands on the table, or will in a moment.
fn is_as_good_as_delivered(status: OrderStatus) -> bool {
    matches!(
        status,
        OrderStatus::Accepted | OrderStatus::Preparing | OrderStatus::Ready
    )
}

/// How many events that was: none where the rules don't let staff say so.
async fn finish_order(change: &mut Change<'_>, order: &mut Order) -> Result<i64, SessionRefused> {
    match orders::advance(change, order, OrderStatus::Delivered, By::Staff, None, None).await {
        Ok(()) => Ok(1),
        Err(LedgerError::Refused(_)) => Ok(0),
        Err(error) => Err(error.map_refused(|_| SessionRefused::NoSuchSession)),
    }
}

async fn lock(change: &mut Change<'_>, id: SessionId) -> Result<Session, SessionRefused> {
    store::sessions::lock(&mut change.tx, id)
        .await?
        .ok_or(LedgerError::Refused(SessionRefused::NoSuchSession))
}

/// Adds the session's event to its own stream, whose row is locked or new; returns the number.
fn tell(change: &mut Change<'_>, session: &Session, kind: EventKind) -> i64 {
    let stream = session.id.into();
    change.stream_is_locked(stream, Counter::Session, session.store_id, session.seq);
    change.event(stream, None, kind, session.public_facts())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;
    use crate::testing::{House, each_database};

    /// The kinds and numbers of what a session's stream has, read back.
    async fn told(house: &House, session: SessionId) -> Vec<(i64, EventKind)> {
        let events = house
            .ledger
            .events_after(session.into(), 0, 100)
            .await
            .unwrap();
        events.iter().map(|event| (event.seq, event.kind)).collect()
    }

    fn refused<T: std::fmt::Debug>(answer: Result<T, SessionRefused>) -> SessionRefused {
        match answer {
            Err(LedgerError::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    each_database! {
        async fn twenty_opens_of_one_name_are_one(house: House) {
            let store = house.a_store().await;
            let opens = (0..20).map(|i| {
                let ledger = house.ledger.clone();
                // Names that people would take for the same.
                let name = if i % 2 == 0 { "Table 1" } else { " table  1" };
                tokio::spawn(async move { ledger.open_session(store, name).await })
            });
            let answers: Vec<_> = join_all(opens).await.into_iter().map(|done| done.unwrap()).collect();
            let (opened, refusals): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.is_ok());
            assert_eq!(opened.len(), 1);
            for refusal in refusals {
                assert_eq!(refused(refusal), SessionRefused::NameTaken);
            }
            let open = house.ledger.sessions_of_store(store, SessionState::Open, None, 100).await.unwrap();
            assert_eq!(open.len(), 1);
            assert_eq!(told(&house, open[0].id).await, [(1, EventKind::SessionOpened)]);
        }

        async fn a_closed_sessions_name_is_free_again_and_another_stores_never_was_taken(house: House) {
            let (store, other) = (house.a_store().await, house.a_store().await);
            let first = house.ledger.open_session(store, "Table 1").await.unwrap();
            house.ledger.open_session(other, "Table 1").await.unwrap();
            assert_eq!(refused(house.ledger.open_session(store, "TABLE 1").await), SessionRefused::NameTaken);
            house.ledger.close_session(first.id).await.unwrap();
            let second = house.ledger.open_session(store, "TABLE 1").await.unwrap();
            assert_ne!(first.code, second.code);
            // Two closed ones of one name are no conflict either.
            house.ledger.close_session(second.id).await.unwrap();
        }

        async fn a_store_that_is_unknown_or_archived_opens_no_session(house: House) {
            let unknown = house.chance.id(house.clock.now());
            let archived = house.a_store_like(|store| store.archived_at = Some(store.created_at)).await;
            for store in [unknown, archived] {
                assert_eq!(refused(house.ledger.open_session(store, "A").await), SessionRefused::NoSuchStore);
            }
        }

        async fn what_is_opened_is_read_back_and_its_event_tells_everything_but_the_code(house: House) {
            let store = house.a_store().await;
            let opened = house.ledger.open_session(store, "Table 1").await.unwrap();
            assert_eq!(house.ledger.session_by_code(&opened.code).await.unwrap(), Some(opened.clone()));
            assert_eq!(house.ledger.session(opened.id).await.unwrap(), Some(opened.clone()));
            assert_eq!(house.ledger.session_by_code("ac35").await.unwrap(), None);
            let events = house.ledger.events_after(opened.id.into(), 0, 10).await.unwrap();
            assert_eq!(house.woken.events(), events);
            assert_eq!(events[0].data, opened.public_facts());
            assert_eq!(events[0].data["session"]["state"], "OPEN");
            assert!(!serde_json::to_string(&events).unwrap().contains(&opened.code));
            assert_eq!(house.ledger.stream_head(opened.id.into()).await.unwrap(), Some(1));
        }

        async fn closing_at_the_same_time_and_again_closes_once(house: House) {
            let store = house.a_store().await;
            let opened = house.ledger.open_session(store, "Table 1").await.unwrap();
            house.clock.advance(Duration::from_secs(60));
            let closes = (0..8).map(|_| {
                let (ledger, id) = (house.ledger.clone(), opened.id);
                tokio::spawn(async move { ledger.close_session(id).await.unwrap().session })
            });
            let closed: Vec<_> = join_all(closes).await.into_iter().map(|done| done.unwrap()).collect();
            house.clock.advance(Duration::from_secs(60));
            let again = house.ledger.close_session(opened.id).await.unwrap();
            assert!(closed.iter().all(|session| *session == again.session));
            assert_eq!(again.unfinished, []);
            assert_eq!(again.session.state, SessionState::Closed);
            assert_eq!(again.session.closed_at, Some(opened.opened_at + chrono::TimeDelta::minutes(1)));
            assert_eq!(
                told(&house, opened.id).await,
                [(1, EventKind::SessionOpened), (2, EventKind::SessionClosed)]
            );
        }

        async fn a_close_that_finishes_delivers_what_was_accepted_and_names_what_was_not(house: House) {
            let store = house.a_store_like(|store| store.auto_accept = false).await;
            let product = house.a_product(store).await;
            let opened = house.ledger.open_session(store, "Table 1").await.unwrap();
            let mut orders = Vec::new();
            for to in [None, Some(OrderStatus::Accepted), Some(OrderStatus::Ready), Some(OrderStatus::Rejected)] {
                let order = house.a_guests_order(&opened, product).await;
                // Staff may skip steps forward, but not the acceptance.
                for status in [OrderStatus::Accepted].into_iter().filter(|_| to == Some(OrderStatus::Ready)).chain(to) {
                    house.ledger.move_order(order.id, status, By::Staff, Some("no reason")).await.unwrap();
                }
                orders.push(order.id);
            }

            let closed = house.ledger.close_session(opened.id).await.unwrap();
            let unfinished: Vec<_> = closed.unfinished.iter().map(|order| order.id).collect();
            assert_eq!(unfinished, orders[..3]);

            let finished = house.ledger.close_session_and_finish(opened.id).await.unwrap();
            let unfinished: Vec<_> = finished.unfinished.iter().map(|order| order.id).collect();
            assert_eq!(unfinished, orders[..1]);
            let statuses: Vec<_> = house.ledger.session_snapshot(&opened.code).await.unwrap().unwrap().orders
                .iter().map(|order| order.status).collect();
            use OrderStatus::{Delivered, Pending, Rejected};
            assert_eq!(statuses, [Pending, Delivered, Delivered, Rejected]);
            assert_eq!(house.ledger.session(opened.id).await.unwrap(), Some(finished.session));
            assert_eq!(house.ledger.audit().await.unwrap(), []);
        }

        async fn a_fresh_code_ends_the_old_one_and_only_one_of_two_at_once_gets_it(house: House) {
            let store = house.a_store().await;
            let opened = house.ledger.open_session(store, "Table 1").await.unwrap();
            let renewals = (0..8).map(|_| {
                let (ledger, opened) = (house.ledger.clone(), opened.clone());
                tokio::spawn(async move { ledger.renew_session_code(opened.id, &opened.code).await })
            });
            let answers: Vec<_> = join_all(renewals).await.into_iter().map(|done| done.unwrap()).collect();
            let renewed: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
            assert_eq!(renewed.len(), 1);
            assert_eq!(house.ledger.session_by_code(&opened.code).await.unwrap(), None);
            let found = house.ledger.session_by_code(&renewed[0].code).await.unwrap();
            assert_eq!(found.as_ref(), Some(renewed[0]));
            assert_eq!(told(&house, opened.id).await, [(1, EventKind::SessionOpened)]);
        }

        async fn a_list_is_paged_by_state_newest_first(house: House) {
            let store = house.a_store().await;
            let mut ids = Vec::new();
            for number in 1..=5 {
                ids.push(house.ledger.open_session(store, &format!("Table {number}")).await.unwrap().id);
            }
            house.ledger.close_session(ids[1]).await.unwrap();
            let ledger = &house.ledger;
            let page = async |state, before, limit| {
                let page = ledger.sessions_of_store(store, state, before, limit).await.unwrap();
                page.into_iter().map(|session| session.id).collect::<Vec<_>>()
            };
            assert_eq!(page(SessionState::Open, None, 3).await, [ids[4], ids[3], ids[2]]);
            assert_eq!(page(SessionState::Open, Some(ids[2]), 3).await, [ids[0]]);
            assert_eq!(page(SessionState::Closed, None, 3).await, [ids[1]]);
        }

        async fn rows_are_locked_by_id_and_those_that_do_not_exist_are_left_out(house: House) {
            let store = house.a_store().await;
            let first = house.ledger.open_session(store, "1").await.unwrap();
            let second = house.ledger.open_session(store, "2").await.unwrap();
            let unknown = house.chance.id(house.clock.now());
            let mut tx = house.db.begin().await.unwrap();
            let locked = store::sessions::lock_many(&mut tx, &[second.id, unknown, first.id]).await.unwrap();
            assert_eq!(locked, [first.clone(), second.clone()]);
            tx.rollback().await;
            assert_eq!(house.ledger.sessions(&[second.id, unknown, first.id]).await.unwrap(), [first, second]);
        }
    }
}
