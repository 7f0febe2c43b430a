//! Asks an integrator which orders it knows, and compares them with the ledger: after a restore it may know more.
//!
//! The answer is JSON with the entries in `items` or `orders`. An entry names our order in `order_id` or
//! `foreign_order_id`, and may have its status in `status` or `state`; a `next_cursor` leads to the next page. The
//! reference kitchen's `GET /board` and the courier's `GET /deliveries` are such lists.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt, fs,
    io::{self, Read},
    path::Path,
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{
    ids::{OrderId, min_id_at},
    integrator::meaning,
    status::OrderStatus,
};
use ledger::Ledger;
use reqwest::{
    Client, Response,
    header::{HeaderName, HeaderValue},
};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::super::{remote, say, warn};
use crate::{command_line::AskArgs, refusal::Refusal};

/// Timeout of one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of one page.
const MAX_PAGE_BYTES: usize = 16 << 20;
/// Maximum size of the file with the header.
const MAX_HEADER_BYTES: u64 = 16 << 10;
/// Number of orders that one statement reads.
const MAX_ORDERS: usize = 100;

/// A difference between an integrator's list and the ledger.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Missing {
        order: OrderId,
        there: Option<String>,
    },
    Behind {
        order: OrderId,
        here: OrderStatus,
        there: OrderStatus,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { order, there } => {
                let there = there.as_deref().unwrap_or("without a status");
                write!(
                    f,
                    "missing: order {order} is {there} there, and is not in the ledger"
                )
            }
            Self::Behind { order, here, there } => {
                write!(f, "behind: order {order} is {there} there, and {here} here")
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    items: Option<Vec<Entry>>,
    orders: Option<Vec<Entry>>,
    next_cursor: Option<String>,
}

/// An entry, as integrators write it: what is missing or no text says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    order_id: Value,
    foreign_order_id: Value,
    status: Value,
    state: Value,
}

impl Entry {
    fn order(&self) -> Option<OrderId> {
        let ids = [&self.order_id, &self.foreign_order_id];
        ids.into_iter().find_map(|id| id.as_str()?.parse().ok())
    }

    fn status(&self) -> Option<String> {
        let words = [&self.status, &self.state];
        words
            .into_iter()
            .find_map(|word| word.as_str().map(str::to_owned))
    }
}

/// Returns every order that the integrator knows better than the ledger.
pub(super) async fn differences(
    ledger: &Ledger,
    args: &AskArgs,
) -> Result<Vec<Difference>, Refusal> {
    let Some(url) = &args.url else {
        return Ok(Vec::new());
    };
    let header = args.header_file.as_deref().map(read_header).transpose()?;
    let (listed, others) = list(url, header, args.since).await?;
    let mut found = Vec::new();
    let ids: Vec<OrderId> = listed.keys().copied().collect();
    for ids in ids.chunks(MAX_ORDERS) {
        let read = ledger.orders_by_id(ids).await;
        let read = read.map_err(Refusal::failed("reading orders"))?;
        let here: HashMap<OrderId, OrderStatus> =
            read.iter().map(|order| (order.id, order.status)).collect();
        let compared = ids
            .iter()
            .filter_map(|id| compare(*id, here.get(id).copied(), listed[id].as_deref()));
        found.extend(compared);
    }
    say(format_args!(
        "{} orders of the list at {} were compared; {others} entries are of other systems or older.",
        listed.len(),
        url.origin().ascii_serialization(),
    ));
    Ok(found)
}

fn compare(order: OrderId, here: Option<OrderStatus>, there: Option<&str>) -> Option<Difference> {
    let Some(here) = here else {
        let there = there.map(str::to_owned);
        return Some(Difference::Missing { order, there });
    };
    // A word that is not one of ours says nothing that could be compared.
    let there = meaning(&BTreeMap::new(), there?)?;
    let is_behind = match (here.progress(), there.progress()) {
        (Some(here), Some(there)) => here < there,
        (Some(_), None) => !here.is_final(),
        // Ended here without success, and delivered all the same.
        (None, _) => there == OrderStatus::Delivered,
    };
    is_behind.then_some(Difference::Behind { order, here, there })
}

/// Reads all pages; returns each of our orders with its status there, and the number of entries that were left out.
async fn list(
    url: &Url,
    header: Option<(HeaderName, HeaderValue)>,
    since: Option<DateTime<Utc>>,
) -> Result<(BTreeMap<OrderId, Option<String>>, usize), Refusal> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refusal::NotAnAddress { url: url.clone() });
    }
    if header.is_some() && url.scheme() == "http" && !remote::is_loopback(url) {
        warn("the address is not https: others may read the header");
    }
    let client = remote::client(Some(CONNECT_TIMEOUT))?;
    let oldest = since.map(min_id_at);
    let (mut listed, mut others) = (BTreeMap::new(), 0);
    let mut cursors = HashSet::new();
    let mut cursor: Option<String> = None;
    loop {
        let read = read_page(&client, url, header.as_ref(), cursor.as_deref());
        let page = read
            .await
            .map_err(Refusal::failed("asking the integrator"))?;
        for entry in page.items.or(page.orders).unwrap_or_default() {
            let is_wanted = |id: &OrderId| oldest.is_none_or(|oldest| id.uuid() >= oldest);
            match entry.order().filter(is_wanted) {
                Some(id) => keep_the_furthest(&mut listed, id, entry.status()),
                None => others += 1,
            }
        }
        cursor = page.next_cursor.filter(|cursor| !cursor.is_empty());
        match &cursor {
            None => return Ok((listed, others)),
            // A list that never ends.
            Some(cursor) if !cursors.insert(cursor.clone()) => {
                let repeated = format!("the list named the page {cursor:?} twice");
                return Err(Refusal::failed("asking the integrator")(repeated));
            }
            Some(_) => {}
        }
    }
}

/// Keeps the status that is furthest, if a list names an order twice.
fn keep_the_furthest(
    listed: &mut BTreeMap<OrderId, Option<String>>,
    id: OrderId,
    status: Option<String>,
) {
    let progress = |word: &Option<String>| {
        let status = meaning(&BTreeMap::new(), word.as_deref()?)?;
        Some(status.progress().unwrap_or(u8::MAX))
    };
    let known = listed.entry(id).or_default();
    if progress(&status) >= progress(known) {
        *known = status;
    }
}

async fn read_page(
    client: &Client,
    url: &Url,
    header: Option<&(HeaderName, HeaderValue)>,
    cursor: Option<&str>,
) -> Result<Page, String> {
    let mut url = url.clone();
    if let Some(cursor) = cursor {
        url.query_pairs_mut().append_pair("cursor", cursor);
    }
    let mut request = client.get(url).timeout(PAGE_TIMEOUT);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let answer = request.send().await;
    let answer = answer.map_err(|error| remote::in_one_line(&error))?;
    if !answer.status().is_success() {
        return Err(format!("it answered {}", answer.status()));
    }
    let body = read_body(answer).await?;
    let no_list = |why: &dyn fmt::Display| format!("its answer is no list of orders: {why}");
    let page: Page = serde_json::from_slice(&body).map_err(|error| no_list(&error))?;
    if page.items.is_none() && page.orders.is_none() {
        return Err(no_list(&"it has neither `items` nor `orders`"));
    }
    Ok(page)
}

async fn read_body(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| remote::in_one_line(&error))?
    {
        if body.len() + chunk.len() > MAX_PAGE_BYTES {
            return Err(format!(
                "a page is larger than {} MiB",
                MAX_PAGE_BYTES >> 20
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads a header from a file; an argument would be visible to everybody on the machine.
fn read_header(path: &Path) -> Result<(HeaderName, HeaderValue), Refusal> {
    let failed = Refusal::failed("reading the file of --ask-header-file");
    let mut text = String::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(MAX_HEADER_BYTES).read_to_string(&mut text));
    let parse = || {
        let (name, value) = text.trim().split_once(':')?;
        let mut value = HeaderValue::from_str(value.trim()).ok()?;
        value.set_sensitive(true);
        Some((name.trim().parse::<HeaderName>().ok()?, value))
    };
    let parsed = read.and_then(|_| {
        parse().ok_or_else(|| {
            io::Error::other("it must be one line, such as `authorization: Bearer …`")
        })
    });
    parsed.map_err(failed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_integrator_knows_better_is_told() {
        let order = OrderId::MAX;
        let behind =
            |here: OrderStatus, there: OrderStatus| Some(Difference::Behind { order, here, there });
        use OrderStatus::{Accepted, Cancelled, Delivered, Pending, Ready, Rejected};
        for (here, there, expected) in [
            (Accepted, Some("ready"), behind(Accepted, Ready)),
            (Pending, Some("cancelled"), behind(Pending, Cancelled)),
            (Ready, Some("DELIVERED"), behind(Ready, Delivered)),
            (Ready, Some("accepted"), None),
            (Delivered, Some("cancelled"), None),
            (Cancelled, Some("delivered"), behind(Cancelled, Delivered)),
            (Rejected, Some("preparing"), None),
            (Accepted, Some("EN_ROUTE_OF_DELIVERY"), None),
            (Accepted, None, None),
        ] {
            assert_eq!(
                compare(order, Some(here), there),
                expected,
                "{here} {there:?}"
            );
        }
        let mut listed = BTreeMap::new();
        for word in [Some("accepted"), Some("READY"), None, Some("preparing")] {
            keep_the_furthest(&mut listed, order, word.map(str::to_owned));
        }
        assert_eq!(listed[&order].as_deref(), Some("READY"));
        let missing = compare(order, None, Some("ready")).unwrap();
        assert!(missing.to_string().contains("is ready there"), "{missing}");
    }

    #[test]
    fn entries_are_read_as_integrators_write_them() {
        let id = "01a22eda-4745-7165-9bb4-65206bfd2a4d";
        let read = |entry: Value| {
            let entry: Entry = serde_json::from_value(entry).unwrap();
            (entry.order().map(|id| id.to_string()), entry.status())
        };
        let (known, ready) = (Some(id.to_owned()), Some("ready".to_owned()));
        for (entry, expected) in [
            (
                json!({"order_id": id, "state": "ready"}),
                (known.clone(), ready.clone()),
            ),
            (
                json!({"order_id": 7, "foreign_order_id": id, "status": "ready"}),
                (known.clone(), ready),
            ),
            (
                json!({"order_id": id, "foreign_order_id": null, "status": 3}),
                (known, None),
            ),
            (json!({"id": id}), (None, None)),
        ] {
            assert_eq!(read(entry.clone()), expected, "{entry}");
        }
    }
}
