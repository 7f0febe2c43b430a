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
use url::Url;

use super::super::{remote, say, warn};
use crate::refusal::Refusal;

/// Timeout of one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of one page.
const MAX_PAGE_BYTES: usize = 16 << 20;
/// Maximum size of the file with the header.
const MAX_HEADER_BYTES: u64 = 16 << 10;
/// Number of orders that one statement reads.
const MAX_ORDERS: usize = 100;

/// What an integrator is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct AskArgs {
    /// Also ask an integrator which orders it knows, at the address of its list: the kitchen's /board, the courier's
    /// /deliveries
    #[arg(long = "ask", value_name = "URL")]
    url: Option<Url>,
    /// File with a header for these requests, such as `authorization: Bearer …`
    #[arg(long = "ask-header-file", value_name = "FILE", requires = "url")]
    header_file: Option<std::path::PathBuf>,
    /// Compare only orders that were made at this time or later, such as 2026-01-01T00:00:00Z
    #[arg(long = "ask-since", value_name = "TIME", requires = "url")]
    since: Option<DateTime<Utc>>,
}

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

#[derive(Debug, Deserialize)]
struct Page {
    #[serde(alias = "orders")]
    items: Vec<Entry>,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(alias = "foreign_order_id")]
    order_id: String,
    #[serde(alias = "state")]
    status: Option<String>,
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
        (None, _) => false,
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
        for entry in page.items {
            let id = entry.order_id.parse::<OrderId>().ok();
            match id.filter(|id| oldest.is_none_or(|oldest| id.uuid() >= oldest)) {
                Some(id) => drop(listed.insert(id, entry.status)),
                None => others += 1,
            }
        }
        cursor = page.next_cursor;
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
    serde_json::from_slice(&body)
        .map_err(|error| format!("its answer is no list of orders: {error}"))
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
        let missing = compare(order, None, Some("ready")).unwrap();
        assert!(missing.to_string().contains("is ready there"), "{missing}");
    }
}
