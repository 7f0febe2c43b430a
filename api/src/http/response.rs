//! Success responses other than a plain 200 with JSON: one type, [`Answer`], of which each kind documents itself.

use std::marker::PhantomData;

use http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::{
    ApiResponse,
    payload::{Json, Payload},
    registry::{
        MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
    },
    types::ToJSON,
};
use serde_json::Value;

use crate::http::etag::{IfNoneMatch, tag_of};

/// A response with JSON or without a body. The kind `K` documents it and decides the status.
#[derive(Debug)]
pub(crate) struct Answer<T, K> {
    body: Option<Body<T>>,
    headers: Vec<(HeaderName, String)>,
    kind: PhantomData<fn() -> K>,
}

/// A body, or its text if that was needed for the `ETag`: it is rendered once.
#[derive(Debug)]
enum Body<T> {
    Value(T),
    Text(String),
}

impl<T: ToJSON + Send> Body<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Value(value) => Json(value).into_response(),
            Self::Text(text) => Response::builder()
                .content_type(Json::<T>::CONTENT_TYPE)
                .body(text),
        }
    }
}

/// A kind of answer, as the OpenAPI document shows it.
pub(crate) trait Kind {
    /// The response with a body.
    const SHOWN: Option<Documented> = None;
    /// The response without a body.
    const EMPTY: Option<Documented> = None;
}

/// One documented response: its status, its description and its headers.
pub(crate) struct Documented(u16, &'static str, &'static [HeaderOf]);

/// One documented header: its name, its type, whether it is always sent, and its description.
struct HeaderOf(&'static str, &'static str, bool, &'static str);

/// Declares kinds: each has a response with a body (`SHOWN`), one without (`EMPTY`), or both.
macro_rules! kinds {
    ($($kind:ident: $($part:ident = $status:literal $description:literal $headers:expr),+;)+) => {$(
        pub(crate) struct $kind;

        impl Kind for $kind {
            $(const $part: Option<Documented> = Some(Documented($status, $description, &$headers));)+
        }
    )+};
}

kinds! {
    NewResource: SHOWN = 201 "Created." [LOCATION, REPLAYED];
    Versioned: SHOWN = 200 "" [ETAG, REPLAYED];
    Repeatable: SHOWN = 200 "" [REPLAYED];
    Cacheable: SHOWN = 200 "" [ETAG, REPLAYED],
        EMPTY = 304 "Not modified: the client's copy is current." [UNCHANGED_ETAG];
    NoContent: EMPTY = 204 "Done; the response has no body." [];
    PlacedOrder: SHOWN = 201 "Stored: everything is committed." [OWN_LOCATION, ORDER_ETAG, REPLAYED_ORDER];
    PlacedGuestOrder: SHOWN = 201 "Stored: order, items, stock and first event are committed." [REPLAYED_GUEST_ORDER];
    RemovedOrder: SHOWN = 200 "The placed order is now cancelled." [CANCELLED_ETAG],
        EMPTY = 204 "The draft is deleted." [];
    QueuedTest: SHOWN = 202 "Queued. `GET /handoffs/{id}` shows the result." [OWN_LOCATION, REPLAYED_TEST];
    StartedErasure: SHOWN = 202 "Stored. `GET /customers/erasures/{id}` shows how far it is." [OWN_LOCATION, REPLAYED];
    StoredCallback: SHOWN =
        202 "Stored. Callbacks are applied in order of receipt; whether this one changes the order is decided then." [];
}

const LOCATION: HeaderOf = optional("Location", "Path of the new resource, if it has its own.");
const ETAG: HeaderOf = optional("ETag", "Entity tag, for `If-Match` and `If-None-Match`.");
const UNCHANGED_ETAG: HeaderOf = optional("ETag", "Unchanged entity tag.");
const REPLAYED: HeaderOf = optional(
    "Idempotency-Replayed",
    "`true` if this request was done before: the body shows the resource as it is now.",
);
const OWN_LOCATION: HeaderOf = required("Location", "");
const ORDER_ETAG: HeaderOf = required("ETag", "For If-Match and If-None-Match.");
const CANCELLED_ETAG: HeaderOf = required("ETag", "");
const REPLAYED_ORDER: HeaderOf = replayed(
    "`true` if the idempotency key was used before: the answer is the order that it made, in its current state.",
);
const REPLAYED_GUEST_ORDER: HeaderOf = replayed("");
const REPLAYED_TEST: HeaderOf = replayed(
    "`true` if the idempotency key was used before: the answer is the test that it sent, in its current state.",
);

const fn optional(name: &'static str, description: &'static str) -> HeaderOf {
    HeaderOf(name, "string", false, description)
}

const fn required(name: &'static str, description: &'static str) -> HeaderOf {
    HeaderOf(name, "string", true, description)
}

const fn replayed(description: &'static str) -> HeaderOf {
    HeaderOf("Idempotency-Replayed", "boolean", false, description)
}

/// 201 with the `Location` of the new resource, if it has a path of its own.
pub(crate) type Created<T> = Answer<T, NewResource>;
/// 200 with an `ETag`.
pub(crate) type Tagged<T> = Answer<T, Versioned>;
/// 200 without an `ETag`, possibly a replay.
pub(crate) type Replayable<T> = Answer<T, Repeatable>;
/// 200 with an `ETag`, or 304 if the client's copy is current.
pub(crate) type Fresh<T> = Answer<T, Cacheable>;
/// 204 without a body.
pub(crate) type Done = Answer<Value, NoContent>;

impl IfNoneMatch {
    /// Returns the representation, or 304 if the client has it.
    pub(crate) fn answer<T: ToJSON>(&self, body: T) -> Fresh<T> {
        let text = body.to_json_string();
        let etag = tag_of(text.as_bytes());
        if self.matches(&etag) {
            Fresh::empty().tagged(etag)
        } else {
            Fresh::new(Some(Body::Text(text))).tagged(etag)
        }
    }
}

impl<T, K: Kind> Answer<T, K> {
    /// Returns an answer with a body. It doesn't compile for a kind that never has one.
    pub(crate) fn of(body: T) -> Self {
        const { assert!(K::SHOWN.is_some(), "this kind of answer has no body") }
        Self::new(Some(Body::Value(body)))
    }

    /// Returns an answer without a body. It doesn't compile for a kind that always has one.
    pub(crate) fn empty() -> Self {
        const { assert!(K::EMPTY.is_some(), "this kind of answer has a body") }
        Self::new(None)
    }

    /// Adds the `Location` of the resource, an absolute path such as `/api/v1/stores/…`.
    pub(crate) fn at(self, location: impl Into<String>) -> Self {
        self.with(header::LOCATION, location)
    }

    /// Adds the body's `ETag`.
    pub(crate) fn etag(self) -> Self
    where
        T: ToJSON,
    {
        let text = match self.body {
            Some(Body::Value(body)) => body.to_json_string(),
            Some(Body::Text(text)) => text,
            None => return self,
        };
        let etag = tag_of(text.as_bytes());
        let body = Some(Body::Text(text));
        Self { body, ..self }.tagged(etag)
    }

    /// Adds an `ETag` that is not the body's own.
    pub(crate) fn tagged(self, etag: String) -> Self {
        self.with(header::ETAG, etag)
    }

    /// Marks the answer as a replay: an earlier request with this idempotency key was done.
    pub(crate) fn replayed(self, replayed: bool) -> Self {
        if replayed {
            self.with(HeaderName::from_static("idempotency-replayed"), "true")
        } else {
            self
        }
    }

    fn new(body: Option<Body<T>>) -> Self {
        Self {
            body,
            headers: Vec::new(),
            kind: PhantomData,
        }
    }

    fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl<T: ToJSON + Send, K: Kind> IntoResponse for Answer<T, K> {
    fn into_response(self) -> Response {
        let (documented, mut response) = match self.body {
            Some(body) => (K::SHOWN, body.into_response()),
            None => (K::EMPTY, Response::default()),
        };
        let status =
            documented.and_then(|Documented(status, ..)| StatusCode::from_u16(status).ok());
        response.set_status(status.unwrap_or_default());
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl<T: ToJSON + Send, K: Kind> ApiResponse for Answer<T, K> {
    fn meta() -> MetaResponses {
        let json = MetaMediaType {
            content_type: Json::<T>::CONTENT_TYPE,
            schema: T::schema_ref(),
        };
        let shown = K::SHOWN.map(|documented| documented.meta(vec![json]));
        let empty = K::EMPTY.map(|documented| documented.meta(Vec::new()));
        MetaResponses {
            responses: shown.into_iter().chain(empty).collect(),
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl Documented {
    fn meta(self, content: Vec<MetaMediaType>) -> MetaResponse {
        let Self(status, description, headers) = self;
        let header = |&HeaderOf(name, ty, required, description): &HeaderOf| MetaHeader {
            name: name.to_owned(),
            description: (!description.is_empty()).then(|| description.to_owned()),
            required,
            deprecated: false,
            schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new(ty))),
        };
        MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content,
            headers: headers.iter().map(header).collect(),
        }
    }
}
