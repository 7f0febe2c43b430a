//! Who draws the sessions' codes.

use domain::session::is_code;
use ledger::{Ledger, LedgerError, sessions::SessionRefused};
use platform::chance::Chance;

use super::service::{Answer, Service};
use crate::http::problem::Problem;

/// A service that gives out a taken code so often draws none.
const MOST_DRAWS: u32 = 5;

#[derive(Debug)]
pub(crate) enum Codes {
    Here(Chance),
    There(Service),
}

impl Codes {
    pub(super) fn new(ledger: &Ledger, service: Option<Service>) -> Self {
        match service {
            Some(service) => Self::There(service),
            None => Self::Here(ledger.chance().clone()),
        }
    }

    /// Drawing one costs somebody else something, so none should be drawn in vain.
    pub(crate) fn are_drawn_elsewhere(&self) -> bool {
        matches!(self, Self::There(_))
    }

    /// Draws a code for `using`; another one where that was taken, a few times.
    pub(crate) async fn drawn_for<T, F>(
        &self,
        using: impl Fn(String) -> F,
    ) -> Result<T, LedgerError<Problem>>
    where
        F: Future<Output = Result<T, LedgerError<SessionRefused>>>,
    {
        let mut draws = 1;
        loop {
            let code = self.draw().await.map_err(LedgerError::Refused)?;
            match using(code).await {
                Err(LedgerError::Refused(SessionRefused::CodeTaken)) if draws < MOST_DRAWS => {
                    draws += 1;
                }
                done => return done.map_err(|error| error.map_refused(Into::into)),
            }
        }
    }

    async fn draw(&self) -> Result<String, Problem> {
        let service = match self {
            Self::Here(chance) => return Ok(chance.session_code()),
            Self::There(service) => service,
        };
        // No code is no code, whyever.
        let Answer::Yes(answer) = service.get(&["new"], &[], &[]).await? else {
            return Err(service.nonsense("it draws none"));
        };
        let code = answer["value"].as_str().map(str::to_ascii_lowercase);
        code.filter(|code| is_code(code))
            .ok_or_else(|| service.nonsense("`value` is not 40 hex digits"))
    }
}
