//! State shared by all handlers.

use std::sync::Arc;

use ledger::Ledger;
use platform::{metrics::Metrics, secrets::Keys};
use runtime::config::Settings;

use crate::{
    auth::Authenticator, http::limits::Limits, outside::Outside, resources::menu::cache::Menus,
};

/// Shared state; cheap to clone.
#[derive(Clone, Debug)]
pub struct ApiState {
    pub ledger: Ledger,
    pub keys: Arc<Keys>,
    pub settings: Arc<Settings>,
    pub metrics: Arc<Metrics>,
    /// Authenticates callers.
    pub authenticator: Arc<Authenticator>,
    /// Counts the requests to this process.
    pub limits: Arc<Limits>,
    /// The external services of seed 000.
    pub outside: Arc<Outside>,
    /// Menus that are ready to be sent.
    pub(crate) menus: Arc<Menus>,
}

impl ApiState {
    #[must_use]
    pub fn new(
        ledger: Ledger,
        keys: Arc<Keys>,
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let authenticator = Arc::new(Authenticator::new(
            &ledger,
            &keys,
            &settings.accounts,
            &metrics,
        ));
        let limits = Arc::new(Limits::new(&settings.rate_limits, ledger.clock()));
        let outside = Arc::new(Outside::new(&ledger, &settings.outside));
        let menus = Arc::new(Menus::new(&ledger, settings.limits.menu_cache_bytes));
        Self {
            ledger,
            keys,
            settings,
            metrics,
            authenticator,
            limits,
            outside,
            menus,
        }
    }
}
