//! `/listeners`: a store's messages for a developer's own machine, claimed and concluded over the API.

mod view;

use std::time::Duration;

use domain::{handoff::SendResult, ids::IntegratorId, integrator::HandoffEvent};
use ledger::{
    handoffs::Claims,
    listeners::{AttemptKey, ListenRefused, ListenRequest},
};
use poem_openapi::{OpenApi, param::Path, payload::Json};
use uuid::Uuid;

use self::view::{
    ClaimBody, ClaimedMessages, ListenBody, ListenerMessage, ListenerView, OutcomeBody,
    RecordedOutcome,
};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        problem::{Problem, Reason},
    },
    state::ApiState,
};

/// How often a waiting claim looks whether something is due.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

pub(crate) struct Listeners(pub(crate) ApiState);

#[OpenApi(tag = "Topic::Integrators")]
impl Listeners {
    /// Listen to a store's messages
    ///
    /// Makes a listener, or resumes the store's listener with this name: callers with the same name share its messages,
    /// each name gets each message. A listener is an integrator of its own that moves no order, whatever it answers, and
    /// to which nothing is sent: its messages are claimed (`POST /listeners/{id}/claims`), and each is concluded with the
    /// answer that it met. It ends five minutes after its last claim, or with `DELETE /integrators/{id}`. The command
    /// `expediter listen` does all this.
    #[oai(path = "/listeners", method = "post", operation_id = "listen")]
    async fn listen(
        &self,
        caller: Caller,
        Checked(body): Checked<ListenBody>,
    ) -> Result<Json<ListenerView>, Problem> {
        caller.must_manage(body.store_id.into())?;
        let events = match body.events {
            Some(events) => events.into_iter().map(Into::into).collect(),
            None => sent_by_themselves().collect::<Vec<_>>(),
        };
        if events.contains(&HandoffEvent::Test) {
            let detail = "test is only sent on request, and always listened to";
            return Err(Problem::invalid_field("/events", detail));
        }
        let request = ListenRequest {
            store_id: body.store_id.into(),
            name: body.name.unwrap_or_else(|| caller.account.username.clone()),
            format: body
                .format
                .map_or(domain::integrator::Format::Order, Into::into),
            events,
        };
        let listening = self.0.ledger.listen(&request).await?;
        let listener = listening.listener;
        tracing::info!(integrator = %listener.id, store = %listener.store_id, by = %caller.id(), "listening to the store");
        Ok(Json(ListenerView::of(listener, listening.signing)))
    }

    /// Claim messages of a listener
    ///
    /// Returns messages that are due, each as an attempt under a lease: send it at once with these headers and these bytes,
    /// and report the outcome before the lease ends. Without a report the outcome is `unknown`, and the message is due
    /// again. If nothing is due, the answer waits for up to `wait_s`.
    #[oai(
        path = "/listeners/:id/claims",
        method = "post",
        operation_id = "claim_messages"
    )]
    async fn claim(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        Checked(body): Checked<ClaimBody>,
    ) -> Result<Json<ClaimedMessages>, Problem> {
        let ledger = &self.0.ledger;
        let found = ledger.listener(id.into()).await?;
        let listener = found.ok_or_else(Problem::not_found)?;
        caller.must_manage(listener.store_id)?;
        let renewed = ledger.renew_listener(&listener).await?;
        let listens_until = renewed.ok_or_else(Problem::not_found)?;
        let wait = Duration::from_secs(body.wait_s.unwrap_or(0).into());
        let claims = self.wait_for(listener.id, body.max, wait).await?;
        let timeout = self.0.settings.worker.attempt_timeout;
        let messages = claims.claimed.into_iter().map(|claimed| {
            let (now, span) = (ledger.clock().now(), ledger.chance().bytes());
            ListenerMessage::of(claimed, now, span)
        });
        Ok(Json(ClaimedMessages {
            messages: messages.collect::<Result<_, _>>()?,
            attempt_timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
            listens_until: listens_until.into(),
        }))
    }

    /// Report the outcome of a listener's attempt
    ///
    /// Judged and recorded like a worker's attempt: the answer says whether the message is sent again. A report that comes
    /// after the end of the lease, or again, changes nothing.
    #[oai(
        path = "/listeners/:id/outcomes",
        method = "post",
        operation_id = "report_outcome"
    )]
    async fn report(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        Checked(body): Checked<OutcomeBody>,
    ) -> Result<Json<RecordedOutcome>, Problem> {
        let ledger = &self.0.ledger;
        let found = ledger.listener(id.into()).await?;
        let listener = found.ok_or_else(Problem::not_found)?;
        caller.must_manage(listener.store_id)?;
        let heard: SendResult = body.heard()?;
        let attempt = AttemptKey {
            handoff: body.handoff_id.into(),
            round: body.round,
            n: body.n,
            fence: body.fence()?,
        };
        let answer = body.response.as_deref().map(str::as_bytes);
        let concluded = ledger
            .conclude_for_listener(listener.id, attempt, &heard, answer)
            .await?
            .ok_or_else(Problem::not_found)?;
        Ok(Json(RecordedOutcome::of(concluded)))
    }
}

impl Listeners {
    async fn wait_for(
        &self,
        listener: IntegratorId,
        max: u32,
        wait: Duration,
    ) -> Result<Claims, Problem> {
        let (ledger, worker) = (&self.0.ledger, &self.0.settings.worker);
        let lease = worker.attempt_timeout + worker.lease_margin;
        let until = ledger.clock().now() + wait;
        loop {
            let claims = ledger.claim_for_listener(listener, max as usize, lease);
            let claims = claims.await?;
            if !claims.claimed.is_empty() || ledger.clock().now() >= until {
                return Ok(claims);
            }
            ledger.clock().sleep(LOOK_INTERVAL).await;
        }
    }
}

/// Lists the events that need no request.
fn sent_by_themselves() -> impl Iterator<Item = HandoffEvent> {
    let all = HandoffEvent::ALL.iter().copied();
    all.filter(|event| *event != HandoffEvent::Test)
}

impl From<ListenRefused> for Problem {
    fn from(refused: ListenRefused) -> Self {
        match refused {
            ListenRefused::NoSuchStore => Self::unknown_store(),
            ListenRefused::TooMany => Self::new(Reason::Conflict).detail(format!("{refused}.")),
        }
    }
}
