//! The measurements of one run: the number of operations, the elapsed time, and the delay of each.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

/// Measurements of one run, of all its callers.
#[derive(Clone, Debug)]
pub(crate) struct Run<T = Duration> {
    pub(crate) elapsed: Duration,
    /// One measurement per operation.
    pub(crate) took: Vec<T>,
}

impl<T> Run<T> {
    pub(crate) fn rate_per_s(&self) -> f64 {
        self.took.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// A caller that repeats one operation, one at a time.
pub(crate) trait Caller: Send + 'static {
    type Took: Send + 'static;

    fn once(&mut self) -> impl Future<Output = anyhow::Result<Self::Took>> + Send;
}

/// Runs all callers concurrently, each in its own task, for `length`; operations that have begun by then are finished.
pub(crate) async fn closed_loop<C: Caller>(
    callers: Vec<C>,
    length: Duration,
) -> anyhow::Result<Run<C::Took>> {
    let began = Instant::now();
    let tasks = callers.into_iter().map(|mut caller| {
        tokio::spawn(async move {
            let mut took = Vec::new();
            while began.elapsed() < length {
                took.push(caller.once().await?);
            }
            anyhow::Ok(took)
        })
    });
    let mut took = Vec::new();
    for one in try_join_all(tasks).await? {
        took.extend(one?);
    }
    Ok(Run {
        elapsed: began.elapsed(),
        took,
    })
}

/// Percentiles of delays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Spread {
    /// Returns `None` if `delays` is empty.
    pub(crate) fn of(delays: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut delays: Vec<Duration> = delays.into_iter().collect();
        delays.sort_unstable();
        let last = delays.len().checked_sub(1)?;
        let at = |percent: usize| delays[last * percent / 100];
        Some(Self {
            p50: at(50),
            p99: at(99),
            max: delays[last],
        })
    }
}

/// Returns the median (of two middle numbers the lower one); `None` if there are no numbers.
pub(crate) fn median(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len().checked_sub(1)? / 2;
    Some(numbers[middle])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_delays_have_their_percentiles() {
        let delays = (1..=101).rev().map(Duration::from_millis);
        let spread = Spread::of(delays).unwrap();
        let in_ms = [spread.p50, spread.p99, spread.max].map(|one| one.as_millis());
        assert_eq!(in_ms, [51, 100, 101]);
        assert!(Spread::of([]).is_none());
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([]), None);
    }
}
