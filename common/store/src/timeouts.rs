//! Rules for MySQL statements: their timeout, which errors are counted, and which connections are dropped.

use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::error::{Result, StoreError};
use platform::metrics::Metrics;

/// Minimum interval between two renewals of all connections, however many statements find that the server takes no
/// writes.
const MIN_RENEWAL_INTERVAL: Duration = Duration::from_secs(5);

/// The timeout, metrics and renewal that all MySQL connections of a [`Db`](super::Db) share.
#[derive(Clone, Debug)]
pub struct StatementPolicy {
    /// Timeout of each statement: sqlx would wait forever on a connection that hangs.
    pub(super) timeout: Duration,
    pub(super) metrics: Arc<Metrics>,
    pub(super) renewal: Renewal,
    /// False in a transaction that goes on without the rows that others hold.
    pub(super) waits_for_locks: bool,
}

impl StatementPolicy {
    /// Runs one statement, or a few, under the timeout, and counts an error.
    pub async fn ask<T>(&self, asked: impl Future<Output = Result<T>>) -> Result<T> {
        self.ask_with(asked, |error| error).await
    }

    /// Does the same as [`Self::ask`], with `map_error` applied to an error.
    pub(super) async fn ask_with<T>(
        &self,
        asked: impl Future<Output = Result<T>>,
        map_error: impl FnOnce(StoreError) -> StoreError,
    ) -> Result<T> {
        let done = within(self.timeout, asked).await;
        if done.as_ref().is_err_and(StoreError::is_unusable_server) {
            self.renewal.renew();
        }
        let not_waited = |error: StoreError| {
            if self.waits_for_locks {
                error
            } else {
                error.of_no_wait()
            }
        };
        counted(&self.metrics, done.map_err(map_error).map_err(not_waited))
    }
}

/// A switch that drops all existing connections. After a planned failover the old server often goes on as a read-only
/// one, and a node that lost its cluster refuses every statement; what is connected to it would stay there for as long
/// as a pool keeps a connection. So all connections are dropped, and the host name is resolved again.
#[derive(Clone, Debug, Default)]
pub(super) struct Renewal(Arc<Mutex<Option<Instant>>>);

impl Renewal {
    /// Marks all current connections, to be closed when they are next acquired.
    pub(super) fn renew(&self) {
        let now = Instant::now();
        let mut renewed_at = self.0.lock();
        if renewed_at.is_none_or(|last| now >= last + MIN_RENEWAL_INTERVAL) {
            *renewed_at = Some(now);
            tracing::warn!("database server takes no writes; reconnecting to find one that does");
        }
    }

    /// Returns whether a connection of this age may be used.
    pub(super) fn keeps(&self, age: Duration) -> bool {
        self.0.lock().is_none_or(|at| age < at.elapsed())
    }
}

/// Runs statements with a timeout; a connection that runs into it does not return to its pool.
pub(super) async fn within<T, E: Into<StoreError>>(
    timeout: Duration,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T> {
    match tokio::time::timeout(timeout, asked).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(StoreError::Unavailable(format!(
            "no answer within {} ms",
            timeout.as_millis()
        ))),
    }
}

/// Counts a statement, in tests, and its error as [`count_error`] does.
pub(crate) fn counted<T>(metrics: &Metrics, done: Result<T>) -> Result<T> {
    #[cfg(any(test, feature = "testing"))]
    crate::testing::STATEMENTS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    count_error(metrics, done)
}

/// Counts an error, unless it is a normal answer: a taken key, or a lock that was not to be waited for.
pub(crate) fn count_error<T>(metrics: &Metrics, done: Result<T>) -> Result<T> {
    if let Err(error) = &done
        && let Some(kind) = error.kind()
    {
        metrics.database_errors.with_label_values(&[kind]).inc();
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_renewal_is_used_no_more() {
        let renewal = Renewal::default();
        assert!(renewal.keeps(Duration::MAX));
        renewal.renew();
        assert!(!renewal.keeps(Duration::from_secs(1)));
        assert!(!renewal.clone().keeps(Duration::from_secs(1)));
        let some_time_ago = Instant::now() - Duration::from_secs(3);
        *renewal.0.lock() = Some(some_time_ago);
        assert!(renewal.keeps(Duration::from_secs(2)));
        assert!(!renewal.keeps(Duration::from_secs(4)));
    }

    #[test]
    fn many_refusals_are_one_renewal() {
        let renewal = Renewal::default();
        let lately = Instant::now() - MIN_RENEWAL_INTERVAL / 2;
        *renewal.0.lock() = Some(lately);
        renewal.renew();
        assert_eq!(*renewal.0.lock(), Some(lately));
        *renewal.0.lock() = Some(lately - MIN_RENEWAL_INTERVAL);
        renewal.renew();
        assert!(renewal.0.lock().is_some_and(|at| at > lately));
    }
}
