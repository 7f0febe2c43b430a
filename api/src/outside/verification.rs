//! Whose a `user_id` and `session_key` are.

use domain::account::Account;
use ledger::Ledger;
use serde_json::{Value, json};

use super::{
    ExternalId,
    service::{Answer, Service},
};
use crate::http::problem::Problem;

/// 401 and 403: it says that they are wrong. A 404 says only that it is not there.
const WRONG: [u16; 2] = [401, 403];

#[derive(Debug)]
pub(crate) struct Verification {
    ledger: Ledger,
    /// `None`: done in this process, with the keys that operators give out.
    service: Option<Service>,
}

impl Verification {
    pub(super) fn new(ledger: &Ledger, service: Option<Service>) -> Self {
        Self {
            ledger: ledger.clone(),
            service,
        }
    }

    /// The account of that user, also a disabled one; `None` if the two are wrong, or no account is that user's.
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
        let body = json!({"session_key": session_key, "user_id": user_id.as_sent()});
        match service.post(&body, &WRONG).await? {
            Answer::No => Ok(None),
            Answer::Yes(Value::Null | Value::Object(_)) => {
                Ok(self.ledger.account_of_external_user(user_id.text()).await?)
            }
            Answer::Yes(_) => Err(service.nonsense("it is no object")),
        }
    }
}
