//! How a channel begins: what the client asked for, whether its code or ticket allows it, and which channel that is.

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

/// How long a client without a ticket in its address may take to say it.
const TICKET_WITHIN: Duration = Duration::from_secs(10);

/// What a client asked for.
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

/// The channel and its first frame.
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

/// The first thing that a client says must be its ticket.
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

/// A channel of whichever kind.
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

    /// Refused once a ticket like the one that opened it would not be given any more.
    pub(crate) async fn must_still_be_allowed(&self) -> Result<(), Close> {
        match self {
            Self::One(channel) => channel.must_still_be_allowed().await,
            Self::Store(channel) => channel.must_still_be_allowed().await,
        }
    }

    /// Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        match self {
            Self::One(channel) => channel.changed().await,
            Self::Store(channel) => channel.changed().await,
        }
    }

    /// Returns when the client is further behind than so many events.
    pub(crate) fn too_far(&self, capacity: i64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self {
            Self::One(channel) => Box::pin(channel.too_far(capacity)),
            Self::Store(channel) => Box::pin(channel.too_far()),
        }
    }

    /// Nothing where no guests are.
    pub(crate) async fn guest_is(&mut self, key: &str) -> Result<Option<String>, Close> {
        match self {
            Self::One(channel) => channel.guest_is(key).await,
            Self::Store(_) => Ok(None),
        }
    }
}
