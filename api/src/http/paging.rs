//! Paginated lists and their cursors.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use poem_openapi::{
    Object,
    types::{ParseFromJSON, ToJSON, Type},
};
use serde_json::json;
use uuid::Uuid;

use crate::http::{parameters::parameter, problem::Problem};

const MAX_PAGE_SIZE: u32 = 100;
const DEFAULT_PAGE_SIZE: u32 = 50;

/// One page of a list.
#[derive(Debug, Object)]
pub struct Page<T: Type + ParseFromJSON + ToJSON> {
    pub items: Vec<T>,
    /// Value of `cursor` for the next page; null on the last page.
    pub next_cursor: Option<String>,
}

impl<T: Type + ParseFromJSON + ToJSON> Page<T> {
    /// Builds a page from up to `limit + 1` rows: the extra row only shows that there is a next page.
    pub(crate) fn of<D>(
        mut found: Vec<D>,
        limit: Limit,
        id: impl Fn(&D) -> Uuid,
        show: impl Fn(D) -> T,
    ) -> Self {
        let limit = limit.0 as usize;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found
            .last()
            .filter(|_| has_more)
            .map(|last| cursor(id(last)));
        Self {
            items: found.into_iter().map(show).collect(),
            next_cursor,
        }
    }
}

/// Page size: default 50, maximum 100.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit(pub(crate) u32);

parameter!(
    Limit,
    Query "limit": u32,
    "Page size, 1 to 100. Default 50.",
    { minimum: Some(1.0), maximum: Some(f64::from(MAX_PAGE_SIZE)), default: Some(json!(DEFAULT_PAGE_SIZE)), },
    |_, asked: Option<u32>| match asked.unwrap_or(DEFAULT_PAGE_SIZE) {
        limit @ 1..=MAX_PAGE_SIZE => Ok(Self(limit)),
        _ => {
            let detail = format!("must be from 1 to {MAX_PAGE_SIZE}");
            Err(Problem::invalid_field("limit", detail))
        }
    }
);

/// Position of the last item of the previous page; `None` for the first page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<P>(pub(crate) Option<P>);

parameter!(
    Cursor<P: Position>,
    Query "cursor": String,
    "`next_cursor` of the previous page.",
    {},
    |_, cursor: Option<String>| cursor.as_deref().map(decode).transpose().map(Self)
);

/// Position of an item in a list, usually its id.
pub(crate) trait Position: Sized + Send {
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl<Id: From<Uuid> + Send> Position for Id {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(Into::into)
    }
}

/// Decodes a cursor into the position of the last item of the previous page.
pub(crate) fn decode<P: Position>(cursor: &str) -> Result<P, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let position = bytes.and_then(|bytes| P::from_bytes(&bytes));
    position.ok_or_else(|| Problem::invalid_field("cursor", "is not a valid cursor"))
}

/// Encodes the id of the last item of a page as `next_cursor`.
pub fn cursor(id: Uuid) -> String {
    encode(id.as_bytes())
}

/// Encodes the position of the last item of a page as `next_cursor`.
pub(crate) fn encode(position: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(position)
}
