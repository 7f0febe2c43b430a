//! The administration commands, one file each.

pub(crate) mod add_products;
pub(crate) mod audit;
mod beside;
pub(crate) mod check_config;
pub(crate) mod create_user;
pub(crate) mod demo_order;
pub(crate) mod migrate;
pub(crate) mod mock_users;
pub(crate) mod openapi;

use std::{
    fmt,
    io::{self, Write},
};

/// One line on standard output, at once: who reads it may be a program that waits for it.
pub(crate) fn say(line: impl fmt::Display) {
    let mut out = io::stdout().lock();
    // Nobody is left to be told that standard output is gone.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
