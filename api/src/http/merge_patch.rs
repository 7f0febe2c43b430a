//! Fields of a merge patch (RFC 7396): absent, null (which clears the field), or a new value.

use poem_openapi::types::MaybeUndefined;

use crate::http::problem::{FieldError, Problem};

/// Converts a field of a merge patch: `None` if it is absent, `Some(None)` if it is null.
pub(crate) fn said<T>(field: MaybeUndefined<T>) -> Option<Option<T>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

/// Collects errors for fields that are null in a merge patch although they can't be cleared.
#[derive(Default)]
pub(crate) struct RequiredFields {
    errors: Vec<FieldError>,
}

impl RequiredFields {
    /// Returns the new value; `None` if the field is absent, or null, which is recorded as an error.
    pub(crate) fn said<T>(&mut self, name: &str, field: MaybeUndefined<T>) -> Option<T> {
        match field {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Value(value) => Some(value),
            MaybeUndefined::Null => {
                self.errors
                    .push(FieldError::new(format!("/{name}"), "must not be null"));
                None
            }
        }
    }

    /// Returns the edit, or a 422 with the collected errors.
    pub(crate) fn all<T>(self, edit: T) -> Result<T, Problem> {
        if self.errors.is_empty() {
            Ok(edit)
        } else {
            Err(Problem::invalid(self.errors))
        }
    }

    /// Returns the collected errors, for a caller that has more to check.
    pub(crate) fn wrong(self) -> Vec<FieldError> {
        self.errors
    }
}
