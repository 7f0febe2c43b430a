//! The api asked as a client asks it, in one process over a fresh SQLite database.

mod app;

mod accounts;
mod document;
mod front;
mod tokens;
