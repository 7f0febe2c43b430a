//! What the notifier is told at start.

use std::time::Duration;

use common::config::Settings;

#[derive(Clone, Debug)]
pub struct NotifierSettings {
    /// More are answered with 503.
    pub max_sockets: usize,
    /// How many events a client may be behind while it does not take what is sent.
    pub client_queue_capacity: usize,
    pub ping_interval: Duration,
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
            client_queue_capacity: notifier.client_queue_capacity,
            ping_interval: notifier.ping_interval,
            check_every: CHECK_EVERY,
            allowed_origins,
        }
    }
}

const CHECK_EVERY: Duration = Duration::from_secs(3);
