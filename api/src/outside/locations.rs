//! Access to stores that are locations of the locations service.

use domain::ids::{AccountId, StoreId};
use ledger::Ledger;

use super::{
    external_id::id_text,
    service::{Answer, Service},
};
use crate::http::problem::Problem;

const NOT_FOUND: u16 = 404;

#[derive(Debug)]
pub(crate) enum Locations {
    /// No service: the account's role and stores decide.
    Local,
    Remote {
        service: Service,
        ledger: Ledger,
    },
}

impl Locations {
    pub(super) fn new(ledger: &Ledger, service: Option<Service>) -> Self {
        match service {
            Some(service) => Self::Remote {
                service,
                ledger: ledger.clone(),
            },
            None => Self::Local,
        }
    }

    /// Checks that the service knows the store if it is a location, and that it belongs to the caller if the caller is
    /// one of the service's users. Our own roles decide for all other accounts.
    pub(crate) async fn check_access(
        &self,
        account: AccountId,
        store: StoreId,
    ) -> Result<(), Problem> {
        let Self::Remote { service, ledger } = self else {
            return Ok(());
        };
        let store = ledger.store(store).await?;
        let Some(location) = store.and_then(|store| store.external_location_id) else {
            return Ok(());
        };
        let user = ledger.external_user(account).await?;
        let answer = service.get(&["get", &location], &[], &[NOT_FOUND]).await?;
        let Answer::Yes(answer) = answer else {
            return Err(
                Problem::not_found().detail("The locations service does not know this store.")
            );
        };
        let owner = id_text(&answer["user_id"]).ok_or_else(|| {
            service.invalid_response("`user_id` is neither a string nor an integer")
        })?;
        match user {
            Some(user) if user != owner => Err(Problem::forbidden()
                .detail("According to the locations service, this store belongs to someone else.")),
            _ => Ok(()),
        }
    }
}
