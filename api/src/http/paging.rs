//! Paginated lists and their cursors.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use poem_openapi::{
    Object,
    types::{ParseFromJSON, ToJSON, Type},
};
use uuid::Uuid;

use crate::http::problem::Problem;

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
    pub fn of<D>(
        mut found: Vec<D>,
        limit: u32,
        id: impl Fn(&D) -> Uuid,
        show: impl Fn(D) -> T,
    ) -> Self {
        let limit = limit as usize;
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

/// Returns the page size for `?limit=`: default 50, maximum 100.
pub fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked {
        None => Ok(DEFAULT_PAGE_SIZE),
        Some(limit @ 1..=MAX_PAGE_SIZE) => Ok(limit),
        Some(_) => {
            let detail = format!("must be from 1 to {MAX_PAGE_SIZE}");
            Err(Problem::invalid_field("limit", detail))
        }
    }
}

/// Decodes `?cursor=` into the id of the last item of the previous page.
pub fn after(cursor: Option<&str>) -> Result<Option<Uuid>, Problem> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let id = bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok());
    let problem = || Problem::invalid_field("cursor", "is not a valid cursor");
    id.map(Some).ok_or_else(problem)
}

/// Encodes the id of the last item of a page as `next_cursor`.
pub fn cursor(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}
