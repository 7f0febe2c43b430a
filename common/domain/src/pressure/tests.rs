//! Tests of the pace, answer by answer.

use super::*;
use crate::noon;

const BOUND: Duration = Duration::from_secs(300);

fn later(seconds: i64) -> DateTime<Utc> {
    noon() + chrono::TimeDelta::seconds(seconds)
}

fn asked(seconds: u64) -> Option<RetryAfter> {
    Some(RetryAfter::After(Duration::from_secs(seconds)))
}

/// Returns the pace after one "slow down" at noon.
fn paused(seconds: Option<u64>) -> Pressure {
    Pressure::default().slowed_down(noon(), seconds.and_then(asked), noon(), BOUND)
}

fn pause_s(pressure: Pressure, now: DateTime<Utc>) -> i64 {
    (pressure.paused_until.unwrap() - now).num_seconds()
}

/// Returns the pace after an answer each second from its pause's end on, and the time of the last one.
fn eased_for(mut pressure: Pressure, seconds: i64) -> (Pressure, DateTime<Utc>) {
    let mut now = pressure.paused_until.unwrap();
    for _ in 0..seconds {
        pressure = pressure.eased(now, now);
        now += chrono::TimeDelta::seconds(1);
    }
    (pressure, now)
}

#[test]
fn the_pause_is_what_was_asked_for_and_never_less_than_a_second_nor_past_the_bound() {
    for (retry_after, expected) in [
        (Some("0"), 1),
        (Some("2"), 2),
        (Some("300"), 300),
        (Some("301"), 300),
        (Some("99999999999999999999"), 300),
        (Some("Fri, 15 Jan 1999 08:01:00 GMT"), 1),
        (None, 1),
    ] {
        let asked = retry_after.and_then(|text| RetryAfter::parse(text, None));
        let pressure = Pressure::default().slowed_down(noon(), asked, noon(), BOUND);
        assert_eq!(pause_s(pressure, noon()), expected, "{retry_after:?}");
        assert_eq!(pressure.pause(later(expected)), None);
        assert!(pressure.pause(later(expected - 1)).is_some());
    }
    let bound = Duration::ZERO;
    let pressure = Pressure::default().slowed_down(noon(), asked(9), noon(), bound);
    assert_eq!(pause_s(pressure, noon()), 1);
}

#[test]
fn the_largest_wait_wins_in_whatever_order_they_come() {
    for waits in [[1, 7, 3], [7, 1, 3], [3, 1, 7]] {
        let mut pressure = Pressure::default();
        for wait in waits {
            pressure = pressure.slowed_down(noon(), asked(wait), noon(), BOUND);
        }
        assert_eq!(pause_s(pressure, noon()), 7, "{waits:?}");
    }
}

#[test]
fn requests_that_were_under_way_together_halve_the_rate_once() {
    let (fast, at) = eased_for(paused(Some(2)), 6);
    assert_eq!(fast.rate_per_s, Some(32));
    let mut pressed = fast;
    for _ in 0..8 {
        pressed = pressed.slowed_down(at, asked(2), at, BOUND);
    }
    assert_eq!(
        (
            pressed.rate_per_s,
            pressed.too_fast_per_s,
            pressed.pauses_in_a_row
        ),
        (Some(16), Some(32), 1)
    );
    // So does one that began before the pause and is answered long after it.
    let until = pressed.paused_until.unwrap();
    let late = pressed.slowed_down(at, asked(2), until + BOUND, BOUND);
    assert_eq!((late.rate_per_s, late.pauses_in_a_row), (Some(16), 1));
}

#[test]
fn without_a_retry_after_the_pause_doubles_until_another_answer_comes() {
    let mut pressure = Pressure::default();
    let mut pauses = Vec::new();
    let mut now = noon();
    for _ in 0..8 {
        pressure = pressure.slowed_down(now, None, now, BOUND);
        pauses.push(pause_s(pressure, now));
        now = pressure.paused_until.unwrap();
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(
        pressure.rate_per_s,
        Some(1),
        "the rate is not what is wrong"
    );
    let eased = pressure.eased(now, now).slowed_down(now, None, now, BOUND);
    assert_eq!(pause_s(eased, now), 1);
}

#[test]
fn after_the_pause_one_goes_out_at_a_time_until_one_is_taken() {
    let settings = Limits {
        concurrency: 8,
        rate_per_s: None,
    };
    assert_eq!(Pressure::default().limits(settings), settings);
    let pressure = paused(Some(2));
    let limits = pressure.limits(settings);
    assert_eq!((limits.concurrency, limits.rate_per_s), (1, Some(1)));
    assert_eq!(pressure.max_per_claim(), 1);
    // An answer to a request from before the pause says nothing.
    assert_eq!(pressure.eased(noon(), later(3)), pressure);
    let taken = pressure.eased(later(2), later(2));
    let limits = taken.limits(settings);
    assert_eq!((limits.concurrency, limits.rate_per_s), (8, Some(1)));
    assert_eq!(taken.max_per_claim(), u32::MAX);
}

#[test]
fn the_slower_of_the_set_and_the_learned_rate_counts() {
    let of = |set, learned| {
        let pressure = Pressure {
            rate_per_s: learned,
            ..Pressure::default()
        };
        let concurrency = 4;
        pressure
            .limits(Limits {
                concurrency,
                rate_per_s: set,
            })
            .rate_per_s
    };
    assert_eq!(of(None, Some(7)), Some(7));
    assert_eq!(of(Some(5), Some(7)), Some(5));
    assert_eq!(of(Some(9), Some(7)), Some(7));
    assert_eq!(of(Some(9), None), Some(9));
}

#[test]
fn the_rate_doubles_at_first_and_grows_by_addition_once_it_was_too_fast() {
    let (pressure, at) = eased_for(paused(Some(1)), 5);
    assert_eq!(pressure.rate_per_s, Some(16));
    let pressure = pressure.slowed_down(at, asked(1), at, BOUND);
    let (pressure, _) = eased_for(pressure, 5);
    assert_eq!(pressure.rate_per_s, Some(12), "8 and one more each second");
    // Many answers in one second are one step.
    let at = pressure.rate_since.unwrap() + GROWTH_INTERVAL;
    let mut many = pressure;
    for _ in 0..20 {
        many = many.eased(at, at);
    }
    assert_eq!(many.rate_per_s, Some(13));
}

#[test]
fn a_rate_past_a_thousand_is_forgotten() {
    let (pressure, _) = eased_for(paused(Some(1)), 10);
    assert_eq!(pressure.rate_per_s, Some(512));
    let (pressure, _) = eased_for(paused(Some(1)), 11);
    assert!(pressure.is_none());
}

/// An integrator that takes a number of requests each second and asks for a pause after that.
#[test]
fn a_thousand_orders_to_five_a_second_are_through_within_their_ten_minutes() {
    for (takes_per_s, orders, pause_s, most_s) in
        [(5, 1000, 2, 450), (1, 100, 1, 300), (50, 10_000, 5, 590)]
    {
        let mut pressure = Pressure::default();
        let (mut now, mut left, mut refused) = (noon(), orders, 0);
        let (mut second, mut taken) = (now, 0);
        while left > 0 {
            if let Some(until) = pressure.pause(now) {
                now = until;
            }
            if now >= second + Duration::from_secs(1) {
                (second, taken) = (now, 0);
            }
            if taken < takes_per_s {
                (taken, left) = (taken + 1, left - 1);
                pressure = pressure.eased(now, now);
            } else {
                refused += 1;
                pressure = pressure.slowed_down(now, asked(pause_s), now, BOUND);
            }
            let rate = pressure.rate_per_s.unwrap_or(1000);
            now += Duration::from_secs(1) / rate;
        }
        let took_s = (now - noon()).num_seconds();
        assert!(
            took_s <= most_s,
            "{orders} at {takes_per_s}/s took {took_s} s"
        );
        assert!(refused < orders, "{refused} of {orders} were refused");
    }
}
