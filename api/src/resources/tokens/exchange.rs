//! `POST /token/exchange`: exchanges a `user_id` and `session_key`, as seed 000's clients have them, for tokens; and
//! links accounts to such users.

use domain::ids::AccountId;
use ledger::external_identities::ExternalIdentityRefused;
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
        response::{Answer, Done},
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
    /// Id of the account in the verification and locations services.
    user_id: ExternalId,
}

/// The user of the verification service that an account is linked to.
#[derive(Object)]
struct ExternalIdentity {
    user_id: ExternalId,
    /// For `POST /token/exchange`; shown only this once. Null if a verification service is configured, because that
    /// service issues its own keys.
    session_key: Option<String>,
}

#[OpenApi(tag = "Topic::SigningIn")]
impl TokenExchange {
    /// Exchange a session key for tokens
    ///
    /// The verification service, if one is configured, decides whether the user and the key belong together; otherwise
    /// the key is compared with those that operators issued. Wrong keys are rate-limited like wrong passwords.
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
            .authenticator
            .exchange(verification, &user_id, &session_key, address)
            .await?;
        let ttl = state.settings.accounts.refresh_ttl;
        let refreshed = state.ledger.start_sign_in(account.id, None, ttl).await?;
        Tokens(state.clone()).token_pair(refreshed)
    }

    /// Link an account to a user of the verification service
    ///
    /// Issues a new session key; the previous one becomes invalid.
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
        let session_key = self
            .0
            .ledger
            .link_external_identity(id, new.user_id.text())
            .await?;
        let issues_own_keys = self.0.settings.outside.verification_url.is_none();
        Ok(Json(ExternalIdentity {
            user_id: new.user_id,
            session_key: issues_own_keys.then_some(session_key),
        }))
    }

    /// Unlink an account from its user of the verification service
    ///
    /// Its session key becomes invalid. Tokens that were obtained with it stay valid: disable the account to end them.
    /// Unlinking an account that has no such user is a no-op.
    #[oai(
        path = "/users/:id/external-identity",
        method = "delete",
        operation_id = "take_external_identity"
    )]
    async fn take(&self, _caller: Caller, id: Path<Uuid>) -> Result<Done, Problem> {
        self.0.ledger.unlink_external_identity(id.0.into()).await?;
        Ok(Answer::empty())
    }
}

impl From<ExternalIdentityRefused> for Problem {
    fn from(refused: ExternalIdentityRefused) -> Self {
        match refused {
            ExternalIdentityRefused::NoSuchAccount => Self::not_found(),
            ExternalIdentityRefused::UserTaken => {
                Self::new(Reason::Conflict).detail("Another account is linked to this user.")
            }
        }
    }
}
