//! The administration commands, one file each.

pub(crate) mod add_products;
pub(crate) mod archive;
pub(crate) mod audit;
mod beside;
pub(crate) mod check_config;
pub(crate) mod check_integrator;
pub(crate) mod create_user;
pub(crate) mod demo_order;
mod forward;
pub(crate) mod listen;
pub(crate) mod migrate;
pub(crate) mod mock_users;
pub(crate) mod new_epoch;
pub(crate) mod openapi;
mod remote;
pub(crate) mod replay;
pub(crate) mod reseal;
pub(crate) mod trigger;

use std::{
    fmt,
    io::{self, Write},
};

use uuid::Uuid;

use self::remote::Remote;
use crate::refusal::Refusal;

/// Prints a line to standard output and flushes it, because a program may wait for it.
pub(crate) fn say(line: impl fmt::Display) {
    let mut out = io::stdout().lock();
    // If standard output is closed, the error cannot be reported anywhere.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints a line to standard error: what a person should know while the command goes on.
fn warn(line: impl fmt::Display) {
    // If standard error is closed, the error cannot be reported anywhere.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Returns the id of the wanted store or, if none is named, of the only one.
async fn store_of(remote: &Remote, wanted: Option<Uuid>) -> Result<String, Refusal> {
    if let Some(id) = wanted {
        return Ok(id.to_string());
    }
    let listed = remote.get("stores?limit=10").await;
    let listed = listed.map_err(Refusal::failed("reading the stores"))?;
    let stores: Vec<(&str, &str)> = listed["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|store| Some((store["id"].as_str()?, store["name"].as_str()?)))
        .collect();
    match stores.as_slice() {
        [] => Err(Refusal::NoStore),
        [(id, _)] => Ok((*id).to_owned()),
        several => {
            let stores: Vec<String> = several
                .iter()
                .map(|(id, name)| format!("{id} ({name})"))
                .collect();
            let stores = stores.join(", ");
            Err(Refusal::WhichStore { stores })
        }
    }
}
