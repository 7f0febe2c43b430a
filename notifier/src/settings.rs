//! What the notifier is told at start.

use std::time::Duration;

use ipnet::IpNet;
use runtime::config::Settings;

#[derive(Clone, Debug)]
pub struct NotifierSettings {
    /// More are answered with 503.
    pub max_sockets: usize,
    /// Of one client address; more are answered with 429.
    pub max_sockets_per_address: usize,
    /// The networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many events a client may be behind while it does not take what is sent.
    pub client_queue_capacity: usize,
    pub ping_interval: Duration,
    /// How much is read from the ledger at one time: when all clients come back at once, or the feed had a gap, they
    /// queue here, not for the database's connections.
    pub most_reads: usize,
    /// How often the streams that somebody listens to are compared with the ledger, for what the feed lost.
    pub check_every: Duration,
    /// Origins whose pages may open channels, beside the page that the same address serves.
    pub allowed_origins: Vec<String>,
}

impl NotifierSettings {
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Self {
        let notifier = &settings.notifier;
        let mut allowed_origins = settings.http.allowed_origins.clone();
        if let Some(public_url) = &settings.http.public_url {
            allowed_origins.push(public_url.url().origin().ascii_serialization());
        }
        Self {
            max_sockets: notifier.max_sockets,
            max_sockets_per_address: notifier.max_sockets_per_address,
            trusted_proxies: settings.http.trusted_proxies.clone(),
            client_queue_capacity: notifier.client_queue_capacity,
            ping_interval: notifier.ping_interval,
            most_reads: most_reads(settings.database.max_connections),
            check_every: CHECK_EVERY,
            allowed_origins,
        }
    }
}

const CHECK_EVERY: Duration = Duration::from_secs(3);

/// Half of the connections that read: the api may be in the same process, and guests open channels as often as they
/// like.
fn most_reads(connections: u32) -> usize {
    (connections / 2).clamp(1, 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_channels_never_take_all_connections_where_there_are_two() {
        let read = |connections: &str| {
            let said = [("database.max_connections", connections)];
            NotifierSettings::from_settings(&Settings::with(&said).unwrap()).most_reads
        };
        assert_eq!(["1", "2", "3", "8", "100"].map(read), [1, 1, 1, 4, 8]);
    }
}
