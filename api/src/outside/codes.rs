//! Generation of session codes, built in or by the code service.

use domain::session::is_code;
use ledger::{ChangeError, Ledger, sessions::SessionRefused};
use platform::chance::Chance;

use super::service::{Answer, Service};
use crate::http::problem::Problem;

/// Maximum number of codes drawn for one session if each is already taken.
const MAX_DRAWS: u32 = 5;

#[derive(Debug)]
pub(crate) enum Codes {
    Local(Chance),
    Remote(Service),
}

impl Codes {
    pub(super) fn new(ledger: &Ledger, service: Option<Service>) -> Self {
        match service {
            Some(service) => Self::Remote(service),
            None => Self::Local(ledger.chance().clone()),
        }
    }

    /// Returns true if an external service draws the codes, so that the caller avoids wasting them.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// Draws a code and calls `using` with it; tries again with another code, a few times, if it was taken.
    pub(crate) async fn draw_for<T, F>(
        &self,
        using: impl Fn(String) -> F,
    ) -> Result<T, ChangeError<Problem>>
    where
        F: Future<Output = Result<T, ChangeError<SessionRefused>>>,
    {
        let mut draws = 1;
        loop {
            let code = self.draw().await.map_err(ChangeError::Refused)?;
            match using(code).await {
                Err(ChangeError::Refused(SessionRefused::CodeTaken)) if draws < MAX_DRAWS => {
                    draws += 1;
                }
                done => return done.map_err(|error| error.map_refused(Into::into)),
            }
        }
    }

    async fn draw(&self) -> Result<String, Problem> {
        let service = match self {
            Self::Local(chance) => return Ok(chance.session_code()),
            Self::Remote(service) => service,
        };
        // An explicit no is an invalid answer here: the service must return a code.
        let Answer::Yes(answer) = service.get(&["new"], &[], &[]).await? else {
            return Err(service.invalid_response("no code"));
        };
        let code = answer["value"].as_str().map(str::to_ascii_lowercase);
        code.filter(|code| is_code(code))
            .ok_or_else(|| service.invalid_response("`value` is not 40 hex digits"))
    }
}
