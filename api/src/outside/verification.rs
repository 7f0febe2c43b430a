//! Verification of a `user_id` and `session_key`.

use domain::account::Account;
use ledger::Ledger;
use serde_json::{Value, json};

use super::{
    ExternalId,
    service::{Answer, Service},
};
use crate::http::problem::Problem;

/// Statuses that mean wrong credentials. A 404 is not one of them: it only means that the service is not there.
const WRONG: [u16; 2] = [401, 403];

#[derive(Debug)]
pub(crate) struct Verification {
    ledger: Ledger,
    /// `None` if verification is built in, with the keys that operators give out.
    service: Option<Service>,
}

impl Verification {
    pub(super) fn new(ledger: &Ledger, service: Option<Service>) -> Self {
        Self {
            ledger: ledger.clone(),
            service,
        }
    }

    /// Returns the account of that user, even a disabled one; `None` if the credentials are wrong, or the user has no
    /// account here.
    pub(crate) async fn account(
        &self,
        user_id: &ExternalId,
        session_key: &str,
    ) -> Result<Option<Account>, Problem> {
        let Some(service) = &self.service else {
            let found = self
                .ledger
                .account_by_session_key(user_id.text(), session_key);
            return Ok(found.await?);
        };
        let body = json!({"session_key": session_key, "user_id": user_id.wire_value()});
        match service.post(&body, &WRONG).await? {
            Answer::No => Ok(None),
            Answer::Yes(Value::Null | Value::Object(_)) => {
                Ok(self.ledger.account_of_external_user(user_id.text()).await?)
            }
            Answer::Yes(_) => Err(service.invalid_response("not an object")),
        }
    }
}
