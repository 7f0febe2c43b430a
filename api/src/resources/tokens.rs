//! Signing in: access tokens, rotating refresh tokens, and tickets for the live channel.

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
        response::{Answer, Created, Done},
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
    /// Anything else, such as an access token, gets the answer of a token that is not valid.
    refresh: String,
}

/// The tokens of a sign-in.
#[derive(Object)]
struct TokenPair {
    /// For `Authorization: Bearer …`.
    access: String,
    /// Valid for one `POST /token/refresh`, which returns the next one.
    refresh: String,
    /// Always `Bearer`.
    token_type: String,
    /// Lifetime of `access` in seconds.
    expires_in_s: u64,
}

#[derive(Object)]
struct TicketWish {
    /// The order to listen to. Exactly one of `order_id` and `store_id` is required.
    order_id: Option<Uuid>,
    /// The store to listen to, with all its orders.
    store_id: Option<Uuid>,
}

/// Opens one live channel: pass it as `?ticket=` of `/ws/orders/{id}` or `/ws/stores/{id}`.
#[derive(Object)]
struct LiveTicket {
    ticket: String,
    /// 30 seconds after the ticket was issued.
    expires_at: Time,
}

#[OpenApi(tag = "Topic::SigningIn")]
impl Tokens {
    /// Sign in
    ///
    /// After ten wrong passwords in 15 minutes, a username is refused for a while with 429. From an address where it
    /// signed in within the last 30 days, its failures are counted separately, so that the guesses of others lock
    /// nobody out: further wrong passwords get 429 there, and the right one still passes, up to a hundred failures. Right
    /// passwords are limited too, to 300 a minute for a username and address.
    #[oai(path = "/token", method = "post", operation_id = "sign_in")]
    async fn sign_in(
        &self,
        address: ClientAddress,
        sign_in: Checked<SignIn>,
    ) -> Result<Json<TokenPair>, Problem> {
        let SignIn { username, password } = sign_in.0;
        let authenticator = &self.0.authenticator;
        let known = authenticator.sign_in(&username, &password, address).await?;
        let (account, mark) = (known.account.id, Some(known.password_mark));
        let ttl = self.0.settings.accounts.refresh_ttl;
        let refreshed = self.0.ledger.start_sign_in(account, mark, ttl).await?;
        self.token_pair(refreshed)
    }

    /// Exchange a refresh token for new tokens
    ///
    /// Each refresh token works once. A second use within 10 seconds is allowed, because an answer may get lost; later,
    /// it ends the whole sign-in.
    #[oai(
        path = "/token/refresh",
        method = "post",
        operation_id = "refresh_token"
    )]
    async fn refresh(&self, token: Checked<RefreshToken>) -> Result<Json<TokenPair>, Problem> {
        let ttl = self.0.settings.accounts.refresh_ttl;
        let refreshed = self.0.ledger.refresh_sign_in(&token.0.refresh, ttl).await?;
        self.token_pair(refreshed)
    }

    /// Sign out
    ///
    /// Ends the refresh token and all its successors. Other sign-ins of the account continue. An access token that was
    /// issued stays valid until it expires. An unknown or ended token gets the same answer.
    #[oai(path = "/token/revoke", method = "post", operation_id = "revoke_token")]
    async fn revoke(&self, token: Checked<RefreshToken>) -> Result<Done, Problem> {
        self.0.ledger.end_sign_in(&token.0.refresh).await?;
        Ok(Answer::empty())
    }

    /// Create a ticket for a live channel
    ///
    /// Valid for one use within 30 seconds. The ticket may be for the caller's own order, or for an order or the whole
    /// of a store that the caller serves; any other order returns 404. The ticket is not stored in plain text: a client
    /// that loses it requests another.
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
                TicketSubject::Order(self.check_order(&caller, order.into()).await?)
            }
            (None, Some(store)) => TicketSubject::Store(self.check_store(&caller, store.into())?),
            _ => {
                let error = FieldError::new(
                    String::new(),
                    "must have exactly one of order_id and store_id",
                );
                return Err(Problem::invalid(vec![error]));
            }
        };
        let ledger = &self.0.ledger;
        let (ticket, expires_at) = ledger.issue_ticket(caller.id(), subject).await?;
        Ok(Answer::of(LiveTicket {
            ticket,
            expires_at: expires_at.into(),
        }))
    }
}

impl Tokens {
    fn token_pair(&self, refreshed: Refreshed) -> Result<Json<TokenPair>, Problem> {
        let (access, expires_in_s) = self.0.authenticator.access_token(refreshed.account.id)?;
        Ok(Json(TokenPair {
            access,
            refresh: refreshed.token,
            token_type: "Bearer".into(),
            expires_in_s,
        }))
    }

    fn check_store(&self, caller: &Caller, store: StoreId) -> Result<StoreId, Problem> {
        caller.must_serve(store)?;
        Ok(store)
    }

    /// Returns the id if the order is the caller's own or one of a store that the caller serves, otherwise 404.
    async fn check_order(&self, caller: &Caller, id: OrderId) -> Result<OrderId, Problem> {
        let order = self
            .0
            .ledger
            .order(id)
            .await?
            .ok_or_else(Problem::not_found)?;
        if caller.owns(&order) || caller.serves(order.store_id) {
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
                .detail("This refresh token has already been used. Sign in again."),
        }
    }
}
