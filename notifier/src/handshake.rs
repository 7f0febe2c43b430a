//! Opens a channel: checks the client's code, ticket or token and builds the channel that it requested.

use std::pin::Pin;

use domain::{account::Account, api_key::KeyAction, ids::AccountId};
use ledger::accounts::TicketSubject;

use crate::{
    Notifier,
    channel::{Channel, ResumePoint},
    frame::Frame,
    protocol::Close,
    store_channel::StoreChannel,
};

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
        credentials: Option<Credentials>,
        after: Option<ResumePoint>,
    },
}

/// Proof of the account that may open a channel.
#[derive(Debug)]
pub(crate) enum Credentials {
    Ticket(String),
    /// Account of an access token, which was verified.
    Account(AccountId),
    /// Hash of an API key.
    Key([u8; 32]),
}

/// Opens the requested channel and returns it with its first frame.
pub(crate) async fn open(
    notifier: &Notifier,
    channel_request: ChannelRequest,
) -> Result<(OpenChannel, Frame), Close> {
    let (subject, credentials, after) = match channel_request {
        ChannelRequest::Session {
            code,
            after,
            guest_key,
        } => {
            let opened = Channel::for_session(notifier, &code, after, guest_key.as_deref());
            let (channel, hello) = opened.await?;
            return Ok((OpenChannel::One(Box::new(channel)), hello));
        }
        ChannelRequest::Ticketed {
            subject,
            credentials,
            after,
        } => (subject, credentials, after),
    };
    let credentials = credentials.ok_or(Close::Revoked)?;
    let by_token = !matches!(credentials, Credentials::Ticket(_));
    let account = authenticate(notifier, credentials, subject).await?;
    let opened = match subject {
        TicketSubject::Order(id) => Channel::for_order(notifier, id, &account, after)
            .await
            .map(|(channel, hello)| (OpenChannel::One(Box::new(channel)), hello)),
        TicketSubject::Store(id) => StoreChannel::open(notifier, id, &account)
            .await
            .map(|(channel, hello)| (OpenChannel::Store(Box::new(channel)), hello)),
    };
    opened.map_err(|close| match close {
        // The account is who it says, and the order or store is none of its own: as everywhere in the API, it is told
        // of no such thing.
        Close::Revoked if by_token => Close::NotFound,
        close => close,
    })
}

async fn authenticate(
    notifier: &Notifier,
    credentials: Credentials,
    subject: TicketSubject,
) -> Result<Account, Close> {
    let account = match credentials {
        Credentials::Ticket(ticket) => {
            let read = notifier.read(async |ledger| ledger.redeem_ticket(&ticket).await);
            let redeemed = read.await?.filter(|(_, allowed)| *allowed == subject);
            redeemed.map(|(account, _)| account)
        }
        Credentials::Account(id) => {
            let read = notifier.read(async |ledger| ledger.credentials_of(id).await);
            let known = read.await?.map(|known| known.account);
            known.filter(|account| !account.disabled)
        }
        Credentials::Key(hash) => {
            let read = notifier.read(async |ledger| ledger.api_key_by_hash(&hash).await);
            let now = notifier.0.ledger.clock().now();
            let key = read.await?.filter(|key| key.is_in_force(now));
            // As everywhere in the API, it is told of no such thing.
            if key
                .as_ref()
                .is_some_and(|key| !key.may(KeyAction::LiveRead))
            {
                return Err(Close::NotFound);
            }
            if let Some(key) = &key {
                notifier.0.ledger.note_api_key_use(key);
            }
            key.map(|key| key.account())
        }
    };
    account.ok_or(Close::Revoked)
}

/// Channel of any kind.
pub(crate) enum OpenChannel {
    One(Box<Channel>),
    Store(Box<StoreChannel>),
}

impl OpenChannel {
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, Close> {
        // Boxed here and below, so that an idle connection does not keep room for reads of the ledger.
        match self {
            Self::One(channel) => Box::pin(channel.next()).await,
            Self::Store(channel) => Box::pin(channel.next()).await,
        }
    }

    /// Refuses if the account could no longer get the ticket that opened the channel.
    pub(crate) async fn check_still_allowed(&self) -> Result<(), Close> {
        match self {
            Self::One(channel) => Box::pin(channel.check_still_allowed()).await,
            Self::Store(channel) => Box::pin(channel.check_still_allowed()).await,
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

    /// Returns the place at which the client goes on after the last frame; `None` on a store's channel, which has many
    /// streams.
    pub(crate) fn resume_point(&self) -> Option<ResumePoint> {
        match self {
            Self::One(channel) => Some(channel.resume_point()),
            Self::Store(_) => None,
        }
    }

    /// Sets the guest's key and returns a new snapshot; `None` on channels without guests.
    pub(crate) async fn set_guest(
        &mut self,
        key: &str,
        store: bool,
    ) -> Result<Option<Frame>, Close> {
        match self {
            Self::One(channel) => Box::pin(channel.set_guest(key, store)).await,
            Self::Store(_) => Ok(None),
        }
    }
}
