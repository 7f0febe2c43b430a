//! What all handlers share.

use std::sync::Arc;

use ledger::Ledger;
use platform::{metrics::Metrics, secrets::Keys};
use runtime::config::Settings;

use crate::{auth::Doorkeeper, http::limits::Limits, outside::Outside};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct ApiState {
    pub ledger: Ledger,
    pub keys: Arc<Keys>,
    pub settings: Arc<Settings>,
    pub metrics: Arc<Metrics>,
    /// Knows who calls.
    pub doorkeeper: Arc<Doorkeeper>,
    /// Counts requests, of this process alone.
    pub limits: Arc<Limits>,
    /// The services that seed 000 asks.
    pub outside: Arc<Outside>,
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
        let limits = Arc::new(Limits::new(&settings.rate_limits, ledger.clock()));
        let outside = Arc::new(Outside::new(&ledger, &settings.outside));
        Self {
            ledger,
            keys,
            settings,
            metrics,
            doorkeeper,
            limits,
            outside,
        }
    }
}
