//! Reconciles the streams that have listeners with the ledger: finds events that the feed lost, renewed codes and
//! ended sessions.

use std::{sync::Arc, time::Duration};

use domain::ids::StreamId;
use ledger::Result;
use tokio_util::sync::CancellationToken;

use crate::{
    hub::Hub,
    stream::{SessionState, Stream},
};

/// Maximum number of streams per query.
const STREAMS_PER_QUERY: usize = 256;

/// Runs periodically, and at once when the feed lost messages, until `stopping` is cancelled.
pub(crate) async fn run(hub: Hub, every: Duration, stopping: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = hub.missed() => {}
            () = stopping.cancelled() => return,
        }
        if let Err(error) = check(&hub).await {
            tracing::warn!(%error, "comparing the live streams with the ledger failed; retrying");
        }
    }
}

async fn check(hub: &Hub) -> Result<()> {
    let listened = hub.listened();
    let (session_streams, others): (Vec<_>, Vec<_>) =
        listened.into_iter().partition(|stream| stream.is_session());
    for streams in session_streams.chunks(STREAMS_PER_QUERY) {
        let ids: Vec<_> = ids(streams).map(|id| id.uuid().into()).collect();
        for session in hub.ledger().sessions(&ids).await? {
            let Some(stream) = find(streams, session.id.into()) else {
                continue;
            };
            let ended = !session.is_readable_at(hub.ledger().clock().now());
            hub.reached(stream, session.seq);
            stream.set_session(SessionState {
                code: session.code,
                ended,
            });
        }
    }
    for streams in others.chunks(STREAMS_PER_QUERY) {
        let ids: Vec<_> = ids(streams).collect();
        for (id, seq) in hub.ledger().stream_heads(&ids).await? {
            if let Some(stream) = find(streams, id) {
                hub.reached(stream, seq);
            }
        }
    }
    Ok(())
}

fn ids(streams: &[Arc<Stream>]) -> impl Iterator<Item = StreamId> {
    streams.iter().map(|stream| stream.id())
}

fn find(streams: &[Arc<Stream>], id: StreamId) -> Option<&Arc<Stream>> {
    streams.iter().find(|stream| stream.id() == id)
}
