//! Tests of the circuit breaker, step by step.

use super::*;
use crate::handoff::{RetryAfter, outcome};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn later(seconds: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(seconds)
}

fn handoff(n: u128) -> HandoffId {
    uuid::Uuid::from_u128(n).into()
}

fn answer(status: u16, retry_after: Option<&str>) -> SendResult {
    SendResult::Answer {
        status,
        retry_after: retry_after.and_then(|text| RetryAfter::parse(text, None)),
    }
}

/// Returns the breaker after failures of these handoffs, one after the other.
fn failed(handoffs: &[u128]) -> Breaker {
    handoffs.iter().fold(Breaker::default(), |breaker, n| {
        breaker.after(Sign::Failure, handoff(*n), now(), 0.0)
    })
}

fn probing(breaker: Breaker, n: u128) -> Breaker {
    Breaker {
        state: BreakerState::Probing,
        until: Some(later(100)),
        probe: Some(handoff(n)),
        ..breaker
    }
}

#[test]
fn whoever_answers_is_there_and_whoever_asks_to_be_left_alone_is_no_failure() {
    let of = |heard: SendResult, cached| sign(outcome(&heard, cached), &heard);
    for status in [200, 204, 301, 400, 401, 404, 410, 422] {
        assert_eq!(of(answer(status, None), false), Sign::Alive, "{status}");
    }
    assert_eq!(of(answer(401, None), true), Sign::Alive);
    for status in [408, 425, 500, 502, 503, 504] {
        assert_eq!(of(answer(status, None), false), Sign::Failure, "{status}");
    }
    for slow_down in [
        answer(429, None),
        answer(429, Some("7")),
        answer(503, Some("0")),
    ] {
        assert_eq!(of(slow_down, false), Sign::Pressure);
    }
    let error = || "refused".to_owned();
    assert_eq!(
        of(SendResult::NotConnected { error: error() }, false),
        Sign::Failure
    );
    assert_eq!(
        of(SendResult::Lost { error: error() }, false),
        Sign::Failure
    );
}

#[test]
fn three_different_handoffs_open_it_and_three_attempts_of_one_do_not() {
    let one = failed(&[1, 1, 1, 1, 2, 2]);
    assert_eq!(
        (one.state, one.failures_in_a_row, one.pace(now())),
        (BreakerState::Closed, 6, Allowance::Free)
    );
    let three = one.after(Sign::Failure, handoff(3), now(), 0.0);
    assert_eq!((three.state, three.openings), (BreakerState::Open, 1));
    assert_eq!(three.pace(now()), Allowance::NotBefore(later(5)));
    assert_eq!(three.pace(later(5)), Allowance::OneProbe);
}

#[test]
fn a_sign_of_life_between_them_begins_the_row_anew() {
    let two = failed(&[1, 2]).after(Sign::Alive, handoff(3), now(), 0.0);
    assert!(two.is_healthy());
    let again = two.after(Sign::Failure, handoff(3), later(1), 0.0);
    assert_eq!(
        (again.state, again.failing_since),
        (BreakerState::Closed, Some(later(1)))
    );
}

#[test]
fn what_was_on_its_way_when_it_opened_does_not_open_it_for_longer() {
    let open = failed(&[1, 2, 3]);
    let counted = open.clone().after(Sign::Failure, handoff(4), later(3), 0.0);
    assert_eq!((counted.until, counted.openings), (open.until, 1));
    assert_eq!(counted.failures_in_a_row, 4);
    let probing = probing(open, 9);
    let other = probing
        .clone()
        .after(Sign::Failure, handoff(4), later(3), 0.0);
    assert_eq!((other.state, other.probe), (probing.state, probing.probe));
}

#[test]
fn each_failed_probe_opens_it_for_twice_as_long_and_never_past_half_a_minute() {
    let mut breaker = failed(&[1, 2, 3]);
    let mut waits = Vec::new();
    for n in 4..10 {
        waits.push((breaker.until.unwrap() - now()).num_seconds());
        breaker = probing(breaker, n).after(Sign::Failure, handoff(n), now(), 0.0);
    }
    assert_eq!(waits, [5, 10, 20, 30, 30, 30]);
    assert_eq!(wait(u32::MAX, 0.0), MAX_WAIT);
}

#[test]
fn jitter_leaves_out_at_most_a_fifth() {
    for openings in 1..8 {
        let longest = wait(openings, 0.0);
        for jitter in [-1.0, 0.0, 0.4, 1.0, 3.0] {
            let wait = wait(openings, jitter);
            assert!(
                wait <= longest && wait >= longest.mul_f64(0.8),
                "{openings} {jitter} {wait:?}"
            );
        }
        let next = wait(openings + 1, 1.0);
        assert!(next >= longest.mul_f64(0.8), "never shorter than before");
    }
}

#[test]
fn a_probe_that_answers_closes_it_and_so_does_anything_else_that_answers() {
    let open = failed(&[1, 2, 3]);
    assert!(
        open.clone()
            .after(Sign::Alive, handoff(2), now(), 0.0)
            .is_healthy()
    );
    assert!(
        probing(open, 4)
            .after(Sign::Alive, handoff(4), now(), 0.0)
            .is_healthy()
    );
}

#[test]
fn a_probe_that_is_told_to_slow_down_leaves_it_open_for_the_next_and_counts_no_failure() {
    let probing = probing(failed(&[1, 2, 3]), 4);
    let pressed = probing.after(Sign::Pressure, handoff(4), later(1), 0.0);
    assert_eq!(
        (pressed.state, pressed.until, pressed.openings),
        (BreakerState::Open, Some(later(1)), 1)
    );
    assert_eq!((pressed.failures_in_a_row, pressed.probe), (3, None));
    let closed = failed(&[1, 2]);
    let after = closed.clone().after(Sign::Pressure, handoff(3), now(), 0.0);
    assert_eq!(after, closed);
}

#[test]
fn a_probe_that_is_lost_makes_room_for_another() {
    let probing = probing(failed(&[1, 2, 3]), 4);
    assert_eq!(probing.pace(later(0)), Allowance::NotBefore(later(5)));
    assert_eq!(probing.pace(later(99)), Allowance::NotBefore(later(100)));
    assert_eq!(probing.pace(later(100)), Allowance::OneProbe);
}

#[test]
fn fifteen_failures_over_an_hour_are_beyond_hope_and_less_of_either_is_not() {
    let fourteen = failed(&[1; 14]);
    let fifteen = failed(&[1; 15]);
    assert!(!fourteen.should_give_up(later(3600)));
    assert!(!fifteen.should_give_up(later(3599)));
    assert!(fifteen.should_give_up(later(3600)));
    assert!(!Breaker::default().should_give_up(later(9999)));
}
