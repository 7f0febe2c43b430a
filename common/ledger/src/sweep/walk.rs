//! One step's walk through what it found: page by page, past what others hold or have as their part, for a bounded time.

use std::{fmt::Display, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use crate::{Failure, MaybeFailure};
use store::sweep::Page;

/// Time after which a step leaves the rest to the next sweep, so that no other step waits for long.
const MAX_TIME: Duration = Duration::from_secs(1);

/// Part of the work that one of several workers sweeps. Parts only keep workers out of each other's way: a row is
/// locked and looked at again before anything is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 0 to `of` - 1.
    pub rank: u32,
    pub of: u32,
}

impl Part {
    pub const WHOLE: Self = Self { rank: 0, of: 1 };

    /// Returns whether what has this id is in the part.
    #[must_use]
    pub fn has(self, id: Uuid) -> bool {
        // The end of an id is random.
        id.as_u128() % u128::from(self.of.max(1)) == u128::from(self.rank)
    }
}

/// Extent of one step of a sweep.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    pub part: Part,
    /// Maximum number of rows that the step takes.
    pub limit: u32,
}

impl From<u32> for Walk {
    fn from(limit: u32) -> Self {
        Self {
            part: Part::WHOLE,
            limit,
        }
    }
}

/// Progress of one step.
pub(crate) struct Steps {
    walk: Walk,
    begun_at: Instant,
    /// Rows that were found and left, and will be found again.
    skipped: u32,
    taken: u32,
    done: u32,
    is_last_page: bool,
}

impl Steps {
    pub(crate) fn new(walk: impl Into<Walk>) -> Self {
        Self {
            walk: walk.into(),
            begun_at: Instant::now(),
            skipped: 0,
            taken: 0,
            done: 0,
            is_last_page: false,
        }
    }

    /// Returns the next page to look for, if there is one.
    pub(crate) fn next_page(&self) -> Option<Page> {
        let goes_on = !self.is_last_page && self.has_time() && self.taken < self.walk.limit;
        goes_on.then_some(Page {
            skip: self.skipped,
            limit: self.walk.limit,
        })
    }

    /// Notes how many rows the page has.
    pub(crate) fn begin_page(&mut self, rows: usize) {
        self.is_last_page = rows < self.walk.limit as usize;
    }

    /// Returns whether the step takes what has this id.
    pub(crate) fn takes(&mut self, id: Uuid) -> bool {
        let takes = self.walk.part.has(id) && self.taken < self.walk.limit && self.has_time();
        if !takes {
            self.skipped += 1;
        }
        takes
    }

    /// Notes what became of what the step took. Rows that others hold come again in the next sweep.
    pub(crate) fn note<E: MaybeFailure + Display>(
        &mut self,
        what: &str,
        id: Uuid,
        done: &Result<bool, E>,
    ) {
        match done {
            Ok(true) => {
                self.taken += 1;
                self.done += 1;
                return;
            }
            Ok(false) => {}
            Err(error) if error.failure().is_some_and(Failure::is_held) => {
                tracing::debug!(%id, %error, "{what} is held by others; the next sweep will retry");
            }
            Err(error) => {
                self.taken += 1;
                tracing::warn!(%id, %error, "{what}: sweeping it failed: {error}");
            }
        }
        self.skipped += 1;
    }

    pub(crate) fn done(&self) -> u32 {
        self.done
    }

    fn has_time(&self) -> bool {
        self.begun_at.elapsed() < MAX_TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn every_row_is_in_one_part() {
        for n in 0..20 {
            let of = 3;
            let parts = (0..of).filter(|rank| Part { rank: *rank, of }.has(id(n)));
            assert_eq!(parts.count(), 1);
            assert!(Part::WHOLE.has(id(n)));
        }
    }

    #[test]
    fn a_page_comes_after_what_was_left_and_the_walk_ends_with_the_rows_or_the_limit() {
        let mut steps = Steps::new(Walk {
            part: Part { rank: 1, of: 2 },
            limit: 4,
        });
        let done = |done| Ok::<bool, Failure>(done);
        assert_eq!(steps.next_page().map(|page| page.skip), Some(0));
        steps.begin_page(4);
        for n in 0..4 {
            if steps.takes(id(n)) {
                steps.note("row", id(n), &done(n == 1));
            }
        }
        assert_eq!(steps.next_page().map(|page| page.skip), Some(3));
        steps.begin_page(4);
        for n in [5, 7, 9, 11] {
            assert_eq!(steps.takes(id(n)), n < 11);
            if n < 11 {
                steps.note("row", id(n), &done(true));
            }
        }
        assert!(steps.next_page().is_none());
        assert_eq!(steps.done(), 4);
        let mut steps = Steps::new(4);
        steps.begin_page(3);
        assert!(steps.next_page().is_none());
    }
}
