//! Account endpoints: create, list and change accounts.

mod rights;

use domain::{
    account::{Account, Role},
    ids::{AccountId, IntegratorId, StoreId},
};
use ledger::accounts::{AccountChange, AccountRefused, NewAccount};
use platform::secrets::sha256;
use poem_openapi::{Enum, Object, OpenApi, param::Path, payload::Json, types::MaybeUndefined};
use uuid::Uuid;

use self::rights::{check_may_change, check_may_create};
use crate::{
    access::topic::Topic,
    auth::{Caller, OptionalCaller, Requester, incorrect},
    http::{
        body::{
            Checked,
            format::{Password, Username},
        },
        idempotency::{IdempotencyKey, once},
        limits::ClientAddress,
        merge_patch::RequiredFields,
        paging::{Cursor, Limit, Page},
        problem::{Problem, Reason},
        response::{Answer, Created, Done, Replayable},
        scalars::Time,
    },
    state::ApiState,
};

pub(crate) struct Accounts(pub(crate) ApiState);

/// A person or program that can sign in.
#[derive(Debug, Object)]
struct User {
    id: Uuid,
    username: String,
    role: UserRole,
    /// Stores of a manager or staff member.
    stores: Vec<Uuid>,
    /// Integrators that the account acts for (role `integrator`). Archived ones are left out.
    integrator_ids: Vec<Uuid>,
    disabled: bool,
    created_at: Time,
}

/// `operator` may do everything. `manager`: settings, products, staff and integrators of their own stores. `staff`:
/// sessions and orders of their own stores. `customer`: their own orders. `integrator`: its own integrators' handoffs,
/// the orders of these handoffs, and product availability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(crate) enum UserRole {
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
    /// For the roles `manager` and `staff`: at least one store.
    #[oai(default, validator(max_items = 100, unique_items))]
    stores: Vec<Uuid>,
    /// For the role `integrator`: at least one integrator.
    #[oai(default, validator(max_items = 100, unique_items))]
    integrator_ids: Vec<Uuid>,
}

/// A merge patch (RFC 7396): absent fields stay unchanged. `null` is refused, because no field of an account is
/// nullable; a list may be `[]`.
#[derive(Object)]
struct UserChange {
    /// A disabled account cannot sign in, and its tokens stop working.
    disabled: MaybeUndefined<bool>,
    /// Operators only.
    role: MaybeUndefined<UserRole>,
    #[oai(validator(max_items = 100, unique_items))]
    stores: MaybeUndefined<Vec<Uuid>>,
    #[oai(validator(max_items = 100, unique_items))]
    integrator_ids: MaybeUndefined<Vec<Uuid>>,
    /// A new password; signs the account out everywhere.
    password: MaybeUndefined<Password>,
}

/// A validated [`UserChange`].
struct ValidatedUserChange {
    disabled: Option<bool>,
    role: Option<Role>,
    stores: Option<Vec<StoreId>>,
    integrators: Option<Vec<IntegratorId>>,
    password: Option<Password>,
}

#[derive(Object)]
struct PasswordChange {
    /// The current password.
    #[oai(validator(max_length = 200))]
    password: String,
    new_password: Password,
}

#[OpenApi(tag = "Topic::Accounts")]
impl Accounts {
    /// Get the calling account
    ///
    /// Includes its role and its stores or integrators.
    #[oai(path = "/me", method = "get", operation_id = "me")]
    async fn me(&self, caller: Caller) -> Json<User> {
        Json((*caller.account).clone().into())
    }

    /// Change your password and sign out everywhere
    ///
    /// Revokes all refresh tokens, including this client's, so sign in again. A wrong current `password` returns 422
    /// and counts as a failed sign-in.
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
        check_password("/new_password", &new_password, username)?;
        let checked = self
            .0
            .authenticator
            .sign_in(username, &password, address)
            .await;
        let known = checked.map_err(|problem| match problem.reason() {
            // Not a 401: clients would take it to mean that they are not signed in.
            Reason::IncorrectCredentials => AccountRefused::PasswordChanged.into(),
            _ => problem,
        })?;
        let requester = Requester::account(caller.id(), address);
        let wanted = AccountChange {
            password_hash: Some(self.hash(requester, &new_password).await?),
            // Refuses the change if somebody else has changed the password in the meantime.
            password_mark: Some(known.password_mark),
            ..AccountChange::default()
        };
        let id = caller.id();
        self.0
            .ledger
            .change_account(id, &wanted, |_| Ok(()))
            .await?;
        self.0.authenticator.forget(id);
        Ok(Answer::empty())
    }

    /// List accounts
    ///
    /// Managers see the accounts that serve their own stores or act for an integrator of these stores.
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    async fn list(
        &self,
        caller: Caller,
        cursor: Cursor<AccountId>,
        limit: Limit,
    ) -> Result<Json<Page<User>>, Problem> {
        let stores = (!caller.is(Role::Operator)).then_some(caller.account.stores.as_slice());
        let found = self
            .0
            .ledger
            .accounts(stores, cursor.0, limit.0 + 1)
            .await?;
        let page = Page::of(found, limit, |account| account.id.uuid(), User::from);
        Ok(Json(page))
    }

    /// Create an account
    ///
    /// Operators create any account; managers create staff of their own stores and accounts for these stores'
    /// integrators. Anybody may create a customer account if registration is open; otherwise the answer is 403
    /// `registration_closed`. A username that differs from another one by case only is taken. The username and the
    /// hundred commonest passwords are refused as passwords.
    #[oai(path = "/users", method = "post", operation_id = "create_user")]
    async fn create(
        &self,
        caller: OptionalCaller,
        address: ClientAddress,
        /// A client-chosen key of up to 200 bytes, unique per caller; for a self-registration, unique per username.
        key: IdempotencyKey,
        new: Checked<NewUser>,
    ) -> Result<Created<User>, Problem> {
        let new = new.0;
        let owner = match &caller.0 {
            Some(caller) => caller.id().uuid(),
            None => registration_key_owner(&new.username.0),
        };
        let key = key.of(&self.0, owner, &new)?;
        let role = Role::from(new.role);
        let stores: Vec<StoreId> = new.stores.iter().copied().map(Into::into).collect();
        let integrators: Vec<IntegratorId> = integrator_ids(&new.integrator_ids);
        let is_registration = self.0.settings.accounts.open_registration && role == Role::Customer;
        match &caller.0 {
            _ if is_registration => {}
            None if role == Role::Customer => {
                return Err(Problem::new(Reason::RegistrationClosed));
            }
            None => return Err(incorrect()),
            Some(caller) => {
                let spoken_for = self.0.ledger.existing_integrators(&integrators).await?;
                check_may_create(caller, role, &stores, &spoken_for)?;
            }
        }
        check_password("/password", &new.password, &new.username.0)?;
        let requester = match &caller.0 {
            Some(caller) => Requester::account(caller.id(), address),
            None => Requester::registration(address),
        };
        let new = NewAccount {
            username: new.username.0,
            password_hash: self.hash(requester, &new.password).await?,
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
        Ok(Answer::of(account.into()).replayed(replayed))
    }

    /// Change or disable an account
    ///
    /// Managers may change only staff and integrator accounts of their own stores. Nobody can disable their own account
    /// or change their own role.
    #[oai(path = "/users/:id", method = "patch", operation_id = "change_user")]
    async fn change_user(
        &self,
        caller: Caller,
        address: ClientAddress,
        id: Path<Uuid>,
        key: IdempotencyKey,
        change: Checked<UserChange>,
    ) -> Result<Replayable<User>, Problem> {
        let id = AccountId::from(id.0);
        let key = key.of(&self.0, caller.id().uuid(), &change.0)?;
        let change = change.0.parse()?;
        if id == caller.id() && (change.disabled == Some(true) || change.role.is_some()) {
            return Err(Problem::forbidden()
                .detail("You cannot disable your own account or change your own role."));
        }
        let password_hash = match &change.password {
            Some(password) => {
                // Without such an account the ledger refuses the change.
                if let Some(known) = self.0.ledger.credentials_of(id).await? {
                    check_password("/password", password, &known.account.username)?;
                }
                let requester = Requester::account(caller.id(), address);
                Some(self.hash(requester, password).await?)
            }
            None => None,
        };
        let new_integrators = match &change.integrators {
            Some(ids) => self.0.ledger.existing_integrators(ids).await?,
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
        let allowed =
            |account: &Account| check_may_change(&caller, account, &wanted, &new_integrators);
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
        self.0.authenticator.forget(id);
        Ok(Answer::of(account.into()).replayed(replayed))
    }
}

impl UserChange {
    fn parse(self) -> Result<ValidatedUserChange, Problem> {
        let mut filled = RequiredFields::default();
        let stores = filled.said("stores", self.stores);
        let integrators = filled.said("integrator_ids", self.integrator_ids);
        let wanted = ValidatedUserChange {
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
    async fn hash(&self, requester: Requester, password: &Password) -> Result<String, Problem> {
        self.0.authenticator.hash(requester, &password.0).await
    }

    async fn account(&self, id: AccountId) -> Result<Account, Problem> {
        let known = self.0.ledger.credentials_of(id).await?;
        Ok(known.ok_or_else(Problem::not_found)?.account)
    }
}

/// Refuses a new password that anybody would guess first.
fn check_password(pointer: &str, password: &Password, username: &str) -> Result<(), Problem> {
    let checked = domain::password::check(&password.0, username);
    checked.map_err(|refused| Problem::invalid_field(pointer, refused.to_string()))
}

/// Returns the owner of the idempotency keys of a self-registration. It is derived from the username, so that two
/// people who choose the same key do not clash.
fn registration_key_owner(username: &str) -> Uuid {
    let hash = sha256(username.as_bytes());
    uuid::Builder::from_sha1_bytes(*hash.first_chunk().expect("SHA-256 has 32 bytes")).into_uuid()
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
            AccountRefused::PasswordChanged => {
                Self::invalid_field("/password", "is not the current password")
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
