//! Applies the time at which an integrator expects an order to be ready.

use chrono::{DateTime, Utc};

use super::{Applied, applied, unchanged, with_detail};
use crate::{Change, ChangeError, Result, orders};
use domain::{
    callback::CallbackResult,
    handoff::Handoff,
    integrator::{HandoffEvent, Integrator},
    order::Order,
};

pub(super) async fn apply_ready_at(
    change: &mut Change<'_>,
    order: &mut Order,
    integrator: &Integrator,
    handoffs: &[Handoff],
    ready_at: DateTime<Utc>,
) -> Result<Applied> {
    let prepares_it = handoffs
        .iter()
        .any(|handoff| handoff.event == HandoffEvent::OrderPlaced);
    if !prepares_it {
        let why = "only an integrator that is handed new orders may say when one is ready";
        return Ok(with_detail(CallbackResult::Illegal, why));
    }
    match orders::set_ready_at(change, order, ready_at, Some(integrator.id)).await {
        Ok(true) => Ok(applied()),
        Ok(false) => Ok(unchanged()),
        Err(ChangeError::Refused(refused)) => {
            Ok(with_detail(CallbackResult::Illegal, refused.to_string()))
        }
        Err(ChangeError::Failed(failure)) => Err(failure),
    }
}
