//! Statuses of a delivery, and the step that follows each.

use poem_openapi::Enum;

/// Status of a delivery, in seed 004's words; `CANCELLED` is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    ReadyForPickUp,
    AtOrigin,
    EnRouteOfDelivery,
    NotDelivered,
    Delivered,
    Cancelled,
}

impl Status {
    pub(crate) const ALL: [Self; 6] = [
        Self::ReadyForPickUp,
        Self::AtOrigin,
        Self::EnRouteOfDelivery,
        Self::NotDelivered,
        Self::Delivered,
        Self::Cancelled,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ReadyForPickUp => "READY_FOR_PICK_UP",
            Self::AtOrigin => "AT_ORIGIN",
            Self::EnRouteOfDelivery => "EN_ROUTE_OF_DELIVERY",
            Self::NotDelivered => "NOT_DELIVERED",
            Self::Delivered => "DELIVERED",
            Self::Cancelled => "CANCELLED",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Returns the next status; `None` if this one is final. `delivers` decides how a delivery attempt ends.
    pub(crate) fn next(self, delivers: impl FnOnce() -> bool) -> Option<Self> {
        match self {
            Self::ReadyForPickUp => Some(Self::AtOrigin),
            Self::AtOrigin | Self::NotDelivered => Some(Self::EnRouteOfDelivery),
            Self::EnRouteOfDelivery if delivers() => Some(Self::Delivered),
            Self::EnRouteOfDelivery => Some(Self::NotDelivered),
            Self::Delivered | Self::Cancelled => None,
        }
    }

    pub(crate) const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Cancelled)
    }

    /// Returns true while nobody has picked the parcel up.
    pub(crate) const fn may_be_cancelled(self) -> bool {
        matches!(self, Self::ReadyForPickUp | Self::AtOrigin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_goes_seed_004s_way_and_round_again_until_it_is_delivered() {
        let mut status = Status::ReadyForPickUp;
        let mut way = vec![status.as_str()];
        for delivers in [false, false, false, false, false, true, true] {
            let Some(next) = status.next(|| delivers) else {
                break;
            };
            status = next;
            way.push(status.as_str());
        }
        assert_eq!(
            way,
            [
                "READY_FOR_PICK_UP",
                "AT_ORIGIN",
                "EN_ROUTE_OF_DELIVERY",
                "NOT_DELIVERED",
                "EN_ROUTE_OF_DELIVERY",
                "NOT_DELIVERED",
                "EN_ROUTE_OF_DELIVERY",
                "DELIVERED"
            ]
        );
        assert!(status.is_final());
    }

    #[test]
    fn a_final_status_has_no_next_and_only_those_have_none() {
        for status in Status::ALL {
            assert_eq!(status.next(|| true).is_none(), status.is_final());
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("delivered"), None);
    }
}
