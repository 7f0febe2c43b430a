//! Reconciles the streams that have listeners with the ledger: finds events that the feed lost, events that the ledger
//! lost, renewed codes and ended sessions.

use std::{collections::HashMap, sync::Arc, time::Duration};

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
    hub.check_epoch().await?;
    let listened = hub.listened();
    let mut went_back = false;
    let (session_streams, others): (Vec<_>, Vec<_>) =
        listened.into_iter().partition(|stream| stream.is_session());
    for streams in session_streams.chunks(STREAMS_PER_QUERY) {
        let heads = heads(streams);
        let ids: Vec<_> = ids(streams).map(|id| id.uuid().into()).collect();
        let sessions = hub.ledger().sessions(&ids).await?;
        let read = sessions
            .iter()
            .map(|session| (session.id.into(), session.seq));
        went_back |= note_if_behind(hub, heads, &read.collect());
        for session in sessions {
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
        let heads = heads(streams);
        let ids: Vec<_> = ids(streams).collect();
        let read = hub.ledger().stream_heads(&ids).await?;
        went_back |= note_if_behind(hub, heads, &read.iter().copied().collect());
        for (id, seq) in read {
            if let Some(stream) = find(streams, id) {
                hub.reached(stream, seq);
            }
        }
    }
    if went_back {
        hub.check_epoch().await?;
    }
    Ok(())
}

/// Returns the numbers up to which these streams are known; taken before the ledger is read.
fn heads(streams: &[Arc<Stream>]) -> Vec<(StreamId, i64)> {
    let heads = streams.iter().map(|stream| (stream.id(), stream.head()));
    heads.collect()
}

/// Notes the streams that the ledger has lower numbers of, or not at all, than were known before it was read; returns
/// true if there are any.
fn note_if_behind(hub: &Hub, known: Vec<(StreamId, i64)>, read: &HashMap<StreamId, i64>) -> bool {
    let mut went_back = false;
    for (stream, head) in known {
        if head > read.get(&stream).copied().unwrap_or(0) {
            hub.ledger().note_number(stream, head);
            went_back = true;
        }
    }
    went_back
}

fn ids(streams: &[Arc<Stream>]) -> impl Iterator<Item = StreamId> {
    streams.iter().map(|stream| stream.id())
}

fn find(streams: &[Arc<Stream>], id: StreamId) -> Option<&Arc<Stream>> {
    streams.iter().find(|stream| stream.id() == id)
}
