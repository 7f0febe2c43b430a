//! Sessions, one after the other: connect, serve until the connection breaks, back off with jitter, repeat.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::setup::{SessionError, within};
use super::topology::Topology;
use platform::chance::Chance;

/// Heartbeat interval in seconds; a peer that is silent for two of them counts as gone.
pub(super) const HEARTBEAT_S: u16 = 10;
/// Heartbeat interval if there is another node to go to. Below five seconds, RabbitMQ takes busy clients for dead ones.
pub(super) const HEARTBEAT_OF_SEVERAL_S: u16 = 5;
/// Interval at which a session's connection is checked, beside the events that it reports.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// A session that lasted this long resets the back-off.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// A node of the broker.
pub(super) struct Node {
    /// Host and port, for logs.
    pub(super) name: String,
    pub(super) uri: AMQPUri,
}

/// Everything that a session needs to connect.
pub(super) struct SessionContext {
    /// Nodes of one cluster, of which any serves; at least one.
    pub(super) nodes: Vec<Node>,
    /// Certificate authorities in PEM that are trusted besides those of the system.
    pub(super) authorities: Option<String>,
    pub(super) connect_timeout: Duration,
    pub(super) topology: Topology,
    pub(super) chance: Chance,
}

impl fmt::Debug for SessionContext {
    /// Formats the context without the nodes, whose URIs contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionContext")
            .field("topology", &self.topology)
            .finish_non_exhaustive()
    }
}

/// The use of a connection.
#[async_trait]
pub(super) trait Session: Send {
    /// Shown in RabbitMQ's list of connections.
    fn name(&self) -> &'static str;

    /// Serves until told to stop, which is the only way to return `Ok`.
    async fn serve(
        &mut self,
        context: &SessionContext,
        connection: &Connection,
        stop: &CancellationToken,
    ) -> Result<(), SessionError>;

    /// Called when it could not connect, or the connection broke.
    fn broke(&mut self, why: &SessionError);
}

/// Runs sessions one after the other until told to stop. A node that fails is left for the next one at once; a pause comes
/// when all of them have failed one after the other.
pub(super) async fn run_sessions(
    context: Arc<SessionContext>,
    stop: CancellationToken,
    mut session: impl Session,
) {
    let name = session.name();
    // The next node after the one that failed, and never back to it at once.
    let mut nodes = context.nodes.iter().cycle();
    let mut rounds = Rounds::new(context.nodes.len());
    while let Some(node) = nodes.next().filter(|_| !stop.is_cancelled()) {
        let began = Instant::now();
        let Err(why) = once(&context, node, &mut session, &stop).await else {
            return;
        };
        session.broke(&why);
        if began.elapsed() >= STABLE_AFTER {
            rounds.begin();
        }
        if rounds.is_first() {
            let node = &node.name;
            tracing::warn!(session = name, node, error = %why, "RabbitMQ connection failed; retrying until it is back");
        }
        let Some(failures) = rounds.fail() else {
            continue;
        };
        let backoff = backoff(failures, context.chance.fraction());
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(backoff) => {}
        }
    }
}

/// Counts failures in a row, by rounds over all nodes.
#[derive(Debug)]
struct Rounds {
    nodes: u32,
    failures: u32,
}

impl Rounds {
    fn new(nodes: usize) -> Self {
        Self {
            nodes: u32::try_from(nodes).unwrap_or(u32::MAX).max(1),
            failures: 0,
        }
    }

    fn begin(&mut self) {
        self.failures = 0;
    }

    /// Returns true in the first round, in which each node's failure is news.
    fn is_first(&self) -> bool {
        self.failures < self.nodes
    }

    /// Counts a failure; returns the number of rounds before this one when the round is complete, and it is time for a
    /// pause.
    fn fail(&mut self) -> Option<u32> {
        self.failures = self.failures.saturating_add(1);
        let is_complete = self.failures.is_multiple_of(self.nodes);
        is_complete.then(|| self.failures / self.nodes - 1)
    }
}

async fn once(
    context: &SessionContext,
    node: &Node,
    session: &mut impl Session,
    stop: &CancellationToken,
) -> Result<(), SessionError> {
    let properties =
        ConnectionProperties::default().with_connection_name(session.name().to_owned().into());
    let tls = OwnedTLSConfig {
        identity: None,
        cert_chain: context.authorities.clone(),
    };
    let runtime = lapin::runtime::default_runtime()?;
    let handshake = Connection::connect_uri_with_config(node.uri.clone(), properties, tls, runtime);
    let connecting = within(context.connect_timeout, handshake);
    let connection = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        connected = connecting => connected?,
    };
    let served = tokio::select! {
        served = session.serve(context, &connection, stop) => served,
        gone = gone(&connection) => Err(gone),
    };
    // A broken connection has no peer to close it with; a stuck one must not hold up the next.
    if connection.status().connected() {
        let _ = timeout(CLOSE_TIMEOUT, connection.close(200, "OK".into())).await;
    }
    served
}

/// Waits until the connection is gone, which ends the session whatever it waits for: lapin never completes an
/// acknowledgement whose connection broke while it was under way.
async fn gone(connection: &Connection) -> SessionError {
    loop {
        sleep(CHECK_INTERVAL).await;
        if !connection.status().connected() {
            return SessionError::Ended("the connection is gone");
        }
    }
}

/// Returns the back-off: it doubles up to a cap, and half of it is random, so that many processes do not reconnect at
/// once.
fn backoff(failures: u32, fraction: f64) -> Duration {
    let longest = MIN_BACKOFF
        .saturating_mul(2_u32.saturating_pow(failures))
        .min(MAX_BACKOFF);
    longest.mul_f64(0.5 + fraction / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_comes_when_all_nodes_have_failed_and_grows_by_rounds() {
        let failures = |nodes: usize| {
            let mut rounds = Rounds::new(nodes);
            [(); 6].map(|()| (rounds.is_first(), rounds.fail()))
        };
        assert_eq!(
            failures(3),
            [
                (true, None),
                (true, None),
                (true, Some(0)),
                (false, None),
                (false, None),
                (false, Some(1)),
            ]
        );
        let alone = failures(1).map(|(_, pause)| pause);
        assert_eq!(alone, [0, 1, 2, 3, 4, 5].map(Some));
        let mut rounds = Rounds::new(2);
        assert_eq!((rounds.fail(), rounds.fail()), (None, Some(0)));
        rounds.begin();
        assert!(rounds.is_first() && rounds.fail().is_none());
    }

    #[test]
    fn pauses_double_up_to_their_cap_and_keep_half_their_length() {
        assert_eq!(backoff(0, 0.0), Duration::from_millis(50));
        assert_eq!(backoff(1, 0.0), Duration::from_millis(100));
        assert_eq!(backoff(3, 0.5), Duration::from_millis(600));
        assert_eq!(backoff(6, 0.0), MAX_BACKOFF / 2);
        assert_eq!(backoff(u32::MAX, 0.0), MAX_BACKOFF / 2);
    }
}
