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
    beside::{Beside, WantedAccount},
    say,
};
use crate::{command_line::NewUser, refusal::Refusal};

/// Maximum number of bytes read for a password, which has at most 200 characters.
const MOST_BYTES: u64 = 4096;

/// Creates an account. The password is printed once or read from standard input; only its hash is stored.
pub(crate) async fn make(settings: &Settings, wish: NewUser) -> Result<ExitCode, Refusal> {
    if !is_username(&wish.username) {
        return Err(Refusal::NotAUsername);
    }
    match wish.role {
        Role::Manager | Role::Staff if wish.stores.is_empty() => {
            return Err(Refusal::WithoutStore);
        }
        Role::Integrator if wish.integrators.is_empty() => {
            return Err(Refusal::WithoutIntegrator);
        }
        _ => {}
    }
    let said = if wish.password_stdin {
        Some(read_password()?)
    } else {
        None
    };
    let generated = said.is_none();
    let password = said.unwrap_or_else(|| Chance::system().session_code());
    let beside = Beside::open_without_keys(settings).await?;
    let wanted = WantedAccount {
        username: wish.username,
        role: wish.role,
        stores: wish.stores,
        integrators: wish.integrators,
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
    let wish = NewUser {
        username,
        role: Role::Operator,
        stores: Vec::new(),
        integrators: Vec::new(),
        password_stdin: false,
    };
    make(settings, wish).await
}

/// Reads the first line of standard input, without the line end.
fn read_password() -> Result<String, Refusal> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(MOST_BYTES)
        .read_line(&mut line)
        .map_err(Refusal::failed("reading the password"))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if is_password(password) {
        Ok(password.to_owned())
    } else {
        Err(Refusal::NotAPassword)
    }
}
