//! Steps deliveries: each that is due takes one step and then waits a whole interval, however late the step was.

use tokio::sync::watch;

use crate::{
    clock::{from_ms, millis},
    courier::Courier,
    database::{
        Tx, accounts,
        deliveries::{self, Delivery},
        notifications::{self, NewNotification},
    },
    status::Status,
};

/// Maximum number of deliveries that step in one transaction, so that requests need not wait long for the write lock.
const MAX_BATCH: i64 = 200;
/// How long the key of a message is remembered.
const KEYS_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;
const KEYS_FORGOTTEN_AT_ONCE: i64 = 1000;
/// Receiver of updates that are signed with the configured callback secret.
pub(crate) const CONFIGURED: i64 = 0;

impl Courier {
    /// Lets every due delivery take one step; returns the number of steps. [`Self::run`] calls it again and again.
    pub async fn step_due(&self) -> Result<usize, sqlx::Error> {
        let mut steps = 0;
        loop {
            let batch = self.step_batch().await?;
            steps += batch;
            if batch < MAX_BATCH as usize {
                return Ok(steps);
            }
        }
    }

    pub(crate) async fn step_until(&self, mut stopped: watch::Receiver<bool>) {
        let mut was_failing = false;
        loop {
            match self.step_due().await {
                Ok(_) => was_failing = false,
                Err(error) => {
                    if !was_failing {
                        tracing::error!(%error, "stepping deliveries failed; trying again until it works");
                    }
                    was_failing = true;
                }
            }
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = tokio::time::sleep(self.poll()) => {}
            }
        }
    }

    /// Steps a batch in one transaction, which holds SQLite's write lock: no other courier can step the same deliveries.
    async fn step_batch(&self) -> Result<usize, sqlx::Error> {
        let mut tx = self.inner.database.begin().await?;
        // Only now: while this courier waited for the lock, another one may have made steps.
        let now_ms = self.inner.settings.clock.now_ms();
        let next_step_at = now_ms + millis(self.inner.settings.step);
        deliveries::bring_nearer(&mut tx, next_step_at).await?;
        deliveries::forget_keys(&mut tx, now_ms - KEYS_KEPT_MS, KEYS_FORGOTTEN_AT_ONCE).await?;
        let due = deliveries::due(&mut tx, now_ms, MAX_BATCH).await?;
        let mut entered = Vec::new();
        for delivery in &due {
            let delivers = || self.inner.chance.delivers(delivery.id, delivery.step);
            let Some(to) = delivery.status()?.next(delivers) else {
                continue;
            };
            let next = (!to.is_final()).then_some(next_step_at);
            if self.enter(&mut tx, delivery, to, now_ms, next).await? {
                entered.push(to);
            }
        }
        tx.commit().await?;
        for status in entered {
            self.inner.metrics.stepped(status);
        }
        if !due.is_empty() {
            self.inner.outbox_changed.notify_one();
        }
        Ok(due.len())
    }

    /// Moves a delivery and writes one notification for each receiver, in the transaction of the move.
    pub(crate) async fn enter(
        &self,
        tx: &mut Tx,
        delivery: &Delivery,
        to: Status,
        now_ms: i64,
        next_step_at: Option<i64>,
    ) -> Result<bool, sqlx::Error> {
        if !deliveries::step(tx, delivery, to, now_ms, next_step_at).await? {
            return Ok(false);
        }
        let number = delivery.step + 1;
        let body = serde_json::json!({
            "order_id": delivery.foreign_order_id,
            "sequence": number,
            "occurred_at": from_ms(now_ms),
            "delivery": {"tracking_number": delivery.tracking_number(), "status": to.as_str()},
        })
        .to_string();
        for (receiver, url) in self.receivers(tx, delivery).await? {
            let webhook_id = format!("{}_{}_{number}_{receiver}", self.inner.name, delivery.id);
            let new = NewNotification {
                delivery_id: delivery.id,
                number,
                receiver,
                url: &url,
                webhook_id: &webhook_id,
                body: &body,
            };
            notifications::insert(tx, new, now_ms).await?;
        }
        Ok(true)
    }

    /// Returns who is told of a delivery's changes: the account's webhooks, and the message's `callback_url` if the
    /// message was signed with the configured secret.
    async fn receivers(
        &self,
        tx: &mut Tx,
        delivery: &Delivery,
    ) -> Result<Vec<(i64, String)>, sqlx::Error> {
        let webhooks = accounts::webhooks_in(tx, delivery.account_id).await?;
        let has_own_secret = webhooks.iter().any(|webhook| webhook.url.is_none());
        let mut receivers: Vec<(i64, String)> = webhooks
            .into_iter()
            .filter_map(|webhook| {
                Some((webhook.id, webhook.url.or(delivery.callback_url.clone())?))
            })
            .collect();
        let is_configured = delivery.is_signed && self.inner.settings.callback_secret.is_some();
        if let Some(url) = &delivery.callback_url
            && is_configured
            && !has_own_secret
        {
            receivers.push((CONFIGURED, url.clone()));
        }
        Ok(receivers)
    }
}
