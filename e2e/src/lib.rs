//! Drives the real binary from outside: starts it on a directory of its own, calls it, stops it, kills it.

mod channel; // a live channel, frame by frame
mod folder; // a directory that goes with its test
mod launch; // how a binary is started, and what it refuses

mod expediter; // one that runs
mod fleet; // several of each kind, on servers
mod ground; // embedded, or on servers
mod integrator; // the test as integrator
mod python; // packages that tests borrow
mod reckoning; // what must be true when everything has come to its end
mod request_file; // requests.http, read and run
mod screen; // a page that comes back
mod shop; // a store of a test's own

pub mod chaos; // rounds of trouble, and their reckoning

pub use channel::{Channel, Frame};
pub use expediter::{Expediter, client};
pub use fleet::{Fleet, FleetTable, Gate, Kind, Member};
pub use folder::Folder;
pub use ground::{Ground, on_embedded, on_servers};
pub use integrator::{Called, Integrator, Mood, Received, SignedWith};
pub use launch::{Ended, Launch, built};
pub use python::PythonTools;
pub use reckoning::{Reckoning, Wish, all_go_on, one_to};
pub use request_file::RequestFile;
pub use screen::Screen;
pub use shop::{Shop, text};

use std::time::Duration;

/// Whatever takes longer than this has failed. Generous, because machines that test are busy.
pub const SOON: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer; panics with `what` when there is none within [`SOON`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    until_within(SOON, what, &mut ask).await
}

/// As [`until`], with another patience.
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
