//! `/sessions`: the open tabs of tables. Staff open and close them; guests read and order with the code.

mod request;
mod view;

use domain::{
    ids::{EpochId, OrderId, SessionId, StoreId},
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
    request::{CloseSession, NewSession, OptionalBody},
    view::{ClosedView, OpenView, SessionEvents, SessionView, shown},
};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        enums,
        etag::IfNoneMatch,
        idempotency::{IdempotencyKey, once},
        paging::{self, Cursor, Limit, Page},
        problem::{Problem, Reason},
        response::{Answer, Created, Replayable},
    },
    resources::{
        menu::{
            MenuAnswer,
            languages::{AcceptLanguage, WantedLanguage},
        },
        orders::{GuestOrderView, rights::hash_guest_key},
        stores::rights::visible_stores,
    },
    state::ApiState,
};

/// Minimum width and height of the QR code in pixels; an SVG scales without loss.
const MIN_QR_PIXELS: u32 = 320;

pub(crate) struct Sessions(pub(crate) ApiState);

#[derive(ApiResponse)]
enum QrResponse {
    /// Black on white.
    #[oai(status = 200, content_type = "image/svg+xml")]
    Svg(PlainText<String>),
}

#[OpenApi(tag = "Topic::Sessions")]
impl Sessions {
    /// List sessions, newest first
    ///
    /// Those of one store, or of all stores that the caller serves. Each is shown with its code, which opens it to anybody who has it.
    #[oai(path = "/sessions", method = "get", operation_id = "list_sessions")]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Option<Uuid>>,
        /// Default `OPEN`.
        Query(state): Query<Option<enums::SessionState>>,
        cursor: Cursor<SessionId>,
        limit: Limit,
    ) -> Result<Json<Page<SessionView>>, Problem> {
        let stores = visible_stores(&caller, store_id.map(StoreId::from))?;
        let state = state.map_or(SessionState::Open, Into::into);
        let ledger = &self.0.ledger;
        let sessions = ledger
            .sessions_of_stores(stores.as_deref(), state, cursor.0, limit.0 + 1)
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
    /// Its name must be unique among the store's open sessions, as people read it; otherwise the answer is 409. If a locations service is configured, it is asked first whether the caller may open a session there. If a
    /// codes service is configured, it supplies the code.
    #[oai(path = "/sessions", method = "post", operation_id = "open_session")]
    async fn open(
        &self,
        caller: Caller,
        key: IdempotencyKey,
        Checked(new): Checked<NewSession>,
    ) -> Result<Created<SessionView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &new)?;
        let store = StoreId::from(new.store_id);
        if !caller.serves(store) {
            return Err(unknown_store());
        }
        let name = new.name.trim();
        let outside = &self.0.outside;
        outside.locations.check_access(caller.id(), store).await?;
        let ledger = &self.0.ledger;
        if outside.codes.is_remote() && ledger.is_session_open(store, name).await? {
            // This very request may have opened it. The key must be checked second, because both are committed
            // together.
            let done = match &key {
                Some(key) => ledger.find_completed(key).await?,
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
                    let opened = ledger.open_session_with_code(store, name, &code);
                    opened.await
                };
                outside.codes.draw_for(open).await
            },
            async |id| self.now(&caller, id.into()).await,
        );
        let (session, replayed) = opened.await?;
        let location = format!("/api/v1/sessions/{}", session.code);
        Ok(Answer::of(self.shown(session))
            .at(location)
            .replayed(replayed))
    }

    /// Get a session with its orders, as its guests see it
    ///
    /// Shows the unfinished orders and the latest ones; `next_cursor` leads to the rest. The code is the key. It can be
    /// read until 24 hours after the session is closed.
    #[oai(path = "/sessions/:code", method = "get", operation_id = "get_session")]
    async fn get(
        &self,
        Path(code): Path<String>,
        /// Marks the orders that were placed with this key as `mine`.
        #[oai(name = "Expediter-Guest")]
        Header(guest): Header<Option<String>>,
    ) -> Result<Json<OpenView>, Problem> {
        let key_hash = hash_guest_key(guest)?;
        let snapshot = self.0.ledger.session_snapshot(&code).await?;
        let snapshot = snapshot.ok_or_else(session_not_found)?;
        self.check_readable(&snapshot.session)?;
        Ok(Json(OpenView::of(&snapshot, key_hash)))
    }

    /// List a session's orders, newest first
    ///
    /// As its guests see them, without drafts. Long orders make a page shorter. It can be read until 24 hours after the
    /// session is closed.
    #[oai(
        path = "/sessions/:code/orders",
        method = "get",
        operation_id = "list_session_orders"
    )]
    async fn orders(
        &self,
        Path(code): Path<String>,
        cursor: Cursor<OrderId>,
        limit: Limit,
        /// Marks the orders that were placed with this key as `mine`.
        #[oai(name = "Expediter-Guest")]
        Header(guest): Header<Option<String>>,
    ) -> Result<Json<Page<GuestOrderView>>, Problem> {
        let key_hash = hash_guest_key(guest)?;
        let session = self.read(&code).await?;
        let ledger = &self.0.ledger;
        let page = ledger.session_orders(session.id, cursor.0, limit.0).await?;
        Ok(Json(Page {
            items: shown(&page.orders, key_hash),
            next_cursor: page.next.map(|last| paging::cursor(last.uuid())),
        }))
    }

    /// Close a session
    ///
    /// No order is accepted afterwards. Closing does not wait for open orders: the answer lists the unfinished ones.
    /// Closing a closed session changes nothing, but may still `finish`.
    #[oai(
        path = "/sessions/:code/close",
        method = "post",
        operation_id = "close_session"
    )]
    async fn close(
        &self,
        caller: Caller,
        Path(code): Path<String>,
        key: IdempotencyKey,
        OptionalBody(closing): OptionalBody<CloseSession>,
    ) -> Result<Replayable<ClosedView>, Problem> {
        let closing = closing.unwrap_or_default();
        let key = key.of(&self.0, caller.id().uuid(), &closing)?;
        let session = self.served_session(&caller, &code, key.as_ref()).await?.id;
        let closed = once(
            &self.0,
            key,
            async |ledger| match closing.finish {
                Some(true) => ledger.finish_session(session).await,
                _ => ledger.close_session(session).await,
            },
            // The session is closed already: this call only reads what is unfinished now.
            async |_| Ok(self.0.ledger.close_session(session).await?),
        );
        let (closed, replayed) = closed.await?;
        let count = closed.unfinished_count;
        let view = ClosedView::of(self.shown(closed.session), &closed.unfinished, count);
        Ok(Answer::of(view).replayed(replayed))
    }

    /// Replace a session's code
    ///
    /// The old code stops working at once, and listeners that use it are disconnected.
    #[oai(
        path = "/sessions/:code/code",
        method = "post",
        operation_id = "renew_session_code"
    )]
    async fn renew_code(
        &self,
        caller: Caller,
        Path(code): Path<String>,
        key: IdempotencyKey,
    ) -> Result<Replayable<SessionView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &Value::Null)?;
        let session = self.served_session(&caller, &code, key.as_ref()).await?;
        let (id, old) = (session.id, code.as_str());
        let renewed = once(
            &self.0,
            key,
            async |ledger| {
                let ledger = &ledger;
                let renew = |new: String| async move {
                    let renewed = ledger.set_session_code(id, old, &new);
                    renewed.await
                };
                self.0.outside.codes.draw_for(renew).await
            },
            async |id| self.now(&caller, id.into()).await,
        );
        let (session, replayed) = renewed.await?;
        Ok(Answer::of(self.shown(session)).replayed(replayed))
    }

    /// Get the QR code of a session's page
    ///
    /// Encodes `url`, which contains the code. Once the code is replaced, an old image leads nowhere.
    #[oai(
        path = "/sessions/:code/qr.svg",
        method = "get",
        operation_id = "get_session_qr"
    )]
    async fn qr(&self, Path(code): Path<String>) -> Result<QrResponse, Problem> {
        let session = self.read(&code).await?;
        let qr = QrCode::new(self.page_url(&session)).map_err(Problem::internal)?;
        let picture = qr
            .render::<svg::Color<'_>>()
            .min_dimensions(MIN_QR_PIXELS, MIN_QR_PIXELS)
            .build();
        Ok(QrResponse::Svg(PlainText(picture)))
    }

    /// Get a session's menu
    ///
    /// Shows the store's menu as `GET /stores/{id}/menu` does. If `paused` is true, no order is
    /// accepted. It can be read until 24 hours after the session is closed.
    #[oai(
        path = "/sessions/:code/menu",
        method = "get",
        operation_id = "get_session_menu"
    )]
    async fn menu(
        &self,
        Path(code): Path<String>,
        language: WantedLanguage,
        accepted: AcceptLanguage,
        if_none_match: IfNoneMatch,
    ) -> Result<MenuAnswer, Problem> {
        let session = self.read(&code).await?;
        self.0.outside.products.refresh(session.store_id).await?;
        let wanted = language.or(accepted);
        let menu = self.0.menus.get(session.store_id, &wanted).await?;
        Ok(menu.ok_or_else(Problem::not_found)?.answer(&if_none_match))
    }

    /// List a session's events
    ///
    /// Oldest first, after a given number. Only events that guests may see are listed, none about integrators, so `seq`
    /// may skip numbers, and long events make a page shorter. While `has_more` is true, continue with `last` as `after`
    /// and `epoch` as `epoch`. They can be read until 24 hours after the session is closed.
    ///
    /// If the database lost commits, numbers are given out again, and the epoch changes: 409 `conflict`; so it is if the
    /// next events were deleted, because they are old. Then read the session again, and continue with its `seq` and
    /// `epoch`.
    #[oai(
        path = "/sessions/:code/events",
        method = "get",
        operation_id = "list_session_events"
    )]
    async fn events(
        &self,
        Path(code): Path<String>,
        /// `last` of the previous answer. Default: from the beginning.
        Query(after): Query<Option<i64>>,
        /// `epoch` that came with that number. Required, unless `after` is 0.
        Query(epoch): Query<Option<Uuid>>,
        limit: Limit,
    ) -> Result<Json<SessionEvents>, Problem> {
        let session = self.read(&code).await?;
        let after = after.unwrap_or(0).max(0);
        let stream = session.id.into();
        let ledger = &self.0.ledger;
        let (events, now) = ledger.events_in_epoch(stream, after, limit.0).await?;
        if after > 0 && epoch != now.map(EpochId::uuid) {
            let detail = "`after` needs the `epoch` that it came with, and another one has begun since if that was given. \
                          Read the session again, and continue with its `seq` and `epoch`.";
            return Err(Problem::new(Reason::Conflict).detail(detail));
        }
        let is_next = |seq: i64| seq == after.saturating_add(1);
        let is_gone = match events.first() {
            Some(first) => !is_next(first.seq),
            None => after < session.seq,
        };
        if is_gone {
            let detail = "The events after that number were deleted, because they are old. Read the session again, and \
                          continue with its `seq` and `epoch`.";
            return Err(Problem::new(Reason::Conflict).detail(detail));
        }
        Ok(Json(SessionEvents::of(
            stream,
            now,
            after,
            events,
            session.seq,
        )))
    }
}

impl Sessions {
    /// Returns the session for anybody who has its code.
    pub(super) async fn read(&self, code: &str) -> Result<Session, Problem> {
        let session = self.found(code).await?;
        self.check_readable(&session)?;
        Ok(session)
    }

    fn check_readable(&self, session: &Session) -> Result<(), Problem> {
        if session.is_readable_at(self.0.ledger.clock().now()) {
            Ok(())
        } else {
            Err(Problem::new(Reason::SessionEnded))
        }
    }

    /// Returns the session if the caller serves its store, otherwise 404. A request that was done before finds its
    /// session even if the code has been replaced since.
    async fn served_session(
        &self,
        caller: &Caller,
        code: &str,
        key: Option<&Idempotency>,
    ) -> Result<Session, Problem> {
        let found = match (self.found(code).await, key) {
            (Err(problem), Some(key)) => {
                let done = self.0.ledger.find_completed(key).await?;
                return self.now(caller, done.ok_or(problem)?.into()).await;
            }
            (found, _) => found?,
        };
        must_serve(caller, &found)?;
        Ok(found)
    }

    /// Returns the current session by id, whatever its code.
    async fn now(&self, caller: &Caller, id: SessionId) -> Result<Session, Problem> {
        let session = self.0.ledger.session(id).await?;
        let session = session.ok_or_else(session_not_found)?;
        must_serve(caller, &session)?;
        Ok(session)
    }

    async fn found(&self, code: &str) -> Result<Session, Problem> {
        if !is_code(code) {
            return Err(session_not_found());
        }
        self.0
            .ledger
            .session_by_code(code)
            .await?
            .ok_or_else(session_not_found)
    }

    fn shown(&self, session: Session) -> SessionView {
        let url = self.page_url(&session);
        SessionView::of(session, url)
    }

    /// Returns the URL that the QR code encodes.
    fn page_url(&self, session: &Session) -> String {
        format!("{}/s/{}", self.0.ledger.public_url(), session.code)
    }
}

fn must_serve(caller: &Caller, session: &Session) -> Result<(), Problem> {
    if caller.serves(session.store_id) {
        Ok(())
    } else {
        Err(session_not_found())
    }
}

fn session_not_found() -> Problem {
    Problem::new(Reason::SessionNotFound)
}

fn unknown_store() -> Problem {
    Problem::invalid_field("/store_id", "must be an existing store")
}

impl From<SessionRefused> for Problem {
    fn from(refused: SessionRefused) -> Self {
        match refused {
            SessionRefused::NameTaken => Self::new(Reason::DuplicateSession),
            SessionRefused::NoSuchStore => unknown_store(),
            SessionRefused::NoSuchSession => session_not_found(),
            SessionRefused::CodeTaken => Self::new(Reason::CodeServiceUnavailable)
                .caused_by("every code that was generated belongs to another session"),
        }
    }
}
