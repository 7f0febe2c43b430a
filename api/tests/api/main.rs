//! The api asked as a client asks it, in one process over a fresh SQLite database.

#![expect(clippy::unwrap_used, reason = "what a test stumbles over fails it")]

mod app;

mod accounts;
mod callbacks;
mod document;
mod front;
mod handoffs;
mod integrators;
mod orders;
mod products;
mod sessions;
mod stores;
mod tokens;
