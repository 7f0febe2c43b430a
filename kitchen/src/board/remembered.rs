//! Entries that the board writes to the journal, and how it restores an earlier kitchen's orders from it.

use chrono::{DateTime, Utc};

use super::{Answer, Board, referring_to, refusal, time_delta};
use crate::{
    journal::{Ended, Entry, JournaledOrder},
    ticket::{Outcome, State, Ticket},
};

impl Board {
    /// Restores orders from the journal: open ones start over as accepted now, with the same ticket number; ended ones
    /// are only shown. A repeated webhook-id of either gets its earlier response.
    pub(crate) fn restore(&mut self, kept: Vec<JournaledOrder>, now: DateTime<Utc>) {
        for JournaledOrder { accepted, ended } in kept {
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
                    .insert((now + time_delta(self.timing.step), number));
            }
        }
    }

    /// Returns the entries that are not in the journal yet, oldest first.
    pub(crate) fn unwritten(&self) -> &[Entry] {
        &self.unwritten
    }

    pub(crate) fn clear_unwritten(&mut self) {
        self.unwritten.clear();
    }

    /// Replaces the last request's response with a 503, because its order is not in the journal.
    ///
    /// The order is still prepared, and the same request gets its 200 later.
    pub(crate) fn withdraw_answer(&mut self) -> Answer {
        let answer = not_written();
        if let Some(last) = self.seen.front_mut() {
            last.outcome = Outcome::NotWritten;
            last.answered = answer.status;
        }
        answer
    }

    /// Records that a ticket needs no further work, so that a later kitchen does not restore it as open.
    pub(super) fn record_end(&mut self, ticket: u64, state: State, at: DateTime<Utc>) {
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
        board::{Request, Timing},
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
        let timing = Timing {
            step: Duration::from_secs(1),
            first_retry: Duration::from_secs(1),
            callback_tries: 1,
        };
        let mut board = Board::new(timing, "kitchen".to_owned());
        let now = DateTime::UNIX_EPOCH;

        assert_eq!(board.receive(placed("msg_1", "o1"), now).0.status, 200);
        assert_eq!(board.withdraw_answer().status, 503);
        assert_eq!(board.seen()[0].outcome, Outcome::NotWritten);
        assert_eq!(board.receive(placed("msg_2", "o2"), now).0.status, 503);
        assert_eq!(board.open(), 1);

        board.clear_unwritten();
        assert_eq!(board.receive(placed("msg_1", "o1"), now).0.status, 200);
        assert_eq!(board.receive(placed("msg_2", "o2"), now).0.status, 200);
        assert_eq!(board.open(), 2);
    }
}
