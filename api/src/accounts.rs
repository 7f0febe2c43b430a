//! Accounts: who may make which, and change them.

use common::{
    domain::{
        account::{Account, Role, SpokenFor},
        ids::{AccountId, IntegratorId, StoreId},
    },
    ledger::accounts::{AccountChange, AccountRefused, NewAccount},
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use crate::{
    answer::{self, Created, Done, Page},
    auth::{Caller, PerhapsCaller, incorrect},
    body::{
        Checked,
        format::{Password, Username},
    },
    limits::ClientAddress,
    problem::{Problem, Reason},
    state::ApiState,
    values::Time,
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

#[derive(Object)]
struct UserChange {
    /// A disabled account can't sign in, and its tokens end.
    disabled: Option<bool>,
    /// Operators only.
    role: Option<UserRole>,
    #[oai(validator(max_items = 100, unique_items))]
    stores: Option<Vec<Uuid>>,
    #[oai(validator(max_items = 100, unique_items))]
    integrator_ids: Option<Vec<Uuid>>,
    /// Ends every sign-in of the account.
    password: Option<Password>,
}

#[derive(Object)]
struct PasswordChange {
    /// The one that is to be replaced.
    #[oai(validator(max_length = 200))]
    password: String,
    new_password: Password,
}

#[OpenApi]
impl Accounts {
    /// The account that calls
    #[oai(path = "/me", method = "get", operation_id = "me")]
    async fn me(&self, caller: Caller) -> Json<User> {
        Json((*caller.account).clone().into())
    }

    /// Change the own password, which ends every sign-in
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
        checked.map_err(|problem| match problem.reason() {
            // Not a 401, which would tell programs that they are not signed in.
            Reason::IncorrectCredentials => {
                Problem::invalid_field("/password", "is not this account's password")
            }
            _ => problem,
        })?;
        let wanted = AccountChange {
            password_hash: Some(self.hash(&new_password).await?),
            ..AccountChange::default()
        };
        self.change(caller.id(), &wanted, |_| Ok(())).await?;
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
        let limit = answer::limit(limit.0)?;
        let after = answer::after(cursor.0.as_deref())?.map(AccountId::from);
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
        new: Checked<NewUser>,
    ) -> Result<Created<User>, Problem> {
        let new = new.0;
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
        let account = self.0.ledger.create_account(&new).await?;
        Ok(Created::here(account.into()))
    }

    /// Change an account, or disable it
    ///
    /// Managers change staff and integrators' accounts of their own stores only. Nobody disables or demotes themselves.
    #[oai(path = "/users/:id", method = "patch", operation_id = "change_user")]
    async fn change_user(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        change: Checked<UserChange>,
    ) -> Result<Json<User>, Problem> {
        let id = AccountId::from(id.0);
        let change = change.0;
        if id == caller.id() && (change.disabled == Some(true) || change.role.is_some()) {
            return Err(Problem::forbidden().detail("Nobody disables or demotes themselves."));
        }
        let role = change.role.map(Role::from);
        let stores: Option<Vec<StoreId>> = change
            .stores
            .map(|stores| stores.into_iter().map(Into::into).collect());
        let password_hash = match &change.password {
            Some(password) => Some(self.hash(password).await?),
            None => None,
        };
        let integrators = change.integrator_ids.as_deref().map(integrator_ids);
        let becomes = match &integrators {
            Some(ids) => self.0.ledger.spoken_for(ids).await?,
            None => Vec::new(),
        };
        let wanted = AccountChange {
            disabled: change.disabled,
            role,
            stores,
            integrators,
            password_hash,
        };
        let allowed = |account: &Account| may_change(&caller, account, &wanted, &becomes);
        let account = self.change(id, &wanted, allowed).await?;
        Ok(Json(account.into()))
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

    async fn change(
        &self,
        id: AccountId,
        wanted: &AccountChange,
        allowed: impl Fn(&Account) -> Result<(), AccountRefused>,
    ) -> Result<Account, Problem> {
        let account = self.0.ledger.change_account(id, wanted, allowed).await?;
        self.0.doorkeeper.forget(id);
        Ok(account)
    }
}

fn integrator_ids(ids: &[Uuid]) -> Vec<IntegratorId> {
    ids.iter().copied().map(Into::into).collect()
}

/// Managers make staff of their own stores, and accounts of these stores' integrators. An integrator that there is not
/// is refused by the ledger.
fn may_make(
    caller: &Caller,
    role: Role,
    stores: &[StoreId],
    spoken_for: &[SpokenFor],
) -> Result<(), Problem> {
    let is_own = caller.is(Role::Manager)
        && matches!(role, Role::Staff | Role::Integrator)
        && manages_all(caller, stores, spoken_for);
    if caller.is(Role::Operator) || is_own {
        Ok(())
    } else {
        Err(Problem::forbidden())
    }
}

fn may_change(
    caller: &Caller,
    account: &Account,
    wanted: &AccountChange,
    becomes: &[SpokenFor],
) -> Result<(), AccountRefused> {
    if caller.is(Role::Operator) {
        return Ok(());
    }
    let spoken_for = account.integrators.iter().map(|one| one.store_id);
    if !account
        .stores
        .iter()
        .copied()
        .chain(spoken_for)
        .any(|store| caller.manages(store))
    {
        return Err(AccountRefused::NoSuchAccount);
    }
    let is_own = matches!(account.role, Role::Staff | Role::Integrator)
        && wanted.role.is_none_or(|role| role == account.role)
        && manages_all(caller, &account.stores, &account.integrators)
        && manages_all(
            caller,
            wanted.stores.as_deref().unwrap_or_default(),
            becomes,
        );
    if is_own {
        Ok(())
    } else {
        Err(AccountRefused::NotAllowed)
    }
}

fn manages_all(caller: &Caller, stores: &[StoreId], spoken_for: &[SpokenFor]) -> bool {
    let stores = stores.iter().copied();
    stores
        .chain(spoken_for.iter().map(|one| one.store_id))
        .all(|store| caller.manages(store))
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
