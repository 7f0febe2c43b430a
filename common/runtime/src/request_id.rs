//! Request ids, in the response and in the log.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName};
use platform::{chance::Chance, clock::Clock};
use uuid::Uuid;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Maximum length of a client's id in bytes; a longer one is replaced.
const MAX_LENGTH: usize = 64;

/// Request id, sent in the `X-Request-Id` of every response. A client's own id is kept if it is well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Returns the id of a request with these headers, a new one if it has none of its own.
    #[must_use]
    pub fn of(headers: &HeaderMap, chance: &Chance, clock: &Clock) -> Self {
        let mut said = headers.get_all(REQUEST_ID).into_iter();
        // Two ids are ambiguous, so both are ignored.
        let theirs = said.next().filter(|_| said.next().is_none());
        let theirs = theirs
            .and_then(|id| id.to_str().ok())
            .filter(is_well_formed);
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

/// Checks that an id can neither break a log line nor imitate another field of it.
fn is_well_formed(id: &&str) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}
