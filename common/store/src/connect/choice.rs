//! The choice of a host: rules without I/O that let all processes come to the same host without talking.

use std::time::{Duration, Instant};

/// Knowledge about one host of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// Time since which the host takes writes; `None` while it does not.
    pub(super) fit_since: Option<Instant>,
    /// Identity of the host's cluster, or of the server itself if it is in none, when it last took writes.
    pub(super) set: Option<String>,
    /// True if it did not answer the last time.
    pub(super) is_silent: bool,
}

impl View {
    fn is_settled(&self, settled: Duration, now: Instant) -> bool {
        self.fit_since
            .is_some_and(|since| now.saturating_duration_since(since) >= settled)
    }
}

/// Returns the host to use now, by its place in the list; `None` if there was none and no host takes writes.
///
/// The first host of the list is the best, but one that came back is only used again once it is settled, so that nobody
/// goes to and fro with a server that restarts again and again. And nobody goes back to a server of another set than
/// that of the host in use: both take writes, and one of them lacks those of the other. If the host in use takes no
/// writes any more, a settled one is better than one that came up just now, which others may not have noticed yet. If
/// nobody takes writes, the host in use stays.
pub(super) fn choose(
    current: Option<usize>,
    views: &[View],
    settled: Duration,
    now: Instant,
) -> Option<usize> {
    let fit = |place: &usize| views[*place].fit_since.is_some();
    let is_settled = |place: usize| views[place].is_settled(settled, now);
    let set = current.and_then(|place| views[place].set.as_deref());
    let is_of_set = |place: usize| set.is_none() || views[place].set.as_deref() == set;
    if let Some(current) = current.filter(fit) {
        let mut earlier = 0..current;
        let better = earlier.find(|place| is_settled(*place) && is_of_set(*place));
        return better.or(Some(current));
    }
    let candidates = (0..views.len()).filter(fit);
    let best = candidates.min_by_key(|place| (!is_of_set(*place), !is_settled(*place), *place));
    best.or(current)
}

/// Returns two hosts that both take writes although they are in no cluster with each other: orders that one of them has
/// are missing on the other.
pub(super) fn strangers(views: &[View]) -> Option<(usize, usize)> {
    let fit: Vec<usize> = (0..views.len())
        .filter(|place| views[*place].fit_since.is_some())
        .collect();
    let first = *fit.first()?;
    let other = fit
        .into_iter()
        .find(|place| views[*place].set != views[first].set)?;
    Some((first, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLED: Duration = Duration::from_secs(30);

    /// Makes views of hosts by the seconds for which they have taken writes; `None` for those that take none.
    fn views(hosts: &[(Option<u64>, &str)]) -> (Vec<View>, Instant) {
        let now = Instant::now() + Duration::from_secs(1000);
        let views = hosts.iter().map(|(fit_s, set)| View {
            fit_since: fit_s.map(|seconds| now - Duration::from_secs(seconds)),
            set: Some((*set).to_owned()),
            is_silent: false,
        });
        (views.collect(), now)
    }

    fn chosen(current: Option<usize>, hosts: &[(Option<u64>, &str)]) -> Option<usize> {
        let (views, now) = views(hosts);
        choose(current, &views, SETTLED, now)
    }

    const FIT: (Option<u64>, &str) = (Some(900), "one");
    const BACK: (Option<u64>, &str) = (Some(29), "one");
    const GONE: (Option<u64>, &str) = (None, "one");

    #[test]
    fn a_start_takes_the_first_host_that_takes_writes_and_a_settled_one_before_a_new_one() {
        for (hosts, expected) in [
            (&[FIT, FIT, FIT][..], Some(0)),
            (&[GONE, FIT, FIT], Some(1)),
            (&[BACK, FIT, FIT], Some(1)),
            (&[BACK, GONE, BACK], Some(0)),
            (&[GONE, GONE, BACK], Some(2)),
            (&[GONE, GONE, GONE], None),
        ] {
            assert_eq!(chosen(None, hosts), expected, "{hosts:?}");
        }
    }

    #[test]
    fn a_host_that_takes_no_writes_is_left_for_the_first_settled_one_and_stays_if_there_is_none() {
        for (current, hosts, expected) in [
            (0, [GONE, FIT, FIT], 1),
            (0, [GONE, BACK, FIT], 2),
            (0, [GONE, BACK, BACK], 1),
            (1, [BACK, GONE, FIT], 2),
            (1, [BACK, GONE, GONE], 0),
            (1, [GONE, GONE, GONE], 1),
            (2, [FIT, FIT, GONE], 0),
        ] {
            assert_eq!(chosen(Some(current), &hosts), Some(expected), "{hosts:?}");
        }
    }

    #[test]
    fn an_earlier_host_is_used_again_once_it_is_settled_and_a_later_one_never_without_need() {
        for (current, hosts, expected) in [
            (1, [BACK, FIT, FIT], 1),
            (1, [(Some(30), "one"), FIT, FIT], 0),
            (2, [BACK, FIT, FIT], 1),
            (2, [GONE, BACK, FIT], 2),
            (0, [BACK, FIT, FIT], 0),
            (0, [(Some(0), "one"), FIT, FIT], 0),
        ] {
            assert_eq!(chosen(Some(current), &hosts), Some(expected), "{hosts:?}");
        }
    }

    #[test]
    fn nobody_goes_back_to_a_server_that_is_not_of_the_same_set() {
        let stranger = (Some(900), "another");
        assert_eq!(chosen(Some(1), &[stranger, FIT]), Some(1));
        assert_eq!(chosen(Some(2), &[stranger, FIT, FIT]), Some(1));
        // A replica that was promoted is a set of its own, and the only one that can go on.
        assert_eq!(chosen(Some(0), &[GONE, stranger]), Some(1));
        // With a choice, the set stays together.
        assert_eq!(chosen(Some(0), &[GONE, stranger, BACK]), Some(2));
    }

    #[test]
    fn processes_that_saw_a_host_come_back_at_different_times_go_to_the_same_one() {
        // One has noticed the return of the first host, the other has not.
        let noticed = chosen(Some(1), &[(Some(1), "one"), GONE, FIT]);
        assert_eq!(noticed, chosen(Some(1), &[GONE, GONE, FIT]));
    }

    #[test]
    fn two_servers_that_both_take_writes_are_strangers_unless_they_are_of_one_set() {
        let strange = |hosts: &[(Option<u64>, &str)]| strangers(&views(hosts).0);
        assert_eq!(strange(&[FIT, FIT]), None);
        assert_eq!(strange(&[FIT, (None, "another")]), None);
        assert_eq!(
            strange(&[GONE, FIT, FIT, (Some(1), "another")]),
            Some((1, 3))
        );
        assert_eq!(strange(&[]), None);
    }
}
