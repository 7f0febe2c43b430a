//! Checks of an order's way: intake, outbox, worker, callbacks, and when something is stuck.

use super::{Check, Settings};

pub(super) fn orders(check: &mut Check, settings: &Settings) {
    let intake = &settings.intake;
    check.range("intake.max_batch_orders", intake.max_batch_orders, 1..=1024);
    check.range(
        "intake.max_batch_bytes",
        intake.max_batch_bytes,
        1024..=64 << 20,
    );
    check.range("intake.writers", intake.writers, 1..=16);
    check.range(
        "intake.queue_capacity",
        intake.queue_capacity,
        1..=1_000_000,
    );
    let lag = intake.max_handover_lag;
    if !lag.is_zero() {
        check.milliseconds("intake.max_handover_lag_ms", lag, 1000..=600_000);
    }
    let outbox = &settings.outbox;
    check.seconds("outbox.claim_after_s", outbox.claim_after, 1..=3600);
    check.range(
        "outbox.queue_capacity",
        outbox.queue_capacity,
        1..=1_000_000,
    );
    check.range("outbox.sweep_batch", outbox.sweep_batch, 1..=10_000);
    if outbox.claim_after <= settings.broker.publish_timeout {
        let what = "must be longer than broker.publish_timeout_ms, or rows are published twice";
        check.problem("outbox.claim_after_s", what);
    }
    let worker = &settings.worker;
    check.range(
        "worker.default_concurrency",
        worker.default_concurrency,
        1..=1000,
    );
    check.milliseconds(
        "worker.attempt_timeout_ms",
        worker.attempt_timeout,
        100..=120_000,
    );
    check.milliseconds(
        "worker.connect_timeout_ms",
        worker.connect_timeout,
        10..=60_000,
    );
    if worker.connect_timeout > worker.attempt_timeout {
        check.problem(
            "worker.connect_timeout_ms",
            "must not be longer than worker.attempt_timeout_ms",
        );
    }
    check.milliseconds("worker.body_grace_ms", worker.body_grace, 10..=120_000);
    check.seconds("worker.lease_margin_s", worker.lease_margin, 1..=600);
    check.seconds("worker.max_pause_s", worker.max_pause, 1..=86_400);
    check.url("worker.proxy_url", worker.proxy_url.as_ref(), &["http"]);
    check.range("worker.max_lanes", worker.max_lanes, 1..=1_000_000);
    check.range(
        "worker.response_limit_bytes",
        worker.response_limit_bytes,
        1024..=16 << 20,
    );
    check.milliseconds(
        "worker.sweep_interval_ms",
        worker.sweep_interval,
        50..=60_000,
    );
    check.range("worker.sweep_batch", worker.sweep_batch, 1..=10_000);
    let stuck = &settings.stuck;
    for (key, limit) in [
        ("stuck.accepted_s", stuck.accepted),
        ("stuck.preparing_s", stuck.preparing),
        ("stuck.ready_s", stuck.ready),
        ("stuck.dispatched_s", stuck.dispatched),
        ("stuck.handoff_s", stuck.handoff),
        ("stuck.callback_s", stuck.callback),
        ("stuck.outbox_s", stuck.outbox),
    ] {
        check.seconds(key, limit, 10..=30 * 86_400);
    }
    check.seconds(
        "callbacks.tolerance_s",
        settings.callbacks.tolerance,
        1..=3600,
    );
}
