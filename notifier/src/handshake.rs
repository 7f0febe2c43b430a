//! Opens a channel: checks the client's code or ticket and builds the channel that it requested.

use std::{pin::Pin, time::Duration};

use futures_util::StreamExt;
use ledger::accounts::TicketSubject;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    Notifier,
    accept::ClientStream,
    channel::{Channel, ResumePoint},
    frame::Frame,
    protocol::{ClientMessage, Close, End},
    store_channel::StoreChannel,
};

/// Timeout for the ticket of a client that does not send it in the URL.
const TICKET_TIMEOUT: Duration = Duration::from_secs(10);

/// Channel that a client requested.
#[derive(Debug)]
pub(crate) enum ChannelRequest {
    Session {
        code: String,
        after: Option<ResumePoint>,
        guest_key: Option<String>,
    },
    Ticketed {
        subject: TicketSubject,
        ticket: Option<String>,
        after: Option<ResumePoint>,
    },
}

/// Opens the requested channel and returns it with its first frame.
pub(crate) async fn open(
    notifier: &Notifier,
    stream: &mut ClientStream,
    channel_request: ChannelRequest,
) -> Result<(OpenChannel, Frame), End> {
    let (subject, ticket, after) = match channel_request {
        ChannelRequest::Session {
            code,
            after,
            guest_key,
        } => {
            let opened = Channel::for_session(notifier, &code, after, guest_key.as_deref());
            let (channel, hello) = opened.await?;
            return Ok((OpenChannel::One(channel), hello));
        }
        ChannelRequest::Ticketed {
            subject,
            ticket,
            after,
        } => (subject, ticket, after),
    };
    let ticket = match ticket {
        Some(ticket) => ticket,
        None => timeout(TICKET_TIMEOUT, first_ticket(stream))
            .await
            .unwrap_or(Err(Close::Revoked.into()))?,
    };
    let read = notifier.read(async |ledger| ledger.redeem_ticket(&ticket).await);
    let account = match read.await? {
        Some((account, allowed)) if allowed == subject => account,
        _ => return Err(Close::Revoked.into()),
    };
    Ok(match subject {
        TicketSubject::Order(id) => {
            let (channel, hello) = Channel::for_order(notifier, id, &account, after).await?;
            (OpenChannel::One(channel), hello)
        }
        TicketSubject::Store(id) => {
            let (channel, hello) = StoreChannel::open(notifier, id, &account).await?;
            (OpenChannel::Store(channel), hello)
        }
    })
}

/// Reads the client's first message, which must be its ticket.
async fn first_ticket(stream: &mut ClientStream) -> Result<String, End> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(text))) => {
                return match serde_json::from_str(&text) {
                    Ok(ClientMessage::Ticket { ticket }) => Ok(ticket),
                    _ => Err(Close::Revoked.into()),
                };
            }
            Some(Ok(Message::Binary(_))) => return Err(Close::Revoked.into()),
            _ => return Err(End::Gone),
        }
    }
}

/// Channel of any kind.
pub(crate) enum OpenChannel {
    One(Channel),
    Store(StoreChannel),
}

impl OpenChannel {
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, Close> {
        match self {
            Self::One(channel) => channel.next().await,
            Self::Store(channel) => channel.next().await,
        }
    }

    /// Refuses if the account could no longer get the ticket that opened the channel.
    pub(crate) async fn check_still_allowed(&self) -> Result<(), Close> {
        match self {
            Self::One(channel) => channel.check_still_allowed().await,
            Self::Store(channel) => channel.check_still_allowed().await,
        }
    }

    /// Waits until [`Self::next`] may have a frame or closes the channel. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        match self {
            Self::One(channel) => channel.changed().await,
            Self::Store(channel) => channel.changed().await,
        }
    }

    /// Waits until the client is too far behind: by more than `capacity` events, or than a store's queue holds.
    pub(crate) fn fell_behind(&self, capacity: i64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self {
            Self::One(channel) => Box::pin(channel.fell_behind(capacity)),
            Self::Store(channel) => Box::pin(channel.fell_behind()),
        }
    }

    /// Sets the guest's key and returns a new snapshot; `None` on channels without guests.
    pub(crate) async fn set_guest(&mut self, key: &str) -> Result<Option<Frame>, Close> {
        match self {
            Self::One(channel) => channel.set_guest(key).await,
            Self::Store(_) => Ok(None),
        }
    }
}
