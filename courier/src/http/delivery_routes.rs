//! Routes of deliveries: make, list, show, cancel, and their history.

use chrono::{DateTime, Utc};
use poem::{Body, Request};
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Header, Path, Query},
    payload::Json,
};
use ring::digest;
use serde_json::Value;

use super::{
    answers::{
        DeliveryDetails, DeliveryMessage, DeliveryPage, HistoryLine, HistoryPage, Product,
        ShownDelivery,
    },
    fields::{Fields, Raw, json},
    problem::{Problem, Reason},
    sender::{Sender, Token},
};
use crate::{
    courier::Courier,
    database::{
        accounts::Account,
        deliveries::{self, Filter, NewDelivery},
        notifications,
    },
    intake::{CancelOutcome, Message, Taken},
    status::Status,
};

const PRODUCTS_MAX: usize = 1000;
const PAGE: u32 = 50;
const PAGE_MAX: u32 = 100;
const FILTER_BODY_LIMIT_BYTES: usize = 16 * 1024;
const KEY_CHARS_MAX: usize = 200;

/// The handlers; the courier is missing only while the document is written.
pub(crate) struct DeliveryRoutes(pub(crate) Option<Courier>);

#[derive(ApiResponse)]
enum Answer {
    /// Created.
    #[oai(status = 201)]
    Created(Json<ShownDelivery>, #[oai(header = "location")] String),
    /// The order has this delivery already, or it is cancelled.
    #[oai(status = 200)]
    Known(Json<ShownDelivery>),
    /// Noted: the event asks for nothing.
    #[oai(status = 204)]
    Noted,
}

impl DeliveryRoutes {
    fn courier(&self) -> &Courier {
        self.0.as_ref().expect("a running API has a courier")
    }
}

#[OpenApi]
impl DeliveryRoutes {
    /// Create a delivery
    ///
    /// There is one delivery for each `foreign_order_id` of an account: a second message about it, and a repeated
    /// `webhook-id` or `Idempotency-Key`, get the delivery that there is. If a signing secret is configured or registered,
    /// the message must be signed as in Standard Webhooks; one signed with the configured secret needs no token.
    #[oai(
        path = "/deliveries",
        method = "post",
        operation_id = "create_delivery"
    )]
    async fn create(
        &self,
        auth: Sender,
        request: &Request,
        /// Identifies the message; the same one is taken once.
        #[oai(name = "webhook-id")]
        webhook_id: Header<Option<String>>,
        /// Identifies the message if there is no `webhook-id`.
        #[oai(name = "idempotency-key")]
        idempotency_key: Header<Option<String>>,
        body: Raw<DeliveryMessage>,
    ) -> Result<Answer, Problem> {
        let courier = self.courier();
        let verified = courier.verify(auth, request, &body.bytes).await?;
        let json = body.json()?;
        let message = read_message(courier, &json, verified.is_signed)?;
        let mut keys: Vec<String> = [webhook_id.0, idempotency_key.0]
            .into_iter()
            .flatten()
            .collect();
        keys.dedup();
        if keys
            .iter()
            .any(|key| key.is_empty() || key.len() > KEY_CHARS_MAX)
        {
            let detail = format!("must have 1 to {KEY_CHARS_MAX} characters");
            return Err(Problem::invalid_field("webhook-id", detail));
        }
        let fingerprint = digest::digest(&digest::SHA256, json.to_string().as_bytes());
        let account = verified.account.id;
        let taken = courier.take(account, message, &keys, fingerprint.as_ref());
        Ok(match taken.await? {
            Taken::Created(delivery) => {
                tracing::info!(
                    delivery = delivery.id,
                    order = delivery.foreign_order_id,
                    "delivery created"
                );
                let location = format!("/deliveries/{}", delivery.id);
                Answer::Created(Json(ShownDelivery::of(delivery)?), location)
            }
            Taken::Known(delivery) | Taken::Cancelled(delivery) => {
                Answer::Known(Json(ShownDelivery::of(delivery)?))
            }
            Taken::Noted => Answer::Noted,
        })
    }

    /// List deliveries, newest first
    ///
    /// A marketplace user sees its own.
    #[oai(path = "/deliveries", method = "get", operation_id = "list_deliveries")]
    #[expect(clippy::too_many_arguments, reason = "each filter is a parameter")]
    async fn list(
        &self,
        auth: Token,
        status: Query<Option<Status>>,
        foreign_order_id: Query<Option<String>>,
        tracking_number: Query<Option<String>>,
        /// Created at this time or later.
        created_from: Query<Option<DateTime<Utc>>>,
        /// Created before this time.
        created_until: Query<Option<DateTime<Utc>>>,
        /// Default 50, at most 100.
        limit: Query<Option<u32>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<DeliveryPage>, Problem> {
        let courier = self.courier();
        let account = courier.account_of(&auth).await?;
        let filter = Filter {
            account: only_own(&account),
            id: tracking_number.0.as_deref().map(id_or_none),
            foreign_order_id: foreign_order_id.0,
            status: status.0,
            from_ms: created_from.0.map(|time| time.timestamp_millis()),
            until_ms: created_until.0.map(|time| time.timestamp_millis()),
        };
        let limit = page_size(limit.0)?;
        let below = cursor
            .0
            .map(|cursor| cursor.parse().map_err(|_| bad_cursor()));
        let readers = &courier.inner.database.readers;
        let listed = deliveries::list(readers, &filter, below.transpose()?, limit + 1).await?;
        let (page, more) = cut(listed, limit);
        let next_cursor = page.last().filter(|_| more).map(|last| last.id.to_string());
        let items = page.into_iter().map(ShownDelivery::of);
        Ok(Json(DeliveryPage {
            items: items.collect::<Result<_, _>>()?,
            next_cursor,
        }))
    }

    /// Show a delivery with its history and its notifications
    #[oai(
        path = "/deliveries/:id",
        method = "get",
        operation_id = "show_delivery"
    )]
    async fn show(&self, auth: Token, id: Path<i64>) -> Result<Json<DeliveryDetails>, Problem> {
        let courier = self.courier();
        let account = courier.account_of(&auth).await?;
        let readers = &courier.inner.database.readers;
        let delivery = deliveries::by_id(readers, id.0).await?;
        let owner = only_own(&account);
        let delivery = delivery.filter(|it| owner.is_none_or(|owner| owner == it.account_id));
        let delivery = delivery.ok_or_else(|| Problem::new(Reason::NotFound))?;
        let steps = deliveries::steps_of(readers, delivery.id).await?;
        let notifications = notifications::of_delivery(readers, delivery.id).await?;
        Ok(Json(DeliveryDetails::of(delivery, steps, notifications)?))
    }

    /// Cancel a delivery before it is picked up
    ///
    /// Cancelling it again changes nothing.
    #[oai(
        path = "/deliveries/:id",
        method = "delete",
        operation_id = "cancel_delivery"
    )]
    async fn cancel(&self, auth: Token, id: Path<i64>) -> Result<Json<ShownDelivery>, Problem> {
        let courier = self.courier();
        let account = courier.account_of(&auth).await?;
        match courier.cancel(id.0, only_own(&account)).await? {
            CancelOutcome::Cancelled(delivery) => Ok(Json(ShownDelivery::of(delivery)?)),
            CancelOutcome::TooLate(delivery) => {
                let status = delivery.status()?.as_str();
                let detail = format!("The delivery is {status}.");
                Err(Problem::new(Reason::AlreadyPickedUp).detail(detail))
            }
            CancelOutcome::Unknown => Err(Problem::new(Reason::NotFound)),
        }
    }

    /// List the steps of deliveries
    ///
    /// Without a filter, those of all deliveries that the caller sees. As in seed 004, the order may also be named in a
    /// JSON body, as `{"foreing_order_id": …}` or `{"foreign_order_id": …}`.
    #[oai(
        path = "/deliveries-history",
        method = "get",
        operation_id = "list_history"
    )]
    #[expect(clippy::too_many_arguments, reason = "each filter is a parameter")]
    async fn history(
        &self,
        auth: Token,
        foreign_order_id: Query<Option<String>>,
        delivery_id: Query<Option<i64>>,
        tracking_number: Query<Option<String>>,
        status: Query<Option<Status>>,
        /// Default 50, at most 100.
        limit: Query<Option<u32>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        body: Body,
    ) -> Result<Json<HistoryPage>, Problem> {
        let courier = self.courier();
        let account = courier.account_of(&auth).await?;
        let named = order_in(body).await?;
        let by_number = tracking_number.0.as_deref().map(id_or_none);
        let filter = Filter {
            account: only_own(&account),
            id: delivery_id.0.or(by_number),
            foreign_order_id: foreign_order_id.0.or(named),
            status: status.0,
            ..Filter::default()
        };
        let limit = page_size(limit.0)?;
        let above = cursor.0.map(|cursor| {
            let parts = cursor.split_once('.');
            let parts =
                parts.and_then(|(id, number)| Some((id.parse().ok()?, number.parse().ok()?)));
            parts.ok_or_else(bad_cursor)
        });
        let readers = &courier.inner.database.readers;
        let listed = deliveries::history(readers, &filter, above.transpose()?, limit + 1).await?;
        let (page, more) = cut(listed, limit);
        let next_cursor = page.last().filter(|_| more);
        let next_cursor =
            next_cursor.map(|(step, _)| format!("{}.{}", step.delivery_id, step.number));
        let items = page.into_iter().map(HistoryLine::of);
        Ok(Json(HistoryPage {
            items: items.collect::<Result<_, _>>()?,
            next_cursor,
        }))
    }
}

/// Reads a message; its event decides which fields it needs.
fn read_message(courier: &Courier, body: &Value, is_signed: bool) -> Result<Message, Problem> {
    let mut fields = Fields::new(body);
    let event = fields.optional_text("/event", 0..=100);
    let is_cancellation = event.as_deref() == Some("order.cancelled");
    if !is_cancellation
        && !matches!(
            event.as_deref(),
            None | Some("" | "order.dispatched" | "order.placed")
        )
    {
        return fields.finish(Message::Note);
    }
    let callback_url = fields.optional_text("/callback_url", 0..=2000);
    let callback_url = callback_url.filter(|url| !url.is_empty());
    if let Some(why) = callback_url.as_deref().and_then(|url| courier.refuses(url)) {
        fields.wrong("/callback_url", why);
    }
    let foreign_order_id = fields.text("/order/foreign_order_id", 1..=200);
    let mut products = Vec::new();
    if !is_cancellation {
        for n in 0..fields.array("/order/products", PRODUCTS_MAX) {
            let at = format!("/order/products/{n}");
            fields.object(&at);
            products.push(Product {
                sku: fields.text(&format!("{at}/sku"), 0..=200),
                name: fields.text(&format!("{at}/name"), 0..=500),
                qty: fields.count(&format!("{at}/qty")),
            });
        }
        fields.object("/origin");
        fields.object("/destination");
    }
    let new = NewDelivery {
        foreign_order_id,
        products: serde_json::to_string(&products).map_err(|error| Problem::internal(&error))?,
        origin_address: fields.text("/origin/address", 0..=500),
        destination_name: fields.text("/destination/name", 0..=500),
        destination_address: fields.text("/destination/address", 0..=500),
        callback_url,
        is_signed,
    };
    fields.finish(if is_cancellation {
        Message::Cancel(new)
    } else {
        Message::Deliver(new)
    })
}

/// Reads the order from a body in seed 004's manner; an empty body names none.
async fn order_in(body: Body) -> Result<Option<String>, Problem> {
    let bytes = body.into_bytes_limit(FILTER_BODY_LIMIT_BYTES).await;
    let bytes = bytes.map_err(|_| Problem::new(Reason::PayloadTooLarge))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let body = json(&bytes)?;
    let mut fields = Fields::new(&body);
    let spellings = ["/foreing_order_id", "/foreign_order_id"];
    let named = spellings.map(|spelling| fields.optional_text(spelling, 1..=200));
    fields.finish(named.into_iter().flatten().next())
}

/// Returns the account whose deliveries alone the caller sees.
fn only_own(account: &Account) -> Option<i64> {
    (!account.sees_all()).then_some(account.id)
}

/// Returns the id of a tracking number; 0, which no delivery has, for a malformed one.
fn id_or_none(tracking_number: &str) -> i64 {
    deliveries::id_of(tracking_number).unwrap_or_default()
}

fn page_size(limit: Option<u32>) -> Result<i64, Problem> {
    match limit.unwrap_or(PAGE) {
        limit @ 1..=PAGE_MAX => Ok(i64::from(limit)),
        _ => Err(Problem::invalid_field(
            "limit",
            format!("must be between 1 and {PAGE_MAX}"),
        )),
    }
}

fn bad_cursor() -> Problem {
    Problem::invalid_field("cursor", "must be the next_cursor of a page")
}

/// Cuts a list that was read one longer than its page; returns true if there was more.
fn cut<T>(mut list: Vec<T>, limit: i64) -> (Vec<T>, bool) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = list.len() > limit;
    list.truncate(limit);
    (list, has_more)
}
