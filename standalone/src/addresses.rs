//! Where this process is reached.

use runtime::{config::Settings, listen::NoDelayAcceptor};
use url::Url;

#[derive(Debug)]
pub(crate) struct Addresses {
    /// With the real port, also where port 0 was asked for.
    pub(crate) local: Url,
    /// Without a slash at its end.
    pub(crate) public: String,
}

impl Addresses {
    pub(crate) fn of(settings: &Settings, acceptor: &NoDelayAcceptor) -> Self {
        let local = format!("http://{}", acceptor.address());
        let public = settings
            .http
            .public_url
            .as_ref()
            .map_or(local.as_str(), |url| url.expose());
        Self {
            public: public.trim_end_matches('/').to_owned(),
            local: Url::parse(&local).expect("a socket address makes an address of http"),
        }
    }
}
