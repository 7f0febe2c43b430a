//! Opens a channel: checks the client's code or ticket and builds the channel that it requested.

use std::{pin::Pin, time::Duration};

use futures_util::StreamExt;
use ledger::accounts::TicketSubject;
use poem::web::websocket::{Message, WebSocketStream};
use tokio::time::timeout;

use crate::{
    Notifier,
    channel::Channel,
    protocol::{Close, End, FromClient},
    store_channel::StoreChannel,
};

/// Timeout for the ticket of a client that does not send it in the URL.
const TICKET_WITHIN: Duration = Duration::from_secs(10);

/// Channel that a client requested.
#[derive(Debug)]
pub(crate) enum Wish {
    Session {
        code: String,
        after: Option<i64>,
        guest_key: Option<String>,
    },
    Ticketed {
        subject: TicketSubject,
        ticket: Option<String>,
        after: Option<i64>,
    },
}

/// Opens the requested channel and returns it with its first frame.
pub(crate) async fn open(
    notifier: &Notifier,
    stream: &mut WebSocketStream,
    wish: Wish,
) -> Result<(Shown, String), End> {
    let (subject, ticket, after) = match wish {
        Wish::Session {
            code,
            after,
            guest_key,
        } => {
            let opened = Channel::of_session(notifier, &code, after, guest_key.as_deref());
            let (channel, hello) = opened.await?;
            return Ok((Shown::One(channel), hello));
        }
        Wish::Ticketed {
            subject,
            ticket,
            after,
        } => (subject, ticket, after),
    };
    let ticket = match ticket {
        Some(ticket) => ticket,
        None => timeout(TICKET_WITHIN, first_ticket(stream))
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
            let (channel, hello) = Channel::of_order(notifier, id, &account, after).await?;
            (Shown::One(channel), hello)
        }
        TicketSubject::Store(id) => {
            let (channel, hello) = StoreChannel::open(notifier, id, &account).await?;
            (Shown::Store(channel), hello)
        }
    })
}

/// Reads the client's first message, which must be its ticket.
async fn first_ticket(stream: &mut WebSocketStream) -> Result<String, End> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(text))) => {
                return match serde_json::from_str(&text) {
                    Ok(FromClient::Ticket { ticket }) => Ok(ticket),
                    _ => Err(Close::Revoked.into()),
                };
            }
            Some(Ok(Message::Binary(_))) => return Err(Close::Revoked.into()),
            _ => return Err(End::Gone),
        }
    }
}

/// Channel of any kind.
pub(crate) enum Shown {
    One(Channel),
    Store(StoreChannel),
}

impl Shown {
    pub(crate) async fn next(&mut self) -> Result<Option<String>, Close> {
        match self {
            Self::One(channel) => channel.next().await,
            Self::Store(channel) => channel.next().await,
        }
    }

    /// Refuses if the account could no longer get the ticket that opened the channel.
    pub(crate) async fn must_still_be_allowed(&self) -> Result<(), Close> {
        match self {
            Self::One(channel) => channel.must_still_be_allowed().await,
            Self::Store(channel) => channel.must_still_be_allowed().await,
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
    pub(crate) fn too_far(&self, capacity: i64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self {
            Self::One(channel) => Box::pin(channel.too_far(capacity)),
            Self::Store(channel) => Box::pin(channel.too_far()),
        }
    }

    /// Sets the guest's key and returns a new snapshot; `None` on channels without guests.
    pub(crate) async fn guest_is(&mut self, key: &str) -> Result<Option<String>, Close> {
        match self {
            Self::One(channel) => channel.guest_is(key).await,
            Self::Store(_) => Ok(None),
        }
    }
}
