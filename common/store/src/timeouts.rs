//! Rules for MySQL statements: their timeout, which errors are counted, and which connections are dropped.

use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

use super::{
    error::{Result, StoreError},
    under_way::UnderWay,
};
use platform::metrics::Metrics;

/// Minimum interval between two renewals of all connections, however many statements find that the server takes no
/// writes.
const MIN_RENEWAL_INTERVAL: Duration = Duration::from_secs(5);

/// The timeout, metrics and renewal that all MySQL connections to one host share.
#[derive(Clone, Debug)]
pub struct StatementPolicy {
    /// Timeout of each statement: sqlx would wait forever on a connection that hangs.
    pub(super) timeout: Duration,
    pub(super) metrics: Arc<Metrics>,
    pub(super) renewal: Renewal,
    /// The watch of the host; `None` if there is no other host to go to.
    pub(super) listed: Option<Listed>,
    /// False in a transaction that goes on without the rows that others hold.
    pub(super) waits_for_locks: bool,
    /// The mark of the transaction's connection; of no use before there is one.
    pub(super) under_way: UnderWay,
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
        let done = self.within(asked).await;
        let not_waited = |error: StoreError| {
            if self.waits_for_locks {
                error
            } else {
                error.of_no_wait()
            }
        };
        counted(&self.metrics, done.map_err(map_error).map_err(not_waited))
    }

    /// Runs something under the timeout, and no longer than its host is used. Counts nothing.
    pub(super) async fn within<T, E: Into<StoreError>>(
        &self,
        asked: impl Future<Output = Result<T, E>>,
    ) -> Result<T> {
        let asked = within(self.timeout, self.under_way.during(asked));
        let done = match &self.listed {
            None => asked.await,
            Some(listed) => listed.until_given_up(asked).await,
        };
        match &done {
            Err(error) if error.is_unusable_server() => self.leave(),
            Err(StoreError::Unavailable(_)) => self.doubt(),
            _ => {}
        }
        done
    }

    /// Drops all connections to a server that takes no writes, and has it asked if there is another one.
    pub(super) fn leave(&self) {
        self.renewal.renew();
        self.doubt();
    }

    /// Has the host asked now if it still takes writes.
    pub(super) fn doubt(&self) {
        if let Some(listed) = &self.listed {
            listed.doubt.notify_one();
        }
    }
}

/// The watch of a host that stands in a list, as the statements on the host see it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    /// Changes when the host does not answer and another one is used.
    given_up: watch::Receiver<()>,
    /// Wakes the task that asks the host.
    doubt: Arc<Notify>,
}

impl Listed {
    pub(super) fn new(given_up: watch::Receiver<()>) -> Self {
        Self {
            given_up,
            doubt: Arc::default(),
        }
    }

    pub(super) fn doubt(&self) -> Arc<Notify> {
        Arc::clone(&self.doubt)
    }

    /// Forgets that the host was given up before: a transaction begins on it now.
    pub(super) fn begin(&mut self) {
        self.given_up.mark_unchanged();
    }

    /// Waits for a statement as long as its host is not given up. One that hangs would else keep its callers for the
    /// whole timeout, although another host could serve them.
    async fn until_given_up<T>(&self, asked: impl Future<Output = Result<T>>) -> Result<T> {
        let mut given_up = self.given_up.clone();
        tokio::select! {
            biased;
            done = asked => done,
            Ok(()) = given_up.changed() => {
                let why = "the host does not answer, and another one is used now";
                Err(StoreError::Unavailable(why.to_owned()))
            }
        }
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

    /// Marks all current connections without a limit, and without a word in the log.
    pub(super) fn mark(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    /// Returns whether a connection of this age may be used.
    pub(super) fn keeps(&self, age: Duration) -> bool {
        self.0.lock().is_none_or(|at| age < at.elapsed())
    }
}

/// Runs statements with a timeout.
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

    fn policy(listed: Option<Listed>) -> StatementPolicy {
        StatementPolicy {
            timeout: Duration::from_secs(600),
            metrics: Metrics::new(),
            renewal: Renewal::default(),
            listed,
            waits_for_locks: true,
            under_way: UnderWay::default(),
        }
    }

    #[tokio::test]
    async fn a_statement_on_a_host_that_is_given_up_is_not_waited_for() {
        let given_up = watch::Sender::new(());
        let mut listed = Listed::new(given_up.subscribe());
        // Given up before the transaction: that was another time.
        given_up.send_replace(());
        listed.begin();
        let mut policy = policy(Some(listed));
        assert!(policy.ask(async { Ok(7) }).await.is_ok_and(|n| n == 7));
        let hanging = policy.ask_with(
            std::future::pending::<Result<()>>(),
            StoreError::map_commit_error,
        );
        let (unknown, ()) = tokio::join!(hanging, async { given_up.send_replace(()) });
        assert!(
            matches!(unknown, Err(StoreError::CommitUnknown(_))),
            "{unknown:?}"
        );
        // Nothing more is asked on that connection.
        assert!(policy.ask(async { Ok(7) }).await.is_err());
        // On another one, an answer that has arrived counts, and nothing that hangs is begun after.
        policy.under_way = UnderWay::default();
        assert!(policy.ask(async { Ok(7) }).await.is_ok());
        let late = policy.ask(std::future::pending::<Result<()>>()).await;
        assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    }

    #[tokio::test]
    async fn an_error_of_the_server_has_its_host_asked_and_one_of_a_row_does_not() {
        let given_up = watch::Sender::new(());
        let policy = policy(Some(Listed::new(given_up.subscribe())));
        let doubt = policy.listed.as_ref().map(Listed::doubt).unwrap();
        let fails = async |error| {
            let done = policy.ask(async { Err::<(), _>(error) }).await;
            done.unwrap_err();
            // A permit is taken at once, if there is one.
            tokio::time::timeout(Duration::ZERO, doubt.notified())
                .await
                .is_ok()
        };
        assert!(fails(StoreError::Unavailable("gone".to_owned())).await);
        assert!(!fails(StoreError::UniqueKeyTaken).await);
        assert!(!fails(StoreError::LockLost("1213".to_owned())).await);
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
