//! `expediter create-user NAME --role ROLE`: creates an account; `expediter operator NAME` creates the first one.

use std::{
    io::{self, BufRead, Read},
    process::ExitCode,
};

use api::http::body::format::{is_password, is_username};
use domain::account::Role;
use platform::chance::Chance;
use runtime::config::Settings;

use super::{
    beside::{CommandLedger, WantedAccount},
    say,
};
use crate::{command_line::NewUser, refusal::Refusal};

/// Maximum number of bytes read for a password, which has at most 200 characters.
const MAX_LINE_BYTES: u64 = 4096;

/// Creates an account. The password is printed once or read from standard input; only its hash is stored.
pub(crate) async fn make(settings: &Settings, options: NewUser) -> Result<ExitCode, Refusal> {
    if !is_username(&options.username) {
        return Err(Refusal::NotAUsername);
    }
    match options.role {
        Role::Manager | Role::Staff if options.stores.is_empty() => {
            return Err(Refusal::WithoutStore);
        }
        Role::Integrator if options.integrators.is_empty() => {
            return Err(Refusal::WithoutIntegrator);
        }
        _ => {}
    }
    let said = if options.password_stdin {
        Some(read_password()?)
    } else {
        None
    };
    if let Some(password) = &said {
        domain::password::check(password, &options.username)
            .map_err(|cause| Refusal::EasyPassword { cause })?;
    }
    let generated = said.is_none();
    let password = said.unwrap_or_else(|| Chance::system().session_code());
    let beside = CommandLedger::open_without_keys(settings).await?;
    let wanted = WantedAccount {
        username: options.username,
        role: options.role,
        stores: options.stores,
        integrators: options.integrators,
    };
    let made = beside.make_account(wanted, &password).await;
    beside.close().await;
    let account = made?;
    if generated {
        // Alone on its line, so that scripts can read it.
        say(password);
    } else {
        say(format_args!(
            "{} can sign in as {}.",
            account.username,
            account.role.as_str()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn make_operator(
    settings: &Settings,
    username: String,
) -> Result<ExitCode, Refusal> {
    let options = NewUser {
        username,
        role: Role::Operator,
        stores: Vec::new(),
        integrators: Vec::new(),
        password_stdin: false,
    };
    make(settings, options).await
}

/// Reads the first line of standard input, without the line end.
fn read_password() -> Result<String, Refusal> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(MAX_LINE_BYTES)
        .read_line(&mut line)
        .map_err(Refusal::failed("reading the password"))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if is_password(password) {
        Ok(password.to_owned())
    } else {
        Err(Refusal::NotAPassword)
    }
}
