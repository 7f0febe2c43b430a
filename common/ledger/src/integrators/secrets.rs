//! Secrets shared with an integrator: sealed at rest, opened for one use.

use chrono::{DateTime, Utc};

use crate::{Failure, Inner, Result};
use domain::{ids::IntegratorId, integrator::OutboundAuth, signature::SigningSecret};
use store::integrators::Stored;

impl Inner {
    /// Returns the authentication of requests to it, and the secrets that sign them: the current one, and for a while
    /// the previous one.
    pub(crate) fn outbound_secrets(
        &self,
        stored: &Stored,
        now: DateTime<Utc>,
    ) -> Result<(OutboundAuth, Vec<SigningSecret>)> {
        let id = stored.integrator.id;
        let opened = self.open(id, &stored.auth_sealed)?;
        let auth = serde_json::from_slice(&opened)
            // Never include the error's text: it may quote the secret.
            .map_err(|_| Failure::Undecryptable(format!("integrator {id}: its auth")))?;
        let signing = self.open_secrets(id, &stored.signing_sealed, &stored.old_signing, now)?;
        Ok((auth, signing))
    }

    pub(super) fn open_secrets(
        &self,
        id: IntegratorId,
        current: &[u8],
        old: &Option<(Vec<u8>, DateTime<Utc>)>,
        now: DateTime<Utc>,
    ) -> Result<Vec<SigningSecret>> {
        let old = old.iter().filter(|(_, until)| *until > now);
        std::iter::once(current)
            .chain(old.map(|(sealed, _)| sealed.as_slice()))
            .map(|sealed| {
                let opened = self.open(id, sealed)?;
                std::str::from_utf8(&opened)
                    .ok()
                    .and_then(|text| SigningSecret::parse(text).ok())
                    .ok_or_else(|| {
                        Failure::Undecryptable(format!("integrator {id}: no signing secret"))
                    })
            })
            .collect()
    }

    fn open(&self, id: IntegratorId, sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>> {
        self.sealing
            .open(id.uuid(), sealed)
            .map_err(|error| Failure::Undecryptable(format!("integrator {id}: {error}")))
    }

    pub(super) fn new_secret(&self) -> SigningSecret {
        SigningSecret::new(self.chance.bytes::<32>()).expect("a secret has 24 to 64 bytes")
    }

    pub(super) fn seal_secret(&self, id: IntegratorId, secret: &SigningSecret) -> Vec<u8> {
        let text = zeroize::Zeroizing::new(secret.reveal());
        self.sealing.seal(&self.chance, id.uuid(), text.as_bytes())
    }

    pub(super) fn seal_auth(&self, id: IntegratorId, auth: &OutboundAuth) -> Vec<u8> {
        let json = serde_json::to_vec(auth).expect("strings and URLs are JSON");
        self.sealing
            .seal(&self.chance, id.uuid(), &zeroize::Zeroizing::new(json))
    }
}
