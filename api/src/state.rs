//! What all handlers share.

use std::sync::Arc;

use common::{config::Settings, ledger::Ledger, metrics::Metrics, secrets::Keys};

use crate::auth::Doorkeeper;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct ApiState {
    pub ledger: Ledger,
    pub keys: Arc<Keys>,
    pub settings: Arc<Settings>,
    pub metrics: Arc<Metrics>,
    /// Knows who calls.
    pub doorkeeper: Arc<Doorkeeper>,
}

impl ApiState {
    #[must_use]
    pub fn new(
        ledger: Ledger,
        keys: Arc<Keys>,
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let doorkeeper = Arc::new(Doorkeeper::new(
            &ledger,
            &keys,
            &settings.accounts,
            &metrics,
        ));
        Self {
            ledger,
            keys,
            settings,
            metrics,
            doorkeeper,
        }
    }
}
