//! Places of an integrator's values in its answers, as clients set and see them.

use domain::answers::{Answers, JsonPointer, MalformedPointer};
use ledger::integrators::AnswersEdit;
use poem_openapi::{Object, types::MaybeUndefined};

use crate::http::{body::format::Pointer, merge_patch::said, problem::FieldError};

/// Places of the integrator's own values in its answers, as JSON pointers (RFC 6901). A place that is set is the only
/// one that is looked at.
#[derive(Debug, Default, Object)]
#[oai(rename = "IntegratorAnswers")]
pub(super) struct AnswersBody {
    /// Place of the token in the answer to a sign-in or an OAuth 2 token request. Null: `/access_token`, `/token`,
    /// `/jwt`, `/data`, or one of the first three in `/data`.
    token: Option<Pointer>,
    /// Place of the integrator's own id of the order in its answer to a handoff; of a courier, the tracking number.
    /// Null: `/reference`, `/tracking_number`, `/id`, or one of these in `/data`; a courier's tracking number is
    /// `/tracking_number` or `/data/tracking_number` if there is one.
    reference: Option<Pointer>,
}

/// Changes to the places of values in an integrator's answers. `null` sets the usual places again.
#[derive(Debug, Object)]
#[oai(rename = "IntegratorAnswersPatch")]
pub(super) struct AnswersPatch {
    token: MaybeUndefined<Pointer>,
    reference: MaybeUndefined<Pointer>,
}

impl AnswersBody {
    pub(super) fn parse(self, errors: &mut Vec<FieldError>) -> Answers {
        Answers {
            token: parse("token", self.token, errors),
            reference: parse("reference", self.reference, errors),
        }
    }
}

impl AnswersPatch {
    pub(super) fn parse(patch: MaybeUndefined<Self>, errors: &mut Vec<FieldError>) -> AnswersEdit {
        match patch {
            MaybeUndefined::Undefined => AnswersEdit::default(),
            MaybeUndefined::Null => AnswersEdit {
                token: Some(None),
                reference: Some(None),
            },
            MaybeUndefined::Value(patch) => AnswersEdit {
                token: said(patch.token).map(|to| parse("token", to, errors)),
                reference: said(patch.reference).map(|to| parse("reference", to, errors)),
            },
        }
    }
}

fn parse(
    name: &str,
    pointer: Option<Pointer>,
    errors: &mut Vec<FieldError>,
) -> Option<JsonPointer> {
    let parsed: Result<JsonPointer, MalformedPointer> = pointer?.0.parse();
    parsed
        .map_err(|error| {
            errors.push(FieldError::new(
                format!("/answers/{name}"),
                error.to_string(),
            ))
        })
        .ok()
}

impl From<Answers> for AnswersBody {
    fn from(answers: Answers) -> Self {
        let shown = |pointer: Option<JsonPointer>| pointer.map(|pointer| Pointer(pointer.into()));
        Self {
            token: shown(answers.token),
            reference: shown(answers.reference),
        }
    }
}
