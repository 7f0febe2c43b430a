//! `POST /token/exchange`: a `user_id` and `session_key`, as seed 000's clients have them, for tokens; and which account
//! is which such user.

use domain::ids::AccountId;
use ledger::external_identities::IdentityRefused;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use uuid::Uuid;

use super::{TokenPair, Tokens};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        limits::ClientAddress,
        problem::{Problem, Reason},
        response::Done,
    },
    outside::ExternalId,
    state::ApiState,
};

pub(crate) struct TokenExchange(pub(crate) ApiState);

#[derive(Object)]
struct ExternalSignIn {
    user_id: ExternalId,
    #[oai(validator(min_length = 1, max_length = 500))]
    session_key: String,
}

#[derive(Object)]
struct NewIdentity {
    /// What the verification service, and the locations service, call the account.
    user_id: ExternalId,
}

/// Which user of the verification service an account is.
#[derive(Object)]
struct ExternalIdentity {
    user_id: ExternalId,
    /// For `POST /token/exchange`, and shown this once. Null where a verification service is set, which gives out its
    /// own.
    session_key: Option<String>,
}

#[OpenApi(tag = "Topic::SigningIn")]
impl TokenExchange {
    /// Trade a user's session key for tokens
    ///
    /// The verification service, where one is set, says whether the two belong together; else the keys that operators
    /// gave out are looked at. Wrong ones are limited as wrong passwords are.
    #[oai(
        path = "/token/exchange",
        method = "post",
        operation_id = "exchange_session_key"
    )]
    async fn exchange(
        &self,
        address: ClientAddress,
        Checked(sign_in): Checked<ExternalSignIn>,
    ) -> Result<Json<TokenPair>, Problem> {
        let ExternalSignIn {
            user_id,
            session_key,
        } = sign_in;
        let (state, verification) = (&self.0, &self.0.outside.verification);
        let account = state
            .doorkeeper
            .exchange(verification, &user_id, &session_key, address)
            .await?;
        let ttl = state.settings.accounts.refresh_ttl;
        let refreshed = state.ledger.start_sign_in(account.id, None, ttl).await?;
        Tokens(state.clone()).pair(refreshed)
    }

    /// Say which user of the verification service an account is
    ///
    /// It gets a fresh session key, and the one that it had is dead.
    #[oai(
        path = "/users/:id/external-identity",
        method = "put",
        operation_id = "give_external_identity"
    )]
    async fn give(
        &self,
        _caller: Caller,
        id: Path<Uuid>,
        Checked(new): Checked<NewIdentity>,
    ) -> Result<Json<ExternalIdentity>, Problem> {
        let id = AccountId::from(id.0);
        let session_key = self.0.ledger.give_identity(id, new.user_id.text()).await?;
        let is_done_here = self.0.settings.outside.verification_url.is_none();
        Ok(Json(ExternalIdentity {
            user_id: new.user_id,
            session_key: is_done_here.then_some(session_key),
        }))
    }

    /// The account is no such user any more, and its session key is dead
    ///
    /// Tokens that were traded for it stay good: disable the account to end them. An account that is no such user is
    /// left as it is.
    #[oai(
        path = "/users/:id/external-identity",
        method = "delete",
        operation_id = "take_external_identity"
    )]
    async fn take(&self, _caller: Caller, id: Path<Uuid>) -> Result<Done, Problem> {
        self.0.ledger.take_identity(id.0.into()).await?;
        Ok(Done)
    }
}

impl From<IdentityRefused> for Problem {
    fn from(refused: IdentityRefused) -> Self {
        match refused {
            IdentityRefused::NoSuchAccount => Self::not_found(),
            IdentityRefused::UserTaken => {
                Self::new(Reason::Conflict).detail("Another account is this user.")
            }
        }
    }
}
