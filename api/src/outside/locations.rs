//! Whose a store is, where it is a location of the locations service.

use domain::ids::{AccountId, StoreId};
use ledger::Ledger;

use super::{
    external_id::shown,
    service::{Answer, Service},
};
use crate::http::problem::Problem;

const NOT_FOUND: u16 = 404;

#[derive(Debug)]
pub(crate) enum Locations {
    /// An account's own role and stores say it all.
    Here,
    There {
        service: Service,
        ledger: Ledger,
    },
}

impl Locations {
    pub(super) fn new(ledger: &Ledger, service: Option<Service>) -> Self {
        match service {
            Some(service) => Self::There {
                service,
                ledger: ledger.clone(),
            },
            None => Self::Here,
        }
    }

    /// Of a store that is a location the service must know it; and where the caller is one of its users, as that user's
    /// own. Of other accounts our own roles decide.
    pub(crate) async fn must_let_in(
        &self,
        account: AccountId,
        store: StoreId,
    ) -> Result<(), Problem> {
        let Self::There { service, ledger } = self else {
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
        let owner = shown(&answer["user_id"])
            .ok_or_else(|| service.nonsense("`user_id` is neither text nor a whole number"))?;
        match user {
            Some(user) if user != owner => Err(Problem::forbidden()
                .detail("The locations service knows this store as somebody else's.")),
            _ => Ok(()),
        }
    }
}
