//! `/api-keys`: keys with which programs call the API, for some stores and actions.

use domain::{
    account::Role,
    api_key::ApiKey,
    ids::{AccountId, StoreId},
};
use ledger::{
    ChangeError,
    accounts::{ApiKeyRefused, NewApiKey},
};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use uuid::Uuid;

use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        enums::KeyAction,
        idempotency::{IdempotencyKey, once},
        paging::{Cursor, Limit, Page},
        problem::{Problem, Reason},
        response::{Answer, Created, Done},
        scalars::Time,
    },
    state::ApiState,
};

pub(crate) struct ApiKeys(pub(crate) ApiState);

/// A key of a program, without its text.
#[derive(Debug, Object)]
#[oai(rename = "ApiKey")]
struct ApiKeyView {
    /// The account that the key acts as: orders that it places carry this id.
    id: Uuid,
    name: String,
    store_ids: Vec<Uuid>,
    actions: Vec<KeyAction>,
    /// Account that made it.
    made_by: Uuid,
    created_at: Time,
    expires_at: Option<Time>,
    /// Up to a minute before the last use; null if it was never used.
    last_used_at: Option<Time>,
}

#[derive(Debug, Object)]
#[oai(rename = "NewApiKey")]
struct NewApiKeyBody {
    /// For people: which program has the key.
    #[oai(validator(min_length = 1, max_length = 60))]
    name: String,
    /// The caller must manage each of them.
    #[oai(validator(min_items = 1, max_items = 100, unique_items))]
    store_ids: Vec<Uuid>,
    #[oai(validator(min_items = 1, max_items = 50, unique_items))]
    actions: Vec<KeyAction>,
    /// Default: it does not expire.
    expires_at: Option<Time>,
}

/// A new key with its text, which is shown only this once: a replayed answer has none. A client that never received it
/// ends the key and makes another.
#[derive(Debug, Object)]
struct CreatedApiKey {
    api_key: ApiKeyView,
    /// For `Authorization: Bearer exk_…`. Null in a replayed answer.
    key: Option<String>,
}

#[OpenApi(tag = "Topic::Accounts")]
impl ApiKeys {
    /// List API keys
    ///
    /// Oldest first, without those that have ended. Managers see the keys for any of their stores.
    #[oai(path = "/api-keys", method = "get", operation_id = "list_api_keys")]
    async fn list(
        &self,
        caller: Caller,
        cursor: Cursor<AccountId>,
        limit: Limit,
    ) -> Result<Json<Page<ApiKeyView>>, Problem> {
        let stores = (!caller.is(Role::Operator)).then_some(caller.account.stores.as_slice());
        let ledger = &self.0.ledger;
        let found = ledger.api_keys(stores, cursor.0, limit.0 + 1).await?;
        let page = Page::of(found, limit, |key| key.id.uuid(), ApiKeyView::from);
        Ok(Json(page))
    }

    /// Make an API key
    ///
    /// The key acts as an account of its own, with the rights of a manager of its stores, and only for its actions. The
    /// answer shows its text, only this once. The key ends when it expires, when it is revoked, and when its maker is
    /// disabled or no longer manages any of its stores. An account may have 100 keys.
    #[oai(path = "/api-keys", method = "post", operation_id = "create_api_key")]
    async fn create(
        &self,
        caller: Caller,
        key: IdempotencyKey,
        Checked(new): Checked<NewApiKeyBody>,
    ) -> Result<Created<CreatedApiKey>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &new)?;
        let name = new.name.trim();
        if name.is_empty() {
            return Err(Problem::invalid_field("/name", "must not be blank"));
        }
        let stores: Vec<StoreId> = new.store_ids.iter().copied().map(Into::into).collect();
        for store in &stores {
            caller.must_manage(*store)?;
        }
        let wanted = NewApiKey {
            name: name.to_owned(),
            stores,
            actions: new.actions.iter().copied().map(Into::into).collect(),
            expires_at: new.expires_at.map(|at| at.0),
            made_by: caller.id(),
        };
        let made = once(
            &self.0,
            key,
            async |ledger| {
                let (made, text) = ledger.create_api_key(&wanted).await?;
                Ok::<_, ChangeError<ApiKeyRefused>>((made, Some(text)))
            },
            async |id| {
                let made = self.0.ledger.api_key(id.into()).await?;
                Ok((made.ok_or_else(Problem::not_found)?, None))
            },
        );
        let ((made, text), replayed) = made.await?;
        if !replayed {
            tracing::info!(key = %made.id, by = %caller.id(), "API key made");
        }
        let created = CreatedApiKey {
            api_key: made.into(),
            key: text,
        };
        Ok(Answer::of(created).replayed(replayed))
    }

    /// Revoke an API key
    ///
    /// Its requests get 401 within 5 seconds at every process, and its live channels close at their next ping. Orders
    /// that it placed stay. A key may be revoked by its maker, and by those who manage all of its stores. Revoking it
    /// twice is a no-op.
    #[oai(
        path = "/api-keys/:id",
        method = "delete",
        operation_id = "revoke_api_key"
    )]
    async fn revoke(&self, caller: Caller, Path(id): Path<Uuid>) -> Result<Done, Problem> {
        let ledger = &self.0.ledger;
        let key = ledger.api_key(id.into()).await?;
        let key = key.ok_or_else(Problem::not_found)?;
        let mut stores = key.stores.iter();
        if key.made_by != caller.id() && !stores.all(|store| caller.manages(*store)) {
            let is_seen = key.stores.iter().any(|store| caller.manages(*store));
            return Err(if is_seen {
                Problem::forbidden()
            } else {
                Problem::not_found()
            });
        }
        ledger.end_api_key(key.id).await?;
        self.0.authenticator.forget(key.id);
        tracing::info!(key = %key.id, by = %caller.id(), "API key revoked");
        Ok(Answer::empty())
    }
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.uuid(),
            name: key.name,
            store_ids: key.stores.into_iter().map(StoreId::uuid).collect(),
            actions: key.actions.into_iter().map(Into::into).collect(),
            made_by: key.made_by.uuid(),
            created_at: key.created_at.into(),
            expires_at: key.expires_at.map(Into::into),
            last_used_at: key.last_used_at.map(Into::into),
        }
    }
}

impl From<ApiKeyRefused> for Problem {
    fn from(refused: ApiKeyRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            ApiKeyRefused::NotAllowed => Self::forbidden(),
            ApiKeyRefused::Expired => Self::invalid_field("/expires_at", detail),
            ApiKeyRefused::TooMany => Self::new(Reason::Conflict).detail(format!("{detail}.")),
            ApiKeyRefused::Account(_) => Self::invalid_field("/store_ids", detail),
        }
    }
}
