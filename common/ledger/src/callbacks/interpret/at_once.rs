//! Judges an update before it is applied, as far as that is possible.

use super::read;
use domain::{
    callback::{Age, CallbackResult, Update, UpdateMark},
    integrator::Integrator,
    status::OrderStatus,
};

/// Returns the result that an update will have, as far as it is known before it is applied; `ended` is the status of its
/// order, if that is final.
pub(in crate::callbacks) fn judge_at_once(
    integrator: &Integrator,
    update: &Update,
    ended: Option<OrderStatus>,
    newest: UpdateMark,
) -> Option<CallbackResult> {
    let age = Age::of(update.mark(), newest);
    if age == Age::Older {
        return None;
    }
    let interpreted = read(integrator, update);
    if interpreted.unmapped.is_some() {
        return Some(CallbackResult::Unmapped);
    }
    let (ended, to) = (ended?, interpreted.status?);
    let is_plain = interpreted.delivery.is_none()
        && interpreted.tracking_number.is_none()
        && interpreted.ready_at.is_none();
    // A step back that may be an old one is stale.
    let goes_back = to.progress().is_some() && ended.progress().is_some() || age == Age::SameTime;
    let is_illegal = is_plain && to != ended && (age == Age::Newer || !goes_back);
    is_illegal.then_some(CallbackResult::Illegal)
}
