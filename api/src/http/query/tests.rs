//! Query strings against the parameters of a small API.

use poem_openapi::{OpenApi, param::Query, payload::PlainText};
use uuid::Uuid;

use super::*;
use crate::http::{
    enums::OrderStatus,
    paging::{Cursor, Limit},
    query_list::CommaSeparated,
    scalars::Time,
};

struct Shop;

#[OpenApi]
#[expect(unused_variables, reason = "only the description counts")]
impl Shop {
    #[oai(path = "/things/:id", method = "get")]
    #[expect(clippy::too_many_arguments, reason = "one of each type")]
    async fn list(
        &self,
        store_id: Query<Uuid>,
        status: Query<Option<CommaSeparated<OrderStatus>>>,
        after: Query<Option<i64>>,
        since: Query<Option<Time>>,
        name: Query<Option<String>>,
        open: Query<Option<bool>>,
        limit: Limit,
        cursor: Cursor<Uuid>,
    ) -> PlainText<String> {
        PlainText(String::new())
    }

    #[oai(path = "/things", method = "post")]
    async fn make(&self) -> PlainText<String> {
        PlainText(String::new())
    }
}

const STORE: &str = "store_id=01980000-0000-7000-8000-000000000000";

fn wrong(query: &str) -> Vec<(String, String)> {
    let all = parameters_of::<Shop>();
    let parameters = &all[&(Method::GET, "/things/{id}".to_owned())];
    let errors = parameters.errors(Some(query)).into_iter();
    errors.map(|one| (one.pointer, one.detail)).collect()
}

#[test]
fn a_query_of_known_parameters_in_their_types_is_right() {
    for rest in [
        "",
        "&",
        "&status=pending&status=failed,accepted",
        "&status=pending,%20failed",
        "&after=-7&limit=100&cursor=x&name=&open=false",
        "&since=2026-11-25T13:00:30%2B01:00",
        "&since=2026-11-25T13:00:30+01:00",
        "&%6eame=a%26b",
    ] {
        assert_eq!(wrong(&format!("{STORE}{rest}")), [], "{rest}");
    }
}

#[test]
fn each_wrong_parameter_is_told_by_its_name_and_in_our_words() {
    for (query, name, detail) in [
        ("store_id=7", "store_id", "must be a UUID"),
        ("store_id=", "store_id", "must be a UUID"),
        ("", "store_id", "is required"),
        ("status=eaten", "status", "must be one of draft"),
        ("status=", "status", "must be one of draft"),
        ("status=pending,,failed", "status", "must be one of draft"),
        ("after=1.5", "after", "must be a 64-bit integer"),
        (
            "after=99999999999999999999",
            "after",
            "must be a 64-bit integer",
        ),
        ("after=x", "after", "must be an integer"),
        ("since=soon", "since", "must be an RFC 3339 timestamp"),
        ("open=yes", "open", "must be true or false"),
        ("limit=0", "limit", "must be at least 1"),
        ("limit=-1", "limit", "must be at least 1"),
        ("limit=101", "limit", "must be at most 100"),
        ("limit=5&limit=5", "limit", "must be given once"),
        ("name=a&name=b", "name", "must be given once"),
        (
            "number=2",
            "number",
            "is an unknown parameter; this operation takes store_id, status",
        ),
        ("LIMIT=2", "LIMIT", "is an unknown parameter"),
        ("=", "", "is an unknown parameter"),
        ("%ff", "\u{fffd}", "is an unknown parameter"),
    ] {
        let query = match name {
            "store_id" => query.to_owned(),
            _ => format!("{query}&{STORE}"),
        };
        let errors = wrong(&query);
        assert_eq!(errors.len(), 1, "{query}: {errors:?}");
        assert_eq!(errors[0].0, name, "{query}");
        assert!(errors[0].1.starts_with(detail), "{query}: {errors:?}");
    }
}

#[test]
fn unknown_missing_repeated_and_wrong_ones_are_told_in_one_answer_each_once() {
    let errors = wrong("x=1&limit=0&x=2&y&name=a&name=b");
    let names: Vec<_> = errors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x", "y", "store_id", "name", "limit"]);
}

#[test]
fn the_errors_and_the_names_in_them_are_bounded() {
    let many: Vec<_> = (0..5000)
        .map(|n| format!("{}{n}", "x".repeat(500)))
        .collect();
    let errors = wrong(&format!("{STORE}&{}", many.join("&")));
    assert_eq!(errors.len(), MAX_ERRORS);
    assert!(errors.iter().all(|(name, _)| name.len() == MAX_SHOWN_NAME));
}

#[test]
fn an_operation_without_parameters_takes_none() {
    let all = parameters_of::<Shop>();
    let parameters = &all[&(Method::POST, "/things".to_owned())];
    assert_eq!(parameters.errors(None), []);
    assert_eq!(parameters.errors(Some("")), []);
    let errors = parameters.errors(Some("a"));
    assert!(errors[0].detail.ends_with("takes none"), "{errors:?}");
}
