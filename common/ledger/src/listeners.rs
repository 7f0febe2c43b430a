//! Listeners: integrators whose handoffs somebody claims over the API, and which move no order
//! (docs/adr/0036-a-listener-pulls-its-handoffs.md).

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use url::Url;

use super::{
    ChangeResult, CrashPoints, Ledger, Refusal, Result,
    handoffs::{Claimed, Concluded},
    in_one_transaction,
    integrators::{self, NewIntegrator, prepare},
};
use domain::{
    handoff::{Handoff, SendResult},
    ids::{HandoffId, IntegratorId, StoreId},
    integrator::{
        CallbackAuth, Confirms, Format, HandoffEvent, Integrator, IntegratorKind, OutboundAuth,
        UnknownPolicy,
    },
    record::Action,
    signature::SigningSecret,
};

/// Time after which a listener that nobody claims for is archived.
pub const LISTENER_TTL: Duration = Duration::from_secs(300);
/// Maximum number of a store's listeners: each gets a copy of each message.
const MAX_LISTENERS: usize = 20;
/// Address that can never exist (RFC 2606); the one who listens sends the messages.
const NOWHERE: &str = "https://listener.invalid/";

/// Wish to listen to a store.
#[derive(Clone, Debug)]
pub struct ListenRequest {
    pub store_id: StoreId,
    /// A listener of the store with this name is resumed.
    pub name: String,
    pub format: Format,
    pub events: Vec<HandoffEvent>,
}

#[derive(Clone, Debug)]
pub struct Listening {
    pub listener: Integrator,
    /// Signs its messages; only if the listener is new.
    pub signing: Option<SigningSecret>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenRefused {
    #[error("the store does not exist or is archived")]
    NoSuchStore,
    #[error(
        "the store has {} listeners already; each ends {} minutes after its last claim",
        MAX_LISTENERS,
        LISTENER_TTL.as_secs() / 60
    )]
    TooMany,
}

impl Refusal for ListenRefused {}

/// An attempt that a listener made, as it was claimed.
#[derive(Clone, Copy, Debug)]
pub struct AttemptKey {
    pub handoff: HandoffId,
    pub round: u32,
    pub n: u32,
    pub fence: i64,
}

/// The message of a handoff that was sent before, to be sent again elsewhere.
#[derive(Clone, Debug)]
pub struct SentMessage {
    pub handoff: Handoff,
    /// `None` before the first attempt.
    pub body: Option<Bytes>,
    pub signing: Vec<SigningSecret>,
}

impl Ledger {
    /// Makes a listener, or resumes the store's listener of that name. The store's row is locked, so that two who come at
    /// once with one name share one listener.
    #[crate::boxed]
    pub async fn listen(&self, request: &ListenRequest) -> ChangeResult<Listening, ListenRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let store_id = request.store_id;
            store::stores::lock(&mut change.tx, store_id)
                .await?
                .filter(|store| store.archived_at.is_none())
                .ok_or(ListenRefused::NoSuchStore)?;
            let until = change.now + LISTENER_TTL;
            let mut listeners = store::integrators::of_store(&mut change.tx, store_id).await?;
            listeners.retain(Integrator::is_listener);
            if let Some(mut known) = listeners
                .iter()
                .find(|one| one.name == request.name)
                .cloned()
            {
                let (id, format, events) = (known.id, request.format, request.events.clone());
                store::integrators::resume_listener(&mut change.tx, id, format, &events, until)
                    .await?;
                (known.format, known.events, known.listens_until) = (format, events, Some(until));
                return Ok(Listening {
                    listener: known,
                    signing: None,
                });
            }
            if listeners.len() >= MAX_LISTENERS {
                return Err(ListenRefused::TooMany.into());
            }
            let (mut stored, secrets) = prepare(change, new_listener(request));
            stored.integrator.listens_until = Some(until);
            store::integrators::insert(&mut change.tx, &stored).await?;
            let listener = &stored.integrator;
            change.record(
                integrators::about(listener),
                Action::Created,
                None,
                listener,
            );
            Ok(Listening {
                listener: stored.integrator,
                signing: Some(secrets.signing),
            })
        })
    }

    /// Returns a listener; `None` also if it is archived, or an integrator of another kind.
    #[crate::boxed]
    pub async fn listener(&self, id: IntegratorId) -> Result<Option<Integrator>> {
        let found = self.integrator(id).await?;
        Ok(found.filter(Integrator::is_listener))
    }

    /// Keeps a listener for another [`LISTENER_TTL`], if less than half of it is left; returns its end.
    #[crate::boxed]
    pub async fn renew_listener(&self, listener: &Integrator) -> Result<Option<DateTime<Utc>>> {
        let now = self.inner.clock.now();
        let is_fresh = |until: &DateTime<Utc>| *until > now + LISTENER_TTL / 2;
        if let Some(until) = listener.listens_until.filter(is_fresh) {
            return Ok(Some(until));
        }
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let until = change.now + LISTENER_TTL;
            let id = listener.id;
            let renewed = store::integrators::renew_listener(&mut change.tx, id, until).await?;
            Ok(renewed.then_some(until))
        })
    }

    /// Records the outcome of a listener's attempt, as [`Ledger::conclude_attempt`] does for a worker's; `None` if the
    /// listener has no such handoff.
    #[crate::boxed]
    pub async fn conclude_for_listener(
        &self,
        listener: IntegratorId,
        attempt: AttemptKey,
        heard: &SendResult,
        answer: Option<&[u8]>,
    ) -> Result<Option<Concluded>> {
        match self.listeners_claim(listener, attempt).await? {
            Some(claimed) => {
                let concluded = self.conclude_attempt(&claimed, heard, answer, false);
                Ok(Some(concluded.await?))
            }
            None => Ok(None),
        }
    }

    /// Rebuilds the claim of a listener's attempt, as far as its outcome needs it.
    async fn listeners_claim(
        &self,
        listener: IntegratorId,
        attempt: AttemptKey,
    ) -> Result<Option<Claimed>> {
        let mut tx = self.inner.db.read().await?;
        let stored = store::integrators::get(&mut tx, listener).await?;
        let stored = stored.filter(|stored| stored.integrator.is_listener());
        let handoff = store::handoffs::get(&mut tx, attempt.handoff).await?;
        let handoff = handoff.filter(|handoff| handoff.integrator_id == listener);
        let (Some(stored), Some(mut handoff)) = (stored, handoff) else {
            return Ok(None);
        };
        let AttemptKey {
            round, n, fence, ..
        } = attempt;
        handoff.round = round;
        let attempts = store::attempts::of_handoff(&mut tx, handoff.id).await?;
        let begun = attempts.iter().find(|one| (one.round, one.n) == (round, n));
        let session = match handoff.order_id {
            Some(order) => store::orders::session_of(&mut tx, order).await?.flatten(),
            None => None,
        };
        let now = self.inner.clock.now();
        Ok(Some(Claimed {
            n,
            fence,
            started_at: begun.map_or(now, |begun| begun.started_at),
            leased_until: now,
            was_healthy: stored.breaker.is_healthy(),
            pressure: stored.pressure,
            integrator: stored.integrator,
            auth: OutboundAuth::None,
            signing: Vec::new(),
            body: Bytes::new(),
            session,
            order_number: None,
            trace: None,
            handoff,
        }))
    }

    /// Returns a handoff with the body that its integrator was sent, and the secrets that sign it now.
    #[crate::boxed]
    pub async fn sent_message(&self, id: HandoffId) -> Result<Option<SentMessage>> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.db.read().await?;
        let Some(handoff) = store::handoffs::get(&mut tx, id).await? else {
            return Ok(None);
        };
        let body = store::handoffs::body(&mut tx, id).await?;
        let stored = store::integrators::get(&mut tx, handoff.integrator_id).await?;
        drop(tx);
        let signing = match stored {
            Some(stored) => self.inner.outbound_secrets(&stored, now)?.1,
            None => Vec::new(),
        };
        Ok(Some(SentMessage {
            handoff,
            body: body.map(Bytes::from),
            signing,
        }))
    }
}

fn new_listener(request: &ListenRequest) -> NewIntegrator {
    NewIntegrator {
        store_id: request.store_id,
        further_stores: Vec::new(),
        name: request.name.clone(),
        kind: IntegratorKind::Push,
        format: request.format,
        events: Some(request.events.clone()),
        url: Url::parse(NOWHERE).expect("a valid URL"),
        required: Some(false),
        confirms: Confirms::Callback,
        unknown_policy: UnknownPolicy::Resend,
        callback_auth: CallbackAuth::Signature,
        auth: OutboundAuth::None,
        status_map: BTreeMap::new(),
        answers: Default::default(),
        max_attempts: 5,
        concurrency: 8,
        rate_per_s: None,
    }
}
