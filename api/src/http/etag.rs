//! Entity tags (hashes of the representation) and conditional requests.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use platform::secrets::sha256;
use poem_openapi::types::ToJSON;

use crate::http::{
    parameters::parameter,
    problem::{Problem, Reason},
};

/// A version that no resource has: versions start at 1.
const NO_VERSION: i64 = 0;

/// `If-Match`: the edit applies only to what the client has seen.
#[derive(Clone, Debug)]
pub(crate) struct IfMatch(Option<String>);

parameter!(
    IfMatch,
    Header "If-Match": String,
    "Apply only if the current ETag (or the quoted version) matches.",
    {},
    |_, tags| Ok::<_, Problem>(Self(tags))
);

const OTHER_VERSION: &str = "If-Match names another version than the current one. Weak tags (W/\"…\") never match (RFC 9110, section \
     13.1.1). A proxy that compresses answers makes a tag weak: send it without W/, or the version in quotes.";

/// `If-None-Match`: the client has a copy.
#[derive(Clone, Debug)]
pub(crate) struct IfNoneMatch(Option<String>);

parameter!(
    IfNoneMatch,
    Header "If-None-Match": String,
    "The `ETag` that the client has. Returns 304 if nothing has changed.",
    {},
    |_, tags| Ok::<_, Problem>(Self(tags))
);

impl IfMatch {
    pub(crate) fn is_absent(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the version that the edit must still find. The header must contain the current tag, or the current
    /// version in quotes; otherwise 412. `None` without the header, and for `*`, which matches anything.
    pub(crate) fn match_version<T: ToJSON>(
        &self,
        current: &T,
        version: i64,
    ) -> Result<Option<i64>, Problem> {
        let Some(if_match) = self.0.as_deref().filter(|tags| tags.trim() != "*") else {
            return Ok(None);
        };
        let now = [tag(current), format!("\"{version}\"")];
        let seen = if_match.split(',').map(str::trim);
        if seen.into_iter().any(|tag| now.iter().any(|now| now == tag)) {
            Ok(Some(version))
        } else {
            Err(version_conflict(version))
        }
    }

    /// Like [`Self::match_version`], for a request that may have an idempotency key. A replay must be recognised before
    /// a conflict is reported, so a mismatch becomes a version that no resource has, which the ledger refuses.
    pub(crate) fn expected_version<T: ToJSON>(&self, current: &T, version: i64) -> Option<i64> {
        self.match_version(current, version)
            .unwrap_or(Some(NO_VERSION))
    }
}

impl IfNoneMatch {
    /// Returns whether the client has the representation with this tag (weak comparison, RFC 9110).
    pub(crate) fn matches(&self, etag: &str) -> bool {
        let known = self.0.as_deref().unwrap_or_default();
        let mut known = known.split(',').map(str::trim);
        known.any(|known| known == "*" || known.trim_start_matches("W/") == etag)
    }
}

pub(crate) fn version_conflict(current: i64) -> Problem {
    Problem::new(Reason::VersionConflict)
        .detail(OTHER_VERSION)
        .with("current_version", current)
}

pub(crate) fn tag<T: ToJSON>(shown: &T) -> String {
    tag_of(shown.to_json_string().as_bytes())
}

/// Returns the tag of a representation that is already text.
pub(crate) fn tag_of(representation: &[u8]) -> String {
    let hash = sha256(representation);
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_names_what_it_was_made_from_by_tag_or_version() {
        let shown = "espresso".to_owned();
        let seen = |header: Option<&str>| {
            let if_match = IfMatch(header.map(str::to_owned));
            if_match
                .match_version(&shown, 4)
                .map_err(|problem| problem.reason())
        };
        let tag = tag(&shown);
        let several = format!("\"x\" , {tag}");
        assert_eq!(seen(None), Ok(None));
        assert_eq!(seen(Some("*")), Ok(None));
        assert_eq!(seen(Some("\"4\"")), Ok(Some(4)));
        assert_eq!(seen(Some(&tag)), Ok(Some(4)));
        assert_eq!(seen(Some(&several)), Ok(Some(4)));
        assert_eq!(seen(Some("\"3\"")), Err(Reason::VersionConflict));
        assert_eq!(seen(Some("4")), Err(Reason::VersionConflict));
        assert_eq!(seen(Some("W/\"4\"")), Err(Reason::VersionConflict));
        assert_eq!(seen(Some("")), Err(Reason::VersionConflict));
    }
}
