//! Sessions: opening and closing them, and renewing their codes.

use serde_json::{Map, json};

use super::{
    Change, ChangeError, ChangeResult, CrashPoints, Ledger, Refusal, Result, events::bounded,
    in_one_transaction, orders, records::About,
};
use domain::{
    event::EventKind,
    ids::{SessionId, StoreId},
    name,
    order::Order,
    record::{Action, Subject},
    session::{Session, SessionState, is_code},
    status::{By, OrderStatus},
};
use store::{StoreError, events::Counter};

/// Maximum stores of one list of sessions.
const MAX_STORES: u32 = 1000;

/// Maximum number of a session's unfinished orders that are looked at; its limit is far below.
const MAX_UNFINISHED: u32 = 10_000;

/// Why a change to a session is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefused {
    #[error("the store already has an open session with this name")]
    NameTaken,
    #[error("the store does not exist or is archived")]
    NoSuchStore,
    #[error("the session does not exist, or its code was renewed")]
    NoSuchSession,
    /// Possible only with a code that was generated elsewhere: 160 random bits do not repeat.
    #[error("another session has this code")]
    CodeTaken,
}

impl Refusal for SessionRefused {}

/// A closed session and its unfinished orders.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedSession {
    pub session: Session,
    /// Orders that have not ended, oldest first; closing does not wait for them. If they are too long for one answer,
    /// these are the newest.
    pub unfinished: Vec<Order>,
    /// Number of all orders that have not ended.
    pub unfinished_count: u32,
}

impl Ledger {
    /// Opens a session. Its name must differ from those of the store's open sessions, also in the eyes of people.
    #[crate::boxed]
    pub async fn open_session(
        &self,
        store: StoreId,
        name: &str,
    ) -> ChangeResult<Session, SessionRefused> {
        let code = self.inner.chance.session_code();
        self.open_session_with_code(store, name, &code).await
    }

    /// Opens a session with a code that was generated elsewhere.
    #[crate::boxed]
    pub async fn open_session_with_code(
        &self,
        store: StoreId,
        name: &str,
        code: &str,
    ) -> ChangeResult<Session, SessionRefused> {
        in_one_transaction!(&self.inner, CrashPoints::ORDERS, |change| {
            let known = store::stores::get(&mut change.tx, store).await?;
            if known.is_none_or(|store| store.archived_at.is_some()) {
                return Err(SessionRefused::NoSuchStore.into());
            }
            let mut session = Session {
                id: self.inner.chance.id(change.now),
                store_id: store,
                code: code.to_owned(),
                name: name.to_owned(),
                state: SessionState::Open,
                opened_at: change.now,
                closed_at: None,
                seq: 0,
            };
            match store::sessions::insert(&mut change.tx, &session, &name::key(name)).await {
                Ok(()) => {}
                Err(StoreError::UniqueKeyTaken) => {
                    let refused = taken_key_refusal(change, code).await?;
                    return Err(refused.into());
                }
                Err(error) => return Err(error.into()),
            }
            session.seq = add_event(change, &session, EventKind::SessionOpened);
            record(change, &session, Action::Created);
            change.set_resource(session.id.uuid());
            Ok(session)
        })
    }

    /// Returns true if the store has an open session with this name right now.
    #[crate::boxed]
    pub async fn is_session_open(&self, store: StoreId, name: &str) -> Result<bool> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::sessions::is_open(&mut tx, store, &name::key(name)).await?)
    }

    #[crate::boxed]
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::sessions::get(&mut tx, id).await?)
    }

    /// Finds a session by its code, also one whose code no longer gives access: ask [`Session::is_readable_at`].
    #[crate::boxed]
    pub async fn session_by_code(&self, code: &str) -> Result<Option<Session>> {
        if !is_code(code) {
            return Ok(None);
        }
        let mut tx = self.inner.db.read().await?;
        Ok(store::sessions::by_code(&mut tx, code).await?)
    }

    /// Lists a store's sessions, newest first, at most `limit`; `before` is the last of the previous page.
    #[crate::boxed]
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

    /// Lists the sessions of several stores, or of all that are not archived, as [`Self::sessions_of_store`] does.
    #[crate::boxed]
    pub async fn sessions_of_stores(
        &self,
        stores: Option<&[StoreId]>,
        state: SessionState,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>> {
        let mut tx = self.inner.db.read().await?;
        let mut stores = match stores {
            Some(stores) => stores.to_vec(),
            None => store::stores::list(&mut tx, None, None, MAX_STORES)
                .await?
                .into_iter()
                .map(|store| store.id)
                .collect(),
        };
        stores.dedup();
        // Store by store, each by its index: one statement for all might read every session there ever was.
        let mut newest = Vec::new();
        for store in stores {
            newest.extend(store::sessions::list(&mut tx, store, state, before, limit).await?);
        }
        newest.sort_unstable_by_key(|session: &Session| std::cmp::Reverse(session.id));
        newest.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(newest)
    }

    /// Returns those of these sessions that exist, by id.
    #[crate::boxed]
    pub async fn sessions(&self, ids: &[SessionId]) -> Result<Vec<Session>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::sessions::many(&mut tx, ids).await?)
    }

    /// Closes a session; no order is added after it. Idempotent: closing it again only returns the unfinished orders.
    #[crate::boxed]
    pub async fn close_session(
        &self,
        id: SessionId,
    ) -> ChangeResult<ClosedSession, SessionRefused> {
        self.close(id, false).await
    }

    /// Closes a session, also one that is closed already, and moves every order that was accepted and not handed to a
    /// courier to delivered.
    #[crate::boxed]
    pub async fn finish_session(
        &self,
        id: SessionId,
    ) -> ChangeResult<ClosedSession, SessionRefused> {
        self.close(id, true).await
    }

    async fn close(
        &self,
        id: SessionId,
        finish: bool,
    ) -> ChangeResult<ClosedSession, SessionRefused> {
        in_one_transaction!(&self.inner, CrashPoints::ORDERS, |change| {
            let mut session = lock(change, id).await?;
            if session.state == SessionState::Open {
                session.state = SessionState::Closed;
                session.closed_at = Some(change.now);
                store::sessions::close(&mut change.tx, id, change.now).await?;
                session.seq = add_event(change, &session, EventKind::SessionClosed);
                record(change, &session, Action::Closed);
            }
            if finish {
                session.seq += finish_orders(change, id).await?;
            }
            let tx = &mut change.tx;
            let ids = store::orders::unfinished_of_session(tx, id, MAX_UNFINISHED).await?;
            let max_bytes = self.inner.settings.bounds.snapshot_bytes;
            let mut unfinished = bounded::orders(tx, &ids, max_bytes).await?;
            unfinished.reverse();
            change.set_resource(id.uuid());
            Ok(ClosedSession {
                session,
                unfinished,
                unfinished_count: u32::try_from(ids.len()).unwrap_or(MAX_UNFINISHED),
            })
        })
    }

    /// Replaces a session's code: the old one stops working at once, and clients that listen with it are disconnected.
    /// `old_code` must be the current one: of two renewals at the same time the second is refused, so that nobody is
    /// shown a dead code.
    #[crate::boxed]
    pub async fn renew_session_code(
        &self,
        id: SessionId,
        old_code: &str,
    ) -> ChangeResult<Session, SessionRefused> {
        let code = self.inner.chance.session_code();
        self.set_session_code(id, old_code, &code).await
    }

    /// Replaces a session's code with one that was generated elsewhere.
    #[crate::boxed]
    pub async fn set_session_code(
        &self,
        id: SessionId,
        old_code: &str,
        code: &str,
    ) -> ChangeResult<Session, SessionRefused> {
        in_one_transaction!(&self.inner, CrashPoints::ORDERS, |change| {
            let mut session = lock(change, id).await?;
            if session.code != old_code {
                return Err(SessionRefused::NoSuchSession.into());
            }
            code.clone_into(&mut session.code);
            match store::sessions::set_code(&mut change.tx, id, code).await {
                Err(StoreError::UniqueKeyTaken) => {
                    return Err(SessionRefused::CodeTaken.into());
                }
                done => done?,
            }
            session.seq = add_event(change, &session, EventKind::SessionCodeRenewed);
            record(change, &session, Action::CodeRenewed);
            change.set_resource(id.uuid());
            Ok(session)
        })
    }
}

/// Moves the orders that [`can_be_finished`] to delivered; returns the number of events.
async fn finish_orders(change: &mut Change<'_>, session: SessionId) -> Result<i64> {
    let mut ids =
        store::orders::unfinished_of_session(&mut change.tx, session, MAX_UNFINISHED).await?;
    ids.sort_unstable();
    let mut locked = Vec::new();
    for id in ids {
        // All are locked before the first is moved, since a move also locks handoffs.
        let order = orders::lock(change, id).await?;
        locked.extend(order.filter(|order| can_be_finished(order.status)));
    }
    let mut events = 0;
    for order in &mut locked {
        events += finish_order(change, order).await?;
    }
    Ok(events)
}

/// Returns true if finishing the session may move the order to delivered.
fn can_be_finished(status: OrderStatus) -> bool {
    matches!(
        status,
        OrderStatus::Accepted | OrderStatus::Preparing | OrderStatus::Ready
    )
}

/// Moves an order to delivered; returns the number of events, which is 0 if staff may not make this move.
async fn finish_order(change: &mut Change<'_>, order: &mut Order) -> Result<i64> {
    match orders::advance(change, order, OrderStatus::Delivered, By::Staff, None, None).await {
        Ok(()) => Ok(1),
        Err(ChangeError::Refused(_)) => Ok(0),
        Err(ChangeError::Failed(failure)) => Err(failure),
    }
}

async fn lock(change: &mut Change<'_>, id: SessionId) -> ChangeResult<Session, SessionRefused> {
    store::sessions::lock(&mut change.tx, id)
        .await?
        .ok_or(SessionRefused::NoSuchSession.into())
}

async fn taken_key_refusal(
    change: &mut Change<'_>,
    code: &str,
) -> ChangeResult<SessionRefused, SessionRefused> {
    let holder = store::sessions::by_code(&mut change.tx, code).await?;
    Ok(match holder {
        Some(_) => SessionRefused::CodeTaken,
        None => SessionRefused::NameTaken,
    })
}

/// Records who opened, closed or renewed a session, with its name.
fn record(change: &mut Change<'_>, session: &Session, action: Action) {
    let about = About {
        subject: Subject::Session,
        id: session.id.uuid(),
        stores: std::slice::from_ref(&session.store_id),
    };
    let name = json!({"from": session.name, "to": session.name});
    change.record_fields(about, action, Map::from_iter([("name".to_owned(), name)]));
}

/// Adds an event to the session's own stream, whose row is locked or new; returns its number.
fn add_event(change: &mut Change<'_>, session: &Session, kind: EventKind) -> i64 {
    let stream = session.id.into();
    change.register_stream(stream, Counter::Session, session.store_id, session.seq);
    change.event(stream, None, kind, session.public_facts())
}

#[cfg(test)]
mod tests;
