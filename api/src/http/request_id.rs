//! A request's name, in its answer and in the log.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName};
use platform::{chance::Chance, clock::Clock};
use uuid::Uuid;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// An id from outside longer than this is not taken over.
const LONGEST: usize = 64;

/// In every answer's `X-Request-Id`; an incoming one is kept if it is sane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    pub(crate) fn of(headers: &HeaderMap, chance: &Chance, clock: &Clock) -> Self {
        let mut said = headers.get_all(REQUEST_ID).into_iter();
        // Two of them name nothing.
        let theirs = said.next().filter(|_| said.next().is_none());
        let theirs = theirs.and_then(|id| id.to_str().ok()).filter(is_sane);
        let ours = || chance.id::<Uuid>(clock.now()).to_string();
        Self(theirs.map_or_else(ours, str::to_owned).into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Nothing that could break a log's line or pretend to be another field of it.
fn is_sane(id: &&str) -> bool {
    (1..=LONGEST).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}
