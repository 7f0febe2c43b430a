//! Tests of the decision after an attempt, case by case.

use std::time::Duration;

use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn standing(attempts: u32) -> AttemptContext {
    AttemptContext {
        attempts,
        max_attempts: 5,
        unknown_policy: UnknownPolicy::Resend,
        used_cached_token: false,
        paused_until: None,
        deadline: now() + Duration::from_secs(600),
    }
}

fn answer(status: u16) -> SendResult {
    SendResult::Answer {
        status,
        retry_after: None,
    }
}

fn lost() -> SendResult {
    SendResult::Lost {
        error: "time-out".into(),
    }
}

#[test]
fn each_status_has_its_class() {
    use AttemptOutcome::{Acknowledged, Gone, Refused, Retry};
    for status in 100..=599_u16 {
        let expected = match status {
            200..=299 => Acknowledged,
            408 | 425 | 429 => Retry,
            410 => Gone,
            500..=599 => Retry,
            _ => Refused,
        };
        assert_eq!(outcome(&answer(status), false), expected, "{status}");
    }
    assert_eq!(outcome(&answer(401), true), Retry);
    assert_eq!(outcome(&lost(), false), AttemptOutcome::Unknown);
    assert_eq!(
        outcome(
            &SendResult::NotConnected {
                error: "refused".into()
            },
            false
        ),
        Retry
    );
}

#[test]
fn the_fifth_failure_is_the_last() {
    for attempts in 1..=4 {
        let (_, verdict) = judge(&answer(500), &standing(attempts), now(), 0.0);
        assert!(
            matches!(verdict, Verdict::TryAgain { .. }),
            "after {attempts}"
        );
    }
    let (outcome, verdict) = judge(&answer(500), &standing(5), now(), 0.0);
    assert_eq!(
        (outcome, verdict),
        (
            AttemptOutcome::Retry,
            Verdict::Failed {
                reason: FailReason::AttemptsUsedUp
            }
        )
    );
    let (outcome, verdict) = judge(&lost(), &standing(5), now(), 0.0);
    assert_eq!(
        (outcome, verdict),
        (
            AttemptOutcome::Unknown,
            Verdict::Failed {
                reason: FailReason::AttemptsUsedUp
            }
        )
    );
}

#[test]
fn a_refusal_is_final_at_once() {
    assert_eq!(
        judge(&answer(422), &standing(1), now(), 0.0).1,
        Verdict::Failed {
            reason: FailReason::Refused
        }
    );
    assert_eq!(
        judge(&answer(302), &standing(1), now(), 0.0).1,
        Verdict::Failed {
            reason: FailReason::Refused
        }
    );
    assert_eq!(
        judge(&answer(410), &standing(1), now(), 0.0).1,
        Verdict::Failed {
            reason: FailReason::Gone
        }
    );
}

#[test]
fn retry_after_is_a_floor_and_never_shortens() {
    let at = |retry_after, jitter| {
        let heard = SendResult::Answer {
            status: 500,
            retry_after,
        };
        match judge(&heard, &standing(2), now(), jitter).1 {
            Verdict::TryAgain { at } => (at - now()).num_seconds(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(at(None, 0.0), 8);
    assert_eq!(at(Some(RetryAfter::After(Duration::from_secs(1))), 0.0), 8);
    assert_eq!(
        at(Some(RetryAfter::After(Duration::from_secs(100))), 1.0),
        100
    );
    assert_eq!(
        at(
            RetryAfter::parse("Fri, 15 Jan 2027 08:01:00 GMT", None),
            0.0
        ),
        60
    );
}

#[test]
fn a_next_attempt_past_the_deadline_ends_the_handoff() {
    let heard = SendResult::Answer {
        status: 500,
        retry_after: RetryAfter::parse("601", None),
    };
    assert_eq!(
        judge(&heard, &standing(1), now(), 0.0).1,
        Verdict::Failed {
            reason: FailReason::Deadline
        }
    );
}

#[test]
fn a_429_and_a_503_that_says_when_mean_slow_down_and_nothing_else_does() {
    let with = |status, retry_after| SendResult::Answer {
        status,
        retry_after,
    };
    let hint = RetryAfter::parse("2", None);
    for status in 100..=599_u16 {
        let bare = with(status, None).asks_to_slow_down();
        assert_eq!(bare, status == 429, "{status}");
        let hinted = with(status, hint).asks_to_slow_down();
        assert_eq!(hinted, matches!(status, 429 | 503), "{status}");
    }
    assert!(!lost().asks_to_slow_down());
}

#[test]
fn slow_down_postpones_even_after_the_last_attempt_and_past_the_deadline() {
    for attempts in [0, 1, 4, 5] {
        let standing = |paused_s| AttemptContext {
            paused_until: Some(now() + Duration::from_secs(paused_s)),
            ..standing(attempts)
        };
        let after = |paused_s| judge(&answer(429), &standing(paused_s), now(), 1.0);
        let postponed = |seconds| {
            let at = now() + Duration::from_secs(seconds);
            (AttemptOutcome::Retry, Verdict::Postpone { at })
        };
        assert_eq!(after(2), postponed(2));
        assert_eq!(after(3600), postponed(600));
    }
}

#[test]
fn an_unknown_outcome_is_sent_again_or_held_as_the_integrator_wants() {
    assert!(matches!(
        judge(&lost(), &standing(1), now(), 0.0).1,
        Verdict::TryAgain { .. }
    ));
    let hold = AttemptContext {
        unknown_policy: UnknownPolicy::Hold,
        ..standing(1)
    };
    assert_eq!(judge(&lost(), &hold, now(), 0.0).1, Verdict::Hold);
}
