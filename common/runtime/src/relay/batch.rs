//! Outbox rows as messages, and the result of each row.

use std::collections::HashMap;

use serde::Serialize;

use broker::{Message, PublishError};
use domain::{hint::Hint, ids::OutboxId};
use ledger::OutboxRow;

/// Maximum size of a message. RabbitMQ refuses messages over 16 MiB by closing the channel, which would fail the other
/// messages too.
const MAX_MESSAGE_BYTES: usize = 8 << 20;

/// Size from which a message takes no further event, so that few bytes wait for a notifier that is slow.
const ENOUGH_BYTES: usize = 64 << 10;

/// Messages of several rows: a few with the events of each row, and one per distinct hint, however many rows contain it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    messages: Vec<Message>,
    rows: Vec<Row>,
    /// Indexes into `messages` of the hints.
    hints: Vec<usize>,
}

#[derive(Debug)]
struct Row {
    id: OutboxId,
    /// Indexes into the batch's `messages` of those with its events; all of them must be confirmed.
    events: Vec<usize>,
    /// The same for hints, which a full work queue may refuse.
    hints: Vec<usize>,
    too_large: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Confirmed,
    /// The broker's fault, not the row's.
    Retry(PublishError),
    Poisoned(String),
}

impl Batch {
    pub(super) fn of(rows: &[OutboxRow]) -> Self {
        let mut batch = Self::default();
        let mut hinted: HashMap<&Hint, usize> = HashMap::new();
        for OutboxRow { id, announcement } in rows {
            let mut row = Row {
                id: *id,
                events: Vec::new(),
                hints: Vec::new(),
                too_large: false,
            };
            let mut events = Vec::new();
            for event in &announcement.events {
                let body = json(event);
                if body.len() > MAX_MESSAGE_BYTES {
                    row.too_large = true;
                    continue;
                }
                events.push(if events.is_empty() { b'[' } else { b',' });
                events.extend(body);
                if events.len() >= ENOUGH_BYTES {
                    row.events.push(batch.add_events(&mut events));
                }
            }
            if !events.is_empty() {
                row.events.push(batch.add_events(&mut events));
            }
            for hint in &announcement.hints {
                let place = *hinted.entry(hint).or_insert_with(|| {
                    let place = batch.add(Message::work(json(hint)));
                    batch.hints.push(place);
                    place
                });
                row.hints.push(place);
            }
            batch.rows.push(row);
        }
        batch
    }

    /// Adds a message with these events, an array without its end.
    fn add_events(&mut self, events: &mut Vec<u8>) -> usize {
        events.push(b']');
        self.add(Message::feed(std::mem::take(events)))
    }

    fn add(&mut self, message: Message) -> usize {
        self.messages.push(message);
        self.messages.len() - 1
    }

    pub(super) fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// Returns the number of hints that were accepted, and of those for which the work queue had no room.
    pub(super) fn count_hints(&self, results: &[Result<(), PublishError>]) -> (usize, usize) {
        let results = || self.hints.iter().filter_map(|place| results.get(*place));
        let is_dropped = |result: &&_| matches!(result, Err(PublishError::Full));
        (
            results().filter(|result| result.is_ok()).count(),
            results().filter(is_dropped).count(),
        )
    }

    /// Returns the fate of each row. `results` has one entry per message, in order.
    pub(super) fn results_by_row(
        self,
        results: &[Result<(), PublishError>],
    ) -> impl Iterator<Item = (OutboxId, Fate)> {
        self.rows.into_iter().map(|row| (row.id, row.fate(results)))
    }
}

impl Row {
    fn fate(&self, results: &[Result<(), PublishError>]) -> Fate {
        if self.too_large {
            return Fate::Poisoned(format!("an event exceeds {MAX_MESSAGE_BYTES} bytes"));
        }
        let error_of = |place: &usize| match results.get(*place) {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error.clone()),
            None => Some(PublishError::TimedOut),
        };
        // A hint that does not fit is dropped: the sweep finds the work without it, and a row that kept it would be
        // published again and again for as long as nobody empties the queue.
        let mut hints = self.hints.iter().filter_map(error_of);
        let failed = self
            .events
            .iter()
            .find_map(error_of)
            .or_else(|| hints.find(|error| *error != PublishError::Full));
        match failed {
            None => Fate::Confirmed,
            Some(error @ PublishError::Unroutable) => Fate::Poisoned(error.to_string()),
            Some(error) => Fate::Retry(error),
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("hints and events have text keys only")
}
