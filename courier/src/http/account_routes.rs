//! Routes of accounts: sign-up, sign-in and webhooks.

use base64::{Engine, engine::general_purpose::STANDARD};
use poem_openapi::{ApiResponse, OpenApi, param::Path, payload::Json};

use super::{
    answers::{Credentials, NewWebhook, ShownAccount, ShownToken, ShownWebhook, WebhookList},
    fields::{Fields, Raw},
    problem::{Problem, Reason},
    sender::Token,
};
use crate::{
    chance::random_bytes,
    clock::from_ms,
    courier::Courier,
    database::accounts::{self, MARKETPLACE_USER},
    signature::Secret,
};

/// Maximum number of webhooks of an account: each gets every change.
const WEBHOOKS_MAX: usize = 10;
const URL_CHARS_MAX: usize = 2000;

/// The handlers; the courier is missing only while the document is written.
pub(crate) struct AccountRoutes(pub(crate) Option<Courier>);

#[derive(ApiResponse)]
enum SignedUp {
    #[oai(status = 201)]
    Created(Json<ShownAccount>),
}

#[derive(ApiResponse)]
enum Registered {
    #[oai(status = 201)]
    Created(Json<ShownWebhook>),
}

#[derive(ApiResponse)]
enum Removed {
    #[oai(status = 204)]
    Removed,
}

impl AccountRoutes {
    fn courier(&self) -> &Courier {
        self.0.as_ref().expect("a running API has a courier")
    }
}

#[OpenApi]
impl AccountRoutes {
    /// Create an account
    ///
    /// The account has the role `marketplace_user`: it makes deliveries and sees its own.
    #[oai(path = "/signup", method = "post", operation_id = "sign_up")]
    async fn sign_up(&self, body: Raw<Credentials>) -> Result<SignedUp, Problem> {
        let courier = self.courier();
        if !courier.inner.settings.open_signup {
            return Err(Problem::new(Reason::Forbidden).detail("Sign-up is closed."));
        }
        let json = body.json()?;
        let mut fields = Fields::new(&json);
        let username = fields.text("/username", 1..=100);
        let password = fields.text("/password", 8..=200);
        if username.chars().any(char::is_control) {
            fields.wrong("/username", "must have no control characters");
        }
        let (username, password) = fields.finish((username, password))?;
        let hash = courier.inner.passwords.hash(&password).await?;
        let now_ms = courier.inner.settings.clock.now_ms();
        let mut tx = courier.inner.database.begin().await?;
        let id = accounts::insert(&mut tx, &username, &hash, MARKETPLACE_USER, now_ms).await?;
        tx.commit().await?;
        let id = id.ok_or_else(|| Problem::new(Reason::DuplicateUser))?;
        Ok(SignedUp::Created(Json(ShownAccount {
            id,
            username,
            role: MARKETPLACE_USER.to_owned(),
        })))
    }

    /// Get a token
    #[oai(path = "/signin", method = "post", operation_id = "sign_in")]
    async fn sign_in(&self, body: Raw<Credentials>) -> Result<Json<ShownToken>, Problem> {
        let courier = self.courier();
        let json = body.json()?;
        let mut fields = Fields::new(&json);
        let username = fields.text("/username", 1..=100);
        let password = fields.text("/password", 1..=200);
        let (username, password) = fields.finish((username, password))?;
        let account = accounts::by_name(&courier.inner.database.readers, &username).await?;
        let hash = account
            .as_ref()
            .map(|account| account.password_hash.clone());
        let is_right = courier.inner.passwords.verify(&password, hash).await?;
        let account = account.filter(|_| is_right);
        let account = account.ok_or_else(|| Problem::new(Reason::IncorrectCredentials))?;
        let ttl = courier.inner.settings.token_ttl;
        let token = courier.inner.tokens.issue(account.id, ttl);
        let (token, expires_at) = token.map_err(|error| Problem::internal(&error))?;
        tracing::info!(username = account.username, "signed in");
        Ok(Json(ShownToken { token, expires_at }))
    }

    /// Register a webhook
    ///
    /// It gets every change of the account's deliveries from then on, signed as in Standard Webhooks. The callback secret
    /// is shown only in this answer.
    #[oai(path = "/webhooks", method = "post", operation_id = "register_webhook")]
    async fn register(&self, auth: Token, body: Raw<NewWebhook>) -> Result<Registered, Problem> {
        let courier = self.courier();
        let account = courier.account_of(&auth).await?;
        let json = body.json()?;
        let mut fields = Fields::new(&json);
        let url = fields.optional_text("/url", 1..=URL_CHARS_MAX);
        if let Some(why) = url.as_deref().and_then(|url| courier.refuses(url)) {
            fields.wrong("/url", why);
        }
        let callback_secret = secret(&mut fields, "/callback_secret");
        let signing_secret = secret(&mut fields, "/signing_secret");
        fields.finish(())?;
        let callback_secret = callback_secret.unwrap_or_else(fresh_secret);
        let now_ms = courier.inner.settings.clock.now_ms();
        let mut tx = courier.inner.database.begin().await?;
        let known = accounts::webhooks_in(&mut tx, account.id).await?;
        if known.iter().any(|webhook| webhook.url == url) {
            return Err(Problem::new(Reason::DuplicateWebhook));
        }
        if known.len() >= WEBHOOKS_MAX {
            let detail = format!("An account has at most {WEBHOOKS_MAX} webhooks.");
            return Err(Problem::new(Reason::TooManyWebhooks).detail(detail));
        }
        let id = accounts::insert_webhook(
            &mut tx,
            account.id,
            url.as_deref(),
            &callback_secret,
            signing_secret.as_deref(),
            now_ms,
        )
        .await?;
        tx.commit().await?;
        Ok(Registered::Created(Json(ShownWebhook {
            id,
            url,
            has_signing_secret: signing_secret.is_some(),
            created_at: from_ms(now_ms),
            callback_secret: Some(callback_secret),
        })))
    }

    /// List the account's webhooks
    #[oai(path = "/webhooks", method = "get", operation_id = "list_webhooks")]
    async fn list(&self, auth: Token) -> Result<Json<WebhookList>, Problem> {
        let courier = self.courier();
        let account = courier.account_of(&auth).await?;
        let webhooks = accounts::webhooks(&courier.inner.database.readers, account.id).await?;
        let items = webhooks.into_iter().map(Into::into).collect();
        Ok(Json(WebhookList { items }))
    }

    /// Remove a webhook, with its updates that were not taken yet
    #[oai(
        path = "/webhooks/:id",
        method = "delete",
        operation_id = "remove_webhook"
    )]
    async fn remove(&self, auth: Token, id: Path<i64>) -> Result<Removed, Problem> {
        let courier = self.courier();
        let account = courier.account_of(&auth).await?;
        let mut tx = courier.inner.database.begin().await?;
        if !accounts::delete_webhook(&mut tx, account.id, id.0).await? {
            return Err(Problem::new(Reason::NotFound));
        }
        tx.commit().await?;
        Ok(Removed::Removed)
    }
}

impl Courier {
    /// Returns why updates are not sent to an address.
    pub(crate) fn refuses(&self, url: &str) -> Option<&'static str> {
        let Ok(url) = url::Url::parse(url) else {
            return Some("must be a URL");
        };
        let Some(host) = url
            .host_str()
            .filter(|_| matches!(url.scheme(), "http" | "https"))
        else {
            return Some("must be an http or https URL");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Some("must have no credentials in it");
        }
        let receivers = &self.inner.settings.receivers;
        let port = url.port_or_known_default().unwrap_or_default();
        let with_port = format!("{host}:{port}");
        let is_allowed = receivers.is_empty()
            || receivers
                .iter()
                .any(|allowed| allowed == host || *allowed == with_port);
        (!is_allowed).then_some("has a host that this courier does not send to")
    }
}

fn secret(fields: &mut Fields<'_>, pointer: &str) -> Option<String> {
    let text = fields.optional_text(pointer, 1..=200)?;
    if let Err(error) = text.parse::<Secret>() {
        fields.wrong(pointer, &error.to_string());
    }
    Some(text)
}

fn fresh_secret() -> String {
    format!("whsec_{}", STANDARD.encode(random_bytes::<32>()))
}
