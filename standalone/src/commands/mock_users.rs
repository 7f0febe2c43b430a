//! `expediter mock-users`: creates a test account for each role, and prints a token for each that is valid for a day.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc, time::Duration};

use api::ApiState;
use domain::{
    account::{Account, Role},
    answers::Answers,
    ids::{IntegratorId, StoreId},
    integrator::{CallbackAuth, Confirms, Format, IntegratorKind, OutboundAuth, UnknownPolicy},
    language::Language,
    store::Contact,
};
use ledger::{Ledger, accounts::AccountChange, integrators::NewIntegrator, stores::NewStore};
use platform::{chance::Chance, metrics::Metrics, secrets::Keys};
use runtime::config::Settings;
use url::Url;
use uuid::Uuid;

use super::{
    add_products::choose_store,
    beside::{CommandLedger, WantedAccount},
    say,
};
use crate::{data_dir, refusal::Refusal};

const TOKEN_TTL: Duration = Duration::from_secs(86_400);
const STORE: &str = "Mock store";
const INTEGRATOR: &str = "Mock integrator";
/// URL that can never exist (RFC 2606); nothing is ever sent there.
const UNUSED_URL: &str = "https://integrator.invalid/orders";

/// Prints a new token for each account, creating the accounts that are missing.
pub(crate) async fn print(settings: &Settings, store: Option<Uuid>) -> Result<ExitCode, Refusal> {
    if !settings.demo.mock_users {
        return Err(Refusal::MockUsersOff);
    }
    // Before the keys, which are in the data directory too.
    data_dir::prepare(settings)?;
    let keys = runtime::keys::load_or_create(&settings.secrets, &Chance::system())?;
    let beside = CommandLedger::open(settings, keys.encryption.clone()).await?;
    let made = accounts(&beside, store.map(StoreId::from)).await;
    let tokens = made.and_then(|accounts| tokens(&beside.ledger, keys, settings, accounts));
    beside.close().await;
    for (account, token) in tokens? {
        say(format_args!(
            "{:<12}{:<18}{token}",
            account.role.as_str(),
            account.username
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn tokens(
    ledger: &Ledger,
    keys: Keys,
    settings: &Settings,
    accounts: Vec<Account>,
) -> Result<Vec<(Account, String)>, Refusal> {
    let mut settings = settings.clone();
    settings.accounts.access_ttl = TOKEN_TTL;
    let state = ApiState::new(
        ledger.clone(),
        Arc::new(keys),
        Arc::new(settings),
        Metrics::new(),
    );
    let with_token = |account: Account| {
        let token = state.authenticator.access_token(account.id);
        let (token, _) = token.map_err(Refusal::failed("signing a token"))?;
        Ok((account, token))
    };
    accounts.into_iter().map(with_token).collect()
}

async fn accounts(beside: &CommandLedger, store: Option<StoreId>) -> Result<Vec<Account>, Refusal> {
    let failed = "creating the mock accounts";
    if let Some(wanted) = store {
        choose_store(&beside.ledger, Some(wanted)).await?;
    }
    let mut accounts = Vec::new();
    for role in Role::ALL.iter().copied() {
        let username = format!("mock-{}", role.as_str());
        let found = beside.ledger.credentials(&username).await;
        let found = found.map_err(Refusal::failed(failed))?;
        accounts.push(match found {
            Some(found) => place(beside, found.account, store).await?,
            None => make(beside, username, role, store).await?,
        });
    }
    Ok(accounts)
}

/// Lets an account that serves a store serve this one.
async fn place(
    beside: &CommandLedger,
    account: Account,
    store: Option<StoreId>,
) -> Result<Account, Refusal> {
    let Some(store) = store.filter(|_| matches!(account.role, Role::Manager | Role::Staff)) else {
        return Ok(account);
    };
    let there = AccountChange {
        stores: Some(vec![store]),
        ..AccountChange::default()
    };
    let placed = beside.ledger.change_account(account.id, &there, |_| Ok(()));
    placed
        .await
        .map_err(Refusal::failed("placing the mock accounts"))
}

async fn make(
    beside: &CommandLedger,
    username: String,
    role: Role,
    store: Option<StoreId>,
) -> Result<Account, Refusal> {
    let (mut stores, mut integrators) = (Vec::new(), Vec::new());
    match role {
        Role::Manager | Role::Staff => stores.push(match store {
            Some(store) => store.uuid(),
            None => a_store(&beside.ledger).await?.uuid(),
        }),
        Role::Integrator => integrators.push(an_integrator(&beside.ledger).await?.uuid()),
        Role::Operator | Role::Customer => {}
    }
    let wanted = WantedAccount {
        username,
        role,
        stores,
        integrators,
    };
    // Never shown, because these accounts are used with their tokens.
    let password = beside.ledger.chance().token();
    beside.make_account(wanted, &password).await
}

/// Returns the first store, or creates one.
async fn a_store(ledger: &Ledger) -> Result<StoreId, Refusal> {
    let failed = "creating a store for the mock accounts";
    let stores = ledger.stores(None, None, 1).await;
    if let Some(store) = stores.map_err(Refusal::failed(failed))?.first() {
        return Ok(store.id);
    }
    let new = NewStore {
        name: STORE.to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        currency: "EUR".parse().expect("EUR is a currency"),
        contact: Contact::default(),
        auto_accept: true,
        accept_within_s: 600,
        deliver_accepted_after_h: None,
        timing: Default::default(),
        language: Language::default(),
    };
    let made = ledger.create_store(new).await;
    Ok(made.map_err(Refusal::failed(failed))?.id)
}

/// Creates an integrator that listens to no event, so that no order waits for it.
async fn an_integrator(ledger: &Ledger) -> Result<IntegratorId, Refusal> {
    let new = NewIntegrator {
        store_id: a_store(ledger).await?,
        further_stores: Vec::new(),
        name: INTEGRATOR.to_owned(),
        kind: IntegratorKind::Pos,
        format: Format::Order,
        events: Some(Vec::new()),
        url: Url::parse(UNUSED_URL).expect("a valid URL"),
        required: Some(false),
        confirms: Confirms::Acknowledgement,
        unknown_policy: UnknownPolicy::Resend,
        callback_auth: CallbackAuth::Signature,
        auth: OutboundAuth::None,
        status_map: BTreeMap::new(),
        answers: Answers::default(),
        max_attempts: 5,
        concurrency: 1,
        rate_per_s: None,
    };
    let made = ledger.create_integrator(new).await;
    let (integrator, _) = made.map_err(Refusal::failed(
        "creating an integrator for the mock accounts",
    ))?;
    Ok(integrator.id)
}
