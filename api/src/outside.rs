//! The four external services of seed 000. Each is built in, or called at the URL in the settings, always before a
//! transaction begins. Only an explicit no of a service refuses a request; every other failure is a 503 of its own.

mod codes;
mod external_id;
mod locations;
mod products;
mod service;
mod verification;

use ledger::Ledger;
use runtime::config;
use url::Url;

pub(crate) use self::external_id::{ExternalId, is_external_id};
pub(crate) use self::verification::Verification;
use self::{codes::Codes, locations::Locations, products::Products, service::Service};
use crate::http::problem::Reason;

#[derive(Debug)]
pub struct Outside {
    /// Verifies owners.
    pub(crate) verification: Verification,
    /// Knows the owner of each store.
    pub(crate) locations: Locations,
    /// Draws session codes.
    pub(crate) codes: Codes,
    /// Knows the products of each store.
    pub(crate) products: Products,
}

impl Outside {
    pub(crate) fn new(ledger: &Ledger, settings: &config::Outside) -> Self {
        let urls = [
            &settings.verification_url,
            &settings.locations_url,
            &settings.codes_url,
            &settings.products_url,
        ];
        // Built only if a service is configured, because it takes about 30 ms.
        let client = urls
            .iter()
            .any(|url| url.is_some())
            .then(|| service::client(settings.timeout));
        let at = |url: &Option<config::ServiceUrl>, unavailable: Reason| {
            let url: Url = url.as_ref()?.url().clone();
            Some(Service::new(client.clone()?, url, unavailable))
        };
        Self {
            verification: Verification::new(
                ledger,
                at(
                    &settings.verification_url,
                    Reason::VerificationServiceUnavailable,
                ),
            ),
            locations: Locations::new(
                ledger,
                at(&settings.locations_url, Reason::LocationsServiceUnavailable),
            ),
            codes: Codes::new(
                ledger,
                at(&settings.codes_url, Reason::CodeServiceUnavailable),
            ),
            products: Products::new(
                ledger,
                at(&settings.products_url, Reason::ProductsServiceUnavailable),
            ),
        }
    }
}
