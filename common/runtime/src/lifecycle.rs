//! Graceful shutdown: a signal begins a stop of bounded length; a second signal ends the process at once.

use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Handle of the shutdown. Cheap to clone. Tasks end themselves when `stopping` is cancelled; `finish` waits for the
/// tasks spawned here.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stopping: CancellationToken,
    tasks: TaskTracker,
    running: Mutex<BTreeMap<u64, &'static str>>,
    next_task: AtomicU64,
    drain: Duration,
    failed: AtomicBool,
}

impl Shutdown {
    /// Creates a shutdown; `drain` bounds how long running work may take once the stop has begun.
    #[must_use]
    pub fn new(drain: Duration) -> Self {
        Self(Arc::new(Inner {
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            running: Mutex::default(),
            next_task: AtomicU64::new(0),
            drain,
            failed: AtomicBool::new(false),
        }))
    }

    /// Returns the token that is cancelled when the process begins to stop.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.0.stopping.clone()
    }

    /// Begins the stop, as a signal does.
    pub fn begin(&self) {
        self.0.stopping.cancel();
    }

    /// Begins the stop at SIGINT or SIGTERM; a second signal ends the process without waiting.
    #[expect(
        clippy::disallowed_methods,
        reason = "the second signal asks for an exit without a drain"
    )]
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stopping = self.stopping();
        tokio::spawn(async move {
            loop {
                let (name, code) = tokio::select! {
                    _ = interrupt.recv() => ("SIGINT", 130),
                    _ = terminate.recv() => ("SIGTERM", 143),
                };
                if stopping.is_cancelled() {
                    tracing::warn!("received {name} while stopping; exiting at once");
                    std::process::exit(code);
                }
                tracing::info!("received {name}; stopping");
                stopping.cancel();
            }
        });
        Ok(())
    }

    /// Spawns a task that `finish` waits for. If it panics, that is logged and the other tasks continue.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn_watched(name, task, false)
    }

    /// Spawns a task that the process cannot work without: if it panics, or ends before the stop, the process stops
    /// gracefully and `finish` reports the failure.
    pub fn spawn_vital<F>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn_watched(name, task, true)
    }

    fn spawn_watched<F>(&self, name: &'static str, task: F, vital: bool) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let here = RunningGuard::new(self.clone(), name);
        self.0.tasks.spawn(async move {
            let panicked = AssertUnwindSafe(task).catch_unwind().await.is_err();
            let shutdown = &here.shutdown.0;
            let ended_early = vital && !shutdown.stopping.is_cancelled();
            if panicked {
                // The panic hook has logged its message and location.
                tracing::error!(task = name, "task {name} panicked");
            } else if ended_early {
                tracing::error!(
                    task = name,
                    "task {name} ended before the process was asked to stop"
                );
            }
            if ended_early || (vital && panicked) {
                shutdown.failed.store(true, Ordering::Relaxed);
                shutdown.stopping.cancel();
            }
        })
    }

    /// Waits for the stop to begin, then for the tasks, at most for the drain time.
    pub async fn finish(&self) -> ShutdownResult {
        self.0.stopping.cancelled().await;
        self.0.tasks.close();
        let all_ended = tokio::time::timeout(self.0.drain, self.0.tasks.wait())
            .await
            .is_ok();
        let left: Vec<_> = if all_ended {
            Vec::new()
        } else {
            self.running()
        };
        if !left.is_empty() {
            tracing::warn!(tasks = ?left, "drain timed out; tasks still running: {}", left.join(", "));
        }
        ShutdownResult {
            failed: self.0.failed.load(Ordering::Relaxed),
            left,
        }
    }

    fn running(&self) -> Vec<&'static str> {
        self.0.running.lock().values().copied().collect()
    }
}

/// Result of a shutdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownResult {
    /// True if a vital task caused the stop; the exit code should report it.
    pub failed: bool,
    /// Tasks that did not end in time.
    pub left: Vec<&'static str>,
}

/// Guard that keeps a task's name in the list for as long as the task runs.
struct RunningGuard {
    shutdown: Shutdown,
    number: u64,
}

impl RunningGuard {
    fn new(shutdown: Shutdown, name: &'static str) -> Self {
        let number = shutdown.0.next_task.fetch_add(1, Ordering::Relaxed);
        shutdown.0.running.lock().insert(number, name);
        Self { shutdown, number }
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.shutdown.0.running.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };

    use super::*;

    const TEST_TIMEOUT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_stop_waits_for_work_in_hand() {
        let shutdown = Shutdown::new(TEST_TIMEOUT);
        let stopping = shutdown.stopping();
        let done = Arc::new(AtomicBool::new(false));
        shutdown.spawn("work", {
            let done = Arc::clone(&done);
            async move {
                stopping.cancelled().await;
                tokio::task::yield_now().await;
                done.store(true, Ordering::Relaxed);
            }
        });
        shutdown.begin();
        assert_eq!(
            shutdown.finish().await,
            ShutdownResult {
                failed: false,
                left: vec![]
            }
        );
        assert!(done.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn the_stop_is_bounded_and_names_who_did_not_end() {
        let shutdown = Shutdown::new(Duration::from_millis(1));
        shutdown.spawn("stubborn", std::future::pending());
        shutdown
            .spawn("quick", std::future::ready(()))
            .await
            .unwrap();
        shutdown.begin();
        assert_eq!(
            shutdown.finish().await,
            ShutdownResult {
                failed: false,
                left: vec!["stubborn"]
            }
        );
    }

    #[tokio::test]
    async fn a_panic_in_an_ordinary_task_leaves_the_others_alone() {
        let shutdown = Shutdown::new(TEST_TIMEOUT);
        shutdown
            .spawn("fragile", async { panic!("expected by the test") })
            .await
            .unwrap();
        assert!(!shutdown.stopping().is_cancelled());
    }

    #[tokio::test]
    async fn a_vital_task_that_panics_or_ends_stops_the_process_in_order() {
        for panics in [true, false] {
            let shutdown = Shutdown::new(TEST_TIMEOUT);
            shutdown.spawn_vital(
                "relay",
                async move { assert!(!panics, "expected by the test") },
            );
            let ended = tokio::time::timeout(TEST_TIMEOUT, shutdown.finish())
                .await
                .unwrap();
            assert_eq!(
                ended,
                ShutdownResult {
                    failed: true,
                    left: vec![]
                }
            );
        }
    }

    #[tokio::test]
    async fn a_vital_task_that_ends_because_of_the_stop_has_not_failed() {
        let shutdown = Shutdown::new(TEST_TIMEOUT);
        let stopping = shutdown.stopping();
        shutdown.spawn_vital("relay", async move { stopping.cancelled().await });
        shutdown.begin();
        assert_eq!(
            shutdown.finish().await,
            ShutdownResult {
                failed: false,
                left: vec![]
            }
        );
    }

    #[test]
    fn one_signal_begins_the_stop_and_a_second_ends_the_process_at_once() {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "lifecycle::tests::stops_without_end",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        for word in ["listening", "stopping"] {
            assert!(
                said.any(|line| line.unwrap().ends_with(word)),
                "it ended before it was {word}"
            );
            let pid = process.id().to_string();
            assert!(
                Command::new("kill")
                    .args(["-TERM", &pid])
                    .status()
                    .unwrap()
                    .success()
            );
        }
        assert_eq!(process.wait().unwrap().code(), Some(143));
    }

    #[tokio::test]
    #[ignore = "run as a process of its own by the test above"]
    async fn stops_without_end() {
        let shutdown = Shutdown::new(TEST_TIMEOUT);
        shutdown.on_signals().unwrap();
        let stopping = shutdown.stopping();
        shutdown.spawn("stubborn", async move {
            stopping.cancelled().await;
            println!("stopping");
            std::future::pending().await
        });
        println!("listening");
        shutdown.finish().await;
    }
}
