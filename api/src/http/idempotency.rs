//! `Idempotency-Key`: a repeated request is done once, and the replay returns the resource that it created or changed.

use ledger::{
    Ledger, MaybeFailure,
    idempotency::{Idempotency, Once},
};
use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    param::Header,
    registry::{MetaParamIn, MetaSchemaRef, Registry},
    types::ToJSON,
};
use uuid::Uuid;

use crate::{
    http::{
        problem::Problem,
        response::{Answer, Tagged},
    },
    state::ApiState,
};

const MAX_KEY_BYTES: usize = 200;

/// Header with the operation it was sent to. As a handler's argument:
/// `#[oai(name = "Idempotency-Key")] key: IdempotencyKey`.
#[derive(Debug)]
pub(crate) struct IdempotencyKey {
    key: Option<String>,
    /// Method and path, which are part of the fingerprint: the same key with another operation is refused.
    operation: String,
}

impl IdempotencyKey {
    /// Returns the key with its owner (an account, or a guest's session) and the fingerprint of the request. Pass
    /// `&Value::Null` if the request has no body.
    pub(crate) fn of(
        self,
        state: &ApiState,
        owner: Uuid,
        body: &impl ToJSON,
    ) -> Result<Option<Idempotency>, Problem> {
        let Some(key) = self.key else {
            return Ok(None);
        };
        if !(1..=MAX_KEY_BYTES).contains(&key.len()) {
            let detail = format!("must be 1 to {MAX_KEY_BYTES} bytes long");
            return Err(Problem::invalid_field("Idempotency-Key", detail));
        }
        let asked = format!("{}\n{}", self.operation, body.to_json_string());
        Ok(Some(Idempotency {
            owner,
            key,
            fingerprint: state.keys.fingerprint.sign(asked.as_bytes()),
        }))
    }
}

/// Returns the result of `work` and false; or, if the request was done before, the resource that `again` reads now and
/// true.
pub(crate) async fn once<T, E>(
    state: &ApiState,
    key: Option<Idempotency>,
    work: impl AsyncFnOnce(Ledger) -> Result<T, E>,
    again: impl AsyncFnOnce(Uuid) -> Result<T, Problem>,
) -> Result<(T, bool), Problem>
where
    E: MaybeFailure + Into<Problem>,
{
    match state.ledger.once(key, work).await.map_err(Into::into)? {
        Once::Done(made) => Ok((made, false)),
        Once::AlreadyDone(resource) => Ok((again(resource).await?, true)),
    }
}

/// Like [`once`], for a resource that is shown with its `ETag`.
pub(crate) async fn once_tagged<T, V, E>(
    state: &ApiState,
    key: Option<Idempotency>,
    work: impl AsyncFnOnce(Ledger) -> Result<T, E>,
    again: impl AsyncFnOnce(Uuid) -> Result<T, Problem>,
) -> Result<Tagged<V>, Problem>
where
    E: MaybeFailure + Into<Problem>,
    V: From<T> + ToJSON,
{
    let (now, replayed) = once(state, key, work, again).await?;
    Ok(Answer::of(V::from(now)).etag().replayed(replayed))
}

impl<'a> ApiExtractor<'a> for IdempotencyKey {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    type ParamType = Option<String>;
    type ParamRawType = String;

    fn register(registry: &mut Registry) {
        Header::<Option<String>>::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Header::<Option<String>>::param_in()
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Header::<Option<String>>::param_schema_ref()
    }

    fn param_raw_type(&self) -> Option<&String> {
        self.key.as_ref()
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<Option<String>>,
    ) -> poem::Result<Self> {
        let Header(key) = Header::from_request(request, body, options).await?;
        let path = request.original_uri().path();
        Ok(Self {
            key,
            operation: format!("{} {path}", request.method()),
        })
    }
}
