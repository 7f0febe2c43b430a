//! Authentication: our own bearer tokens and API keys, or username and password (Basic), on the same routes.

mod api_key;
mod cache;
mod exchange;
mod password;
mod queue;
mod sign_in;
mod turns;

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{
    account::{Account, Role},
    api_key::{ApiKey, PREFIX},
    ids::{AccountId, IntegratorId, StoreId},
    order::Order,
};
use http::{HeaderMap, header};
use ledger::{
    Ledger,
    accounts::{Credentials, GuessLimits, key_hash},
};
use platform::{
    metrics::Metrics,
    secrets::{Keys, SigningKey},
};
use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use runtime::{access_tokens::AccessTokens, config};

pub use self::password::Passwords;
pub(crate) use self::turns::Requester;
use self::{
    cache::TtlCache,
    queue::Queues,
    sign_in::{PASSWORD_TTL, VerifiedPassword, guess_limits},
    turns::Turns,
};
use crate::{
    access::Access,
    http::{
        limits::ClientAddress,
        problem::{Problem, Reason},
    },
};

/// How long an account's row, or an API key's, is cached. A disabled account and an ended key may still get in at other
/// processes for this long.
const ACCOUNT_TTL: Duration = Duration::from_secs(5);
/// How long a key that was in force counts as known, for the limits only: it still has to be in force.
const PROVEN_TTL: Duration = Duration::from_secs(3600);

/// Authenticated account of a request. As a handler's argument it must come first, and the table of routes must require
/// an account for the operation.
#[derive(Clone, Debug)]
pub struct Caller {
    pub account: Arc<Account>,
    /// The API key of a program, whose account is `account`.
    pub key: Option<Arc<ApiKey>>,
}

impl Caller {
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.account.id
    }

    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.account.role == role
    }

    /// Returns true for staff and managers of the store, and for operators.
    #[must_use]
    pub fn serves(&self, store: StoreId) -> bool {
        self.account.serves(store)
    }

    /// Returns true for managers of the store and for operators.
    #[must_use]
    pub fn manages(&self, store: StoreId) -> bool {
        self.account.manages(store)
    }

    /// Returns true for the account that placed an order. A key's order is its own only while it serves the store.
    #[must_use]
    pub fn owns(&self, order: &Order) -> bool {
        let is_own = order.account_id == Some(self.id());
        is_own && (self.key.is_none() || self.serves(order.store_id))
    }

    /// Returns 404 for an API key of other stores; people may order at any store.
    pub fn must_reach(&self, store: StoreId) -> Result<(), Problem> {
        match self.key {
            Some(_) => self.must_serve(store),
            None => Ok(()),
        }
    }

    /// Returns 404, as for a store that does not exist, unless the caller serves the store.
    pub fn must_serve(&self, store: StoreId) -> Result<(), Problem> {
        if self.serves(store) {
            Ok(())
        } else {
            Err(Problem::not_found())
        }
    }

    /// Like [`Self::must_serve`], but for managers: 403 if the caller only serves the store.
    pub fn must_manage(&self, store: StoreId) -> Result<(), Problem> {
        match (self.manages(store), self.serves(store)) {
            (true, _) => Ok(()),
            (false, true) => Err(Problem::forbidden()),
            (false, false) => Err(Problem::not_found()),
        }
    }

    /// Lists the integrators that the account represents; none for accounts with other roles.
    pub fn integrators(&self) -> impl Iterator<Item = IntegratorId> + '_ {
        self.account.integrators.iter().map(|one| one.integrator)
    }

    #[must_use]
    pub fn represents(&self, integrator: IntegratorId) -> bool {
        self.integrators().any(|one| one == integrator)
    }

    /// Returns true if the caller may call an operation with this rule. Integrators' accounts may call only operations
    /// with `for_integrators`.
    pub(crate) fn may(&self, access: Access, for_integrators: bool) -> bool {
        if self.is(Role::Integrator) {
            return for_integrators;
        }
        match access {
            Access::Anyone | Access::Perhaps | Access::Keyholder | Access::Account => true,
            Access::Staff => matches!(
                self.account.role,
                Role::Staff | Role::Manager | Role::Operator
            ),
            Access::Manager => matches!(self.account.role, Role::Manager | Role::Operator),
            Access::Operator => self.account.role == Role::Operator,
        }
    }
}

const SCHEMES: [&str; 2] = ["bearer", "basic"];

fn register_schemes(registry: &mut Registry) {
    let scheme = |scheme, bearer_format, description| MetaSecurityScheme {
        ty: "http",
        description: Some(description),
        name: None,
        key_in: None,
        scheme: Some(scheme),
        bearer_format,
        flows: None,
        openid_connect_url: None,
    };
    let bearer = scheme(
        "bearer",
        Some("JWT"),
        "An access token from `POST /token`, or an API key (`exk_…`) from `POST /api-keys`.",
    );
    let basic = scheme(
        "basic",
        None,
        "Username and password, for programs. The server sends no Basic challenge.",
    );
    registry.create_security_scheme(SCHEMES[0], bearer);
    registry.create_security_scheme(SCHEMES[1], basic);
}

impl<'a> ApiExtractor<'a> for Caller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_schemes(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        SCHEMES.to_vec()
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let caller = request.extensions().get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new(Reason::IncorrectCredentials).into())
    }
}

/// Authenticated account, if any; for operations with the access rule `Perhaps`.
#[derive(Clone, Debug)]
pub struct OptionalCaller(pub Option<Caller>);

impl<'a> ApiExtractor<'a> for OptionalCaller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_schemes(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        SCHEMES.to_vec()
    }

    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self(request.extensions().get::<Caller>().cloned()))
    }
}

/// Caller as the request's credentials say, without a look into the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// The account of a token that we signed.
    Account(AccountId),
    /// An API key that was not in force lately: anybody can make one up.
    UnknownKey,
    Nobody,
}

/// Authenticates callers and issues their tokens.
#[derive(Debug)]
pub struct Authenticator {
    ledger: Ledger,
    tokens: AccessTokens,
    passwords: Passwords,
    turns: Turns,
    lines: Queues,
    guess_limits: GuessLimits,
    cache_key: SigningKey,
    metrics: Arc<Metrics>,
    accounts: TtlCache<AccountId, Arc<CachedAccount>>,
    /// API keys by their hashes.
    keys: TtlCache<[u8; 32], Caller>,
    /// Hashes of keys that were in force lately.
    proven_keys: TtlCache<[u8; 32], ()>,
    /// The last verified password of each username at each address. It does not count elsewhere, where it would tell
    /// guessers that they are right after their last try.
    verified: TtlCache<[u8; 32], VerifiedPassword>,
}

/// Account row with the mark of its current password.
#[derive(Debug)]
pub(crate) struct CachedAccount {
    pub(crate) account: Arc<Account>,
    pub(crate) password_mark: [u8; 32],
}

impl Authenticator {
    pub(crate) fn new(
        ledger: &Ledger,
        keys: &Keys,
        settings: &config::Accounts,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let clock = ledger.clock();
        Self {
            ledger: ledger.clone(),
            tokens: AccessTokens::new(&keys.jwt, clock.clone(), settings.access_ttl),
            passwords: Passwords::new(settings.argon2_concurrency),
            turns: Turns::new(
                settings.argon2_concurrency,
                settings.password_hashes_per_minute,
                clock,
            ),
            lines: Queues::default(),
            guess_limits: guess_limits(settings),
            cache_key: keys.cache.clone(),
            metrics: Arc::clone(metrics),
            accounts: TtlCache::new(clock.clone(), ACCOUNT_TTL),
            keys: TtlCache::new(clock.clone(), ACCOUNT_TTL),
            proven_keys: TtlCache::new(clock.clone(), PROVEN_TTL),
            verified: TtlCache::new(clock.clone(), PASSWORD_TTL),
        }
    }

    /// Returns who is counted before the database is asked who it is.
    pub(crate) fn claimed(&self, headers: &HeaderMap) -> Claimed {
        let value = headers.get(header::AUTHORIZATION);
        let text = value.and_then(|value| value.to_str().ok());
        let token = match text.and_then(|text| text.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            // A password has limits of its own, which are asked before it is hashed.
            _ => return Claimed::Nobody,
        };
        if token.starts_with(PREFIX) {
            match key_hash(token) {
                Some(hash) if self.proven_keys.get(&hash).is_none() => Claimed::UnknownKey,
                _ => Claimed::Nobody,
            }
        } else {
            self.tokens
                .check(token)
                .map_or(Claimed::Nobody, Claimed::Account)
        }
    }

    /// Authenticates a request: `None` without credentials, 401 for wrong ones, even if the operation needs none.
    pub(crate) async fn caller(
        &self,
        headers: &HeaderMap,
        address: ClientAddress,
    ) -> Result<Option<Caller>, Problem> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Ok(None);
        };
        let (scheme, credentials) = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .ok_or_else(incorrect)?;
        let credentials = credentials.trim();
        let account = match scheme.to_ascii_lowercase().as_str() {
            "bearer" if credentials.starts_with(PREFIX) => {
                return self.api_key(credentials).await.map(Some);
            }
            "bearer" => self.bearer(credentials).await?,
            "basic" => self.basic(credentials, address).await?,
            _ => return Err(incorrect()),
        };
        Ok(Some(Caller { account, key: None }))
    }

    /// Issues an access token; returns it with its lifetime in seconds.
    pub fn access_token(&self, account: AccountId) -> Result<(String, u64), Problem> {
        self.tokens.issue(account).map_err(Problem::internal)
    }

    #[must_use]
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Removes a changed account from the cache, and the keys that may end with it: the change applies here at once, in
    /// other processes within 5 s.
    pub fn forget(&self, account: AccountId) {
        self.accounts.forget(&account);
        self.keys.clear();
    }

    async fn bearer(&self, token: &str) -> Result<Arc<Account>, Problem> {
        let id = self.tokens.check(token).ok_or_else(incorrect)?;
        let known = self.known(id).await?.ok_or_else(incorrect)?;
        Ok(Arc::clone(&known.account))
    }

    async fn basic(&self, encoded: &str, address: ClientAddress) -> Result<Arc<Account>, Problem> {
        let bytes = STANDARD.decode(encoded).map_err(|_| incorrect())?;
        let text = String::from_utf8(bytes).map_err(|_| incorrect())?;
        let (username, password) = text.split_once(':').ok_or_else(incorrect)?;
        let known = self.sign_in_again(username, password, address).await?;
        Ok(Arc::clone(&known.account))
    }

    /// Returns the account, at most 5 s old, unless it is disabled.
    async fn known(&self, id: AccountId) -> Result<Option<Arc<CachedAccount>>, Problem> {
        let known = match self.accounts.get(&id) {
            Some(known) => known,
            None => match self.ledger.credentials_of(id).await? {
                Some(found) => self.remember(found),
                None => return Ok(None),
            },
        };
        Ok(Some(known).filter(|known| !known.account.disabled))
    }

    fn remember(&self, found: Credentials) -> Arc<CachedAccount> {
        let known = Arc::new(CachedAccount {
            password_mark: found.password_mark(),
            account: Arc::new(found.account),
        });
        self.accounts.put(known.account.id, Arc::clone(&known));
        known
    }
}

pub(crate) fn incorrect() -> Problem {
    Problem::new(Reason::IncorrectCredentials)
}
