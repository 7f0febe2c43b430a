//! A claim about a response's body: that `$.items[0].name = "Espresso"`, or that a path is not null.

use std::fmt;

use serde_json::Value;

/// A path that must have a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claim {
    path: String,
    /// Expected value as JSON; `None` means any value except null.
    value: Option<String>,
}

impl Claim {
    pub(super) fn parse(text: &str) -> Self {
        let (path, value) = match text.split_once(" = ") {
            Some((path, value)) => (path, Some(value.trim().to_owned())),
            None => (text, None),
        };
        Self {
            path: path.trim().to_owned(),
            value,
        }
    }

    /// Returns the claim with placeholders filled in.
    pub(super) fn filled(&self, mut fill: impl FnMut(&str) -> String) -> Self {
        Self {
            path: self.path.clone(),
            value: self.value.as_deref().map(&mut fill),
        }
    }

    /// Returns true if the response fulfils the claim.
    ///
    /// # Panics
    /// If the expected value is not JSON.
    pub(super) fn holds(&self, answer: &Value) -> bool {
        let found = answer.pointer(&pointer(&self.path));
        match &self.value {
            Some(value) => {
                let wanted: Value = serde_json::from_str(value)
                    .unwrap_or_else(|error| panic!("{self}: no JSON: {error}"));
                found.unwrap_or(&Value::Null) == &wanted
            }
            None => found.is_some_and(|found| !found.is_null()),
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// Converts a path such as `$.items[0].name` to a JSON pointer.
pub(super) fn pointer(path: &str) -> String {
    let path = path
        .trim_start_matches('$')
        .trim_start_matches('.')
        .replace(['.', '['], "/")
        .replace(']', "");
    if path.is_empty() || path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_holds_or_does_not() {
        let answer = json!({"items": [{"name": "Bun", "note": null}], "total": 2});
        for (claim, holds) in [
            ("$.items[0].name = \"Bun\"", true),
            ("$.items[0].name = \"Tea\"", false),
            ("$.items[0].note", false),
            ("$.items[0].note = null", true),
            ("$.items[1]", false),
            ("$.total = 2", true),
            ("$.total", true),
        ] {
            assert_eq!(Claim::parse(claim).holds(&answer), holds, "{claim}");
        }
        assert!(Claim::parse("$[0] = 1").holds(&json!([1])));
    }
}
