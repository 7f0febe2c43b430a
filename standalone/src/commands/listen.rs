//! `expediter listen`: receives a store's messages on this machine, signed as in production
//! (docs/adr/0036-a-listener-pulls-its-handoffs.md).

use std::{process::ExitCode, sync::Arc, time::Duration};

use platform::clock::Clock;
use reqwest::Method;
use runtime::{config::Settings, lifecycle::Shutdown};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    forward::{Forwarded, Forwarder, Message},
    remote::{Remote, RemoteError},
    say, store_of, warn,
};
use crate::{command_line::Listen, refusal::Refusal};

/// Maximum number of messages on their way to the address at one time, and so in memory.
const WIDTH: usize = 8;
/// Time for which the server delays its answer while nothing is due.
const WAIT: Duration = Duration::from_secs(10);
/// Time that messages under way may take once the command is to end.
const DRAIN: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize)]
struct Listener {
    id: String,
    name: String,
    events: Vec<String>,
    signing_secret: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    messages: Vec<Message>,
    attempt_timeout_ms: u64,
}

struct Session {
    remote: Arc<Remote>,
    forwarder: Arc<Forwarder>,
    wanted: Value,
    stopping: CancellationToken,
    clock: Clock,
    in_flight: JoinSet<bool>,
    taken: u64,
    acknowledged: u64,
}

/// Why the loop over the claims ended.
enum End {
    Stopped,
    /// The listener does not exist any more: it was not heard of for too long, or somebody removed it.
    Gone,
}

pub(crate) async fn listen(settings: &Settings, options: Listen) -> Result<ExitCode, Refusal> {
    let remote = Arc::new(Remote::new(settings, &options.remote)?);
    let store = store_of(&remote, options.store).await?;
    let mut wanted = json!({"store_id": store});
    if let Some(name) = &options.name {
        wanted["name"] = json!(name);
    }
    if let Some(format) = &options.format {
        wanted["format"] = json!(format);
    }
    if !options.events.is_empty() {
        wanted["events"] = json!(options.events);
    }
    let shutdown = Shutdown::new(DRAIN);
    shutdown
        .on_signals()
        .map_err(Refusal::failed("waiting for Ctrl-C"))?;
    let mut session = Session {
        forwarder: Arc::new(Forwarder::new(options.forward_to)?),
        remote,
        wanted,
        stopping: shutdown.stopping(),
        clock: Clock::system(),
        in_flight: JoinSet::new(),
        taken: 0,
        acknowledged: 0,
    };
    session.run().await.map_err(Refusal::failed("listen"))?;
    say(format_args!(
        "{} messages were forwarded, {} of them acknowledged.",
        session.taken, session.acknowledged
    ));
    Ok(ExitCode::SUCCESS)
}

impl Session {
    /// Listens until the command is to end, with a new listener if the old one is gone.
    async fn run(&mut self) -> Result<(), RemoteError> {
        loop {
            let Some(listener) = self.begin().await? else {
                return Ok(());
            };
            let ended = self.claim_until_end(&listener).await;
            self.drain().await;
            match ended {
                Ok(End::Gone) => warn(
                    "the listener is gone: it was not heard of for five minutes, or somebody removed it; beginning anew",
                ),
                Ok(End::Stopped) => return self.remove(&listener).await,
                Err(refused) => {
                    // Otherwise it would be sent copies until it is forgotten.
                    let _ = self.remove(&listener).await;
                    return Err(refused);
                }
            }
        }
    }

    /// Makes or resumes the listener; `None` if the command is to end before.
    async fn begin(&self) -> Result<Option<Listener>, RemoteError> {
        let made = self
            .until_available(|| self.remote.post("listeners", &self.wanted))
            .await?;
        let Some(made) = made else { return Ok(None) };
        let listener: Listener = serde_json::from_value(made)
            .map_err(|error| RemoteError::Unavailable(error.to_string()))?;
        say(format_args!(
            "Listening as {:?} to {}, and to tests (listener {}).",
            listener.name,
            listener.events.join(", "),
            listener.id
        ));
        say(format_args!("Forwarding to {}", self.forwarder.address()));
        match &listener.signing_secret {
            Some(secret) => say(format_args!("Signing secret, shown only now: {secret}")),
            None => say("Signing secret: as before; it was shown when this listener was made"),
        }
        say("Ctrl-C ends it and removes the listener.");
        Ok(Some(listener))
    }

    async fn claim_until_end(&mut self, listener: &Listener) -> Result<End, RemoteError> {
        let path = format!("listeners/{}/claims", listener.id);
        loop {
            self.reap();
            while self.in_flight.len() >= WIDTH {
                let ended = tokio::select! {
                    ended = self.in_flight.join_next() => ended,
                    () = self.stopping.cancelled() => return Ok(End::Stopped),
                };
                self.count(ended.is_some_and(|done| done.unwrap_or(false)));
            }
            let body = json!({"max": WIDTH - self.in_flight.len(), "wait_s": WAIT.as_secs()});
            let claimed =
                self.until_available(|| self.remote.send(Method::POST, &path, Some(&body), WAIT));
            let claims: Claims = match claimed.await {
                Ok(Some(claimed)) => serde_json::from_value(claimed)
                    .map_err(|error| RemoteError::Unavailable(error.to_string()))?,
                Ok(None) => return Ok(End::Stopped),
                Err(refused) if refused.is_not_found() => return Ok(End::Gone),
                Err(refused) => return Err(refused),
            };
            let timeout = Duration::from_millis(claims.attempt_timeout_ms);
            for message in claims.messages {
                self.taken += 1;
                let task = forward(
                    Arc::clone(&self.remote),
                    Arc::clone(&self.forwarder),
                    self.clock.clone(),
                    format!("listeners/{}/outcomes", listener.id),
                    message,
                    timeout,
                );
                self.in_flight.spawn(task);
            }
        }
    }

    /// Repeats a request until it is answered, with growing pauses; `None` if the command is to end before.
    async fn until_available<F>(&self, ask: impl Fn() -> F) -> Result<Option<Value>, RemoteError>
    where
        F: Future<Output = Result<Value, RemoteError>>,
    {
        let mut failures = 0;
        loop {
            let asked = tokio::select! {
                asked = ask() => asked,
                () = self.stopping.cancelled() => return Ok(None),
            };
            let why = match asked {
                Ok(answer) => {
                    if failures > 0 {
                        warn(format_args!("{} answers again", self.remote.url()));
                    }
                    return Ok(Some(answer));
                }
                Err(RemoteError::Unavailable(why)) => why,
                Err(refused) => return Err(refused),
            };
            failures += 1;
            let pause = self.remote.pause(failures);
            warn(format_args!(
                "{why}; trying again in {:.1} s",
                pause.as_secs_f64()
            ));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stopping.cancelled() => return Ok(None),
            }
        }
    }

    fn reap(&mut self) {
        while let Some(done) = self.in_flight.try_join_next() {
            self.count(done.unwrap_or(false));
        }
    }

    fn count(&mut self, is_acknowledged: bool) {
        self.acknowledged += u64::from(is_acknowledged);
    }

    /// Waits for the messages under way. Those that take too long are sent again to whoever listens next.
    async fn drain(&mut self) {
        let drained = tokio::time::timeout(DRAIN, async {
            while let Some(done) = self.in_flight.join_next().await {
                self.acknowledged += u64::from(done.unwrap_or(false));
            }
        });
        if drained.await.is_err() {
            warn("some messages are still under way; their outcome is unknown");
        }
    }

    async fn remove(&self, listener: &Listener) -> Result<(), RemoteError> {
        let path = format!("integrators/{}", listener.id);
        let removed = self
            .remote
            .send(Method::DELETE, &path, None, Duration::ZERO);
        match removed.await {
            Ok(_) => say("The listener is removed."),
            Err(error) if error.is_not_found() => say("The listener is removed."),
            Err(error) => warn(format_args!(
                "the listener could not be removed ({error}); it ends by itself within six minutes"
            )),
        }
        Ok(())
    }
}

/// Sends a message to the address, reports the answer, and prints one line; returns true if it is acknowledged.
async fn forward(
    remote: Arc<Remote>,
    forwarder: Arc<Forwarder>,
    clock: Clock,
    path: String,
    message: Message,
    timeout: Duration,
) -> bool {
    let begun_at = clock.now();
    let forwarded = forwarder.send(&message, timeout).await;
    let report = report(&message, &forwarded);
    let recorded = record(&remote, &clock, &path, &message, &report).await;
    let outcome = recorded.as_ref().map_or("not recorded", |recorded| {
        recorded["outcome"].as_str().unwrap_or("recorded too late")
    });
    let next = recorded
        .as_ref()
        .and_then(|recorded| recorded["next_attempt_at"].as_str())
        .and_then(|at| at.get(11..19))
        .map(|at| format!(", again at {at}"))
        .unwrap_or_default();
    let time = begun_at.format("%H:%M:%S");
    say(format_args!(
        "{time}  {message}  {forwarded}  {outcome}{next}"
    ));
    outcome == "acknowledged"
}

fn report(message: &Message, forwarded: &Forwarded) -> Value {
    let mut report = json!({
        "handoff_id": message.handoff_id, "round": message.round, "n": message.n, "fence": message.fence,
    });
    match forwarded {
        Forwarded::Answer(answer) => {
            report["status"] = json!(answer.status);
            report["response"] = json!(answer.text());
            for (field, value) in [("retry_after", &answer.retry_after), ("date", &answer.date)] {
                if let Some(value) = value {
                    report[field] = json!(value);
                }
            }
        }
        Forwarded::Nothing {
            error,
            may_have_arrived,
            ..
        } => {
            report["error"] = json!(error.chars().take(500).collect::<String>());
            report["may_have_arrived"] = json!(may_have_arrived);
        }
    }
    report
}

/// Reports an outcome until it is recorded or the lease ends; `None` if it is not recorded.
async fn record(
    remote: &Remote,
    clock: &Clock,
    path: &str,
    message: &Message,
    report: &Value,
) -> Option<Value> {
    let mut failures = 0;
    loop {
        match remote.post(path, report).await {
            Ok(recorded) => return Some(recorded),
            Err(RemoteError::Unavailable(_)) if clock.now() < message.leased_until => {
                failures += 1;
                tokio::time::sleep(remote.pause(failures)).await;
            }
            Err(error) => {
                warn(format_args!(
                    "the outcome is not recorded, and the message may come again: {error}"
                ));
                return None;
            }
        }
    }
}
