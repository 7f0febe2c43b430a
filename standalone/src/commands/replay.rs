//! `expediter replay HANDOFF --to URL`: sends the message of a past handoff again, from this machine to any address.
//!
//! Expediter only tells the message: it connects to nothing, and nothing is recorded.

use std::{process::ExitCode, time::Duration};

use runtime::config::Settings;

use super::{
    forward::{Forwarded, Forwarder, Message},
    remote::Remote,
    say,
};
use crate::{command_line::Replay, refusal::Refusal};

/// Time that the address has to answer, as by default from the worker.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn replay(settings: &Settings, options: Replay) -> Result<ExitCode, Refusal> {
    let remote = Remote::new(settings, &options.remote)?;
    let forwarder = Forwarder::new(options.to)?;
    let path = format!("handoffs/{}/message", options.handoff);
    let failed = Refusal::failed("replay");
    let message = remote.get(&path).await.map_err(failed)?;
    let message: Message =
        serde_json::from_value(message).map_err(Refusal::failed("reading the message"))?;
    let forwarded = forwarder.send(&message, TIMEOUT).await;
    say(format_args!(
        "{}  {}  to {}  {forwarded}",
        message.event,
        message.handoff_id,
        forwarder.address()
    ));
    Ok(match forwarded {
        Forwarded::Answer(answer) if (200..300).contains(&answer.status) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
