//! The administration commands, one file each.

pub(crate) mod add_products;
pub(crate) mod audit;
mod beside;
pub(crate) mod check_config;
pub(crate) mod check_integrator;
pub(crate) mod create_user;
pub(crate) mod demo_order;
pub(crate) mod migrate;
pub(crate) mod mock_users;
pub(crate) mod new_epoch;
pub(crate) mod openapi;

use std::{
    fmt,
    io::{self, Write},
};

/// Prints a line to standard output and flushes it, because a program may wait for it.
pub(crate) fn say(line: impl fmt::Display) {
    let mut out = io::stdout().lock();
    // If standard output is closed, the error cannot be reported anywhere.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
