//! JSON that the API takes and returns, as the document shows it.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::{
    clock::from_ms,
    database::{
        accounts::Webhook,
        deliveries::{self, Delivery, Step},
        notifications,
    },
    status::Status,
};

/// Username and password.
#[derive(Debug, Object)]
pub(crate) struct Credentials {
    #[oai(validator(min_length = 1, max_length = 100))]
    username: String,
    /// At least 8 characters for a new account.
    #[oai(validator(min_length = 1, max_length = 200))]
    password: String,
}

#[derive(Debug, Object)]
pub(crate) struct ShownAccount {
    pub(crate) id: i64,
    pub(crate) username: String,
    /// `marketplace_user`, `marketplace_admin` or `delivery_service`.
    pub(crate) role: String,
}

#[derive(Debug, Object)]
pub(crate) struct ShownToken {
    pub(crate) token: String,
    pub(crate) expires_at: DateTime<Utc>,
}

/// Message about an order, in seed 004's shape. Unknown fields are ignored.
#[derive(Debug, Object)]
pub(crate) struct DeliveryMessage {
    /// Absent, `order.dispatched` or `order.placed` makes a delivery; `order.cancelled` needs only `order.foreign_order_id`;
    /// any other event asks for nothing.
    event: Option<String>,
    /// Address for updates, if a callback secret is configured or registered.
    callback_url: Option<String>,
    order: OrderMessage,
    origin: Address,
    destination: Destination,
}

/// Order of a message.
#[derive(Debug, Object)]
struct OrderMessage {
    /// The sender's id of the order; there is one delivery for it. A number is taken too.
    #[oai(validator(min_length = 1, max_length = 200))]
    foreign_order_id: String,
    #[oai(validator(max_items = 1000))]
    products: Vec<Product>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Object)]
pub(crate) struct Product {
    #[oai(validator(max_length = 200))]
    pub(crate) sku: String,
    #[oai(validator(max_length = 500))]
    pub(crate) name: String,
    #[oai(validator(minimum(value = "1")))]
    pub(crate) qty: i64,
}

#[derive(Debug, Object)]
struct Address {
    #[oai(validator(max_length = 500))]
    address: String,
}

#[derive(Debug, Object)]
struct Destination {
    #[oai(default, validator(max_length = 500))]
    name: String,
    #[oai(validator(max_length = 500))]
    address: String,
}

/// A delivery. Its tracking number and status come first, as in seed 004.
#[derive(Debug, Object)]
#[oai(rename = "Delivery")]
pub(crate) struct ShownDelivery {
    tracking_number: String,
    status: Status,
    id: i64,
    foreign_order_id: String,
    products: Vec<Product>,
    origin: Address,
    destination: Destination,
    created_at: DateTime<Utc>,
    /// Time of the next step; absent at the end.
    #[oai(skip_serializing_if_is_none)]
    next_step_at: Option<DateTime<Utc>>,
}

/// A delivery with its steps and their notifications.
#[derive(Debug, Object)]
pub(crate) struct DeliveryDetails {
    #[oai(flatten)]
    delivery: ShownDelivery,
    history: Vec<ShownStep>,
    notifications: Vec<ShownNotification>,
}

#[derive(Debug, Object)]
#[oai(rename = "Step")]
struct ShownStep {
    /// 0 is the creation; the `sequence` of the update that tells of it.
    sequence: i64,
    status: Status,
    at: DateTime<Utc>,
}

#[derive(Debug, Object)]
#[oai(rename = "Notification")]
struct ShownNotification {
    sequence: i64,
    webhook_id: String,
    url: String,
    /// Number of requests.
    tries: i64,
    #[oai(skip_serializing_if_is_none)]
    last_status: Option<i64>,
    #[oai(skip_serializing_if_is_none)]
    next_try_at: Option<DateTime<Utc>>,
    #[oai(skip_serializing_if_is_none)]
    taken_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Object)]
pub(crate) struct DeliveryPage {
    pub(crate) items: Vec<ShownDelivery>,
    /// Cursor of the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// One step of one delivery.
#[derive(Debug, Object)]
pub(crate) struct HistoryLine {
    delivery_id: i64,
    tracking_number: String,
    foreign_order_id: String,
    sequence: i64,
    status: Status,
    at: DateTime<Utc>,
}

#[derive(Debug, Object)]
pub(crate) struct HistoryPage {
    pub(crate) items: Vec<HistoryLine>,
    pub(crate) next_cursor: Option<String>,
}

/// Registration of a receiver of updates.
#[derive(Debug, Object)]
pub(crate) struct NewWebhook {
    /// Receives every change of the account's deliveries. Without it, updates go to the `callback_url` of each message.
    #[oai(validator(max_length = 2000))]
    url: Option<String>,
    /// Secret that updates are signed with, as `whsec_…`; made if it is missing.
    callback_secret: Option<String>,
    /// Secret that the account's messages must be signed with, as `whsec_…`.
    signing_secret: Option<String>,
}

/// A webhook. Secrets are shown only in the answer to its registration.
#[derive(Debug, Object)]
#[oai(rename = "Webhook")]
pub(crate) struct ShownWebhook {
    pub(crate) id: i64,
    pub(crate) url: Option<String>,
    pub(crate) has_signing_secret: bool,
    pub(crate) created_at: DateTime<Utc>,
    #[oai(skip_serializing_if_is_none)]
    pub(crate) callback_secret: Option<String>,
}

#[derive(Debug, Object)]
pub(crate) struct WebhookList {
    pub(crate) items: Vec<ShownWebhook>,
}

impl ShownDelivery {
    pub(crate) fn of(delivery: Delivery) -> Result<Self, Problem> {
        let products = serde_json::from_str(&delivery.products);
        Ok(Self {
            tracking_number: delivery.tracking_number(),
            status: delivery.status()?,
            id: delivery.id,
            products: products.map_err(|error| Problem::internal(&error))?,
            origin: Address {
                address: delivery.origin_address,
            },
            destination: Destination {
                name: delivery.destination_name,
                address: delivery.destination_address,
            },
            foreign_order_id: delivery.foreign_order_id,
            created_at: from_ms(delivery.created_at),
            next_step_at: delivery.next_step_at.map(from_ms),
        })
    }
}

impl DeliveryDetails {
    pub(crate) fn of(
        delivery: Delivery,
        steps: Vec<Step>,
        notifications: Vec<notifications::Shown>,
    ) -> Result<Self, Problem> {
        let history = steps.into_iter().map(|step| {
            Ok(ShownStep {
                sequence: step.number,
                status: step.status()?,
                at: from_ms(step.at),
            })
        });
        let notifications = notifications.into_iter().map(|shown| ShownNotification {
            sequence: shown.number,
            webhook_id: shown.webhook_id,
            url: shown.url,
            tries: shown.tries,
            last_status: shown.last_status,
            next_try_at: shown.next_try_at.map(from_ms),
            taken_at: shown.done_at.filter(|_| shown.is_taken).map(from_ms),
        });
        Ok(Self {
            delivery: ShownDelivery::of(delivery)?,
            history: history.collect::<Result<_, sqlx::Error>>()?,
            notifications: notifications.collect(),
        })
    }
}

impl HistoryLine {
    pub(crate) fn of((step, foreign_order_id): (Step, String)) -> Result<Self, Problem> {
        Ok(Self {
            delivery_id: step.delivery_id,
            tracking_number: deliveries::tracking_number(step.delivery_id),
            foreign_order_id,
            sequence: step.number,
            status: step.status()?,
            at: from_ms(step.at),
        })
    }
}

impl From<Webhook> for ShownWebhook {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id,
            url: webhook.url,
            has_signing_secret: webhook.signing_secret.is_some(),
            created_at: from_ms(webhook.created_at),
            callback_secret: None,
        }
    }
}
