//! Takes a message about an order: makes its delivery once, or cancels it before it is picked up.

use crate::{
    clock::millis,
    courier::Courier,
    database::{
        Tx,
        deliveries::{self, Delivery, Key, NewDelivery},
    },
    status::Status,
};

/// A message as parsed from its body.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Deliver(NewDelivery),
    /// The order was cancelled.
    Cancel(NewDelivery),
    /// An event that asks for nothing.
    Note,
}

/// Result of a message.
#[derive(Debug)]
pub(crate) enum Taken {
    Created(Delivery),
    /// The order has a delivery already, which is as it was.
    Known(Delivery),
    Cancelled(Delivery),
    Noted,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    #[error("the key came with another message")]
    KeyReused,
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// Result of cancelling.
#[derive(Debug)]
pub(crate) enum CancelOutcome {
    Cancelled(Delivery),
    /// It is on its way, or at its end.
    TooLate(Delivery),
    Unknown,
}

impl Courier {
    /// Takes a message in one transaction. A repeated key, and another message about the same order, change nothing.
    pub(crate) async fn take(
        &self,
        account: i64,
        message: Message,
        keys: &[String],
        fingerprint: &[u8],
    ) -> Result<Taken, IntakeError> {
        let mut tx = self.inner.database.begin().await?;
        let now_ms = self.inner.settings.clock.now_ms();
        for key in keys {
            let kept = deliveries::keep_key(&mut tx, account, key, fingerprint, now_ms).await?;
            if kept == Key::Reused {
                return Err(IntakeError::KeyReused);
            }
        }
        let taken = match message {
            Message::Deliver(new) => self.deliver(&mut tx, account, &new, now_ms).await?,
            Message::Cancel(new) => self.call_off(&mut tx, account, &new, now_ms).await?,
            Message::Note => Taken::Noted,
        };
        tx.commit().await?;
        if let Taken::Created(_) = &taken {
            self.inner.metrics.created();
        }
        self.inner.outbox_changed.notify_one();
        Ok(taken)
    }

    /// Cancels a delivery that nobody has picked up; `owner` is the only account that may, if it is named.
    pub(crate) async fn cancel(
        &self,
        id: i64,
        owner: Option<i64>,
    ) -> Result<CancelOutcome, sqlx::Error> {
        let mut tx = self.inner.database.begin().await?;
        let now_ms = self.inner.settings.clock.now_ms();
        let delivery = deliveries::by_id_in(&mut tx, id).await?;
        let mine = |it: &Delivery| owner.is_none_or(|owner| owner == it.account_id);
        let Some(delivery) = delivery.filter(mine) else {
            return Ok(CancelOutcome::Unknown);
        };
        let outcome = self.cancel_in(&mut tx, delivery, now_ms).await?;
        tx.commit().await?;
        self.inner.outbox_changed.notify_one();
        Ok(outcome)
    }

    async fn deliver(
        &self,
        tx: &mut Tx,
        account: i64,
        new: &NewDelivery,
        now_ms: i64,
    ) -> Result<Taken, sqlx::Error> {
        if let Some(known) = deliveries::of_order(tx, account, &new.foreign_order_id).await? {
            return Ok(Taken::Known(known));
        }
        let next = now_ms + millis(self.inner.settings.step);
        let status = Status::ReadyForPickUp;
        let id = deliveries::insert(tx, account, new, status, now_ms, Some(next)).await?;
        Ok(Taken::Created(read(tx, id).await?))
    }

    /// Cancels an order's delivery. A cancellation that overtook its order is kept, so that the order makes no delivery.
    async fn call_off(
        &self,
        tx: &mut Tx,
        account: i64,
        new: &NewDelivery,
        now_ms: i64,
    ) -> Result<Taken, sqlx::Error> {
        if let Some(known) = deliveries::of_order(tx, account, &new.foreign_order_id).await? {
            return Ok(match self.cancel_in(tx, known, now_ms).await? {
                CancelOutcome::Cancelled(delivery) => Taken::Cancelled(delivery),
                CancelOutcome::TooLate(delivery) => Taken::Known(delivery),
                CancelOutcome::Unknown => Taken::Noted,
            });
        }
        let id = deliveries::insert(tx, account, new, Status::Cancelled, now_ms, None).await?;
        Ok(Taken::Cancelled(read(tx, id).await?))
    }

    async fn cancel_in(
        &self,
        tx: &mut Tx,
        delivery: Delivery,
        now_ms: i64,
    ) -> Result<CancelOutcome, sqlx::Error> {
        let status = delivery.status()?;
        if status == Status::Cancelled {
            return Ok(CancelOutcome::Cancelled(delivery));
        }
        if !status.may_be_cancelled() {
            return Ok(CancelOutcome::TooLate(delivery));
        }
        self.enter(tx, &delivery, Status::Cancelled, now_ms, None)
            .await?;
        self.inner.metrics.stepped(Status::Cancelled);
        Ok(CancelOutcome::Cancelled(read(tx, delivery.id).await?))
    }
}

async fn read(tx: &mut Tx, id: i64) -> Result<Delivery, sqlx::Error> {
    let delivery = deliveries::by_id_in(tx, id).await?;
    delivery.ok_or(sqlx::Error::RowNotFound)
}
