//! Senders of requests: the account of a token, and the signature of a message.

use poem::Request;
use poem_openapi::{SecurityScheme, auth::Bearer};

use super::problem::{Problem, Reason};
use crate::{
    courier::Courier,
    database::accounts::{self, Account},
    signature::{Secret, SignatureHeaders},
};

/// Token of `POST /signin`.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", bearer_format = "JWT", rename = "token")]
pub(crate) struct Token(Bearer);

/// A token; without one, a signature made with the configured secret.
#[derive(SecurityScheme)]
pub(crate) enum Sender {
    Token(Token),
    #[oai(fallback)]
    Unnamed,
}

/// Sender of a verified message.
pub(crate) struct Verified {
    pub(crate) account: Account,
    /// True if the configured signing secret made the signature.
    pub(crate) is_signed: bool,
}

impl Courier {
    /// Returns the account of a token; 401 if it is invalid, expired, or its account is gone.
    pub(crate) async fn account_of(&self, token: &Token) -> Result<Account, Problem> {
        let refused = || Problem::new(Reason::IncorrectCredentials);
        let id = self
            .inner
            .tokens
            .check(&token.0.token)
            .ok_or_else(refused)?;
        let account = accounts::by_id(&self.inner.database.readers, id).await?;
        account.ok_or_else(refused)
    }

    /// Verifies the sender of a message. A signature is required if a signing secret is configured or registered.
    pub(crate) async fn verify(
        &self,
        sender: Sender,
        request: &Request,
        body: &[u8],
    ) -> Result<Verified, Problem> {
        let readers = &self.inner.database.readers;
        let configured = self.inner.settings.signing_secret.as_ref();
        let account = match sender {
            Sender::Token(token) => Some(self.account_of(&token).await?),
            Sender::Unnamed if request.header("authorization").is_some() => {
                return Err(Problem::new(Reason::IncorrectCredentials));
            }
            Sender::Unnamed => None,
        };
        let own: Vec<Secret> = match &account {
            Some(account) => {
                let webhooks = accounts::webhooks(readers, account.id).await?;
                webhooks
                    .iter()
                    .filter_map(accounts::Webhook::signing)
                    .collect()
            }
            None => Vec::new(),
        };
        if configured.is_none() && own.is_empty() {
            let account = account.ok_or_else(|| Problem::new(Reason::IncorrectCredentials))?;
            return Ok(Verified {
                account,
                is_signed: false,
            });
        }
        let is_signed = configured.is_some_and(|it| self.has_signed(it, request, body));
        if !is_signed && !own.iter().any(|it| self.has_signed(it, request, body)) {
            return Err(Problem::new(Reason::BadSignature).detail(
                "The webhook-id, webhook-timestamp and webhook-signature headers must sign the body \
                 (Standard Webhooks), with a time within five minutes.",
            ));
        }
        let account = match (account, &self.inner.settings.login) {
            (Some(account), _) => Some(account),
            (None, Some(login)) => accounts::by_name(readers, &login.username).await?,
            (None, None) => None,
        };
        let account = account.ok_or_else(|| Problem::new(Reason::IncorrectCredentials))?;
        Ok(Verified { account, is_signed })
    }

    fn has_signed(&self, secret: &Secret, request: &Request, body: &[u8]) -> bool {
        let headers = request
            .header("webhook-id")
            .zip(request.header("webhook-timestamp"))
            .zip(request.header("webhook-signature"));
        headers.is_some_and(|((id, timestamp), signature)| {
            let headers = SignatureHeaders {
                id,
                timestamp,
                signature,
            };
            let now = self.inner.settings.clock.now();
            secret.verify(headers, body, now).is_ok()
        })
    }
}
