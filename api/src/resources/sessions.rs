//! `/sessions`: tables' open tabs. Staff open and close them; their code lets guests read and order.

mod request;
mod view;

use domain::{
    ids::{SessionId, StoreId},
    session::{Session, SessionState, is_code},
};
use ledger::{idempotency::Idempotency, sessions::SessionRefused};
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Header, Path, Query},
    payload::{Json, PlainText},
};
use qrcode::{QrCode, render::svg};
use serde_json::Value;
use uuid::Uuid;

use self::{
    request::{CloseSession, NewSession, Perhaps},
    view::{ClosedView, OpenView, SessionEvents, SessionView},
};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        enums,
        idempotency::{IdempotencyKey, once},
        paging::{self, Page},
        problem::{Problem, Reason},
        response::{Created, Replayable},
    },
    resources::{orders::rights::guest_key, products::menu::Menu},
    state::ApiState,
};

/// Pixels of the QR code's picture at least; it grows without loss.
const QR_PIXELS: u32 = 320;

pub(crate) struct Sessions(pub(crate) ApiState);

#[derive(ApiResponse)]
enum Picture {
    /// Black on white.
    #[oai(status = 200, content_type = "image/svg+xml")]
    Svg(PlainText<String>),
}

#[OpenApi(tag = "Topic::Sessions")]
impl Sessions {
    /// A store's sessions, newest first
    ///
    /// Of those who serve the store. Each with its code, which opens it to whoever has it.
    #[oai(path = "/sessions", method = "get", operation_id = "list_sessions")]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Uuid>,
        /// `OPEN` unless said otherwise.
        Query(state): Query<Option<enums::SessionState>>,
        /// `next_cursor` of the page before.
        Query(cursor): Query<Option<String>>,
        /// 50 unless said otherwise, 100 at most.
        Query(limit): Query<Option<u32>>,
    ) -> Result<Json<Page<SessionView>>, Problem> {
        let store = StoreId::from(store_id);
        caller.must_serve(store)?;
        let state = state.map_or(SessionState::Open, Into::into);
        let limit = paging::limit(limit)?;
        let before = paging::after(cursor.as_deref())?.map(SessionId::from);
        let ledger = &self.0.ledger;
        let sessions = ledger
            .sessions_of_store(store, state, before, limit + 1)
            .await?;
        Ok(Json(Page::of(
            sessions,
            limit,
            |session| session.id.uuid(),
            |session| self.shown(session),
        )))
    }

    /// Open a session
    ///
    /// Its name is unique among the store's open sessions, whatever its capitals and white space: else 409. Where a
    /// locations service is set, it is asked first whether the caller may; where a codes service is, it draws the code.
    #[oai(path = "/sessions", method = "post", operation_id = "open_session")]
    async fn open(
        &self,
        caller: Caller,
        /// Any text of up to 200 bytes that names this request among the caller's.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
        Checked(new): Checked<NewSession>,
    ) -> Result<Created<SessionView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &new)?;
        let store = StoreId::from(new.store_id);
        if !caller.serves(store) {
            return Err(no_such_store());
        }
        let name = new.name.trim();
        if name.is_empty() {
            return Err(Problem::invalid_field("/name", "must not be blank"));
        }
        let outside = &self.0.outside;
        outside.locations.must_let_in(caller.id(), store).await?;
        let ledger = &self.0.ledger;
        if outside.codes.are_drawn_elsewhere() && ledger.is_session_open(store, name).await? {
            // It may have been opened by this very request. Asked in this order, as both are committed together.
            let done = match &key {
                Some(key) => ledger.done_before(key).await?,
                None => None,
            };
            if done.is_none() {
                return Err(SessionRefused::NameTaken.into());
            }
        }
        let opened = once(
            &self.0,
            key,
            async |ledger| {
                let ledger = &ledger;
                let open = |code: String| async move {
                    let opened = ledger.open_session_under(store, name, &code);
                    opened.await
                };
                outside.codes.drawn_for(open).await
            },
            async |id| self.now(&caller, id.into()).await,
        );
        let (session, replayed) = opened.await?;
        let location = format!("/api/v1/sessions/{}", session.code);
        Ok(Created::at(location, self.shown(session)).replayed(replayed))
    }

    /// A session with its orders, as its guests see it
    ///
    /// The code is the key. It reads until 24 hours after the close.
    #[oai(path = "/sessions/:code", method = "get", operation_id = "get_session")]
    async fn get(
        &self,
        Path(code): Path<String>,
        /// Marks the orders that were placed with this key as `mine`.
        #[oai(name = "Expediter-Guest")]
        Header(guest): Header<Option<String>>,
    ) -> Result<Json<OpenView>, Problem> {
        let key_hash = guest_key(guest)?;
        let snapshot = self.0.ledger.session_snapshot(&code).await?;
        let snapshot = snapshot.ok_or_else(unknown)?;
        self.must_read(&snapshot.session)?;
        Ok(Json(OpenView::of(&snapshot, key_hash)))
    }

    /// Close a session
    ///
    /// No order lands after it. The close waits for none: the answer lists those that are unfinished. Closing it again
    /// changes nothing, but may still `finish`.
    #[oai(
        path = "/sessions/:code/close",
        method = "post",
        operation_id = "close_session"
    )]
    async fn close(
        &self,
        caller: Caller,
        Path(code): Path<String>,
        /// Any text of up to 200 bytes that names this request among the caller's.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
        Perhaps(wish): Perhaps<CloseSession>,
    ) -> Result<Replayable<ClosedView>, Problem> {
        let wish = wish.unwrap_or_default();
        let key = key.of(&self.0, caller.id().uuid(), &wish)?;
        let session = self.served(&caller, &code, key.as_ref()).await?.id;
        let closed = once(
            &self.0,
            key,
            async |ledger| match wish.finish {
                Some(true) => ledger.close_session_and_finish(session).await,
                _ => ledger.close_session(session).await,
            },
            // It is closed: that says what is unfinished now.
            async |_| Ok(self.0.ledger.close_session(session).await?),
        );
        let (closed, replayed) = closed.await?;
        let view = ClosedView::of(self.shown(closed.session), &closed.unfinished);
        Ok(Replayable::of(view, replayed))
    }

    /// Give a session a fresh code
    ///
    /// The old one stops at once, and who listens with it is sent away.
    #[oai(
        path = "/sessions/:code/code",
        method = "post",
        operation_id = "renew_session_code"
    )]
    async fn renew_code(
        &self,
        caller: Caller,
        Path(code): Path<String>,
        /// Any text of up to 200 bytes that names this request among the caller's.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
    ) -> Result<Replayable<SessionView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &Value::Null)?;
        let session = self.served(&caller, &code, key.as_ref()).await?;
        let (id, old) = (session.id, code.as_str());
        let renewed = once(
            &self.0,
            key,
            async |ledger| {
                let ledger = &ledger;
                let renew = |new: String| async move {
                    let renewed = ledger.renew_session_code_to(id, old, &new);
                    renewed.await
                };
                self.0.outside.codes.drawn_for(renew).await
            },
            async |id| self.now(&caller, id.into()).await,
        );
        let (session, replayed) = renewed.await?;
        Ok(Replayable::of(self.shown(session), replayed))
    }

    /// The QR code that leads guests to the session's page
    ///
    /// A picture of `url`, which has the code in it. After a fresh code the old picture leads nowhere.
    #[oai(
        path = "/sessions/:code/qr.svg",
        method = "get",
        operation_id = "get_session_qr"
    )]
    async fn qr(&self, Path(code): Path<String>) -> Result<Picture, Problem> {
        let session = self.read(&code).await?;
        let qr = QrCode::new(self.page_of(&session)).map_err(Problem::internal)?;
        let picture = qr
            .render::<svg::Color<'_>>()
            .min_dimensions(QR_PIXELS, QR_PIXELS)
            .build();
        Ok(Picture::Svg(PlainText(picture)))
    }

    /// What can be ordered in a session now
    ///
    /// Of its store, as `GET /stores/{id}/menu` tells it. `paused` says that no order would be taken. It reads until 24
    /// hours after the close.
    #[oai(
        path = "/sessions/:code/menu",
        method = "get",
        operation_id = "get_session_menu"
    )]
    async fn menu(&self, Path(code): Path<String>) -> Result<Json<Menu>, Problem> {
        let session = self.read(&code).await?;
        self.0.outside.products.bring_in(session.store_id).await?;
        let menu = self.0.ledger.menu(session.store_id).await?;
        let (store, products) = menu.ok_or_else(Problem::not_found)?;
        Ok(Json(Menu {
            store_id: store.id.uuid(),
            store_name: store.name,
            paused: store.paused,
            items: products.into_iter().map(Into::into).collect(),
        }))
    }

    /// What happened in a session after a number
    ///
    /// Oldest first, and only what guests may see: nothing of integrators, so that `seq` may skip numbers. Go on with
    /// `last` as `after` while there `has_more`. It reads until 24 hours after the close.
    #[oai(
        path = "/sessions/:code/events",
        method = "get",
        operation_id = "list_session_events"
    )]
    async fn events(
        &self,
        Path(code): Path<String>,
        /// The `last` of the answer before; from the beginning unless said.
        Query(after): Query<Option<i64>>,
        /// 50 unless said otherwise, 100 at most.
        Query(limit): Query<Option<u32>>,
    ) -> Result<Json<SessionEvents>, Problem> {
        let session = self.read(&code).await?;
        let (after, limit) = (after.unwrap_or(0).max(0), paging::limit(limit)?);
        let stream = session.id.into();
        let events = self.0.ledger.events_after(stream, after, limit + 1).await?;
        Ok(Json(SessionEvents::of(stream, after, events, limit)))
    }
}

impl Sessions {
    /// The session, for whoever has its code.
    async fn read(&self, code: &str) -> Result<Session, Problem> {
        let session = self.found(code).await?;
        self.must_read(&session)?;
        Ok(session)
    }

    fn must_read(&self, session: &Session) -> Result<(), Problem> {
        if session.reads_at(self.0.ledger.clock().now()) {
            Ok(())
        } else {
            Err(Problem::new(Reason::SessionEnded))
        }
    }

    /// The session, for those who serve its store; to others it is as if there were none. A code that is another's by
    /// now finds it for a request that was done before.
    async fn served(
        &self,
        caller: &Caller,
        code: &str,
        key: Option<&Idempotency>,
    ) -> Result<Session, Problem> {
        let found = match (self.found(code).await, key) {
            (Err(problem), Some(key)) => {
                let done = self.0.ledger.done_before(key).await?;
                return self.now(caller, done.ok_or(problem)?.into()).await;
            }
            (found, _) => found?,
        };
        must_serve(caller, &found)?;
        Ok(found)
    }

    /// The session as it is now, whatever its code.
    async fn now(&self, caller: &Caller, id: SessionId) -> Result<Session, Problem> {
        let session = self.0.ledger.session(id).await?;
        let session = session.ok_or_else(unknown)?;
        must_serve(caller, &session)?;
        Ok(session)
    }

    async fn found(&self, code: &str) -> Result<Session, Problem> {
        if !is_code(code) {
            return Err(unknown());
        }
        self.0
            .ledger
            .session_by_code(code)
            .await?
            .ok_or_else(unknown)
    }

    fn shown(&self, session: Session) -> SessionView {
        let url = self.page_of(&session);
        SessionView::of(session, url)
    }

    /// Where the QR code leads.
    fn page_of(&self, session: &Session) -> String {
        format!("{}/s/{}", self.0.ledger.public_url(), session.code)
    }
}

fn must_serve(caller: &Caller, session: &Session) -> Result<(), Problem> {
    if caller.serves(session.store_id) {
        Ok(())
    } else {
        Err(unknown())
    }
}

fn unknown() -> Problem {
    Problem::new(Reason::SessionNotFound)
}

fn no_such_store() -> Problem {
    Problem::invalid_field("/store_id", "there is no such store")
}

impl From<SessionRefused> for Problem {
    fn from(refused: SessionRefused) -> Self {
        match refused {
            SessionRefused::NameTaken => Self::new(Reason::DuplicateSession),
            SessionRefused::NoSuchStore => no_such_store(),
            SessionRefused::NoSuchSession => unknown(),
            SessionRefused::CodeTaken => Self::new(Reason::CodeServiceUnavailable)
                .caused_by("every code that was drawn is another session's"),
        }
    }
}
