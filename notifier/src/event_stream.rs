//! Server-sent events of one client: the frames of a channel as the body of an HTTP response.

use std::{io, pin::Pin, task, time::Duration};

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, HeaderName, header};
use poem::{Body, Response};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    channel::ResumePoint,
    frame::Frame,
    protocol::{ClientMessage, Close, End},
    serve::Transport,
};

/// Header in which a client that comes back names its last event's `id`.
const LAST_EVENT_ID: &str = "last-event-id";
/// Keeps a gateway from holding events back (nginx).
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Shortest and longest time after which a client is told to reconnect. Each is told another time in between, because
/// all clients of a process that stops reconnect at once.
const RETRY_MS: [f64; 2] = [1000.0, 3000.0];
/// Comment that keeps the connection open and shows a client that it is.
const HEARTBEAT: &str = ":\n\n";

/// Returns the response, and the transport that writes its body. `held` is kept as long as the connection uses the body.
pub(crate) fn begin(fraction: f64, held: impl Send + Unpin + 'static) -> (Response, EventStream) {
    let (sender, receiver) = mpsc::channel(1);
    let [shortest, longest] = RETRY_MS;
    let retry = shortest + fraction * (longest - shortest);
    let stream = EventStream {
        body: sender,
        unsent: Frame::from(format!("retry: {retry:.0}\n\n")),
    };
    let body = HeldBody {
        receiver,
        _held: held,
    };
    let response = Response::builder()
        .content_type("text/event-stream")
        .header(header::CACHE_CONTROL, "no-store")
        .header(NO_BUFFERING, "no")
        .body(Body::from_bytes_stream(body));
    (response, stream)
}

/// Reads the place to go on at from `Last-Event-ID`: a number, and the epoch in which it counts if the `id` had one.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Option<ResumePoint> {
    let id = headers.get(LAST_EVENT_ID)?.to_str().ok()?.trim();
    let (number, epoch) = id.split_once('@').unwrap_or((id, ""));
    Some(ResumePoint {
        after: number.parse().ok()?,
        epoch: epoch.parse().ok(),
    })
}

/// Writes the `id` of an event: the number, and the epoch in which it counts.
fn event_id(place: ResumePoint) -> String {
    let ResumePoint { after, epoch } = place;
    match epoch {
        Some(epoch) => format!("{after}@{epoch}"),
        None => after.to_string(),
    }
}

/// Sender of one client's events.
pub(crate) struct EventStream {
    body: mpsc::Sender<io::Result<Bytes>>,
    /// Rest of the event that is being sent. An event that was begun is sent whole, or the response is cut off: a client
    /// drops an incomplete event at the end only.
    unsent: Frame,
}

impl EventStream {
    /// Sends the rest of the event, each part when the connection has taken the one before it. Cancel-safe.
    async fn flush(&mut self) -> Result<(), End> {
        loop {
            let place = self.body.reserve().await.map_err(|_| End::Gone)?;
            match self.unsent.next_bytes() {
                Some(bytes) => place.send(Ok(bytes)),
                None => return Ok(()),
            }
        }
    }

    async fn send_event(&mut self, event: Frame) -> Result<(), End> {
        self.flush().await?;
        self.unsent = event;
        self.flush().await
    }
}

impl Transport for EventStream {
    const ANSWERS_PINGS: bool = false;

    async fn send(&mut self, frame: Frame, place: Option<ResumePoint>) -> Result<(), End> {
        let end = match place {
            Some(place) => format!("\nid: {}\n\n", event_id(place)),
            None => "\n\n".to_owned(),
        };
        let event = frame.between(Bytes::from_static(b"data: "), end.into());
        self.send_event(event).await
    }

    async fn ping(&mut self) -> Result<(), End> {
        self.send_event(Frame::from(HEARTBEAT.to_owned())).await
    }

    async fn receive(&mut self) -> Result<Option<ClientMessage>, End> {
        self.body.closed().await;
        Err(End::Gone)
    }

    async fn close(mut self, close: Close, within: Duration) {
        let data = json!({"code": close.code(), "reason": close.reason()});
        let event = Frame::from(format!("event: close\ndata: {data}\n\n"));
        let told = timeout(within, self.send_event(event)).await;
        if told.is_err() {
            // Not the end of the response, so that the client sees that something is missing.
            let cut_off = io::Error::other("the client does not read");
            let _ = self.body.try_send(Err(cut_off));
        }
    }
}

/// Body of the response: what the transport sent.
struct HeldBody<H> {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    _held: H,
}

impl<H: Unpin> Stream for HeldBody<H> {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> task::Poll<Option<Self::Item>> {
        self.receiver.poll_recv(context)
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::EpochId;

    use super::*;

    fn place(id: &str) -> Option<(i64, Option<EpochId>)> {
        let headers = [(HeaderName::from_static(LAST_EVENT_ID), id.parse().unwrap())];
        let place = last_event_id(&HeaderMap::from_iter(headers));
        place.map(|place| (place.after, place.epoch))
    }

    #[test]
    fn the_id_of_an_event_is_read_as_it_was_written() {
        let epoch: EpochId = uuid::Uuid::from_u128(9).into();
        for epoch in [Some(epoch), None] {
            let id = event_id(ResumePoint { after: 17, epoch });
            assert_eq!(place(&id), Some((17, epoch)), "{id}");
        }
    }

    #[test]
    fn a_number_alone_is_an_id_and_other_text_is_none() {
        assert_eq!(place("17"), Some((17, None)));
        assert_eq!(place("17@x"), Some((17, None)));
        for id in ["", "x", "@", "17 18", "1e3"] {
            assert_eq!(place(id), None, "{id}");
        }
    }
}
