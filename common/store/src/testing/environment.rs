//! What only tests are told by the environment.

use std::path::PathBuf;

/// A MySQL server on which tests may make and drop databases: `mysql://user:password@host:port/`.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this folder is the one place that reads the environment"
)]
pub fn test_mysql_url() -> Option<String> {
    std::env::var("EXPEDITER_TEST_MYSQL_URL").ok()
}

/// A RabbitMQ server that may be littered with queues: `amqp://user:password@host:port/vhost`.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this folder is the one place that reads the environment"
)]
pub fn test_amqp_url() -> Option<String> {
    std::env::var("EXPEDITER_TEST_AMQP_URL").ok()
}

/// Where every test must run: nothing may be skipped for the lack of a server.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this folder is the one place that reads the environment"
)]
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|said| said == "true")
}

#[must_use]
pub fn temporary_folder() -> PathBuf {
    std::env::temp_dir()
}
