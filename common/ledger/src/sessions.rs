//! Sessions: opened, closed, given a fresh code.

use super::{Change, Ledger, LedgerError, Points, Result, in_one_transaction, orders};
use domain::{
    event::EventKind,
    ids::{SessionId, StoreId},
    order::Order,
    session::{Session, SessionState, is_code, name_key},
    status::{By, OrderStatus},
};
use store::{StoreError, events::Counter};

/// Why a session does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefused {
    #[error("the store has an open session of this name")]
    NameTaken,
    #[error("there is no such store, or it is archived")]
    NoSuchStore,
    #[error("there is no such session, or it has another code now")]
    NoSuchSession,
    /// Only of one that was drawn elsewhere: nobody draws 160 bits twice.
    #[error("another session has this code")]
    CodeTaken,
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
        let code = self.inner.chance.session_code();
        self.open_session_under(store, name, &code).await
    }

    /// The same with a code that was drawn elsewhere.
    pub async fn open_session_under(
        &self,
        store: StoreId,
        name: &str,
        code: &str,
    ) -> Result<Session, SessionRefused> {
        in_one_transaction!(&self.inner, Points::ORDERS, |change| {
            let known = store::stores::get(&mut change.tx, store).await?;
            if known.is_none_or(|store| store.archived_at.is_some()) {
                return Err(LedgerError::Refused(SessionRefused::NoSuchStore));
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
            match store::sessions::insert(&mut change.tx, &session, &name_key(name)).await {
                Ok(()) => {}
                Err(StoreError::UniqueKeyTaken) => {
                    let refused = which_key_is_taken(&mut change, code).await?;
                    return Err(LedgerError::Refused(refused));
                }
                Err(error) => return Err(error.into()),
            }
            session.seq = tell(&mut change, &session, EventKind::SessionOpened);
            change.made(session.id.uuid());
            Ok(session)
        })
    }

    /// Whether the store has an open session of that name just now.
    pub async fn is_session_open(&self, store: StoreId, name: &str) -> Result<bool> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::sessions::is_open(&mut tx, store, &name_key(name)).await?)
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
            for order in store::orders::unfinished_of_session(&mut change.tx, id).await? {
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
            change.made(id.uuid());
            Ok(ClosedSession {
                session,
                unfinished,
            })
        })
    }

    /// The old code stops at once, and who listens with it is sent away. It must be the present one: of two at the same
    /// time the second is refused, so that nobody is shown a code that is dead already.
    pub async fn renew_session_code(
        &self,
        id: SessionId,
        old_code: &str,
    ) -> Result<Session, SessionRefused> {
        let code = self.inner.chance.session_code();
        self.renew_session_code_to(id, old_code, &code).await
    }

    /// The same with a code that was drawn elsewhere.
    pub async fn renew_session_code_to(
        &self,
        id: SessionId,
        old_code: &str,
        code: &str,
    ) -> Result<Session, SessionRefused> {
        in_one_transaction!(&self.inner, Points::ORDERS, |change| {
            let mut session = lock(&mut change, id).await?;
            if session.code != old_code {
                return Err(LedgerError::Refused(SessionRefused::NoSuchSession));
            }
            code.clone_into(&mut session.code);
            match store::sessions::set_code(&mut change.tx, id, code).await {
                Err(StoreError::UniqueKeyTaken) => {
                    return Err(LedgerError::Refused(SessionRefused::CodeTaken));
                }
                done => done?,
            }
            session.seq = tell(&mut change, &session, EventKind::SessionCodeRenewed);
            change.made(id.uuid());
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

async fn which_key_is_taken(
    change: &mut Change<'_>,
    code: &str,
) -> Result<SessionRefused, SessionRefused> {
    let holder = store::sessions::by_code(&mut change.tx, code).await?;
    Ok(match holder {
        Some(_) => SessionRefused::CodeTaken,
        None => SessionRefused::NameTaken,
    })
}

/// Adds the session's event to its own stream, whose row is locked or new; returns the number.
fn tell(change: &mut Change<'_>, session: &Session, kind: EventKind) -> i64 {
    let stream = session.id.into();
    change.stream_is_locked(stream, Counter::Session, session.store_id, session.seq);
    change.event(stream, None, kind, session.public_facts())
}

#[cfg(test)]
mod tests;
