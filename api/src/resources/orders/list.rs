//! `GET /orders` and `GET /orders.csv`: the same orders, in pages or as a CSV file.

use domain::{
    account::Role,
    ids::OrderId,
    order::{Order, search::Search},
};
use ledger::orders::OrderFilter;
use poem::Body;
use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Binary};
use uuid::Uuid;

use super::{csv, rights::capacity, sync::OrderCursor, view::OrderView};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        enums,
        etag::IfNoneMatch,
        paging::{self, Cursor, Limit},
        problem::{FieldError, Problem, Reason},
        query_list::CommaSeparated,
        response::Fresh,
        scalars::Time,
    },
    resources::stores::rights::visible_stores,
    state::ApiState,
};

/// Maximum length of a text to look for.
const MAX_SEARCH_CHARS: usize = 100;

#[derive(Clone, Debug)]
pub(crate) struct OrderLists(pub(crate) ApiState);

#[derive(ApiResponse)]
enum Table {
    /// A header line, then one line per order (RFC 4180).
    #[oai(status = 200, content_type = "text/csv; charset=utf-8")]
    Csv(
        Binary<Body>,
        #[oai(header = "Content-Disposition")] String,
        /// Set if there are more than 100 000 orders: the `cursor` for the next file.
        #[oai(header = "Expediter-Next-Cursor")]
        Option<String>,
    ),
}

/// One page of orders.
#[derive(Debug, Object)]
#[oai(rename = "OrderPage")]
struct OrderPage {
    items: Vec<OrderView>,
    /// Value of `cursor` for the next page; null on the last page.
    next_cursor: Option<String>,
    /// On the last page of a list with `updated_after`: the next list's `updated_after`. Every change up to that time was
    /// listed.
    synced_to: Option<Time>,
}

/// Query parameters that both operations share.
#[derive(Default)]
struct OrderQuery {
    store_id: Option<Uuid>,
    status: Option<CommaSeparated<enums::OrderStatus>>,
    session: Option<String>,
    reference: Option<String>,
    fulfilment: Option<enums::Fulfilment>,
    placed_after: Option<Time>,
    placed_before: Option<Time>,
    number: Option<i64>,
    q: Option<String>,
    updated_after: Option<Time>,
}

#[OpenApi(tag = "Topic::Orders")]
impl OrderLists {
    /// List orders, newest first
    ///
    /// Customers see their own orders; staff and managers those of their stores, but only the drafts that they created;
    /// operators all. A page may be short or empty and still have a `next_cursor`: if few orders match, a request stops
    /// after examining some thousand orders.
    ///
    /// **Search.** `q` finds orders by the customer's name or phone, or by number. Orders with the number come first, on a
    /// page of their own; the others newest first. Each request examines some thousand orders: narrow a search for old
    /// ones with `placed_after` and `placed_before`.
    ///
    /// **Synchronisation.** With `updated_after` the list has the orders that changed at that time or later, and begins
    /// with the one that changed first. Follow `next_cursor` to the last page, which has `synced_to`: send it as
    /// `updated_after` the next time. It lies half a minute back, because a change may be seen late, so that an order may
    /// come again unchanged, and none is missed.
    #[oai(path = "/orders", method = "get", operation_id = "list_orders")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a query parameter of its own"
    )]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Option<Uuid>>,
        /// One or more statuses, repeated or comma-separated: `pending,processing`.
        Query(status): Query<Option<CommaSeparated<enums::OrderStatus>>>,
        /// A session's code.
        Query(session): Query<Option<String>>,
        /// Exact reference. Without `store_id`: among a customer's own orders, those of the stores that staff and managers
        /// serve, or those that an operator placed.
        Query(reference): Query<Option<String>>,
        Query(fulfilment): Query<Option<enums::Fulfilment>>,
        /// Placed at or after this time.
        Query(placed_after): Query<Option<Time>>,
        /// Placed before this time.
        Query(placed_before): Query<Option<Time>>,
        /// The order's number. Operators must also pass `store_id`.
        Query(number): Query<Option<i64>>,
        /// Words that begin words of the customer's name, at least four digits of the phone, or an order's number (`17`,
        /// `#17`). For staff, managers and operators; operators must also pass `store_id`.
        Query(q): Query<Option<String>>,
        /// Changed at or after this time. For staff, managers and operators; operators must also pass `store_id`.
        Query(updated_after): Query<Option<Time>>,
        limit: Limit,
        cursor: Cursor<OrderCursor>,
        if_none_match: IfNoneMatch,
    ) -> Result<Fresh<OrderPage>, Problem> {
        let query = OrderQuery {
            store_id,
            status,
            session,
            reference,
            fulfilment,
            placed_after,
            placed_before,
            number,
            q,
            updated_after,
        };
        let mut filter = self.filter(&caller, query).await?;
        let began = cursor.0.map_or_else(
            || OrderCursor::first(&filter, self.0.ledger.clock().now()),
            |cursor| cursor.checked(&filter),
        )?;
        filter.updated_after = began.updated_at.or(filter.updated_after);
        let page = self.0.ledger.orders(&filter, began.after, limit.0).await?;
        let show = |order: &Order| OrderView::of(order, capacity(&caller, order));
        Ok(if_none_match.answer(OrderPage {
            items: page.orders.iter().map(show).collect(),
            next_cursor: began.next(&page),
            synced_to: began.synced_to.filter(|_| page.next.is_none()).map(Time),
        }))
    }

    /// Export orders as CSV, newest first
    ///
    /// Contains the orders that `GET /orders` lists, at most 100 000. Columns: `id`, `number`, `store_id`, `session`
    /// (its name), `reference`, `fulfilment`, `status`, `reason`, `created_at`, `placed_at`, `accepted_at`, `ended_at`,
    /// `total_amount` (minor units), `currency`, `items` (`2 x Espresso; 1 x Tea`), `customer_name`, `customer_phone`,
    /// `customer_email`, `customer_address`, `user_note`. An apostrophe precedes any text that a spreadsheet would take
    /// for a formula, also after a semicolon, a tab or a line break in the text; a phone number with digits and spaces,
    /// such as `+49 40 123`, stays as it is.
    #[oai(
        path = "/orders.csv",
        method = "get",
        operation_id = "list_orders_as_csv"
    )]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a query parameter of its own"
    )]
    async fn table(
        &self,
        caller: Caller,
        Query(store_id): Query<Option<Uuid>>,
        /// One or more statuses, repeated or comma-separated: `pending,processing`.
        Query(status): Query<Option<CommaSeparated<enums::OrderStatus>>>,
        /// A session's code.
        Query(session): Query<Option<String>>,
        /// Exact reference. Without `store_id`: among a customer's own orders, those of the stores that staff and managers
        /// serve, or those that an operator placed.
        Query(reference): Query<Option<String>>,
        Query(fulfilment): Query<Option<enums::Fulfilment>>,
        /// Placed at or after this time.
        Query(placed_after): Query<Option<Time>>,
        /// Placed before this time.
        Query(placed_before): Query<Option<Time>>,
        /// Begin with a byte-order mark, without which Excel does not read UTF-8.
        Query(bom): Query<Option<bool>>,
        /// `Expediter-Next-Cursor` of the previous file.
        cursor: Cursor<OrderId>,
    ) -> Result<Table, Problem> {
        let query = OrderQuery {
            store_id,
            status,
            session,
            reference,
            fulfilment,
            placed_after,
            placed_before,
            ..OrderQuery::default()
        };
        let filter = self.filter(&caller, query).await?;
        let ledger = &self.0.ledger;
        let found = ledger.order_ids(&filter, cursor.0, csv::MAX_ORDERS).await?;
        let day = ledger.clock().now().format("%Y-%m-%d");
        Ok(Table::Csv(
            Binary(csv::table(
                ledger.clone(),
                found.orders,
                bom.unwrap_or(false),
            )),
            format!("attachment; filename=\"orders-{day}.csv\""),
            found.next.map(|last| paging::cursor(last.uuid())),
        ))
    }
}

impl OrderLists {
    async fn filter(&self, caller: &Caller, query: OrderQuery) -> Result<OrderFilter, Problem> {
        let mut filter = OrderFilter {
            reference: query.reference,
            fulfilment: query.fulfilment.map(Into::into),
            placed_after: query.placed_after.map(|at| at.0),
            placed_before: query.placed_before.map(|at| at.0),
            number: query.number,
            updated_after: query.updated_after.map(|at| at.0),
            ..OrderFilter::default()
        };
        let store = query.store_id.map(Into::into);
        match caller.account.role {
            Role::Operator | Role::Manager | Role::Staff => {
                filter.stores = visible_stores(caller, store)?;
                // Whoever gave the reference finds it; others name their store.
                if filter.stores.is_none() && filter.reference.is_some() {
                    filter.account = Some(caller.id());
                }
                filter.drafts_of = (!caller.is(Role::Operator)).then_some(caller.id());
            }
            Role::Customer => {
                filter.account = Some(caller.id());
                filter.stores = store.map(|store| vec![store]);
            }
            Role::Integrator => return Err(Problem::forbidden()),
        }
        if let Some(text) = &query.q {
            filter.search = Some(searched(text, &filter)?);
        }
        let is_people = filter.search.is_some() || filter.updated_after.is_some();
        if is_people && caller.is(Role::Customer) {
            let detail = "q and updated_after are for staff, managers and operators.";
            return Err(Problem::forbidden().detail(detail));
        }
        let is_narrowed = filter.account.is_some() || filter.stores.is_some();
        let of_a_store = [
            ("reference", filter.reference.is_some()),
            ("number", filter.number.is_some()),
            ("q", filter.search.is_some()),
            ("updated_after", filter.updated_after.is_some()),
        ];
        let errors = of_a_store
            .into_iter()
            .filter(|(_, is_given)| *is_given && !is_narrowed)
            .map(|(name, _)| FieldError::new(name, "requires store_id"));
        let errors: Vec<_> = errors.collect();
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let statuses = query.status.map(|several| several.0);
        filter.statuses = statuses.into_iter().flatten().map(|word| word.0).collect();
        filter.statuses.sort_unstable();
        filter.statuses.dedup();
        if let Some(code) = query.session {
            let session = self.0.ledger.session_by_code(&code).await?;
            let unknown = || Problem::new(Reason::SessionNotFound);
            filter.session = Some(session.ok_or_else(unknown)?.id);
        }
        Ok(filter)
    }
}

/// Parses the text to look for.
fn searched(text: &str, filter: &OrderFilter) -> Result<Search, Problem> {
    let wrong = |detail| Problem::invalid_field("q", detail);
    if text.chars().count() > MAX_SEARCH_CHARS {
        return Err(wrong("must be at most 100 characters long"));
    }
    if filter.updated_after.is_some() {
        return Err(wrong("can't be combined with updated_after"));
    }
    Search::new(text).ok_or_else(|| wrong("must have a letter or a digit"))
}
