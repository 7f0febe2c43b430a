//! The api asked as a client asks it, in one process over a fresh SQLite database.

#![expect(clippy::unwrap_used, reason = "what a test stumbles over fails it")]

mod app;

mod accounts;
mod bodies;
mod callbacks;
mod conditional;
mod document;
mod documented;
mod front;
mod guessing;
mod handoffs;
mod idempotency;
mod integrator_accounts;
mod integrators;
mod limits;
mod orders;
mod outside;
mod pages;
mod problems;
mod products;
mod retries;
mod sessions;
mod stores;
mod tokens;
