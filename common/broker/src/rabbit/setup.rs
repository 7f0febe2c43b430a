//! One step of setting a session up, which must not take for ever; and why a session broke.

use std::time::Duration;

use tokio::time::timeout;

/// Timeout of each declaration after the handshake.
const SETUP_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Amqp(#[from] lapin::Error),
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("{0}")]
    Ended(&'static str),
}

/// Runs a step of the setup with a timeout.
pub(super) async fn setup<T>(
    step: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, SessionError> {
    within(SETUP_TIMEOUT, step).await
}

pub(super) async fn within<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, SessionError> {
    Ok(timeout(limit, step)
        .await
        .map_err(|_| SessionError::TimedOut(limit))??)
}
