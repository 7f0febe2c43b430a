//! Identifiers: one type for each kind of thing, all UUIDv7 inside, so that one kind cannot be passed for another.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The smallest and the largest id; nothing has them.
            pub const MIN: Self = Self(Uuid::nil());
            pub const MAX: Self = Self(Uuid::max());

            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        crate::sql::stored_as_uuid!($name);

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    StoreId,
    ProductId,
    /// A heading of a store's menu.
    CategoryId,
    /// An uploaded image; it never changes.
    ImageId,
    SessionId,
    OrderId,
    ItemId,
    OptionGroupId,
    OptionId,
    IntegratorId,
    /// Id of a handoff, and the `webhook-id` of every request that it makes.
    HandoffId,
    AttemptId,
    CallbackId,
    /// A manual retry of one or several handoffs.
    RetryId,
    AccountId,
    /// A record of a change by people.
    RecordId,
    /// A request to erase a person's data.
    ErasureId,
    OutboxId,
    /// A worker process, from its start to its end.
    WorkerId,
    /// A session's id, the id of an order that has no session, or a store's (pauses, availability).
    StreamId,
    /// A stretch of the ledger's history in which no stream number was given out twice.
    EpochId,
    /// One chain of rotated refresh tokens; reuse of an old one revokes the whole chain.
    TokenFamilyId,
}

impl From<SessionId> for StreamId {
    fn from(id: SessionId) -> Self {
        Self(id.0)
    }
}

impl From<OrderId> for StreamId {
    fn from(id: OrderId) -> Self {
        Self(id.0)
    }
}

impl From<StoreId> for StreamId {
    fn from(id: StoreId) -> Self {
        Self(id.0)
    }
}

/// Returns a UUID smaller than every id that was drawn at that time or later.
#[must_use]
pub fn min_id_at(at: DateTime<Utc>) -> Uuid {
    let unix_ms = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(unix_ms, &[0; 10]).into_uuid()
}
