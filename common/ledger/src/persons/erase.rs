//! The steps of an erasure, which the sweep makes.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};
use tokio::time::Instant;

use super::{
    LEASE, LOOK_AGAIN_AFTER, MAX_TIME, MAX_WAITING, ORDERS_PER_READ, WAITING_PER_STEP, record,
};
use crate::{CrashPoints, Failure, Ledger, Result, in_one_transaction, orders};
use domain::{
    erasure::{Erasure, WaitingOrder, WaitsFor},
    ids::{OrderId, min_id_at},
    person::{Person, PersonKind, PersonalTexts},
    record::Action,
};
use store::{StoreError, erasures::Stored};

/// Result for one order.
enum Outcome {
    Gone,
    /// With it, the erasure has these numbers and recipients.
    Erased(Box<Erasure>),
    Waits(WaitsFor),
}

impl Ledger {
    /// Makes the steps of erasures that are due, for a bounded time; returns the number of orders that were erased. A step
    /// that is interrupted is made again, because what is erased stays so.
    #[crate::boxed]
    pub async fn continue_erasures(&self) -> Result<u64> {
        let (begun_at, mut erased) = (Instant::now(), 0);
        while begun_at.elapsed() < MAX_TIME {
            let Some(claimed) = self.claim_erasure().await? else {
                break;
            };
            let mut erasure = claimed.erasure.clone();
            self.make_step(&claimed, &mut erasure).await?;
            let more = erasure.progress.erased - claimed.erasure.progress.erased;
            erased += u64::try_from(more).unwrap_or_default();
        }
        Ok(erased)
    }

    async fn claim_erasure(&self) -> Result<Option<Stored>> {
        // Nearly always there is none, and a look without a lock is enough.
        let is_due = {
            let mut tx = self.inner.db.read().await?;
            store::erasures::is_due(&mut tx, self.inner.clock.now()).await?
        };
        if !is_due {
            return Ok(None);
        }
        in_one_transaction!(&self.inner, CrashPoints::SWEEP, |change| {
            let now = change.now;
            Ok(store::erasures::claim(&mut change.tx, now, now + LEASE).await?)
        })
    }

    async fn make_step(&self, claimed: &Stored, erasure: &mut Erasure) -> Result<()> {
        let person = self.person_of(claimed)?;
        let now = self.inner.clock.now();
        let is_walking = erasure.progress.walked_at.is_none();
        if is_walking && erasure.progress.waiting.len() < MAX_WAITING {
            erasure.next_at = now;
            self.walk_on(erasure, &person, now).await?;
        } else {
            erasure.next_at = now + LOOK_AGAIN_AFTER;
            let waiting = &mut erasure.progress.waiting;
            let looked_at = waiting.len().min(WAITING_PER_STEP);
            let looked_at: Vec<WaitingOrder> = waiting.drain(..looked_at).collect();
            for one in looked_at {
                self.erase_or_wait(erasure, one.order_id).await?;
            }
        }
        let is_walked = erasure.progress.walked_at.is_some();
        if is_walked && erasure.progress.waiting.is_empty() {
            return self.end_erasure(erasure).await;
        }
        if is_walked {
            erasure.next_at = now + LOOK_AGAIN_AFTER;
        }
        in_one_transaction!(&self.inner, CrashPoints::SWEEP, |change| {
            Ok(store::erasures::write(&mut change.tx, erasure).await?)
        })
    }

    fn person_of(&self, claimed: &Stored) -> Result<Person> {
        let id = claimed.erasure.id.uuid();
        let corrupt = |what: &str| StoreError::corrupt("erasures", id, what);
        let sealed = claimed.sealed.as_deref();
        let sealed = sealed.ok_or_else(|| corrupt("its person is missing"))?;
        let opened = self.inner.sealing.open(id, sealed);
        let opened = opened.map_err(|_| corrupt("its person cannot be decrypted"))?;
        let person = serde_json::from_slice(&opened);
        Ok(person.map_err(|_| corrupt("its person cannot be read"))?)
    }

    /// Looks at the next orders that were made before the request.
    async fn walk_on(
        &self,
        erasure: &mut Erasure,
        person: &Person,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let by_account = erasure
            .account_id
            .filter(|_| erasure.kind == PersonKind::Account);
        let passed = {
            let end = min_id_at(erasure.requested_at + TimeDelta::milliseconds(1));
            let place = (erasure.progress.last_order, end);
            let mut tx = self.inner.db.read().await?;
            store::erasures::pass(&mut tx, by_account, place, ORDERS_PER_READ).await?
        };
        for order in passed.candidates {
            let is_accounts =
                erasure.account_id.is_some() && order.account_id == erasure.account_id;
            if is_accounts || person.has(order.account_id, &order.customer) {
                self.erase_or_wait(erasure, order.id).await?;
            }
        }
        let progress = &mut erasure.progress;
        progress.examined += i64::from(passed.passed);
        progress.last_order = passed.last.or(progress.last_order);
        if passed.passed < ORDERS_PER_READ {
            progress.walked_at = Some(now);
        }
        Ok(())
    }

    async fn erase_or_wait(&self, erasure: &mut Erasure, order_id: OrderId) -> Result<()> {
        let erased = match self.erase_order(erasure, order_id).await {
            // One order that can't be read keeps no other from being erased.
            Err(Failure::Store(error)) if error.is_row_fault() => {
                tracing::error!(order = %order_id, %error, "order can't be read, and is not erased: {error}");
                Outcome::Waits(WaitsFor::Repair)
            }
            erased => erased?,
        };
        match erased {
            Outcome::Gone => {}
            Outcome::Waits(waits_for) => erasure.progress.waiting.push(WaitingOrder {
                order_id,
                waits_for,
            }),
            Outcome::Erased(erased) => *erasure = *erased,
        }
        Ok(())
    }

    /// Erases the order, and writes in the same transaction who received it: a step that breaks off and is made again would
    /// not know the order any more.
    async fn erase_order(&self, erasure: &Erasure, id: OrderId) -> Result<Outcome> {
        in_one_transaction!(&self.inner, CrashPoints::SWEEP, |change| {
            let Some(order) = orders::lock(change, id).await? else {
                return Ok(Outcome::Gone);
            };
            let (texts, now) = (PersonalTexts::of(&order), change.now);
            let tx = &mut change.tx;
            if let Some(waits_for) = store::erasures::waits_for(tx, &order, &texts).await? {
                return Ok(Outcome::Waits(waits_for));
            }
            let reached = store::orders::integrators_reached(tx, &[id]).await?;
            store::erasures::strip_order(tx, &order, &texts, Some(now)).await?;
            let named = order.session.as_ref();
            if let Some(session) = named.filter(|session| texts.are_in(&session.name)) {
                store::erasures::strip_session(tx, session.id, &texts).await?;
            }
            let mut erased = erasure.clone();
            erased.progress.erased += 1;
            for (_, integrator) in reached {
                if !erased.progress.recipients.contains(&integrator) {
                    erased.progress.recipients.push(integrator);
                }
            }
            store::erasures::write_erased(tx, &erased).await?;
            Ok(Outcome::Erased(Box::new(erased)))
        })
    }

    /// Erases the account and ends the erasure.
    async fn end_erasure(&self, erasure: &mut Erasure) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::SWEEP, |change| {
            erasure.done_at = Some(change.now);
            if let Some(account) = erasure.account_id {
                store::accounts::lock(&mut change.tx, account).await?;
                store::erasures::strip_account(&mut change.tx, account).await?;
            }
            store::erasures::write(&mut change.tx, erasure).await?;
            change.act_as(erasure.requested_by.clone());
            let orders = ("orders".to_owned(), json!(erasure.progress.erased));
            record(change, erasure, Action::Erased, Map::from_iter([orders]));
            Ok(())
        })
    }
}
