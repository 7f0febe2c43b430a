//! Tests the real binaries from outside: starts them in temporary directories, calls, stops and kills them.

mod channel; // a WebSocket client for live channels
mod collector; // a collector of traces and metrics inside the test
mod courier; // a courier inside the test
mod event_stream; // a client for server-sent events
mod folder; // a temporary directory
mod launch; // the parameters of a process to start
mod npm; // packages from npm for tests
mod published; // the documents in openapi/

mod expediter; // a running process
mod fleet; // several processes of each kind, on servers
mod ground; // embedded, or on servers
mod integrator; // an integrator inside the test
mod python; // Python packages for tests
mod reckoning; // invariants when all orders have ended
mod request_file; // parses and runs requests.http
mod screen; // a page that reconnects
mod shop; // a test's store

pub mod chaos; // rounds of failures, with their verification
pub mod gateway; // nginx in front of processes

pub use channel::{Channel, Frame};
pub use collector::{Collector, Seen};
pub use courier::Courier;
pub use event_stream::EventStream;
pub use expediter::{Expediter, client};
pub use fleet::{Fleet, Gate, Kind, Member};
pub use folder::Folder;
pub use gateway::Gateway;
pub use ground::{Ground, on_embedded, on_servers};
pub use integrator::{Integrator, Mood, Received, SentCallback, SignedWith};
pub use launch::{Ended, Launch, built};
pub use npm::NpmTools;
pub use published::Published;
pub use python::PythonTools;
pub use reckoning::{Verification, Wish, advance_all, one_to};
pub use request_file::RequestFile;
pub use screen::Screen;
pub use shop::{Shop, text};

use std::time::Duration;

/// Default timeout of tests. Generous, because test machines are busy.
pub const SOON: Duration = Duration::from_secs(30);

/// Calls `ask` repeatedly until it returns a value; panics with `what` if it returns none within [`SOON`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    until_within(SOON, what, &mut ask).await
}

/// Like [`until`], with another timeout.
pub async fn until_within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::time::timeout(patience, asked).await;
    answer.unwrap_or_else(|_| panic!("{what}: not within {} s", patience.as_secs()))
}
