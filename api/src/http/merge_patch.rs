//! What a merge patch (RFC 7396) says of a field: nothing, that it is empty from now on, or its new value.

use poem_openapi::types::MaybeUndefined;

use crate::http::problem::{FieldError, Problem};

/// `None`: not said; `Some(None)`: emptied.
pub(crate) fn said<T>(field: MaybeUndefined<T>) -> Option<Option<T>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

/// Collects the fields that null would empty although they always have a value.
#[derive(Default)]
pub(crate) struct Filled {
    errors: Vec<FieldError>,
}

impl Filled {
    /// `None`: not said, or wrong.
    pub(crate) fn said<T>(&mut self, name: &str, field: MaybeUndefined<T>) -> Option<T> {
        match field {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Value(value) => Some(value),
            MaybeUndefined::Null => {
                self.errors.push(FieldError::new(
                    format!("/{name}"),
                    "must not be null: it is never empty",
                ));
                None
            }
        }
    }

    /// The edit, unless something was wrong.
    pub(crate) fn all<T>(self, edit: T) -> Result<T, Problem> {
        if self.errors.is_empty() {
            Ok(edit)
        } else {
            Err(Problem::invalid(self.errors))
        }
    }

    /// What was wrong, where there is more to check.
    pub(crate) fn wrong(self) -> Vec<FieldError> {
        self.errors
    }
}
