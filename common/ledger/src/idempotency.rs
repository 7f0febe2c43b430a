//! Idempotent requests: the key is written in the transaction of the request's change, and names the resource it made.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use uuid::Uuid;

use super::{Change, Failure, Inner, Ledger, MaybeFailure, Result};
use store::{StoreError, idempotency::KeyRow};

/// The idempotency key of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Scope of the key: the account's id or, for a guest, that of [`super::intake::guest_scope`].
    pub owner: Uuid,
    pub key: String,
    /// Hash of the request: the same key with another one is refused.
    pub fingerprint: [u8; 32],
    /// The request's hashes by other keys of ours: while these are rotated, another process may have written one.
    pub other_fingerprints: Vec<[u8; 32]>,
}

impl Idempotency {
    /// Returns true if a stored fingerprint is that of this request.
    pub(crate) fn is_of(&self, stored: &[u8; 32]) -> bool {
        self.fingerprint == *stored || self.other_fingerprints.contains(stored)
    }
}

/// Result of a request with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once<T> {
    Done(T),
    /// The same request already made or changed this resource; nothing was done now.
    AlreadyDone(Uuid),
}

impl Ledger {
    /// Runs `work` with the ledger that it is given; with a key, at most once. A duplicate that runs at the same time
    /// is waited for, as long as the database waits for a lock (3 s); then the result is
    /// [`Failure::KeyInProgress`].
    ///
    /// The first transaction that `work` commits writes the key, and must name its resource with [`Change::set_resource`].
    pub async fn once<T, E: MaybeFailure>(
        &self,
        key: Option<Idempotency>,
        work: impl AsyncFnOnce(Self) -> Result<T, E>,
    ) -> Result<Once<T>, E> {
        let request = key.map(|key| Arc::new(Request::new(key)));
        let inner = Handle {
            inner: Arc::clone(&self.inner.inner),
            request,
        };
        match work(Self { inner }).await {
            Ok(done) => Ok(Once::Done(done)),
            Err(error) => match error.failure() {
                Some(Failure::AlreadyDone(resource)) => Ok(Once::AlreadyDone(*resource)),
                _ => Err(error),
            },
        }
    }

    /// Returns the resource of an earlier identical request, for callers that no longer find it by its path.
    #[crate::boxed]
    pub async fn find_completed(&self, key: &Idempotency) -> Result<Option<Uuid>> {
        let wanted = (key.owner, key.key.as_str());
        let mut tx = self.inner.db.read().await?;
        let known = store::idempotency::find(&mut tx, &[wanted]).await?;
        let known = known.first();
        Ok(known
            .filter(|known| key.is_of(&known.fingerprint))
            .map(|known| known.resource_id))
    }
}

/// Inside of a [`Ledger`]: the shared state, and the request that the next change belongs to.
#[derive(Clone)]
pub(crate) struct Handle {
    inner: Arc<Inner>,
    request: Option<Arc<Request>>,
}

impl Handle {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            request: None,
        }
    }
}

impl Deref for Handle {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

/// A request with a key, and whether the key is written.
pub(crate) struct Request {
    key: Idempotency,
    is_written: AtomicBool,
}

impl Request {
    fn new(key: Idempotency) -> Self {
        Self {
            key,
            is_written: AtomicBool::new(false),
        }
    }

    fn row(&self, resource_id: Uuid) -> KeyRow {
        KeyRow {
            owner: self.key.owner,
            key: self.key.key.clone(),
            fingerprint: self.key.fingerprint,
            resource_id,
        }
    }

    /// Writes the resource into the key's row, which [`take_idempotency_key`] inserted.
    pub(crate) async fn write_resource(
        &self,
        tx: &mut store::Tx,
        resource: Option<Uuid>,
    ) -> store::Result<()> {
        let Some(resource) = resource else {
            let key = &self.key.key;
            return Err(StoreError::corrupt(
                "idempotency_keys",
                key,
                "its change named no resource",
            ));
        };
        store::idempotency::set_resource(tx, &self.row(resource)).await
    }

    pub(crate) fn mark_committed(&self) {
        self.is_written.store(true, Ordering::Relaxed);
    }
}

/// Inserts the key as the first statement of a change, so that a duplicate waits for the end of this change before it
/// does anything.
pub(crate) async fn take_idempotency_key<'l>(
    change: &mut Change<'l>,
    handle: &'l Handle,
) -> Result<()> {
    let Some(request) = &handle.request else {
        return Ok(());
    };
    if request.is_written.load(Ordering::Relaxed) {
        return Ok(());
    }
    let row = request.row(Uuid::nil());
    let error = match store::idempotency::insert(&mut change.tx, &[row], change.now).await {
        Ok(()) => {
            change.bind_request(request);
            return Ok(());
        }
        Err(error) => error,
    };
    if error.is_lock_timeout() {
        return Err(Failure::KeyInProgress);
    }
    if !matches!(error, StoreError::UniqueKeyTaken) {
        return Err(error.into());
    }
    let wanted = (request.key.owner, request.key.key.as_str());
    let known = store::idempotency::find(&mut change.tx, &[wanted]).await?;
    match known.first() {
        Some(known) if request.key.is_of(&known.fingerprint) => {
            Err(Failure::AlreadyDone(known.resource_id))
        }
        Some(_) => Err(Failure::KeyReused),
        None => Err(StoreError::LockLost("the key was pruned meanwhile".to_owned()).into()),
    }
}

#[cfg(test)]
mod tests;
