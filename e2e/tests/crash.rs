//! Kills the process at every crash point and at random moments: no order is lost or duplicated, and each one ends.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use chrono::TimeDelta;
use e2e::{
    Expediter, Ground, Integrator, Launch, Mood, Screen, Shop, Verification, Wish, advance_all,
};
use platform::{chance::Chance, crash};
use tokio::time::Instant;

const BUNS: u32 = 1000;
/// Speed of the clock: a lease of 25 s expires in about one second.
const RATE: u32 = 20;
const LEASE: TimeDelta = TimeDelta::seconds(25);
const WISHES_PER_WAVE: u32 = 8;
/// Number of waves after which a crash point counts as never reached.
const MAX_WAVES: u32 = 20;
/// Time for all requests to be answered after the last crash.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
const KILLS: u32 = 10;
/// Maximum time between two kills.
const MAX_LIFETIME: Duration = Duration::from_millis(400);
/// Seed of a run to repeat, as printed.
const SEED: Option<u64> = None;

/// Defines one test per crash point and ground, and the list of points.
macro_rules! dying_at {
    ($($name:ident: $point:literal,)+) => {
        mod dying_at {
            $(
                mod $name {
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn embedded() {
                        e2e::on_embedded(|ground| crate::every_crash_point_loses_nothing(ground, $point)).await;
                    }

                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn servers() {
                        e2e::on_servers(|ground| crate::every_crash_point_loses_nothing(ground, $point)).await;
                    }
                }
            )+

            pub(crate) const POINTS: &[&str] = &[$($point),+];
        }
    };
}

dying_at! {
    intake_before_begin: "intake.before_begin",
    intake_after_locks: "intake.after_locks",
    intake_after_writes: "intake.after_writes",
    intake_before_commit: "intake.before_commit",
    intake_after_commit: "intake.after_commit",
    relay_before_publish: "relay.before_publish",
    relay_after_publish: "relay.after_publish",
    relay_after_delete: "relay.after_delete",
    work_after_receive: "work.after_receive",
    work_after_note: "work.after_note",
    claim_after_locks: "claim.after_locks",
    attempt_after_outcome_locks: "attempt.after_outcome_locks",
    claim_before_commit: "claim.before_commit",
    claim_after_commit: "claim.after_commit",
    attempt_before_send: "attempt.before_send",
    attempt_after_send: "attempt.after_send",
    attempt_before_outcome_commit: "attempt.before_outcome_commit",
    attempt_after_outcome_commit: "attempt.after_outcome_commit",
    callback_before_store: "callback.before_store",
    callback_before_store_commit: "callback.before_store_commit",
    callback_after_store: "callback.after_store",
    callback_before_apply: "callback.before_apply",
    callback_after_locks: "callback.after_locks",
    callback_before_apply_commit: "callback.before_apply_commit",
    callback_after_apply: "callback.after_apply",
    feed_after_receive: "feed.after_receive",
    feed_before_send: "feed.before_send",
    sweep_before_commit: "sweep.before_commit",
    sweep_after_commit: "sweep.after_commit",
    orders_before_commit: "orders.before_commit",
    orders_after_commit: "orders.after_commit",
}

#[test]
fn every_declared_point_has_its_test() {
    assert_eq!(dying_at::POINTS, crash::POINTS);
}

e2e::each_ground! {
    async fn nothing_is_lost_by_kill_9_at_ten_random_moments_under_load(ground: Ground) {
        let seed = SEED.unwrap_or_else(|| u64::from_le_bytes(Chance::system().bytes()));
        eprintln!("seed: {seed}");
        let chance = Chance::seeded(seed);
        let mut scene = Scene::open(&ground).await;
        let mut wishes = Vec::new();
        for kill in 0..KILLS {
            let lives_for = MAX_LIFETIME.mul_f64(chance.fraction());
            let mut wave: Vec<Wish> = (0..3 * WISHES_PER_WAVE)
                .map(|n| Wish::new(&format!("kill-{kill}"), n))
                .collect();
            wishes.append(&mut wave);
            // Requests that the previous kill interrupted are retried in the same wave.
            let load = advance_all(&mut wishes, &scene.expediter, &scene.shop);
            // Not synchronised with the load: any moment will do.
            let death = async {
                tokio::time::sleep(lives_for).await;
                scene.expediter.signal("KILL");
            };
            tokio::join!(load, death);
            scene.expediter.restart().await;
        }
        scene.verify_all(&mut wishes).await;
    }
}

async fn every_crash_point_loses_nothing(ground: Ground, point: &'static str) {
    let mut scene = Scene::open(&ground).await;
    let mut wishes = Vec::new();
    let died = if point.starts_with("sweep.") {
        scene.crash_on_lost_lease(&mut wishes, point).await
    } else {
        // The second time, so that one order has already passed this point.
        let crash_at = format!("{point}:2");
        scene
            .expediter
            .restart_with(|launch| launch.set("testing.crash_at", crash_at))
            .await;
        scene.crash_under_load(&mut wishes).await
    };
    assert_eq!(
        died.signal(),
        Some(6),
        "it must abort at {point}: {died}\n{}",
        scene.expediter.launch().log()
    );
    scene
        .expediter
        .restart_with(|launch| launch.unset("testing.crash_at"))
        .await;
    scene.verify_all(&mut wishes).await;
}

struct Scene {
    integrator: Integrator,
    expediter: Expediter,
    shop: Shop,
    /// Follows the table across all crashes.
    screen: Screen,
}

impl Scene {
    async fn open(ground: &Ground) -> Self {
        let launch: Launch = ground.launch().fast(RATE);
        let integrator = Integrator::start(launch.clock());
        let expediter = launch.start().await;
        let shop = Shop::open(&expediter, &integrator, BUNS).await;
        Self {
            screen: Screen::follow(&expediter, &shop.session_code),
            integrator,
            expediter,
            shop,
        }
    }

    /// Runs waves of orders, each to its end, until the process has died.
    async fn crash_under_load(&mut self, wishes: &mut Vec<Wish>) -> ExitStatus {
        for wave in 0..MAX_WAVES {
            let mut batch: Vec<Wish> = (0..WISHES_PER_WAVE)
                .map(|n| Wish::new(&format!("wave-{wave}"), n))
                .collect();
            advance_all(&mut batch, &self.expediter, &self.shop).await;
            wishes.append(&mut batch);
            if self.died_before_idle().await {
                return self.expediter.ended().await;
            }
        }
        panic!(
            "the point was not reached:\n{}",
            self.expediter.launch().log()
        );
    }

    /// Waits until the integrator's requests and callbacks stop; returns true if the process died meanwhile.
    async fn died_before_idle(&mut self) -> bool {
        let mut before = 0;
        let mut quiet_for = 0;
        while quiet_for < 10 {
            if !self.expediter.is_running() {
                return true;
            }
            let now = self.integrator.received().len() + self.integrator.called().len();
            quiet_for = if now == before { quiet_for + 1 } else { 0 };
            before = now;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Leaves a lease behind by a kill, so that the sweep has work immediately after the restart.
    async fn crash_on_lost_lease(&mut self, wishes: &mut Vec<Wish>, point: &str) -> ExitStatus {
        self.integrator.always(Mood::Silent);
        wishes.extend((0..4).map(|n| Wish::new("lease", n)));
        advance_all(wishes, &self.expediter, &self.shop).await;
        self.integrator.wait_for_requests(wishes.len()).await;
        self.expediter.kill9().await;
        self.integrator.always(Mood::Fine);
        let clock = self.expediter.launch().clock();
        clock.sleep_until(clock.now() + LEASE).await;
        let launch = self
            .expediter
            .launch()
            .clone()
            .set("testing.crash_at", point);
        launch.run_until_exit().await
    }

    /// Retries everything that was not answered, then verifies all orders.
    async fn verify_all(&mut self, wishes: &mut [Wish]) {
        let Self {
            integrator,
            expediter,
            shop,
            screen,
        } = self;
        let answered_by = Instant::now() + ANSWERED_WITHIN;
        while !wishes.iter().all(Wish::is_done) {
            assert!(
                Instant::now() < answered_by,
                "some were never answered: {wishes:?}"
            );
            advance_all(wishes, expediter, shop).await;
        }
        Verification {
            expediter,
            shop,
            integrator,
            buns: i64::from(BUNS),
        }
        .verify_all(wishes)
        .await;
        let session = format!("/api/v1/sessions/{}", shop.session_code);
        let last = expediter.read(&session).await["seq"].as_i64();
        screen
            .wait_for_event(last.expect("a session has its number"))
            .await;
    }
}
