//! The listener of a process, with TLS if the settings name a certificate.

use std::net::SocketAddr;

use super::Refusal;
use crate::{
    config::Http,
    listen::{self, ListenError, NoDelayAcceptor, Tls},
};
use platform::clock::Clock;

/// Starts to listen on the address that `setting` holds, with the certificate of the settings.
pub async fn bind(
    setting: &'static str,
    address: SocketAddr,
    http: &Http,
) -> Result<Listening, Refusal> {
    let tls = match http.tls_files() {
        Some(files) => Some(Tls::load(files, Clock::system()).await?),
        None => None,
    };
    let acceptor = listen::bind(address).await.map_err(|error| match error {
        ListenError::InUse(address) => Refusal::PortTaken { setting, address },
        cause @ ListenError::Refused { .. } => Refusal::NotListening { setting, cause },
    })?;
    Ok(match tls {
        Some(tls) => Listening {
            acceptor: acceptor.secured(&tls),
            tls: Some(tls),
        },
        None => Listening {
            acceptor,
            tls: None,
        },
    })
}

/// A process's listener. Its certificate is watched once it serves.
#[derive(Debug)]
pub struct Listening {
    pub(super) acceptor: NoDelayAcceptor,
    pub(super) tls: Option<Tls>,
}

impl Listening {
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Returns the listener's own URL, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }
}
