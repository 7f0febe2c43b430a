//! HTTP/2: sends requests over a shared connection, and knows from its frames what `h2` does not tell.

mod hpack;
mod tap;

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{Builder, SendRequest},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::tap::{Frames, Tap};
use super::{Broken, Request, counted::Written};
use crate::outbound::answer::{AnswerEnd, Heard};

/// Maximum length of a head. A longer one costs its headers, not its status.
const MAX_HEAD_BYTES: u32 = 256 * 1024;
/// Window of all answers together, so that none waits for another.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// Time in which a connection says goodbye. A server that reads nothing would keep its socket open for ever.
const MAX_GOODBYE: Duration = Duration::from_secs(1);

/// Handle of a connection; clones share it.
#[derive(Clone)]
pub(super) struct Connection(Arc<Shared>);

struct Shared {
    sender: SendRequest<Bytes>,
    frames: Frames,
    written: Written,
    /// Set when a request got no complete answer: nothing more is sent on a connection that may hang.
    is_broken: AtomicBool,
    /// Ends the connection with its last handle.
    _in_use: DropGuard,
}

impl Connection {
    /// Begins to speak HTTP/2; the connection ends with its last handle.
    pub(super) async fn open<S>(stream: S, written: Written) -> Result<Self, h2::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let frames = Frames::default();
        let tapped = Tap::new(stream, frames.clone());
        let (sender, connection) = Builder::new()
            // Without a table, each header block can be read by itself, which the tap does.
            .header_table_size(0)
            .enable_push(false)
            .max_header_list_size(MAX_HEAD_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .handshake(tapped)
            .await?;
        let unused = CancellationToken::new();
        let in_use = unused.clone().drop_guard();
        tokio::spawn(async move {
            tokio::pin!(connection);
            // The requests learn of an error.
            tokio::select! {
                _ = &mut connection => {}
                () = unused.cancelled() => {
                    let _ = timeout(MAX_GOODBYE, connection).await;
                }
            }
        });
        Ok(Self(Arc::new(Shared {
            sender,
            frames,
            written,
            is_broken: AtomicBool::new(false),
            _in_use: in_use,
        })))
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.0.is_broken.load(Ordering::Acquire) && !self.0.frames.is_going_away()
    }

    /// Returns true if a request is under way, for which there is a handle beside the pool's own.
    pub(super) fn is_busy(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Returns true unless the server takes no further request now.
    pub(super) fn has_room(&self) -> bool {
        // One handle is the pool's own.
        let busy = Arc::strong_count(&self.0).saturating_sub(1);
        busy < self.0.sender.current_max_send_streams()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Sends one request; returns true if the connection can take another.
    pub(super) async fn exchange(
        &self,
        request: &Request,
        heard: &mut Heard,
    ) -> Result<bool, Broken> {
        let Shared {
            sender,
            frames,
            written,
            is_broken,
            ..
        } = &*self.0;
        let unless_finished = BreakUnlessFinished(is_broken);
        let not_sent = |error: h2::Error| Broken::NotProcessed(format!("not sent: {error}"));
        let head = head(request).map_err(|error| Broken::NotProcessed(error.to_string()))?;
        let mut sender = sender.clone().ready().await.map_err(not_sent)?;
        let written_before = written.get();
        let is_bodiless = request.body.is_empty();
        heard.sent = is_bodiless;
        let (response, stream) = sender.send_request(head, is_bodiless).map_err(not_sent)?;
        let id = response.stream_id().as_u32();
        if !is_bodiless {
            // The server may take no more streams now; and nobody processes a head whose body was not sent.
            let opened = sender.ready().await;
            if let Err(error) = opened
                && frames.status(id).is_none()
            {
                return Err(not_sent(error));
            }
            heard.sent = true;
        }
        let answered = {
            let send = send_body(stream, request.body.clone());
            let read = read_answer(response, frames, id, heard);
            tokio::pin!(send, read);
            tokio::select! {
                biased;
                // An error is told by the answer, or by its absence.
                _ = &mut send => read.await,
                answered = &mut read => answered,
            }
        };
        let stream_end = frames.forget(id);
        let error = match answered {
            Ok(is_complete) => {
                if is_complete {
                    unless_finished.finish();
                }
                return Ok(is_complete);
            }
            Err(error) => error,
        };
        if stream_end.is_refused {
            // The connection is as good as before.
            unless_finished.finish();
        }
        let why = format!("no answer: {error}");
        let is_unprocessed = stream_end.is_refused || stream_end.is_beyond_the_last;
        let nothing_left = written.get() == written_before;
        Err(
            if is_unprocessed || nothing_left || frames.is_handshake_refused() {
                Broken::NotProcessed(why)
            } else {
                Broken::Lost(why)
            },
        )
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Marks the connection as broken when it is dropped, also if the exchange was given up.
struct BreakUnlessFinished<'a>(&'a AtomicBool);

impl BreakUnlessFinished<'_> {
    fn finish(self) {
        std::mem::forget(self);
    }
}

impl Drop for BreakUnlessFinished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn head(request: &Request) -> Result<http::Request<()>, http::Error> {
    let uri = format!(
        "{}://{}{}",
        request.url.scheme(),
        request.authority(),
        request.path_and_query()
    );
    let mut head = http::Request::post(uri)
        .version(http::Version::HTTP_2)
        .body(())?;
    *head.headers_mut() = request.headers.clone();
    Ok(head)
}

/// Sends the body as fast as the server takes it.
async fn send_body(mut stream: SendStream<Bytes>, mut body: Bytes) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(capacity) = poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return Ok(());
        };
        let part = body.split_to(capacity?.min(body.len()));
        stream.send_data(part, body.is_empty())?;
    }
    Ok(())
}

/// Reads the answer. An error means that its status was not read; true means that it was complete.
async fn read_answer(
    response: h2::client::ResponseFuture,
    frames: &Frames,
    id: u32,
    heard: &mut Heard,
) -> io::Result<bool> {
    tokio::pin!(response);
    let arrived = tokio::select! {
        biased;
        arrived = &mut response => Some(arrived),
        // The head may never end.
        () = frames.until_status(id) => timeout(heard.grace, response).await.ok(),
    };
    let response = match arrived {
        Some(Ok(response)) => response,
        other => {
            // `h2` refuses a head with a header that it does not like.
            heard.status = frames.status(id);
            if other.is_some() {
                heard.details.oddity = Some("it has a header that HTTP/2 does not allow");
                heard.details.end = AnswerEnd::CutShort;
            }
            return match (heard.status, other) {
                (None, Some(Err(error))) => Err(io::Error::other(error)),
                _ => Ok(false),
            };
        }
    };
    heard.status = Some(response.status().as_u16());
    for (name, value) in response.headers() {
        heard.header(name.as_str(), value.as_bytes());
    }
    let read = timeout(heard.grace, read_body(response.into_body(), heard)).await;
    heard.details.end = match &read {
        Ok(Ok(true)) => AnswerEnd::Complete,
        Ok(Ok(false)) => AnswerEnd::TooLong,
        Ok(Err(_)) => AnswerEnd::CutShort,
        Err(_) => AnswerEnd::Missing,
    };
    Ok(matches!(read, Ok(Ok(true))))
}

/// Reads the body; returns false if the rest of it was left.
async fn read_body(mut body: RecvStream, heard: &mut Heard) -> Result<bool, h2::Error> {
    while let Some(part) = body.data().await {
        let part = part?;
        if !heard.body(&part) {
            return Ok(false);
        }
        body.flow_control().release_capacity(part.len())?;
    }
    Ok(true)
}
