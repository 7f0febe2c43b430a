//! Signing in: access tokens, refresh tokens that rotate, and tickets for the live channel.

mod exchange;

use domain::ids::{OrderId, StoreId};
use ledger::accounts::{RefreshRefused, Refreshed, SignInRefused, TicketSubject};
use poem_openapi::{Object, OpenApi, payload::Json};
use uuid::Uuid;

pub(crate) use self::exchange::TokenExchange;
use crate::{
    access::topic::Topic,
    auth::{Caller, incorrect},
    http::{
        body::Checked,
        limits::ClientAddress,
        problem::{FieldError, Problem, Reason},
        response::{Created, Done},
        scalars::Time,
    },
    state::ApiState,
};

pub(crate) struct Tokens(pub(crate) ApiState);

#[derive(Object)]
struct SignIn {
    #[oai(validator(max_length = 100))]
    username: String,
    #[oai(validator(max_length = 200))]
    password: String,
}

#[derive(Object)]
struct RefreshToken {
    #[oai(validator(max_length = 200))]
    refresh: String,
}

/// What a sign-in gives.
#[derive(Object)]
struct TokenPair {
    /// For `Authorization: Bearer …`.
    access: String,
    /// Good for one `POST /token/refresh`, which gives the next one.
    refresh: String,
    /// Always `Bearer`.
    token_type: String,
    /// Seconds that `access` is good for.
    expires_in_s: u64,
}

#[derive(Object)]
struct TicketWish {
    /// Listen to one order; or
    order_id: Option<Uuid>,
    /// to all of a store.
    store_id: Option<Uuid>,
}

/// Opens one live channel: `?ticket=` of `/ws/orders/{id}` or `/ws/stores/{id}`.
#[derive(Object)]
struct LiveTicket {
    ticket: String,
    /// 30 seconds after it was given.
    expires_at: Time,
}

#[OpenApi(tag = "Topic::SigningIn")]
impl Tokens {
    /// Sign in
    ///
    /// After ten wrong passwords in 15 minutes a username is not looked at for a while: 429. From an address where it
    /// signed in within 30 days its failures are counted apart, so that nobody is locked out by others' guesses.
    #[oai(path = "/token", method = "post", operation_id = "sign_in")]
    async fn sign_in(
        &self,
        address: ClientAddress,
        sign_in: Checked<SignIn>,
    ) -> Result<Json<TokenPair>, Problem> {
        let SignIn { username, password } = sign_in.0;
        let doorkeeper = &self.0.doorkeeper;
        let known = doorkeeper.sign_in(&username, &password, address).await?;
        let (account, mark) = (known.account.id, Some(known.password_mark));
        let ttl = self.0.settings.accounts.refresh_ttl;
        let refreshed = self.0.ledger.start_sign_in(account, mark, ttl).await?;
        self.pair(refreshed)
    }

    /// Trade a refresh token for new tokens
    ///
    /// Each works once; after 10 seconds (an answer may get lost) a second use ends the whole sign-in.
    #[oai(
        path = "/token/refresh",
        method = "post",
        operation_id = "refresh_token"
    )]
    async fn refresh(&self, token: Checked<RefreshToken>) -> Result<Json<TokenPair>, Problem> {
        let ttl = self.0.settings.accounts.refresh_ttl;
        let refreshed = self.0.ledger.refresh_sign_in(&token.0.refresh, ttl).await?;
        self.pair(refreshed)
    }

    /// Sign out: the refresh token and all its successors end
    ///
    /// Other sign-ins of the account go on. An access token that was given out is good until its minutes are over. A
    /// token that is unknown, or has ended, is answered the same.
    #[oai(path = "/token/revoke", method = "post", operation_id = "revoke_token")]
    async fn revoke(&self, token: Checked<RefreshToken>) -> Result<Done, Problem> {
        self.0.ledger.end_sign_in(&token.0.refresh).await?;
        Ok(Done)
    }

    /// A ticket for one live channel
    ///
    /// For one use within 30 seconds. One's own order, or an order or all of a store that one serves; others' orders
    /// are as if they did not exist. It is not kept in the clear: whoever lost it asks for another.
    #[oai(
        path = "/live-tickets",
        method = "post",
        operation_id = "create_live_ticket"
    )]
    async fn live_ticket(
        &self,
        caller: Caller,
        wish: Checked<TicketWish>,
    ) -> Result<Created<LiveTicket>, Problem> {
        let subject = match (wish.0.order_id, wish.0.store_id) {
            (Some(order), None) => {
                TicketSubject::Order(self.order_of(&caller, order.into()).await?)
            }
            (None, Some(store)) => TicketSubject::Store(self.store_of(&caller, store.into())?),
            _ => {
                let error = FieldError::new(String::new(), "needs either order_id or store_id");
                return Err(Problem::invalid(vec![error]));
            }
        };
        let ledger = &self.0.ledger;
        let (ticket, expires_at) = ledger.issue_ticket(caller.id(), subject).await?;
        Ok(Created::here(LiveTicket {
            ticket,
            expires_at: expires_at.into(),
        }))
    }
}

impl Tokens {
    fn pair(&self, refreshed: Refreshed) -> Result<Json<TokenPair>, Problem> {
        let (access, expires_in_s) = self.0.doorkeeper.access_token(refreshed.account.id)?;
        Ok(Json(TokenPair {
            access,
            refresh: refreshed.token,
            token_type: "Bearer".into(),
            expires_in_s,
        }))
    }

    fn store_of(&self, caller: &Caller, store: StoreId) -> Result<StoreId, Problem> {
        caller.must_serve(store)?;
        Ok(store)
    }

    /// The caller's own order, or one of a store that it serves.
    async fn order_of(&self, caller: &Caller, id: OrderId) -> Result<OrderId, Problem> {
        let order = self
            .0
            .ledger
            .order(id)
            .await?
            .ok_or_else(Problem::not_found)?;
        let is_own = order.account_id == Some(caller.id());
        if is_own || caller.serves(order.store_id) {
            Ok(id)
        } else {
            Err(Problem::not_found())
        }
    }
}

impl From<SignInRefused> for Problem {
    fn from(_: SignInRefused) -> Self {
        incorrect()
    }
}

impl From<RefreshRefused> for Problem {
    fn from(refused: RefreshRefused) -> Self {
        match refused {
            RefreshRefused::NotValid => incorrect(),
            RefreshRefused::Reused => Self::new(Reason::IncorrectCredentials)
                .detail("This refresh token was used before: sign in again."),
        }
    }
}
