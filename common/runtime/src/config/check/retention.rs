//! Checks of how long things are kept.

use super::{Check, Settings};

pub(super) fn retention(check: &mut Check, settings: &Settings) {
    let retention = &settings.retention;
    let waits = [
        ("retention.orders_days", retention.orders_days),
        ("retention.messages_days", retention.messages_days),
        ("retention.events_days", retention.events_days),
    ];
    let contact = ("retention.contact_days", retention.contact_days);
    for (key, days) in waits.into_iter().chain([contact]) {
        check.range(key, days, 0..=36_500);
    }
    check.range("retention.batch_orders", retention.batch_orders, 1..=256);
    if retention.archived_only && waits.iter().all(|(_, days)| *days == 0) {
        let what = "needs retention.orders_days (or messages_days, events_days): without them nothing is deleted";
        check.problem("retention.archived_only", what);
    }
}
