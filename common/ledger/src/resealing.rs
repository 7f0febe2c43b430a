//! Seals integrators' secrets, and the persons of erasures that are not done, with the newest encryption key, after a rotation
//! (docs/adr/0089-keys-are-rotated-with-an-overlap.md).

use uuid::Uuid;

use crate::{CrashPoints, Ledger, Result, in_one_transaction};
use domain::ids::{ErasureId, IntegratorId};

/// Number of integrators that are read at once; few in tests, so that these have several pages.
const PAGE: u32 = if cfg!(test) { 2 } else { 100 };

/// Numbers of stored secrets, by the key that opens them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seals {
    /// Sealed with the newest key.
    pub newest: u64,
    /// Sealed with a previous key, which nobody may drop yet.
    pub previous: u64,
    /// Opened by no key of this process.
    pub unreadable: u64,
}

impl Ledger {
    /// Counts the stored secrets by the key that opens them.
    #[crate::boxed]
    pub async fn seals(&self) -> Result<Seals> {
        let mut seals = Seals::default();
        let mut after = None;
        loop {
            let page = self.sealed_after(after).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for one in &page {
                for value in one.values() {
                    self.count_seal(&mut seals, one.id.uuid(), value);
                }
            }
        }
        let mut tx = self.inner.db.read().await?;
        for (id, value) in store::erasures::sealed(&mut tx).await? {
            self.count_seal(&mut seals, id.uuid(), &value);
        }
        Ok(seals)
    }

    fn count_seal(&self, seals: &mut Seals, of: Uuid, value: &[u8]) {
        match self.inner.sealing.is_newest(of, value) {
            Ok(true) => seals.newest += 1,
            Ok(false) => seals.previous += 1,
            Err(_) => seals.unreadable += 1,
        }
    }

    /// Seals all secrets of previous keys with the newest one, and returns their number. Each integrator is a transaction
    /// of its own, so that this may be stopped at any time, begun again, and run beside everything else.
    #[crate::boxed]
    pub async fn reseal(&self) -> Result<u64> {
        let mut resealed = 0;
        let mut after = None;
        loop {
            let page = self.sealed_after(after).await?;
            let Some(last) = page.last() else {
                return Ok(resealed + self.reseal_erasures().await?);
            };
            after = Some(last.id);
            for one in &page {
                let is_old = |value: &Vec<u8>| {
                    let newest = self.inner.sealing.is_newest(one.id.uuid(), value);
                    newest == Ok(false)
                };
                if one.values().any(is_old) {
                    resealed += self.reseal_integrator(one.id).await?;
                }
            }
        }
    }

    async fn reseal_erasures(&self) -> Result<u64> {
        let found = {
            let mut tx = self.inner.db.read().await?;
            store::erasures::sealed(&mut tx).await?
        };
        let mut resealed = 0;
        for (id, value) in found {
            let again = self
                .inner
                .sealing
                .reseal(&self.inner.chance, id.uuid(), &value);
            let Ok(Some(again)) = again else { continue };
            resealed += u64::from(self.replace_person(id, &value, &again).await?);
        }
        Ok(resealed)
    }

    async fn replace_person(&self, id: ErasureId, old: &[u8], again: &[u8]) -> Result<bool> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            Ok(store::erasures::replace_sealed(&mut change.tx, id, old, again).await?)
        })
    }

    async fn sealed_after(
        &self,
        after: Option<IntegratorId>,
    ) -> Result<Vec<store::integrators::Sealed>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::integrators::sealed(&mut tx, after, PAGE).await?)
    }

    async fn reseal_integrator(&self, id: IntegratorId) -> Result<u64> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            // Read again under its lock: somebody may have replaced a secret meanwhile.
            let Some(mut stored) = store::integrators::lock_sealed(&mut change.tx, id).await?
            else {
                return Ok(0);
            };
            let mut resealed = 0;
            for value in stored.values_mut() {
                let again = self
                    .inner
                    .sealing
                    .reseal(&self.inner.chance, id.uuid(), value);
                if let Ok(Some(again)) = again {
                    *value = again;
                    resealed += 1;
                }
            }
            store::integrators::write_sealed(&mut change.tx, &stored).await?;
            Ok(resealed)
        })
    }
}
