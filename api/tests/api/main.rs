//! Tests of the API as a client sees it, in one process with a fresh SQLite database.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod app;

mod accounts;
mod actors;
mod api_keys;
mod bodies;
mod callbacks;
mod conditional;
mod data_protection;
mod document;
mod documented;
mod flood;
mod front;
mod guessing;
mod handoffs;
mod idempotency;
mod integrator_accounts;
mod integrators;
mod limits;
mod listeners;
mod menus;
mod names;
mod opening;
mod option_groups;
mod orders;
mod other_languages;
mod outside;
mod pages;
mod problems;
mod products;
mod queries;
mod retries;
mod rotation;
mod sessions;
mod stores;
mod tokens;
