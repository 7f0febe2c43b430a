//! One session after the other: connect, serve until it breaks, back off with jitter, again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::setup::{Broken, within};
use super::topology::Topology;
use platform::chance::Chance;

/// A peer silent for two of these is taken for gone.
pub(super) const HEARTBEAT_S: u16 = 10;
/// How often a session's connection is looked at, beside what it tells by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A session that held this long begins the pauses anew.
const STEADY: Duration = Duration::from_secs(10);

/// What every session needs to begin.
pub(super) struct Dialler {
    pub(super) uri: AMQPUri,
    pub(super) connect_timeout: Duration,
    pub(super) topology: Topology,
    pub(super) chance: Chance,
}

impl fmt::Debug for Dialler {
    /// Without the URI, which carries a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialler")
            .field("topology", &self.topology)
            .finish_non_exhaustive()
    }
}

/// What is done with a connection.
#[async_trait]
pub(super) trait Session: Send {
    /// Shown in RabbitMQ's list of connections.
    fn name(&self) -> &'static str;

    /// Ends well only when told to stop.
    async fn serve(
        &mut self,
        dialler: &Dialler,
        connection: &Connection,
        stop: &CancellationToken,
    ) -> Result<(), Broken>;

    /// It could not connect, or broke.
    fn broke(&mut self, why: &Broken);
}

/// Until told to stop.
pub(super) async fn keep(
    dialler: Arc<Dialler>,
    stop: CancellationToken,
    mut session: impl Session,
) {
    let name = session.name();
    let mut failures = 0;
    while !stop.is_cancelled() {
        let began = Instant::now();
        let Err(why) = once(&dialler, &mut session, &stop).await else {
            return;
        };
        session.broke(&why);
        if began.elapsed() >= STEADY {
            failures = 0;
        }
        if failures == 0 {
            tracing::warn!(session = name, error = %why, "RabbitMQ is away; trying again until it is back");
        }
        let pause = pause(failures, dialler.chance.fraction());
        failures += 1;
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

async fn once(
    dialler: &Dialler,
    session: &mut impl Session,
    stop: &CancellationToken,
) -> Result<(), Broken> {
    let properties =
        ConnectionProperties::default().with_connection_name(session.name().to_owned().into());
    let handshake = Connection::connect_uri(dialler.uri.clone(), properties);
    let connecting = within(dialler.connect_timeout, handshake);
    let connection = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        connected = connecting => connected?,
    };
    let served = tokio::select! {
        served = session.serve(dialler, &connection, stop) => served,
        gone = gone(&connection) => Err(gone),
    };
    // A connection that broke has nobody to say goodbye to; one that is stuck must not hold up the next.
    if connection.status().connected() {
        let _ = timeout(GOODBYE_TIMEOUT, connection.close(200, "OK".into())).await;
    }
    served
}

/// Whatever a session waits for ends with its connection: lapin never answers an acknowledgement whose connection broke
/// while it was on its way.
async fn gone(connection: &Connection) -> Broken {
    loop {
        sleep(LOOK_EVERY).await;
        if !connection.status().connected() {
            return Broken::Ended("the connection is gone");
        }
    }
}

/// Doubles up to a cap; half of it is chance, so that a house full of processes does not come back all at once.
fn pause(failures: u32, fraction: f64) -> Duration {
    let longest = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(failures))
        .min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fraction / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_cap_and_keep_half_their_length() {
        assert_eq!(pause(0, 0.0), Duration::from_millis(50));
        assert_eq!(pause(1, 0.0), Duration::from_millis(100));
        assert_eq!(pause(3, 0.5), Duration::from_millis(600));
        assert_eq!(pause(6, 0.0), LONGEST_PAUSE / 2);
        assert_eq!(pause(u32::MAX, 0.0), LONGEST_PAUSE / 2);
    }
}
