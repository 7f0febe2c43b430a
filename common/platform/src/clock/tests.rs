//! Tests of clocks: anchors, jumps, paces and sleepers.

use super::*;

fn noon() -> DateTime<Utc> {
    "2026-11-20T12:00:00.123456789Z".parse().unwrap()
}

#[test]
fn times_are_whole_microseconds() {
    assert_eq!(
        Clock::manual(noon()).now().timestamp_subsec_nanos(),
        123_456_000
    );
    assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1000, 0);
}

#[test]
fn an_anchored_clock_counts_on_from_the_databases_time() {
    let clock = Clock::system();
    let asked_at = Instant::now();
    clock.anchor(noon(), asked_at);
    let ahead = clock.clone().now() - noon().trunc_subsecs(6);
    assert!(ahead >= TimeDelta::zero());
    assert!(ahead.to_std().unwrap() <= asked_at.elapsed());
}

#[test]
fn a_fast_clock_gains_the_same_on_whatever_time_it_is_anchored_to() {
    let pace: Pace = "20 since 2026-11-20T12:00:00Z".parse().unwrap();
    let clock = Clock::with_pace(pace);
    let minute_past: DateTime<Utc> = "2026-11-20T12:01:00Z".parse().unwrap();
    clock.anchor(minute_past, Instant::now());
    let gained = clock.now() - pace.since;
    assert!(
        gained >= TimeDelta::minutes(20) && gained < TimeDelta::minutes(30),
        "{gained}"
    );
}

#[tokio::test]
async fn a_fast_clocks_sleeper_wakes_sooner_by_the_machines_time_and_not_sooner_by_its_own() {
    let clock = Clock::with_pace("100 since 2026-11-20T12:00:00Z".parse().unwrap());
    let (begun_at, deadline) = (Instant::now(), clock.now() + TimeDelta::seconds(2));
    clock.sleep_until(deadline).await;
    assert!(clock.now() >= deadline);
    assert!(begun_at.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_pace_that_makes_no_sense_is_refused() {
    for wrong in [
        "",
        "20",
        "0 since 2026-11-20T12:00:00Z",
        "101 since 2026-11-20T12:00:00Z",
        "2 since noon",
    ] {
        assert_eq!(wrong.parse::<Pace>(), Err(InvalidPace), "{wrong}");
    }
}

#[test]
fn a_clock_that_is_anchored_to_the_machine_tells_its_wall_time_again() {
    let clock = Clock::system();
    clock.anchor(noon(), Instant::now());
    clock.anchor_to_system_time();
    assert!((clock.now() - Clock::system().now()).abs() < TimeDelta::seconds(5));
}

#[test]
fn a_manual_clock_ignores_anchors() {
    let clock = Clock::manual(noon());
    let before = clock.now();
    clock.anchor(before + TimeDelta::days(1), Instant::now());
    assert_eq!(clock.now(), before);
}

#[tokio::test]
async fn a_sleeper_wakes_when_the_test_moves_the_clock_and_not_before() {
    let clock = Clock::manual(noon());
    let sleeper = tokio::spawn({
        let clock = clock.clone();
        async move {
            clock.sleep(Duration::from_secs(60)).await;
            clock.now()
        }
    });
    clock.wait_for_sleepers(1).await;
    clock.advance(Duration::from_secs(59));
    tokio::task::yield_now().await;
    assert!(!sleeper.is_finished());
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        sleeper.await.unwrap(),
        noon().trunc_subsecs(6) + TimeDelta::minutes(1)
    );
    assert_eq!(*clock.manual_source().sleepers.borrow(), 0);
}

#[tokio::test]
async fn a_passed_deadline_does_not_sleep() {
    for clock in [Clock::manual(noon()), Clock::system()] {
        clock.sleep_until(clock.now() - TimeDelta::seconds(1)).await;
        clock.sleep_until(clock.now()).await;
    }
}

#[tokio::test]
async fn a_system_clock_sleeps_until_the_deadline_has_passed() {
    let clock = Clock::system();
    let deadline = clock.now() + TimeDelta::milliseconds(3);
    clock.sleep_until(deadline).await;
    assert!(clock.now() >= deadline);
}
