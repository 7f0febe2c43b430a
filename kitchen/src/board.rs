//! State of the kitchen: tickets, recent requests and pending callbacks. No I/O, no clock.

mod remembered; // entries for the journal, and the restore from it

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::{
    callback::{Callback, CallbackBody, Sent, pause_after},
    handoff::{Handoff, PlacedOrder, short},
    journal::{Accepted, Entry},
    mode::{Behaviour, Mode},
    ticket::{
        CallbackLine, CallbackState, OPEN_MAX, Outcome, ReceivedRequest, SHOWN_MAX, State, Ticket,
    },
};

/// Maximum number of stored responses; a repeated request gets its earlier response.
const ANSWERS_MAX: usize = 20_000;

/// Maximum number of pending callbacks; beyond it the one due first is dropped.
const PENDING_CALLBACKS_MAX: usize = 2 * OPEN_MAX;

/// Timing of the kitchen.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    /// Time from accepted to preparing, and from preparing to ready.
    pub(crate) step: Duration,
    /// Delay after a callback's first failed attempt; it doubles after that.
    pub(crate) first_retry: Duration,
    /// Maximum number of attempts of one callback.
    pub(crate) callback_tries: u32,
}

#[derive(Debug)]
pub(crate) struct Board {
    timing: Timing,
    /// Prefix of every webhook-id that this kitchen generates.
    name: String,
    mode: Mode,
    tickets: BTreeMap<u64, Ticket>,
    by_order: HashMap<String, u64>,
    finished: VecDeque<u64>,
    moves: BTreeSet<(DateTime<Utc>, u64)>,
    pending_callbacks: BTreeMap<(DateTime<Utc>, u64), Callback>,
    answers: HashMap<String, Answer>,
    answered: VecDeque<String>,
    seen: VecDeque<ReceivedRequest>,
    unwritten: Vec<Entry>,
    duplicates: u64,
    tickets_made: u64,
    callbacks_made: u64,
    callbacks_queued: u64,
}

/// Request to `POST /orders`, with the result of parsing it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) webhook_id: String,
    pub(crate) attempt: Option<String>,
    pub(crate) reading: Result<Handoff, Unreadable>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Unreadable {
    BadSignature,
    Malformed,
    TooLarge,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: serde_json::Value,
}

impl Board {
    pub(crate) fn new(timing: Timing, name: String) -> Self {
        Self {
            timing,
            name,
            mode: Mode::default(),
            tickets: BTreeMap::new(),
            by_order: HashMap::new(),
            finished: VecDeque::new(),
            moves: BTreeSet::new(),
            pending_callbacks: BTreeMap::new(),
            answers: HashMap::new(),
            answered: VecDeque::new(),
            seen: VecDeque::new(),
            unwritten: Vec::new(),
            duplicates: 0,
            tickets_made: 0,
            callbacks_made: 0,
            callbacks_queued: 0,
        }
    }

    /// Handles a request and returns the response, and the behaviour that may delay it.
    pub(crate) fn receive(&mut self, request: Request, now: DateTime<Utc>) -> (Answer, Behaviour) {
        let behaviour = self.mode.meet();
        let (outcome, answer) = match (behaviour, &request.reading) {
            (Behaviour::Down, _) => (Outcome::Down, refusal(503, "the kitchen is down")),
            (_, Ok(handoff)) => self.take(&request.webhook_id, handoff, now),
            (_, Err(Unreadable::BadSignature)) => {
                (Outcome::BadSignature, refusal(401, "invalid signature"))
            }
            (_, Err(Unreadable::Malformed)) => (
                Outcome::Malformed,
                refusal(400, "the body is not a handoff in the order format"),
            ),
            (_, Err(Unreadable::TooLarge)) => {
                (Outcome::TooLarge, refusal(413, "the body is too large"))
            }
        };
        let handoff = request.reading.as_ref().ok();
        self.seen.push_front(ReceivedRequest {
            webhook_id: short(&request.webhook_id),
            attempt: request.attempt.as_deref().map(short),
            event: handoff.map(|handoff| handoff.event.clone()),
            order_number: handoff
                .and_then(|handoff| handoff.order.as_ref())
                .map(|order| order.number.clone()),
            at: now,
            outcome,
            answered: answer.status,
            slowly: behaviour == Behaviour::Slow,
        });
        self.seen.truncate(SHOWN_MAX);
        (answer, behaviour)
    }

    /// Moves every ticket whose step is over, and queues a callback for it.
    pub(crate) fn advance(&mut self, now: DateTime<Utc>) {
        while let Some(&(due_at, number)) = self.moves.first()
            && due_at <= now
        {
            self.moves.pop_first();
            let Some(ticket) = self.tickets.get_mut(&number) else {
                continue;
            };
            let (state, sequence) = match ticket.state {
                State::Accepted => (State::Preparing, 1),
                State::Preparing => (State::Ready, 2),
                State::Ready | State::Cancelled => continue,
            };
            ticket.enter(state, now);
            let url = ticket.callback_url.clone();
            let body = CallbackBody {
                order_id: ticket.order_id.clone(),
                status: state.as_str(),
                sequence,
                occurred_at: now,
            };
            if state == State::Ready {
                self.finish(number);
            } else {
                self.moves
                    .insert((now + time_delta(self.timing.step), number));
            }
            if let Some(url) = url {
                self.queue_callback(number, url, body, now);
            } else if state == State::Ready {
                self.record_end(number, state, now);
            }
        }
    }

    /// Takes a callback that is due, oldest first.
    pub(crate) fn next_callback(&mut self, now: DateTime<Utc>) -> Option<Callback> {
        let entry = self.pending_callbacks.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let mut callback = entry.remove();
        callback.tries += 1;
        Some(callback)
    }

    /// Records the result of an attempt; a callback that may succeed later is queued again.
    pub(crate) fn callback_sent(&mut self, callback: Callback, sent: Sent, now: DateTime<Utc>) {
        let again =
            matches!(sent, Sent::TryAgain(_)) && callback.tries < self.timing.callback_tries;
        let (state, answered) = match sent {
            Sent::Taken(status) => (CallbackState::Taken, Some(status)),
            Sent::Refused(status) => (CallbackState::Refused, Some(status)),
            Sent::TryAgain(status) if again => (CallbackState::Waiting, status),
            Sent::TryAgain(status) => (CallbackState::GivenUp, status),
        };
        let mut cancelled = false;
        if let Some(ticket) = self.tickets.get_mut(&callback.ticket) {
            cancelled = ticket.state == State::Cancelled;
            if let Some(line) = ticket.callback_mut(&callback.webhook_id) {
                line.state = state;
                line.tries = callback.tries;
                line.answered = answered;
            }
        }
        // A callback that was given up leaves its order open in the journal; the next start retries it.
        let is_last = callback.body.status == State::Ready.as_str();
        if is_last && !cancelled && matches!(sent, Sent::Taken(_) | Sent::Refused(_)) {
            self.record_end(callback.ticket, State::Ready, now);
        }
        if again && !cancelled {
            let due_at = now + time_delta(pause_after(callback.tries, self.timing.first_retry));
            self.queue(due_at, callback);
        }
    }

    /// Returns when the next step or callback is due.
    pub(crate) fn next_due(&self) -> Option<DateTime<Utc>> {
        let step = self.moves.first().map(|(due_at, _)| *due_at);
        let callback = self
            .pending_callbacks
            .first_key_value()
            .map(|((due_at, _), _)| *due_at);
        step.into_iter().chain(callback).min()
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Returns the newest tickets, newest first.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.values().rev().take(SHOWN_MAX)
    }

    /// Returns the most recent requests, newest first.
    pub(crate) fn seen(&self) -> &VecDeque<ReceivedRequest> {
        &self.seen
    }

    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    pub(crate) fn open(&self) -> usize {
        self.tickets.len() - self.finished.len()
    }

    pub(crate) fn callbacks_waiting(&self) -> usize {
        self.pending_callbacks.len()
    }

    fn take(
        &mut self,
        webhook_id: &str,
        handoff: &Handoff,
        now: DateTime<Utc>,
    ) -> (Outcome, Answer) {
        if let Some(answer) = self.answers.get(webhook_id) {
            self.duplicates += 1;
            return (Outcome::Duplicate, answer.clone());
        }
        let (outcome, answer) = match (handoff.event.as_str(), &handoff.order) {
            ("order.placed", Some(order)) => {
                self.accept(webhook_id, order, handoff.callback_url.as_deref(), now)
            }
            ("order.cancelled", Some(order)) => self.cancel(webhook_id, order, now),
            ("order.placed" | "order.cancelled", None) => {
                return (Outcome::Malformed, refusal(400, "the handoff has no order"));
            }
            _ => (Outcome::Noted, ok_answer(json!({}))),
        };
        if answer.status == 200 {
            self.remember(webhook_id.to_owned(), answer.clone());
        }
        (outcome, answer)
    }

    fn remember(&mut self, webhook_id: String, answer: Answer) {
        self.answers.insert(webhook_id.clone(), answer);
        self.answered.push_back(webhook_id);
        if self.answered.len() > ANSWERS_MAX
            && let Some(oldest) = self.answered.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }

    fn accept(
        &mut self,
        webhook_id: &str,
        order: &PlacedOrder,
        callback_url: Option<&str>,
        now: DateTime<Utc>,
    ) -> (Outcome, Answer) {
        if let Some(known) = self
            .by_order
            .get(&order.id)
            .and_then(|n| self.tickets.get(n))
        {
            return (Outcome::KnownOrder, referring_to(known));
        }
        if self.open() >= OPEN_MAX {
            return (Outcome::Full, refusal(503, "the kitchen is full"));
        }
        if !self.unwritten.is_empty() {
            return (Outcome::NotWritten, remembered::not_written());
        }
        let number = self.add_ticket(webhook_id, order, callback_url, now);
        self.moves
            .insert((now + time_delta(self.timing.step), number));
        (Outcome::Accepted, referring_to(&self.tickets[&number]))
    }

    /// Adds a ticket that is accepted, and returns its number.
    fn add_ticket(
        &mut self,
        webhook_id: &str,
        order: &PlacedOrder,
        callback_url: Option<&str>,
        now: DateTime<Utc>,
    ) -> u64 {
        self.tickets_made += 1;
        let number = self.tickets_made;
        self.unwritten.push(Entry::Accepted(Accepted {
            ticket: number,
            webhook_id: webhook_id.to_owned(),
            order: order.clone(),
            callback_url: callback_url.map(str::to_owned),
            at: now,
        }));
        let ticket = Ticket::accepted(number, order, callback_url, now);
        self.by_order.insert(order.id.clone(), number);
        self.tickets.insert(number, ticket);
        number
    }

    /// Cancels an order. A cancellation that overtook its order leaves a ticket, so that the order is not prepared.
    fn cancel(
        &mut self,
        webhook_id: &str,
        order: &PlacedOrder,
        now: DateTime<Utc>,
    ) -> (Outcome, Answer) {
        let (number, outcome) = match self.by_order.get(&order.id) {
            Some(&number) => (number, Outcome::Cancelled),
            None => {
                let number = self.add_ticket(webhook_id, order, None, now);
                (number, Outcome::UnknownOrder)
            }
        };
        let ticket = self
            .tickets
            .get_mut(&number)
            .expect("each indexed order has a ticket");
        let answer = referring_to(ticket);
        let was = ticket.state;
        if was == State::Cancelled {
            return (outcome, answer);
        }
        ticket.enter(State::Cancelled, now);
        self.record_end(number, State::Cancelled, now);
        self.moves.retain(|(_, due)| *due != number);
        self.pending_callbacks
            .retain(|_, callback| callback.ticket != number);
        if was != State::Ready {
            self.finish(number);
        }
        (outcome, answer)
    }

    fn queue_callback(&mut self, ticket: u64, url: String, body: CallbackBody, now: DateTime<Utc>) {
        self.callbacks_made += 1;
        let webhook_id = format!("{}_{}", self.name, self.callbacks_made);
        let copies = if self.mode.behaviour() == Behaviour::Twice {
            2
        } else {
            1
        };
        if let Some(ticket) = self.tickets.get_mut(&ticket) {
            ticket.callbacks.push(CallbackLine {
                webhook_id: webhook_id.clone(),
                status: body.status,
                sequence: body.sequence,
                copies,
                state: CallbackState::Waiting,
                tries: 0,
                answered: None,
            });
        }
        self.queue(
            now,
            Callback {
                webhook_id,
                ticket,
                url,
                body,
                tries: 0,
                copies,
            },
        );
    }

    fn queue(&mut self, due_at: DateTime<Utc>, callback: Callback) {
        self.callbacks_queued += 1;
        self.pending_callbacks
            .insert((due_at, self.callbacks_queued), callback);
        if self.pending_callbacks.len() > PENDING_CALLBACKS_MAX {
            self.pending_callbacks.pop_first();
        }
    }

    /// Marks a ticket as finished; it stays on the board until [`SHOWN_MAX`] newer ones are finished.
    fn finish(&mut self, number: u64) {
        self.finished.push_back(number);
        if self.finished.len() > SHOWN_MAX
            && let Some(oldest) = self.finished.pop_front()
            && let Some(ticket) = self.tickets.remove(&oldest)
        {
            self.by_order.remove(&ticket.order_id);
        }
    }
}

/// Returns the response to a handoff about an order that has a ticket.
fn referring_to(ticket: &Ticket) -> Answer {
    ok_answer(json!({ "reference": ticket.reference }))
}

fn ok_answer(body: serde_json::Value) -> Answer {
    Answer { status: 200, body }
}

fn refusal(status: u16, why: &str) -> Answer {
    let body = json!({ "error": why });
    Answer { status, body }
}

fn time_delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::days(1))
}
