//! Accounts: made, listed and changed.

mod rights;

use domain::{
    account::{Account, Role},
    ids::{AccountId, IntegratorId, StoreId},
};
use ledger::accounts::{AccountChange, AccountRefused, NewAccount};
use platform::secrets::sha256;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use uuid::Uuid;

use self::rights::{may_change, may_make};
use crate::{
    access::topic::Topic,
    auth::{Caller, PerhapsCaller, incorrect},
    http::{
        body::{
            Checked,
            format::{Password, Username},
        },
        idempotency::{IdempotencyKey, once},
        limits::ClientAddress,
        merge_patch::Filled,
        paging::{self, Page},
        problem::{Problem, Reason},
        response::{Created, Done, Replayable},
        scalars::Time,
    },
    state::ApiState,
};

pub(crate) struct Accounts(pub(crate) ApiState);

/// Somebody, a person or a program, who can sign in.
#[derive(Debug, Object)]
struct User {
    id: Uuid,
    username: String,
    role: UserRole,
    /// The stores of a manager or of staff.
    stores: Vec<Uuid>,
    /// The integrators that it speaks for, for the role `integrator`. An archived one is left out.
    integrator_ids: Vec<Uuid>,
    disabled: bool,
    created_at: Time,
}

/// `operator`: everything. `manager`: its own stores' settings, products, staff, integrators. `staff`: its own stores'
/// sessions and orders. `customer`: its own orders. `integrator`: its own integrators' handoffs and
/// their orders, and what is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum UserRole {
    Operator,
    Manager,
    Staff,
    Customer,
    Integrator,
}

#[derive(Object)]
struct NewUser {
    username: Username,
    password: Password,
    role: UserRole,
    /// Of a manager or of staff: at least one.
    #[oai(default, validator(max_items = 100, unique_items))]
    stores: Vec<Uuid>,
    /// For the role `integrator`: at least one.
    #[oai(default, validator(max_items = 100, unique_items))]
    integrator_ids: Vec<Uuid>,
}

/// A merge patch (RFC 7396): what is absent stays. Null is refused, since nothing of an account is ever empty; a list may
/// be `[]`.
#[derive(Object)]
struct UserChange {
    /// A disabled account can't sign in, and its tokens end.
    disabled: MaybeUndefined<bool>,
    /// Operators only.
    role: MaybeUndefined<UserRole>,
    #[oai(validator(max_items = 100, unique_items))]
    stores: MaybeUndefined<Vec<Uuid>>,
    #[oai(validator(max_items = 100, unique_items))]
    integrator_ids: MaybeUndefined<Vec<Uuid>>,
    /// Ends every sign-in of the account.
    password: MaybeUndefined<Password>,
}

/// The same, without what may not be said.
struct Wanted {
    disabled: Option<bool>,
    role: Option<Role>,
    stores: Option<Vec<StoreId>>,
    integrators: Option<Vec<IntegratorId>>,
    password: Option<Password>,
}

#[derive(Object)]
struct PasswordChange {
    /// The one that is to be replaced.
    #[oai(validator(max_length = 200))]
    password: String,
    new_password: Password,
}

#[OpenApi(tag = "Topic::Accounts")]
impl Accounts {
    /// The account that calls
    ///
    /// With its role, and the stores or integrators that it is for.
    #[oai(path = "/me", method = "get", operation_id = "me")]
    async fn me(&self, caller: Caller) -> Json<User> {
        Json((*caller.account).clone().into())
    }

    /// Change the own password, which ends every sign-in
    ///
    /// All refresh tokens end, this client's too: sign in again. A wrong `password` is a 422, and counts as a wrong
    /// password does where one signs in.
    #[oai(
        path = "/me/password",
        method = "post",
        operation_id = "change_password"
    )]
    async fn change_password(
        &self,
        caller: Caller,
        address: ClientAddress,
        change: Checked<PasswordChange>,
    ) -> Result<Done, Problem> {
        let PasswordChange {
            password,
            new_password,
        } = change.0;
        let username = &caller.account.username;
        let checked = self
            .0
            .doorkeeper
            .sign_in(username, &password, address)
            .await;
        let known = checked.map_err(|problem| match problem.reason() {
            // Not a 401, which would tell programs that they are not signed in.
            Reason::IncorrectCredentials => AccountRefused::OtherPassword.into(),
            _ => problem,
        })?;
        let wanted = AccountChange {
            password_hash: Some(self.hash(&new_password).await?),
            // Whoever gave it another one meanwhile had a reason.
            password_mark: Some(known.password_mark),
            ..AccountChange::default()
        };
        let id = caller.id();
        self.0
            .ledger
            .change_account(id, &wanted, |_| Ok(()))
            .await?;
        self.0.doorkeeper.forget(id);
        Ok(Done)
    }

    /// List accounts
    ///
    /// Managers see those who serve their stores, or speak for an integrator of one.
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    async fn list(
        &self,
        caller: Caller,
        cursor: Query<Option<String>>,
        /// 1 to 100; 50 unless said.
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<User>>, Problem> {
        let limit = paging::limit(limit.0)?;
        let after = paging::after(cursor.0.as_deref())?.map(AccountId::from);
        let stores = (!caller.is(Role::Operator)).then_some(caller.account.stores.as_slice());
        let found = self.0.ledger.accounts(stores, after, limit + 1).await?;
        let page = Page::of(found, limit, |account| account.id.uuid(), User::from);
        Ok(Json(page))
    }

    /// Make an account
    ///
    /// Operators make any, managers staff of their own stores and accounts of these stores' integrators. Where registration is open, anybody may make a customer.
    #[oai(path = "/users", method = "post", operation_id = "create_user")]
    async fn create(
        &self,
        caller: PerhapsCaller,
        /// Any text of up to 200 bytes that names this request among the caller's; of somebody who registers, among the
        /// username's.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
        new: Checked<NewUser>,
    ) -> Result<Created<User>, Problem> {
        let new = new.0;
        let owner = match &caller.0 {
            Some(caller) => caller.id().uuid(),
            None => owner_of_registration(&new.username.0),
        };
        let key = key.of(&self.0, owner, &new)?;
        let role = Role::from(new.role);
        let stores: Vec<StoreId> = new.stores.iter().copied().map(Into::into).collect();
        let integrators: Vec<IntegratorId> = integrator_ids(&new.integrator_ids);
        let is_registration = self.0.settings.accounts.open_registration && role == Role::Customer;
        match &caller.0 {
            _ if is_registration => {}
            None => return Err(incorrect()),
            Some(caller) => {
                let spoken_for = self.0.ledger.spoken_for(&integrators).await?;
                may_make(caller, role, &stores, &spoken_for)?;
            }
        }
        let new = NewAccount {
            username: new.username.0,
            password_hash: self.hash(&new.password).await?,
            role,
            stores,
            integrators,
        };
        let (account, replayed) = once(
            &self.0,
            key,
            async |ledger| ledger.create_account(&new).await,
            async |id| self.account(id.into()).await,
        )
        .await?;
        Ok(Created::here(account.into()).replayed(replayed))
    }

    /// Change an account, or disable it
    ///
    /// Managers change staff and integrators' accounts of their own stores only. Nobody disables or demotes themselves.
    #[oai(path = "/users/:id", method = "patch", operation_id = "change_user")]
    async fn change_user(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Any text of up to 200 bytes that names this request among the caller's.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
        change: Checked<UserChange>,
    ) -> Result<Replayable<User>, Problem> {
        let id = AccountId::from(id.0);
        let key = key.of(&self.0, caller.id().uuid(), &change.0)?;
        let change = change.0.parse()?;
        if id == caller.id() && (change.disabled == Some(true) || change.role.is_some()) {
            return Err(Problem::forbidden().detail("Nobody disables or demotes themselves."));
        }
        let password_hash = match &change.password {
            Some(password) => Some(self.hash(password).await?),
            None => None,
        };
        let becomes = match &change.integrators {
            Some(ids) => self.0.ledger.spoken_for(ids).await?,
            None => Vec::new(),
        };
        let wanted = AccountChange {
            disabled: change.disabled,
            role: change.role,
            stores: change.stores,
            integrators: change.integrators,
            password_hash,
            password_mark: None,
        };
        let allowed = |account: &Account| may_change(&caller, account, &wanted, &becomes);
        let (account, replayed) = once(
            &self.0,
            key,
            async |ledger| ledger.change_account(id, &wanted, allowed).await,
            async |_| {
                let account = self.account(id).await?;
                allowed(&account)?;
                Ok(account)
            },
        )
        .await?;
        self.0.doorkeeper.forget(id);
        Ok(Replayable::of(account.into(), replayed))
    }
}

impl UserChange {
    fn parse(self) -> Result<Wanted, Problem> {
        let mut filled = Filled::default();
        let stores = filled.said("stores", self.stores);
        let integrators = filled.said("integrator_ids", self.integrator_ids);
        let wanted = Wanted {
            disabled: filled.said("disabled", self.disabled),
            role: filled.said("role", self.role).map(Role::from),
            stores: stores.map(|stores| stores.into_iter().map(Into::into).collect()),
            integrators: integrators.as_deref().map(integrator_ids),
            password: filled.said("password", self.password),
        };
        filled.all(wanted)
    }
}

impl Accounts {
    async fn hash(&self, password: &Password) -> Result<String, Problem> {
        let chance = self.0.ledger.chance();
        self.0
            .doorkeeper
            .passwords()
            .hash(chance, &password.0)
            .await
    }

    async fn account(&self, id: AccountId) -> Result<Account, Problem> {
        let known = self.0.ledger.credentials_of(id).await?;
        Ok(known.ok_or_else(Problem::not_found)?.account)
    }
}

/// Whose keys nobody's are who registers: two who choose the same key don't meet.
fn owner_of_registration(username: &str) -> Uuid {
    let hash = sha256(username.as_bytes());
    uuid::Builder::from_sha1_bytes(*hash.first_chunk().expect("it has 32 bytes")).into_uuid()
}

fn integrator_ids(ids: &[Uuid]) -> Vec<IntegratorId> {
    ids.iter().copied().map(Into::into).collect()
}

impl From<AccountRefused> for Problem {
    fn from(refused: AccountRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            AccountRefused::UsernameTaken { .. } => Self::new(Reason::DuplicateUser),
            AccountRefused::UnknownStore { .. } | AccountRefused::StoresDoNotFitRole => {
                Self::invalid_field("/stores", detail)
            }
            AccountRefused::UnknownIntegrator { .. } | AccountRefused::IntegratorsDoNotFitRole => {
                Self::invalid_field("/integrator_ids", detail)
            }
            AccountRefused::NoSuchAccount => Self::not_found(),
            AccountRefused::NotAllowed => Self::forbidden(),
            AccountRefused::OtherPassword => {
                Self::invalid_field("/password", "is not this account's password")
            }
        }
    }
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.uuid(),
            username: account.username,
            role: account.role.into(),
            stores: account.stores.into_iter().map(StoreId::uuid).collect(),
            integrator_ids: account
                .integrators
                .into_iter()
                .map(|one| one.integrator.uuid())
                .collect(),
            disabled: account.disabled,
            created_at: account.created_at.into(),
        }
    }
}

impl From<Role> for UserRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Operator => Self::Operator,
            Role::Manager => Self::Manager,
            Role::Staff => Self::Staff,
            Role::Customer => Self::Customer,
            Role::Integrator => Self::Integrator,
        }
    }
}

impl From<UserRole> for Role {
    fn from(role: UserRole) -> Self {
        match role {
            UserRole::Operator => Self::Operator,
            UserRole::Manager => Self::Manager,
            UserRole::Staff => Self::Staff,
            UserRole::Customer => Self::Customer,
            UserRole::Integrator => Self::Integrator,
        }
    }
}
