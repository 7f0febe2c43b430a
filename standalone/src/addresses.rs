//! Addresses at which this process is reached.

use runtime::{config::Settings, process::Listening};
use url::Url;

#[derive(Debug)]
pub(crate) struct Addresses {
    /// Address of the listener, with the real port even if port 0 was requested.
    pub(crate) local: Url,
    /// Public URL, without a trailing slash.
    pub(crate) public: String,
}

impl Addresses {
    pub(crate) fn of(settings: &Settings, listening: &Listening) -> Self {
        let local = listening.url();
        let public = settings
            .http
            .public_url
            .as_ref()
            .map_or(local.as_str(), |url| url.expose());
        Self {
            public: public.trim_end_matches('/').to_owned(),
            local: Url::parse(&local).expect("a socket address forms a valid HTTP URL"),
        }
    }
}
