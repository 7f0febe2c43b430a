//! Sends updates from the outbox: claims what is due, a few at a time for each receiver, and tries again until it is taken.

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::watch,
    task::{Id, JoinSet},
};

use crate::{
    clock::millis,
    courier::Courier,
    database::{
        accounts,
        notifications::{self, Notification},
    },
    stepping::CONFIGURED,
};

/// Maximum number of requests on the wire to one address: a slow receiver takes no more than that.
const EACH_MAX: usize = 4;
/// Maximum number of requests on the wire.
const SENDING_MAX: usize = 512;
/// Longer than a request may take, so that a claim ends only if its courier died.
const CLAIM: Duration = Duration::from_secs(30);
/// The wait after the first failed try; it doubles after that.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// How long a shutdown waits for requests on the wire.
const DRAIN: Duration = Duration::from_secs(5);

/// Answer of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Taken(u16),
    /// 410: the receiver wants no more of it.
    Gone,
    /// Any other answer, or none, with the wait that the receiver named.
    Again(Option<u16>, Duration),
}

impl Courier {
    /// Sends everything that is due and waits for the answers; returns the number of requests.
    pub async fn send_due(&self) -> Result<usize, sqlx::Error> {
        let mut sending = JoinSet::new();
        for notification in self.claim(&HashMap::new(), SENDING_MAX).await? {
            let courier = self.clone();
            sending.spawn(async move { courier.send(notification).await });
        }
        let sent = sending.len();
        sending.join_all().await;
        Ok(sent)
    }

    pub(crate) async fn notify_until(&self, mut stopped: watch::Receiver<bool>) {
        let mut sending = JoinSet::new();
        let mut addresses: HashMap<Id, String> = HashMap::new();
        let mut was_failing = false;
        loop {
            let mut busy: HashMap<&str, usize> = HashMap::new();
            for address in addresses.values() {
                *busy.entry(address).or_default() += 1;
            }
            match self.claim(&busy, SENDING_MAX - sending.len()).await {
                Ok(claimed) => {
                    was_failing = false;
                    for notification in claimed {
                        let (courier, url) = (self.clone(), notification.url.clone());
                        let task = sending.spawn(async move { courier.send(notification).await });
                        addresses.insert(task.id(), url);
                    }
                }
                Err(error) => {
                    if !was_failing {
                        tracing::error!(%error, "reading the outbox failed; trying again until it works");
                    }
                    was_failing = true;
                }
            }
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => break,
                Some(ended) = sending.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    addresses.remove(&id);
                }
                () = self.inner.outbox_changed.notified() => {}
                () = tokio::time::sleep(self.poll()) => {}
            }
        }
        let drained = async { while sending.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!(
                "stopped with requests on the wire; they are sent again with the same webhook-id"
            );
        }
    }

    /// Claims due notifications for addresses with fewer than [`EACH_MAX`] requests on the wire.
    async fn claim(
        &self,
        busy: &HashMap<&str, usize>,
        limit: usize,
    ) -> Result<Vec<Notification>, sqlx::Error> {
        let now_ms = self.inner.settings.clock.now_ms();
        let latest_ms = now_ms + millis(LONGEST_WAIT);
        let database = &self.inner.database;
        if limit == 0 || !notifications::is_any_due(&database.readers, now_ms, latest_ms).await? {
            return Ok(Vec::new());
        }
        let mut free: HashMap<String, usize> = HashMap::new();
        let mut take = |address: &str| {
            let used = busy.get(address).copied().unwrap_or_default();
            let taken = free.entry(address.to_owned()).or_default();
            let is_free = used + *taken < EACH_MAX;
            *taken += usize::from(is_free);
            is_free
        };
        let mut tx = database.begin().await?;
        // Again, because another courier may have claimed while this one waited for the lock.
        let now_ms = self.inner.settings.clock.now_ms();
        let latest_ms = now_ms + millis(LONGEST_WAIT);
        notifications::bring_nearer(&mut tx, latest_ms).await?;
        let until_ms = now_ms + millis(CLAIM);
        let (each, limit) = (EACH_MAX as i64, limit as i64);
        let claimed =
            notifications::claim(&mut tx, now_ms, until_ms, each, limit, &mut take).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn send(&self, notification: Notification) {
        let answer = match self.secret(notification.receiver).await {
            Ok(Some(secret)) => self.post(&notification, &secret).await,
            // The webhook was deleted, or the setting was taken away.
            Ok(None) => Answer::Gone,
            Err(error) => {
                tracing::warn!(%error, "reading a webhook's secret failed; its update is sent again later");
                return;
            }
        };
        let label = match answer {
            Answer::Taken(_) => "taken",
            Answer::Gone => "gone",
            Answer::Again(..) => "again",
        };
        self.inner.metrics.notified(label);
        if let Err(error) = self.conclude(&notification, answer).await {
            tracing::warn!(
                %error,
                webhook_id = notification.webhook_id,
                "storing the answer to an update failed; it is sent again when its claim ends"
            );
        }
        self.inner.outbox_changed.notify_one();
    }

    async fn secret(&self, receiver: i64) -> Result<Option<crate::signature::Secret>, sqlx::Error> {
        if receiver == CONFIGURED {
            return Ok(self.inner.settings.callback_secret.clone());
        }
        accounts::callback_secret(&self.inner.database.readers, receiver).await
    }

    async fn post(&self, notification: &Notification, secret: &crate::signature::Secret) -> Answer {
        let timestamp_s = self.inner.settings.clock.now().timestamp();
        let (id, body) = (&notification.webhook_id, &notification.body);
        let request = self
            .inner
            .client
            .post(&notification.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_s)
            .header(
                "webhook-signature",
                secret.sign(id, timestamp_s, body.as_bytes()),
            )
            .body(body.clone());
        match request.send().await {
            Ok(response) => {
                let wait = response.headers().get("retry-after");
                let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
                let wait = Duration::from_secs(wait.unwrap_or_default());
                Answer::of(response.status().as_u16(), wait)
            }
            Err(error) => {
                tracing::debug!(error = %error.without_url(), webhook_id = id, "no response to an update");
                Answer::Again(None, Duration::ZERO)
            }
        }
    }

    async fn conclude(&self, of: &Notification, answer: Answer) -> Result<(), sqlx::Error> {
        let mut tx = self.inner.database.begin().await?;
        let now_ms = self.inner.settings.clock.now_ms();
        match answer {
            Answer::Taken(status) => {
                notifications::done(&mut tx, of, true, Some(status), now_ms).await?;
            }
            Answer::Gone => {
                tracing::warn!(
                    webhook_id = of.webhook_id,
                    "the receiver wants no more of an update"
                );
                notifications::done(&mut tx, of, false, Some(410), now_ms).await?;
            }
            Answer::Again(status, named) => {
                let wait = wait_after(of.tries).max(named).min(LONGEST_WAIT);
                tracing::warn!(
                    webhook_id = of.webhook_id,
                    tries = of.tries,
                    status,
                    wait_s = wait.as_secs(),
                    "update not taken; it is sent again"
                );
                notifications::again(&mut tx, of, status, now_ms + millis(wait)).await?;
            }
        }
        tx.commit().await
    }
}

impl Answer {
    fn of(status: u16, named_wait: Duration) -> Self {
        match status {
            200..=299 => Self::Taken(status),
            410 => Self::Gone,
            _ => Self::Again(Some(status), named_wait),
        }
    }
}

/// Returns the wait after so many failed tries.
fn wait_after(tries: i64) -> Duration {
    let doublings = u32::try_from(tries.clamp(1, 16)).unwrap_or(16) - 1;
    FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_five_minutes() {
        let waits_s: Vec<u64> = (1..12).map(|tries| wait_after(tries).as_secs()).collect();
        assert_eq!(waits_s, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(wait_after(i64::MAX), LONGEST_WAIT);
    }

    #[test]
    fn only_a_success_is_taken_and_only_410_ends_it_otherwise() {
        let now = Duration::ZERO;
        assert_eq!(Answer::of(202, now), Answer::Taken(202));
        assert_eq!(Answer::of(410, now), Answer::Gone);
        for status in [301, 400, 401, 404, 422, 429, 500, 503] {
            assert_eq!(Answer::of(status, now), Answer::Again(Some(status), now));
        }
    }
}
