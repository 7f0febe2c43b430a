//! Request bodies, validated against the published schema; a response lists all errors at once.

mod encoding;
pub mod format;
pub(crate) mod image;
mod lenient;
pub(crate) mod schema;

use parking_lot::RwLock;
use std::{
    any::TypeId,
    collections::HashMap,
    marker::PhantomData,
    sync::{Arc, OnceLock},
    time::Duration,
};

use self::{
    encoding::Encoding,
    schema::{Schema, Unknown},
};
use crate::http::problem::{FieldError, Problem, Reason};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header;
use poem::{Body, Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry},
    types::ParseFromJSON,
};
use tokio::sync::Semaphore;

/// JSON body that has passed validation. Must be the handler's last argument: `Checked(new): Checked<NewStore>`.
#[derive(Debug)]
pub struct Checked<T>(pub T);

/// Validated merge patch (RFC 7396), sent as `application/merge-patch+json` or plain `application/json`.
#[derive(Debug)]
pub struct MergePatch<T>(pub T);

/// Raw body, for requests whose bytes are signed; [`Self::parse`] reads it as `T` once the signature is verified.
#[derive(Clone, Debug)]
pub struct RawBody<T> {
    pub bytes: Bytes,
    shape: PhantomData<fn() -> T>,
}

impl<T: ParseFromJSON + 'static> RawBody<T> {
    /// Parses and validates the body as [`Checked`] does, but ignores fields that the schema does not name: their sender
    /// has one body for several receivers.
    pub fn parse(&self) -> Result<T, Problem> {
        parse(&self.bytes, Unknown::Ignored)
    }
}

/// Maximum body sizes in bytes, set on every request by [`crate::Front`].
#[derive(Clone, Debug)]
pub(crate) struct BodyLimit {
    pub(crate) each_bytes: usize,
    /// Bytes left for all bodies that are being received, one permit for each.
    pub(crate) all: Arc<Semaphore>,
}

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for Checked<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(json_of(T::schema_ref()))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if !is_json(request) {
            return Err(Problem::new(Reason::UnsupportedMediaType)
                .detail("This path expects application/json.")
                .into());
        }
        let bytes = read(request, body).await?;
        Ok(Self(parse(&bytes, Unknown::Refused)?))
    }
}

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for MergePatch<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let mut request = json_of(T::schema_ref());
        request.content.insert(
            0,
            MetaMediaType {
                content_type: "application/merge-patch+json",
                schema: T::schema_ref(),
            },
        );
        Some(request)
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let Checked(patch) = Checked::from_request(request, body, options).await?;
        Ok(Self(patch))
    }
}

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for RawBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(json_of(T::schema_ref()))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = read(request, body).await?;
        Ok(Self {
            bytes,
            shape: PhantomData,
        })
    }
}

fn json_of(schema: MetaSchemaRef) -> MetaRequest {
    MetaRequest {
        description: None,
        content: vec![MetaMediaType {
            content_type: "application/json",
            schema,
        }],
        required: true,
    }
}

fn is_json(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let essence = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    essence.is_some_and(|essence| {
        essence.eq_ignore_ascii_case("application/json")
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    })
}

/// Time to receive a whole body, so that a slow sender can't hold memory and a connection for long.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

async fn read(request: &Request, body: &mut RequestBody) -> Result<Bytes, Problem> {
    let limit = request.extensions().get::<BodyLimit>().cloned();
    let limit = limit.unwrap_or_else(|| BodyLimit {
        each_bytes: usize::MAX,
        all: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
    });
    let encoding = Encoding::of(request.headers())?;
    let body = body.take().map_err(Problem::internal)?;
    let bytes = read_with_timeout(body, &limit, BODY_TIMEOUT).await?;
    encoding.decode(bytes, limit.each_bytes)
}

async fn read_with_timeout(
    body: Body,
    limit: &BodyLimit,
    within: Duration,
) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(within, read_within(body, limit)).await;
    read.map_err(|_| cut_off("The body was not received in time."))?
}

/// Reads a body. What has come of it counts until all of it has.
async fn read_within(body: Body, limit: &BodyLimit) -> Result<Bytes, Problem> {
    let mut pieces = std::pin::pin!(body.into_bytes_stream());
    let mut counted = Vec::new();
    let mut whole = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| cut_off("The body could not be read completely."))?;
        if whole.len() + piece.len() > limit.each_bytes {
            return Err(too_large(limit.each_bytes));
        }
        let bytes = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        let permit = limit.all.try_acquire_many(bytes);
        counted.push(permit.map_err(|_| Problem::new(Reason::Overloaded))?);
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn cut_off(detail: &str) -> Problem {
    Problem::new(Reason::BadRequest).detail(detail)
}

pub(crate) fn too_large(limit: usize) -> Problem {
    Problem::new(Reason::PayloadTooLarge).with("limit_bytes", limit)
}

/// Parses and validates a body. The last value of a repeated key counts; nesting deeper than 128 is malformed.
fn parse<T: ParseFromJSON + 'static>(bytes: &[u8], unknown: Unknown) -> Result<T, Problem> {
    let (value, mut errors) = lenient::parse(bytes).map_err(|error| {
        Problem::new(Reason::MalformedJson).detail(format!(
            "Syntax error at line {}, column {}.",
            error.line(),
            error.column()
        ))
    })?;
    errors.extend(schema_of::<T>().errors(&value, unknown));
    if !errors.is_empty() {
        lenient::show_half_characters(&mut errors);
        return Err(Problem::invalid(errors));
    }
    T::parse_from_json(Some(value)).map_err(|error| {
        Problem::invalid(vec![FieldError::new(String::new(), error.into_message())])
    })
}

/// Returns the schema of a type, built once.
fn schema_of<T: ParseFromJSON + 'static>() -> Arc<Schema> {
    static MADE: OnceLock<RwLock<HashMap<TypeId, Arc<Schema>>>> = OnceLock::new();
    let made = MADE.get_or_init(RwLock::default);
    let id = TypeId::of::<T>();
    if let Some(schema) = made.read().get(&id) {
        return Arc::clone(schema);
    }
    let schema = Arc::new(Schema::of::<T>());
    let mut made = made.write();
    Arc::clone(made.entry(id).or_insert(schema))
}

#[cfg(test)]
mod tests;
