//! Settings of the notifier.

use std::time::Duration;

use ipnet::IpNet;
use runtime::config::Settings;

#[derive(Clone, Debug)]
pub struct NotifierSettings {
    /// Maximum number of sockets; further ones get a 503.
    pub max_sockets: usize,
    /// Maximum number of sockets per client address; further ones get a 429.
    pub max_sockets_per_address: usize,
    /// Maximum number of sockets of one table or account; further ones are closed with 4429.
    pub max_sockets_per_holder: usize,
    /// Networks whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Maximum number of events that a client which reads nothing may be behind.
    pub client_queue_capacity: usize,
    /// Maximum number of bytes that wait for a client or are read ahead for it.
    pub client_queue_bytes: usize,
    /// Maximum number of guest keys that a client may send in a minute.
    pub guest_messages_per_minute: u32,
    pub ping_interval: Duration,
    /// Maximum number of concurrent reads of the ledger. When all clients reconnect at once, or after a gap in the
    /// feed, reads queue here instead of taking all database connections.
    pub max_reads: usize,
    /// Interval at which the streams with listeners are compared with the ledger, to find events that the feed lost.
    pub check_interval: Duration,
    /// Origins whose pages may open channels, in addition to the same origin.
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
            max_sockets_per_holder: notifier.max_sockets_per_holder,
            trusted_proxies: settings.http.trusted_proxies.clone(),
            client_queue_capacity: notifier.client_queue_capacity,
            client_queue_bytes: notifier.client_queue_bytes,
            guest_messages_per_minute: notifier.guest_messages_per_minute,
            ping_interval: notifier.ping_interval,
            max_reads: max_reads(settings.database.max_connections),
            check_interval: CHECK_INTERVAL,
            allowed_origins,
        }
    }
}

const CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// Returns half of the database connections, within 1 and 8: the api may run in the same process, and guests can open
/// channels as often as they like.
fn max_reads(connections: u32) -> usize {
    (connections / 2).clamp(1, 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_channels_never_take_all_connections_where_there_are_two() {
        let read = |connections: &str| {
            let said = [("database.max_connections", connections)];
            NotifierSettings::from_settings(&Settings::with(&said).unwrap()).max_reads
        };
        assert_eq!(["1", "2", "3", "8", "100"].map(read), [1, 1, 1, 4, 8]);
    }
}
