//! The message of a handoff that was sent before, to be sent again to another address by the caller.

use domain::handoff::OutgoingMessage;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use uuid::Uuid;

use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{enums, problem::Problem},
    state::ApiState,
};

pub(crate) struct Messages(pub(crate) ApiState);

/// A request as an integrator is sent it: with these headers and exactly these bytes.
#[derive(Debug, Object)]
#[oai(rename = "SentMessage")]
struct SentMessageView {
    handoff_id: Uuid,
    event: enums::HandoffEvent,
    headers: Vec<HeaderView>,
    /// The bytes of the body, which is JSON, as text.
    body: String,
}

/// A header of a request.
#[derive(Debug, Object)]
#[oai(rename = "Header")]
pub(crate) struct HeaderView {
    name: String,
    value: String,
}

impl HeaderView {
    pub(crate) fn of((name, value): (&'static str, String)) -> Self {
        Self {
            name: name.to_owned(),
            value,
        }
    }
}

#[OpenApi(tag = "Topic::Handoffs")]
impl Messages {
    /// Get the message of a handoff, to replay it
    ///
    /// Returns the exact body that the integrator was sent, with the headers of a request that is sent now: signed with
    /// the integrator's secrets, and marked with `Expediter-Replay: true`. Nothing is sent and nothing changes;
    /// `expediter replay` sends it to an address of your choice. 404 also if the handoff was never sent.
    #[oai(
        path = "/handoffs/:id/message",
        method = "get",
        operation_id = "get_handoff_message"
    )]
    async fn get(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<SentMessageView>, Problem> {
        let ledger = &self.0.ledger;
        let message = ledger.sent_message(id.0.into()).await?;
        let message = message.ok_or_else(Problem::not_found)?;
        let handoff = message.handoff;
        caller.must_manage(handoff.store_id)?;
        let Some(body) = message.body else {
            let detail = "The handoff was never sent, so it has no message yet.";
            return Err(Problem::not_found().detail(detail));
        };
        tracing::info!(handoff = %handoff.id, by = %caller.id(), "message of a handoff read for a replay");
        let outgoing = OutgoingMessage {
            handoff: handoff.id,
            n: handoff.counted_attempts().max(1),
            max_attempts: handoff.max_attempts,
            signing: &message.signing,
            body: &body,
            trace: None,
        };
        let headers = outgoing.headers(ledger.clock().now(), ledger.chance().bytes());
        let mark = ("expediter-replay", "true".to_owned());
        Ok(Json(SentMessageView {
            handoff_id: handoff.id.uuid(),
            event: handoff.event.into(),
            headers: headers
                .into_iter()
                .chain([mark])
                .map(HeaderView::of)
                .collect(),
            body: text(&body)?,
        }))
    }
}

/// Returns a body as text: we make them of JSON, so that every byte is kept.
pub(crate) fn text(body: &[u8]) -> Result<String, Problem> {
    let text = std::str::from_utf8(body);
    text.map(str::to_owned)
        .map_err(|_| Problem::internal("a stored body is not UTF-8"))
}
