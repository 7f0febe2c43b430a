//! Places of values in an integrator's answers, as JSON pointers (RFC 6901).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Maximum length of a pointer, in bytes.
pub const MAX_POINTER_BYTES: usize = 500;

/// Settings of an integrator: the places that hold its values. For a place that is not set, the usual ones are looked
/// at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answers {
    /// Place of the token in the answer to a sign-in or to an OAuth 2 token request.
    pub token: Option<JsonPointer>,
    /// Place of the integrator's own id of the order in the answer to a handoff.
    pub reference: Option<JsonPointer>,
}

/// A JSON pointer: empty for the whole answer, else a `/` before each step. In a step `~1` stands for `/`, and `~0` for
/// `~`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JsonPointer(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a JSON pointer (RFC 6901) such as /data/id, of at most 500 bytes: empty, or beginning with /, with ~ only \
     in ~0 and ~1"
)]
pub struct MalformedPointer;

impl JsonPointer {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the names and indexes from the root to the value.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        let steps = self.0.split('/').skip(1);
        steps
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect()
    }
}

impl FromStr for JsonPointer {
    type Err = MalformedPointer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut escapes = text.split('~').skip(1);
        let is_well_formed = (text.is_empty() || text.starts_with('/'))
            && escapes.all(|rest| rest.starts_with(['0', '1']))
            && text.len() <= MAX_POINTER_BYTES;
        is_well_formed
            .then(|| Self(text.to_owned()))
            .ok_or(MalformedPointer)
    }
}

impl TryFrom<String> for JsonPointer {
    type Error = MalformedPointer;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<JsonPointer> for String {
    fn from(pointer: JsonPointer) -> Self {
        pointer.0
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_empty_or_has_a_slash_before_each_step_and_no_stray_tilde() {
        let steps = |text: &str| {
            let pointer: Result<JsonPointer, _> = text.parse();
            pointer.map(|pointer| pointer.steps())
        };
        for (text, expected) in [
            ("", &[] as &[&str]),
            ("/", &[""]),
            ("/data", &["data"]),
            ("/data/0/id", &["data", "0", "id"]),
            ("/a~1b/m~0n", &["a/b", "m~n"]),
            // RFC 6901 section 4: `~01` is `~1`, not `/`.
            ("/~01", &["~1"]),
            ("/ü/ /\"", &["ü", " ", "\""]),
        ] {
            assert_eq!(steps(text).unwrap(), expected, "{text}");
        }
        let long = format!("/{}", "a".repeat(MAX_POINTER_BYTES));
        for text in [
            "data", "#/data", "$.data", "/a~", "/a~2", "/~~0", " /a", &long,
        ] {
            assert_eq!(steps(text), Err(MalformedPointer), "{text}");
        }
    }

    #[test]
    fn settings_of_a_later_version_are_read() {
        let read: Answers = serde_json::from_str(r#"{"token":"/data","later":1}"#).unwrap();
        assert_eq!(read.token.unwrap().as_str(), "/data");
        assert!(serde_json::from_str::<Answers>(r#"{"token":"data"}"#).is_err());
    }
}
