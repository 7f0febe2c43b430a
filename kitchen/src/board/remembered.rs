//! What the board hands to the journal, and how it goes on from what an earlier kitchen left there.

use chrono::{DateTime, Utc};

use super::{Answer, Board, referring_to, refusal, time_delta};
use crate::{
    journal::{Ended, Entry, Kept},
    ticket::{Outcome, State, Ticket},
};

impl Board {
    /// Open orders begin anew as accepted now, under their tickets' numbers; ended ones are shown.
    ///
    /// Both give the answer that their webhook-id got before.
    pub(crate) fn take_up(&mut self, kept: Vec<Kept>, now: DateTime<Utc>) {
        for Kept { accepted, ended } in kept {
            let number = accepted.ticket;
            let accepted_at = if ended.is_some() { accepted.at } else { now };
            let mut ticket = Ticket::accepted(
                number,
                &accepted.order,
                accepted.callback_url.as_deref(),
                accepted_at,
            );
            self.remember(accepted.webhook_id, referring_to(&ticket));
            if let Some(Ended { state, at, .. }) = &ended {
                ticket.enter(*state, *at);
            }
            self.tickets_made = self.tickets_made.max(number);
            self.by_order.insert(accepted.order.id, number);
            self.tickets.insert(number, ticket);
            if ended.is_some() {
                self.finish(number);
            } else {
                self.moves
                    .insert((now + time_delta(self.pace.step), number));
            }
        }
    }

    /// What the journal does not know yet, oldest first.
    pub(crate) fn unwritten(&self) -> &[Entry] {
        &self.unwritten
    }

    pub(crate) fn written_down(&mut self) {
        self.unwritten.clear();
    }

    /// Corrects the last request's answer, which promised more than the journal could hold.
    ///
    /// The order is cooked all the same, and the same request later gets its 200.
    pub(crate) fn take_answer_back(&mut self) -> Answer {
        let answer = not_written();
        if let Some(last) = self.seen.front_mut() {
            last.outcome = Outcome::NotWritten;
            last.answered = answer.status;
        }
        answer
    }

    /// Nothing is left to do about a ticket, so that a later kitchen need not take it up.
    pub(super) fn note_end(&mut self, ticket: u64, state: State, at: DateTime<Utc>) {
        self.unwritten
            .push(Entry::Ended(Ended { ticket, state, at }));
    }
}

pub(super) fn not_written() -> Answer {
    refusal(503, "the kitchen cannot write its journal")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        board::{Pace, Request},
        handoff::Handoff,
    };

    fn placed(webhook_id: &str, order_id: &str) -> Request {
        let body = format!(r#"{{"event":"order.placed","order":{{"id":"{order_id}"}}}}"#);
        Request {
            webhook_id: webhook_id.to_owned(),
            attempt: None,
            reading: Ok(Handoff::parse(body.as_bytes()).unwrap()),
        }
    }

    #[test]
    fn while_the_journal_cannot_be_written_no_order_is_answered_200_and_no_further_one_is_taken() {
        let pace = Pace {
            step: Duration::from_secs(1),
            first_retry: Duration::from_secs(1),
            callback_tries: 1,
        };
        let mut board = Board::new(pace, "kitchen".to_owned());
        let now = DateTime::UNIX_EPOCH;

        assert_eq!(board.receive(placed("msg_1", "o1"), now).0.status, 200);
        assert_eq!(board.take_answer_back().status, 503);
        assert_eq!(board.seen()[0].outcome, Outcome::NotWritten);
        assert_eq!(board.receive(placed("msg_2", "o2"), now).0.status, 503);
        assert_eq!(board.open(), 1);

        board.written_down();
        assert_eq!(board.receive(placed("msg_1", "o1"), now).0.status, 200);
        assert_eq!(board.receive(placed("msg_2", "o2"), now).0.status, 200);
        assert_eq!(board.open(), 2);
    }
}
