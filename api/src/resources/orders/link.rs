//! Links to one order's status page, for customers without an account: the token in it is signed and expires.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use domain::{ids::OrderId, order::Order, status::OrderStatus};
use platform::secrets::{SigningKeys, same};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use uuid::Uuid;

use super::{rights::visible_order, view::GuestOrderView};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{etag::IfNoneMatch, problem::Problem, response::Fresh, scalars::Time},
    state::ApiState,
};

/// Time after the order's creation for which its link is valid: longer than any order is open.
const VALID_FOR: TimeDelta = TimeDelta::days(30);
const ID_BYTES: usize = 16;
const EXPIRY_BYTES: usize = 8;
const SIGNATURE_BYTES: usize = 16;

#[derive(Clone, Debug)]
pub(crate) struct OrderLinks(pub(crate) ApiState);

/// A link for the customer of an order.
#[derive(Debug, Object)]
pub(super) struct OrderLink {
    /// Address of the order's status page. Everyone who has it sees the order as guests do; it allows nothing else.
    url: String,
    token: String,
    expires_at: Time,
}

/// An order as its status page shows it.
#[derive(Debug, Object)]
pub(super) struct LinkedOrder {
    store_name: String,
    /// The store's IANA time zone.
    timezone: String,
    expires_at: Time,
    order: GuestOrderView,
}

#[OpenApi(tag = "Topic::Orders")]
impl OrderLinks {
    /// Get the link to an order's status page
    ///
    /// For the customer, who needs no account for it: whoever has the link sees the order as guests do, without contact
    /// data, until `expires_at`. It is the same each time, until the operator replaces the key that signs it; links that were
    /// given out before stay valid meanwhile. Drafts have none: 404.
    #[oai(
        path = "/orders/:id/link",
        method = "get",
        operation_id = "get_order_link"
    )]
    async fn link(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<OrderLink>, Problem> {
        let (order, _) = visible_order(&self.0, &caller, id.0.into()).await?;
        if order.status == OrderStatus::Draft {
            return Err(Problem::not_found());
        }
        let expires_at = end_of(&order);
        let token = token_of(&self.0.keys.links, order.id, expires_at);
        Ok(Json(OrderLink {
            url: format!("{}/o/{token}", self.0.ledger.public_url()),
            token,
            expires_at: expires_at.into(),
        }))
    }

    /// Get an order by its link
    ///
    /// As guests see it. A token that is not valid, or not any more, gets 404.
    #[oai(
        path = "/order-links/:token",
        method = "get",
        operation_id = "get_linked_order"
    )]
    async fn linked(
        &self,
        Path(token): Path<String>,
        if_none_match: IfNoneMatch,
    ) -> Result<Fresh<LinkedOrder>, Problem> {
        let now = self.0.ledger.clock().now();
        let (id, expires_at) =
            read_token(&self.0.keys.links, &token, now).ok_or_else(Problem::not_found)?;
        let order = self.placed(id).await?;
        let store = self.0.ledger.store(order.store_id).await?;
        let store = store.ok_or_else(Problem::not_found)?;
        Ok(if_none_match.answer(LinkedOrder {
            store_name: store.name,
            timezone: store.timezone,
            expires_at: expires_at.into(),
            order: GuestOrderView::of(&order, None),
        }))
    }
}

impl OrderLinks {
    async fn placed(&self, id: OrderId) -> Result<Order, Problem> {
        let order = self.0.ledger.order(id).await?;
        order
            .filter(|order| order.status != OrderStatus::Draft)
            .ok_or_else(Problem::not_found)
    }
}

/// Returns the end of the order's link, in whole seconds, as the token has it.
fn end_of(order: &Order) -> DateTime<Utc> {
    let end = order.created_at + VALID_FOR;
    end.trunc_subsecs(0)
}

/// Returns the token: the order's id, the second in which it expires, and their signature.
fn token_of(keys: &SigningKeys, id: OrderId, expires_at: DateTime<Utc>) -> String {
    let mut token = Vec::with_capacity(ID_BYTES + EXPIRY_BYTES + SIGNATURE_BYTES);
    token.extend_from_slice(id.uuid().as_bytes());
    token.extend_from_slice(&expires_at.timestamp().to_be_bytes());
    let signature = keys.sign(&token);
    token.extend_from_slice(&signature[..SIGNATURE_BYTES]);
    URL_SAFE_NO_PAD.encode(token)
}

/// Returns the order's id and the end of the token, or `None` if it is not valid or not any more.
fn read_token(
    keys: &SigningKeys,
    token: &str,
    now: DateTime<Utc>,
) -> Option<(OrderId, DateTime<Utc>)> {
    let token = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (signed, signature) = token.split_at_checked(ID_BYTES + EXPIRY_BYTES)?;
    let mut right = keys.signatures(signed);
    if !right.any(|right| same(&right[..SIGNATURE_BYTES], signature)) {
        return None;
    }
    let (id, expires_at) = signed.split_at_checked(ID_BYTES)?;
    let expires_at = i64::from_be_bytes(expires_at.try_into().ok()?);
    let expires_at = DateTime::from_timestamp(expires_at, 0)?;
    let id = OrderId::from(Uuid::from_slice(id).ok()?);
    (now < expires_at).then_some((id, expires_at))
}

#[cfg(test)]
mod tests {
    use platform::secrets::Keys;

    use super::*;

    #[test]
    fn a_token_is_read_back_until_it_expires_and_only_with_its_key() {
        let key = Keys::seeded(1).links;
        let id = OrderId::from(Uuid::from_u128(7));
        let end = DateTime::from_timestamp(1_000, 0).unwrap();
        let before = DateTime::from_timestamp(999, 0).unwrap();
        let token = token_of(&key, id, end);
        assert_eq!(read_token(&key, &token, before), Some((id, end)));
        assert_eq!(read_token(&key, &token, end), None);
        assert_eq!(read_token(&Keys::seeded(2).links, &token, before), None);
        // During a rotation, whichever process made it.
        for keys in [Keys::seeded_beside(2, &[1]), Keys::seeded_beside(1, &[2])] {
            assert_eq!(read_token(&keys.links, &token, before), Some((id, end)));
        }
    }

    #[test]
    fn a_token_with_any_byte_changed_or_missing_is_refused() {
        let key = Keys::seeded(1).links;
        let id = OrderId::from(Uuid::from_u128(7));
        let end = DateTime::from_timestamp(1_000, 0).unwrap();
        let now = DateTime::from_timestamp(0, 0).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(token_of(&key, id, end)).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            for wrong in [&changed[..], &bytes[..place]] {
                assert_eq!(read_token(&key, &URL_SAFE_NO_PAD.encode(wrong), now), None);
            }
        }
        for wrong in ["", "x", "€", &"A".repeat(10_000)] {
            assert_eq!(read_token(&key, wrong, now), None);
        }
    }
}
