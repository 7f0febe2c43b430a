//! Authentication with an API key: one indexed read, at most once in 5 s for each key.

use std::sync::Arc;

use ledger::accounts::key_hash;

use super::{Authenticator, Caller, incorrect};
use crate::http::problem::Problem;

impl Authenticator {
    /// Returns the program with this key; 401 unless the key is in force.
    pub(super) async fn api_key(&self, text: &str) -> Result<Caller, Problem> {
        let hash = key_hash(text).ok_or_else(incorrect)?;
        let known = match self.keys.get(&hash) {
            Some(known) => known,
            None => self.read_key(hash).await?,
        };
        let now = self.ledger.clock().now();
        if known.key.as_ref().is_some_and(|key| key.is_in_force(now)) {
            self.proven_keys.put(hash, ());
            Ok(known)
        } else {
            Err(incorrect())
        }
    }

    async fn read_key(&self, hash: [u8; 32]) -> Result<Caller, Problem> {
        let found = self.ledger.api_key_by_hash(&hash).await?;
        let key = Arc::new(found.ok_or_else(incorrect)?);
        self.ledger.note_api_key_use(&key);
        let known = Caller {
            account: Arc::new(key.account()),
            key: Some(key),
        };
        self.keys.put(hash, known.clone());
        Ok(known)
    }
}
