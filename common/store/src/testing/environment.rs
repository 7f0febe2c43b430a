//! Environment variables that only tests read.

use std::path::PathBuf;

/// Returns the URL of a MySQL server on which tests may create and drop databases:
/// `mysql://user:password@host:port/`.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this folder is the one place that reads the environment"
)]
pub fn test_mysql_url() -> Option<String> {
    std::env::var("EXPEDITER_TEST_MYSQL_URL").ok()
}

/// Returns the URL of a RabbitMQ server on which tests may leave queues: `amqp://user:password@host:port/vhost`.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this folder is the one place that reads the environment"
)]
pub fn test_amqp_url() -> Option<String> {
    std::env::var("EXPEDITER_TEST_AMQP_URL").ok()
}

/// Returns the file to which each program appends the statements that it runs (`scripts/statements`).
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this folder is the one place that reads the environment"
)]
pub fn statements_file() -> Option<PathBuf> {
    std::env::var_os("EXPEDITER_TEST_STATEMENTS").map(PathBuf::from)
}

/// Returns true in CI, where every test must run: none may be skipped for lack of a server.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this folder is the one place that reads the environment"
)]
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|said| said == "true")
}

/// Returns true under nextest, which alone can run a test while no other runs (`.config/nextest.toml`).
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this folder is the one place that reads the environment"
)]
pub fn under_nextest() -> bool {
    std::env::var_os("NEXTEST").is_some()
}

#[must_use]
pub fn temporary_folder() -> PathBuf {
    std::env::temp_dir()
}
