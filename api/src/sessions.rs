//! `/sessions`: tables' open tabs. Staff open and close them; their code lets guests read and order.

mod shown;

use common::{
    domain::{
        ids::{SessionId, StoreId},
        session::{Session, SessionState, is_code},
    },
    ledger::sessions::SessionRefused,
};
use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, Object, OpenApi,
    param::{Header, Path, Query},
    payload::{Json, PlainText},
    registry::{MetaRequest, Registry},
    types::ParseFromJSON,
};
use qrcode::{QrCode, render::svg};
use uuid::Uuid;

use self::shown::{ClosedView, OpenView, SessionEvents, SessionView};
use crate::{
    answer::{self, Created, Page},
    auth::Caller,
    body::Checked,
    orders::guest_key,
    problem::{Problem, Reason},
    state::ApiState,
    stores::Menu,
    words,
};

/// Pixels of the QR code's picture at least; it grows without loss.
const QR_PIXELS: u32 = 320;

pub(crate) struct Sessions(pub(crate) ApiState);

#[derive(Debug, Object)]
struct NewSession {
    store_id: Uuid,
    /// Unique among the store's open sessions, without regard to case and white space.
    #[oai(validator(min_length = 1, max_length = 100))]
    name: String,
}

#[derive(Debug, Default, Object)]
struct CloseSession {
    /// Accepted orders that are not with a courier count as delivered. False unless said otherwise.
    finish: Option<bool>,
}

#[derive(ApiResponse)]
enum Picture {
    /// Black on white.
    #[oai(status = 200, content_type = "image/svg+xml")]
    Svg(PlainText<String>),
}

#[OpenApi]
impl Sessions {
    /// A store's sessions, newest first
    #[oai(path = "/sessions", method = "get", operation_id = "list_sessions")]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Uuid>,
        /// `OPEN` unless said otherwise.
        Query(state): Query<Option<words::SessionState>>,
        /// `next_cursor` of the page before.
        Query(cursor): Query<Option<String>>,
        /// 50 unless said otherwise, 100 at most.
        Query(limit): Query<Option<u32>>,
    ) -> Result<Json<Page<SessionView>>, Problem> {
        let store = StoreId::from(store_id);
        caller.must_serve(store)?;
        let state = state.map_or(SessionState::Open, Into::into);
        let limit = answer::limit(limit)?;
        let before = answer::after(cursor.as_deref())?.map(SessionId::from);
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
    #[oai(path = "/sessions", method = "post", operation_id = "open_session")]
    async fn open(
        &self,
        caller: Caller,
        Checked(new): Checked<NewSession>,
    ) -> Result<Created<SessionView>, Problem> {
        let store = StoreId::from(new.store_id);
        if !caller.serves(store) {
            return Err(no_such_store());
        }
        let name = new.name.trim();
        if name.is_empty() {
            return Err(Problem::invalid_field("/name", "must not be blank"));
        }
        let outside = &self.0.outside;
        outside.locations.must_let_in(&caller, store).await?;
        let ledger = &self.0.ledger;
        if outside.codes.are_drawn_elsewhere() && ledger.is_session_open(store, name).await? {
            return Err(SessionRefused::NameTaken.into());
        }
        let open = |code: String| async move {
            let opened = ledger.open_session_under(store, name, &code);
            opened.await
        };
        let session = outside.codes.drawn_for(open).await?;
        let location = format!("/api/v1/sessions/{}", session.code);
        Ok(Created::at(location, self.shown(session)))
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
        Perhaps(wish): Perhaps<CloseSession>,
    ) -> Result<Json<ClosedView>, Problem> {
        let session = self.served(&caller, &code).await?;
        let closed = if wish.unwrap_or_default().finish == Some(true) {
            self.0.ledger.close_session_and_finish(session.id).await?
        } else {
            self.0.ledger.close_session(session.id).await?
        };
        Ok(Json(ClosedView::of(
            self.shown(closed.session),
            &closed.unfinished,
        )))
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
    ) -> Result<Json<SessionView>, Problem> {
        let session = self.served(&caller, &code).await?;
        let ledger = &self.0.ledger;
        let (id, old) = (session.id, code.as_str());
        let renew = |new: String| async move {
            let renewed = ledger.renew_session_code_to(id, old, &new);
            renewed.await
        };
        let renewed = self.0.outside.codes.drawn_for(renew).await?;
        Ok(Json(self.shown(renewed)))
    }

    /// The QR code that leads guests to the session's page
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
        let (after, limit) = (after.unwrap_or(0).max(0), answer::limit(limit)?);
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

    /// The session, for those who serve its store; to others it is as if there were none.
    async fn served(&self, caller: &Caller, code: &str) -> Result<Session, Problem> {
        let session = self.found(code).await?;
        if caller.serves(session.store_id) {
            Ok(session)
        } else {
            Err(unknown())
        }
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

/// A body that may be left out.
#[derive(Debug)]
struct Perhaps<T>(Option<T>);

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for Perhaps<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        Checked::<T>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            required: false,
            ..Checked::<T>::request_meta()?
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        // Without a type there is nothing that could be read as one; with one it must be right.
        if request.content_type().is_none() {
            return Ok(Self(None));
        }
        let Checked(said) = Checked::<T>::from_request(request, body, options).await?;
        Ok(Self(Some(said)))
    }
}
