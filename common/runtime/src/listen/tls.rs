//! TLS for all that a process listens on. Certificate and key are read again when their files change, so that a renewal
//! needs no restart (docs/adr/0090-a-certificate-is-renewed-without-a-restart.md).

mod validity;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use parking_lot::RwLock;
use platform::{clock::Clock, metrics::Metrics, secrets::sha256};
use tokio::{fs::File, io::AsyncReadExt};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        Error, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Interval at which the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Maximum size of a file; a long chain has 10 KiB.
const MAX_BYTES: u64 = 1 << 20;
/// Protocol inside TLS. Not HTTP/2: its heads have no end that a slow sender could be measured by.
const HTTP: &[u8] = b"http/1.1";

const CERT: &str = "http.tls_cert_file";
const KEY: &str = "http.tls_key_file";

/// The files of a certificate and its key, both in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, and after it those that lead to its authority.
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// An error of one of the files, named by its setting: the path may be the key itself by mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {what}")]
pub struct TlsError {
    setting: &'static str,
    what: String,
}

/// The certificate that is served, and its files.
pub struct Tls {
    files: TlsFiles,
    served: Arc<Served>,
    acceptor: TlsAcceptor,
    /// Hash of the files as they were seen last, or why they were not read.
    seen: Result<[u8; 32], TlsError>,
    /// Judges whether a certificate has ended, by the time of this machine.
    clock: Clock,
}

impl Tls {
    /// Reads the files. A certificate that has ended is taken: some clients do not look, and a process that does not start
    /// helps nobody.
    pub async fn load(files: TlsFiles, clock: Clock) -> Result<Self, TlsError> {
        let pair = files.read().await?;
        let served = Arc::new(Served(RwLock::new(Arc::new(pair.certified()?))));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the ciphers of TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&served) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![HTTP.to_vec()];
        Ok(Self {
            files,
            served,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            seen: Ok(pair.hash()),
            clock,
        })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Serves a renewed certificate to new connections as soon as it is found. One that cannot be used is logged and
    /// counted, and the one before is served on.
    pub async fn watch(mut self, metrics: Arc<Metrics>, stopping: CancellationToken) {
        self.tell_end(&metrics);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            match self.look().await {
                None => {}
                Some(Ok(())) => {
                    metrics.tls_renewal_refused.set(0);
                    self.tell_end(&metrics);
                    tracing::info!("the renewed TLS certificate is served from now on");
                }
                Some(Err(error)) => {
                    metrics.tls_renewal_refused.set(1);
                    tracing::warn!(
                        %error,
                        "the renewed TLS certificate cannot be used, and the one before is served on: {error}"
                    );
                }
            }
        }
    }

    /// Reads the files again; `None` if they are as they were the last time.
    async fn look(&mut self) -> Option<Result<(), TlsError>> {
        let read = self.files.read().await;
        let seen = read.as_ref().map(Pair::hash).map_err(Clone::clone);
        if seen == self.seen {
            return None;
        }
        self.seen = seen;
        let certified = read.and_then(|pair| pair.certified());
        let certified = certified.and_then(|certified| {
            if self.has_ended(&certified) && !self.has_ended(&self.served.0.read()) {
                let what = "names a file with a certificate that has ended";
                return Err(refused(CERT, what));
            }
            Ok(certified)
        });
        Some(certified.map(|certified| *self.served.0.write() = Arc::new(certified)))
    }

    fn has_ended(&self, certified: &CertifiedKey) -> bool {
        end_of(certified).is_some_and(|end| end <= self.clock.now())
    }

    fn tell_end(&self, metrics: &Metrics) {
        let served = Arc::clone(&self.served.0.read());
        let Some(end) = end_of(&served) else { return };
        metrics.tls_certificate_ends_seconds.set(end.timestamp());
        if end <= self.clock.now() {
            tracing::warn!(%end, "the TLS certificate has ended at {end}, and is served all the same");
        }
    }
}

fn end_of(certified: &CertifiedKey) -> Option<DateTime<Utc>> {
    validity::end_of(certified.end_entity_cert().ok()?)
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The certificate for the next handshake.
struct Served(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Served(***)")
    }
}

/// Contents of the two files.
struct Pair {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl TlsFiles {
    async fn read(&self) -> Result<Pair, TlsError> {
        Ok(Pair {
            cert: read(CERT, &self.cert).await?,
            key: Zeroizing::new(read(KEY, &self.key).await?),
        })
    }
}

impl Pair {
    fn hash(&self) -> [u8; 32] {
        let both = [sha256(&self.cert), sha256(&self.key)];
        sha256(both.as_flattened())
    }

    fn certified(&self) -> Result<CertifiedKey, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.cert).collect();
        let chain = chain.map_err(|_| refused(CERT, "names a file that is not valid PEM"))?;
        if chain.is_empty() {
            return Err(refused(CERT, "names a file without a certificate in PEM"));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| refused(KEY, "names a file without a private key in PEM"))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|cause| match cause {
            Error::InconsistentKeys(_) => refused(
                KEY,
                "names a file with another key than that of the certificate",
            ),
            Error::InvalidCertificate(_) => refused(
                CERT,
                "names a file whose first certificate is not a valid one",
            ),
            _ => refused(KEY, "names a file with a key of an unknown kind"),
        })
    }
}

fn refused(setting: &'static str, what: impl Into<String>) -> TlsError {
    let what = what.into();
    TlsError { setting, what }
}

async fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |cause: io::Error| {
        refused(
            setting,
            format!("names a file that cannot be read: {cause}"),
        )
    };
    let file = File::open(path).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes).await;
    if read.map_err(unreadable)? as u64 > MAX_BYTES {
        let what = format!("names a file of more than {MAX_BYTES} bytes");
        return Err(refused(setting, what));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
