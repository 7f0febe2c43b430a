//! Orders as the API shows them, to accounts and to guests.

use crate::http::{
    enums,
    etag::IfMatch,
    problem::Problem,
    scalars::{self, Time},
};
use domain::{
    order::{Item, Order},
    status::{self, By},
};
use poem_openapi::Object;
use uuid::Uuid;

use super::{
    options::{GuestItemOptionView, ItemOptionView},
    request::CustomerFields,
    rights::has_guest_key,
};

/// An order; it has the same form everywhere.
#[derive(Debug, Object)]
#[oai(rename = "Order")]
pub(crate) struct OrderView {
    id: Uuid,
    /// Consecutive number within the store, for people.
    number: Option<i64>,
    store_id: Uuid,
    session: Option<SessionName>,
    reference: Option<String>,
    fulfilment: enums::Fulfilment,
    status: enums::OrderStatus,
    /// Why it was rejected, failed or cancelled.
    reason: Option<String>,
    /// Increases with each edit by a person.
    version: i64,
    /// Statuses that this caller may move the order to.
    next: Vec<enums::OrderStatus>,
    customer: CustomerFields,
    items: Vec<ItemView>,
    total: scalars::Money,
    user_note: Option<String>,
    /// The order is ended if it has not been accepted by then.
    accept_by: Option<Time>,
    /// Time for which it is ordered. Null: as soon as possible.
    wanted_at: Option<Time>,
    /// Time at which it is expected to be ready.
    ready_at: Option<Time>,
    /// Set while an order for later waits for its hand-over, at this time. Before, no integrator is told of it.
    hand_over_at: Option<Time>,
    delivery: Option<DeliveryView>,
    /// Id of the order that this one replaces.
    replaces: Option<Uuid>,
    created_at: Time,
    placed_at: Option<Time>,
    accepted_at: Option<Time>,
    ended_at: Option<Time>,
    /// Time of the last change; null if that was before the version that notes it.
    updated_at: Option<Time>,
    /// Place in a distributed trace of the request that made it (W3C Trace Context); absent if that is not recorded.
    #[oai(skip_serializing_if_is_none)]
    traceparent: Option<String>,
}

#[derive(Debug, Object)]
struct SessionName {
    name: String,
}

/// An item of an order, with the name, sku and price at the time of sale.
#[derive(Debug, Object)]
#[oai(rename = "OrderItem")]
struct ItemView {
    id: Uuid,
    product_id: Uuid,
    sku: Option<String>,
    name: String,
    quantity: u32,
    /// Price of one piece with its options.
    unit_price: scalars::Money,
    options: Vec<ItemOptionView>,
    total: scalars::Money,
    note: Option<String>,
}

#[derive(Debug, Object)]
#[oai(rename = "Delivery")]
struct DeliveryView {
    status: enums::DeliveryStatus,
    tracking_number: Option<String>,
    history: Vec<DeliveryStepView>,
}

#[derive(Debug, Object)]
#[oai(rename = "DeliveryStep")]
struct DeliveryStepView {
    status: enums::DeliveryStatus,
    at: Time,
}

/// An order as the guests of its session see it.
#[derive(Debug, Object)]
#[oai(rename = "GuestOrder")]
pub(crate) struct GuestOrderView {
    id: Uuid,
    number: Option<i64>,
    status: enums::OrderStatus,
    reason: Option<String>,
    fulfilment: enums::Fulfilment,
    /// True if it was placed with the `Expediter-Guest` key of this request.
    mine: bool,
    next: Vec<enums::OrderStatus>,
    items: Vec<GuestItemView>,
    total: scalars::Money,
    accept_by: Option<Time>,
    wanted_at: Option<Time>,
    ready_at: Option<Time>,
    hand_over_at: Option<Time>,
    delivery: Option<GuestDeliveryView>,
    created_at: Time,
    placed_at: Option<Time>,
    accepted_at: Option<Time>,
    ended_at: Option<Time>,
    /// Place in a distributed trace of the request that made it (W3C Trace Context); absent if that is not recorded.
    #[oai(skip_serializing_if_is_none)]
    traceparent: Option<String>,
}

#[derive(Debug, Object)]
#[oai(rename = "GuestOrderItem")]
struct GuestItemView {
    id: Uuid,
    product_id: Uuid,
    name: String,
    quantity: u32,
    /// Price of one piece with its options.
    unit_price: scalars::Money,
    options: Vec<GuestItemOptionView>,
    total: scalars::Money,
    note: Option<String>,
}

#[derive(Debug, Object)]
#[oai(rename = "GuestDelivery")]
struct GuestDeliveryView {
    status: enums::DeliveryStatus,
}

impl OrderView {
    /// Converts an order; `by` is the capacity in which the caller acts on it.
    pub(crate) fn of(order: &Order, by: Option<By>) -> Self {
        Self {
            id: order.id.uuid(),
            number: order.number,
            store_id: order.store_id.uuid(),
            session: order.session.as_ref().map(|session| SessionName {
                name: session.name.clone(),
            }),
            reference: order.reference.clone(),
            fulfilment: order.fulfilment.into(),
            status: order.status.into(),
            reason: order.reason.clone(),
            version: order.version,
            next: next(order, by),
            customer: order.customer.clone().into(),
            items: order.items.iter().map(ItemView::of).collect(),
            total: order.total.into(),
            user_note: order.user_note.clone(),
            accept_by: order.accept_by.map(Into::into),
            wanted_at: order.timing.wanted_at.map(Into::into),
            ready_at: order.timing.ready_at.map(Into::into),
            hand_over_at: order.waits_until().map(Into::into),
            delivery: order.delivery.as_ref().map(|delivery| DeliveryView {
                status: delivery.status.into(),
                tracking_number: delivery.tracking_number.clone(),
                history: delivery
                    .history
                    .iter()
                    .map(|step| DeliveryStepView {
                        status: step.status.into(),
                        at: step.at.into(),
                    })
                    .collect(),
            }),
            replaces: order.replaces.map(domain::ids::OrderId::uuid),
            created_at: order.created_at.into(),
            placed_at: order.placed_at.map(Into::into),
            accepted_at: order.accepted_at.map(Into::into),
            ended_at: order.ended_at.map(Into::into),
            updated_at: order.updated_at.map(Into::into),
            traceparent: traceparent(order),
        }
    }
}

impl OrderView {
    pub(super) fn location(&self) -> String {
        format!("/api/v1/orders/{}", self.id)
    }
}

fn traceparent(order: &Order) -> Option<String> {
    order.trace.map(|trace| trace.to_string())
}

impl ItemView {
    fn of(item: &Item) -> Self {
        Self {
            id: item.id.uuid(),
            product_id: item.product_id.uuid(),
            sku: item.sku.clone(),
            name: item.name.clone(),
            quantity: item.quantity,
            unit_price: item.unit_price.into(),
            options: item.options.iter().map(Into::into).collect(),
            total: item.total().into(),
            note: item.note.clone(),
        }
    }
}

impl GuestOrderView {
    pub(crate) fn of(order: &Order, key_hash: Option<[u8; 32]>) -> Self {
        let mine = has_guest_key(order, key_hash);
        Self {
            id: order.id.uuid(),
            number: order.number,
            status: order.status.into(),
            reason: order.reason.clone(),
            fulfilment: order.fulfilment.into(),
            mine,
            next: next(order, mine.then_some(By::Guest)),
            items: order
                .items
                .iter()
                .map(|item| GuestItemView {
                    id: item.id.uuid(),
                    product_id: item.product_id.uuid(),
                    name: item.name.clone(),
                    quantity: item.quantity,
                    unit_price: item.unit_price.into(),
                    options: item.options.iter().map(Into::into).collect(),
                    total: item.total().into(),
                    note: item.note.clone(),
                })
                .collect(),
            total: order.total.into(),
            accept_by: order.accept_by.map(Into::into),
            wanted_at: order.timing.wanted_at.map(Into::into),
            ready_at: order.timing.ready_at.map(Into::into),
            hand_over_at: order.waits_until().map(Into::into),
            delivery: order.delivery.as_ref().map(|delivery| GuestDeliveryView {
                status: delivery.status.into(),
            }),
            created_at: order.created_at.into(),
            placed_at: order.placed_at.map(Into::into),
            accepted_at: order.accepted_at.map(Into::into),
            ended_at: order.ended_at.map(Into::into),
            traceparent: traceparent(order),
        }
    }
}

fn next(order: &Order, by: Option<By>) -> Vec<enums::OrderStatus> {
    let facts = order.move_facts();
    let next = by.map_or_else(Vec::new, |by| status::next(order.status, by, facts));
    next.into_iter().map(Into::into).collect()
}

/// Returns the order as the ledger must still find it; `None` without an `If-Match` to check.
pub(super) fn check_if_match<'o>(
    if_match: &IfMatch,
    order: &'o Order,
    by: By,
) -> Result<Option<&'o Order>, Problem> {
    let shown = OrderView::of(order, Some(by));
    let version = if_match.match_version(&shown, order.version)?;
    Ok(version.map(|_| order))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::{
        delivery::{Delivery, DeliveryStatus, DeliveryStep},
        money::{MAX_AMOUNT, Money},
        options::{ChosenOption, MAX_OPTION_QUANTITY},
        order::{Customer, Fulfilment, MAX_QUANTITY, OrderSession},
        status::OrderStatus,
        timing::Timing,
    };
    use poem_openapi::types::ToJSON;

    use super::*;

    /// Returns an order whose fields are all as long as they get, with `text` in each text.
    fn longest(text: &str, items: usize, options: usize) -> Order {
        let (id, at) = (Uuid::max(), DateTime::from_timestamp(1 << 33, 999_999_000));
        let text = || Some(text.to_owned());
        let euros = |amount| Money::new(amount, "EUR".parse().unwrap());
        let status = DeliveryStatus::EnRoute;
        let step = DeliveryStep {
            status,
            at: at.unwrap(),
        };
        let option = ChosenOption {
            id: id.into(),
            group: text().unwrap(),
            name: text().unwrap(),
            sku: text(),
            price: euros(-MAX_AMOUNT),
            quantity: MAX_OPTION_QUANTITY,
            product_id: Some(id.into()),
            counted: true,
        };
        let item = Item {
            id: id.into(),
            product_id: id.into(),
            sku: text(),
            name: text().unwrap(),
            quantity: MAX_QUANTITY,
            unit_price: euros(MAX_AMOUNT / i64::from(MAX_QUANTITY)),
            options: vec![option; options],
            note: text(),
            counted: true,
        };
        Order {
            id: id.into(),
            store_id: id.into(),
            number: Some(i64::MIN),
            session: Some(OrderSession {
                id: id.into(),
                name: text().unwrap(),
            }),
            account_id: None,
            guest_key_hash: None,
            reference: text(),
            fulfilment: Fulfilment::Delivery,
            status: OrderStatus::Pending,
            reason: text(),
            version: i64::MIN,
            stock_held: true,
            tallied: true,
            customer: Customer {
                id: text(),
                name: text(),
                phone: text(),
                email: text(),
                address: text(),
                lat: Some(-1.234_567_890_123_456_7e-100),
                lng: Some(-1.234_567_890_123_456_7e-100),
                device_token: text(),
            },
            items: vec![item; items],
            total: euros(MAX_AMOUNT),
            user_note: text(),
            accept_by: at,
            timing: Timing {
                wanted_at: at,
                ready_at: at,
                hand_over_at: at,
                ..Timing::default()
            },
            delivery: Some(Delivery {
                status,
                tracking_number: text(),
                history: vec![step; items],
            }),
            replaces: Some(id.into()),
            trace: Some(domain::trace::TraceContext {
                trace: u128::MAX,
                span: u64::MAX,
                is_sampled: true,
            }),
            created_at: at.unwrap(),
            placed_at: at,
            accepted_at: at,
            ended_at: at,
            updated_at: None,
        }
    }

    #[test]
    fn no_order_is_longer_than_answers_count_for_it_and_few_are_much_shorter() {
        for text in ["", "plain text", "\u{1}\u{1f}\"\\", "ünïcode ☕"] {
            for (items, options) in [(0, 0), (1, 0), (1, 50), (50, 0), (50, 3)] {
                let order = longest(text, items, options);
                let counted = order.max_json_bytes();
                let shown = OrderView::of(&order, Some(By::Operator)).to_json_string();
                let guests = GuestOrderView::of(&order, None).to_json_string();
                let facts = order.public_facts().to_string();
                for written in [shown.len(), guests.len(), facts.len()] {
                    assert!(written <= counted, "{text:?} {items}: {written}");
                }
                assert!(counted < 2 * shown.len(), "{text:?} {items}: {counted}");
            }
        }
    }
}
