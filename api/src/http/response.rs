//! Success responses other than a plain 200 with JSON.

use http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::{
    ApiResponse,
    payload::{Json, Payload},
    registry::{
        MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
    },
    types::ToJSON,
};
const REPLAYED: &str = "Idempotency-Replayed";

/// 201 with the `Location` of the new resource.
#[derive(Debug)]
pub struct Created<T> {
    pub body: T,
    pub location: Option<String>,
    replayed: bool,
}

impl<T> Created<T> {
    /// Returns a 201 with a `Location`, an absolute path such as `/api/v1/stores/…`.
    pub fn at(location: impl Into<String>, body: T) -> Self {
        Self {
            body,
            location: Some(location.into()),
            replayed: false,
        }
    }

    /// Returns a 201 without a `Location`, for a resource that has no path of its own.
    pub fn here(body: T) -> Self {
        Self {
            body,
            location: None,
            replayed: false,
        }
    }

    /// Marks the response as a replay: an earlier request with this idempotency key created the resource.
    #[must_use]
    pub fn replayed(mut self, replayed: bool) -> Self {
        self.replayed = replayed;
        self
    }
}

impl<T: ToJSON> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        response.set_status(StatusCode::CREATED);
        let location = self.location.and_then(|at| HeaderValue::try_from(at).ok());
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        mark_replayed(&mut response, self.replayed);
        response
    }
}

impl<T: ToJSON> ApiResponse for Created<T> {
    fn meta() -> MetaResponses {
        let location = header_meta("Location", "Path of the new resource, if it has its own.");
        responses::<T>(201, "Created.", vec![location, replayed_meta()])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// 200 with an `ETag`.
#[derive(Debug)]
pub struct Tagged<T> {
    pub body: T,
    pub etag: String,
    replayed: bool,
}

impl<T> Tagged<T> {
    pub(crate) fn new(etag: String, body: T) -> Self {
        Self {
            body,
            etag,
            replayed: false,
        }
    }

    /// Marks the response as a replay of an earlier request with this idempotency key.
    #[must_use]
    pub fn replayed(mut self, replayed: bool) -> Self {
        self.replayed = replayed;
        self
    }
}

impl<T: ToJSON> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        if let Ok(etag) = HeaderValue::try_from(self.etag) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        mark_replayed(&mut response, self.replayed);
        response
    }
}

impl<T: ToJSON> ApiResponse for Tagged<T> {
    fn meta() -> MetaResponses {
        let etag = header_meta("ETag", "Entity tag, for `If-Match` and `If-None-Match`.");
        responses::<T>(200, "", vec![etag, replayed_meta()])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// 200 without an `ETag`, possibly a replay.
#[derive(Debug)]
pub struct Replayable<T> {
    body: T,
    replayed: bool,
}

impl<T> Replayable<T> {
    /// Returns a 200; `replayed` if an earlier request with this idempotency key was done.
    pub fn of(body: T, replayed: bool) -> Self {
        Self { body, replayed }
    }
}

impl<T: ToJSON> IntoResponse for Replayable<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        mark_replayed(&mut response, self.replayed);
        response
    }
}

impl<T: ToJSON> ApiResponse for Replayable<T> {
    fn meta() -> MetaResponses {
        responses::<T>(200, "", vec![replayed_meta()])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// 200 with an `ETag`, or 304 if the client's copy is current.
#[derive(Debug)]
pub enum Fresh<T> {
    Shown(Tagged<T>),
    NotModified { etag: String },
}

impl<T: ToJSON> IntoResponse for Fresh<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Shown(tagged) => tagged.into_response(),
            Self::NotModified { etag } => StatusCode::NOT_MODIFIED
                .with_header(header::ETAG, etag)
                .into_response(),
        }
    }
}

impl<T: ToJSON> ApiResponse for Fresh<T> {
    fn meta() -> MetaResponses {
        let mut meta = Tagged::<T>::meta();
        meta.responses.push(MetaResponse {
            description: "Not modified: the client's copy is current.",
            status: Some(304),
            status_range: None,
            content: Vec::new(),
            headers: vec![header_meta("ETag", "Unchanged entity tag.")],
        });
        meta
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// 204 without a body.
#[derive(Clone, Copy, Debug)]
pub struct Done;

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl ApiResponse for Done {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "Done; the response has no body.",
                status: Some(204),
                status_range: None,
                content: Vec::new(),
                headers: Vec::new(),
            }],
        }
    }

    fn register(_: &mut Registry) {}
}

fn responses<T: ToJSON>(
    status: u16,
    description: &'static str,
    headers: Vec<MetaHeader>,
) -> MetaResponses {
    let content = MetaMediaType {
        content_type: Json::<T>::CONTENT_TYPE,
        schema: T::schema_ref(),
    };
    MetaResponses {
        responses: vec![MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![content],
            headers,
        }],
    }
}

fn mark_replayed(response: &mut Response, replayed: bool) {
    if replayed {
        let headers = response.headers_mut();
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

fn replayed_meta() -> MetaHeader {
    let what = "`true` if this request was done before: the body shows the resource as it is now.";
    header_meta(REPLAYED, what)
}

fn header_meta(name: &str, description: &str) -> MetaHeader {
    let text = MetaSchema::new("string");
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: false,
        deprecated: false,
        schema: MetaSchemaRef::Inline(Box::new(text)),
    }
}
