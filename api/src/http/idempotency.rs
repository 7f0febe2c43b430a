//! `Idempotency-Key`: a repeated request is done once, and the replay returns the resource that it created or changed.

use ledger::{
    Ledger, MaybeFailure,
    idempotency::{Idempotency, Once},
};
use poem::Request;
use poem_openapi::types::ToJSON;
use uuid::Uuid;

use crate::{
    http::{
        parameters::{VISIBLE, parameter},
        problem::Problem,
        response::{Answer, Tagged},
    },
    state::ApiState,
};

const MAX_KEY_BYTES: usize = 200;

/// `Idempotency-Key` with the operation it was sent to.
#[derive(Debug)]
pub(crate) struct IdempotencyKey {
    key: Option<String>,
    /// Method and path, which are part of the fingerprint: the same key with another operation is refused.
    operation: String,
}

parameter!(
    IdempotencyKey,
    Header "Idempotency-Key": String,
    "A client-chosen key of up to 200 bytes, unique per caller.",
    { min_length: Some(1), max_length: Some(MAX_KEY_BYTES), pattern: Some(VISIBLE.to_owned()), },
    |request: &Request, key| {
        let operation = format!("{} {}", request.method(), request.original_uri().path());
        Ok::<_, Problem>(Self { key, operation })
    }
);

impl IdempotencyKey {
    /// Returns the key with its owner (an account, or a guest) and the fingerprint of the request. Pass
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
        let keys = &state.keys.fingerprint;
        Ok(Some(Idempotency {
            owner,
            key,
            fingerprint: keys.sign(asked.as_bytes()),
            other_fingerprints: keys.signatures(asked.as_bytes()).skip(1).collect(),
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
