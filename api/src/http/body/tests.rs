//! Validation of bodies, and the errors of invalid ones.

use poem_openapi::{Enum, Object, Union, types::MaybeUndefined};
use serde_json::Value;

use super::*;

#[derive(Debug, Object)]
struct Cup {
    #[oai(validator(min_length = 1, max_length = 5))]
    name: String,
    #[oai(validator(minimum(value = "1"), maximum(value = "9")))]
    quantity: i32,
    size: Option<Size>,
    saucer: MaybeUndefined<Saucer>,
}

#[derive(Debug, Object)]
struct Saucer {
    zone: format::Timezone,
}

#[derive(Debug, Enum)]
#[oai(rename_all = "lowercase")]
enum Size {
    Small,
    Large,
}

#[derive(Debug, Object)]
struct Tray {
    #[oai(validator(min_items = 1, max_items = 3))]
    cups: Vec<Cup>,
    id: uuid::Uuid,
}

fn errors(text: &str) -> Vec<(String, String)> {
    let value: Value = serde_json::from_str(text).unwrap();
    let errors = schema_of::<Tray>()
        .errors(&value, Unknown::Refused)
        .into_iter();
    errors.map(|error| (error.pointer, error.detail)).collect()
}

#[test]
fn a_body_as_it_must_be_has_no_errors_and_is_parsed() {
    let text = r#"{"cups":[{"name":"mocca","quantity":9,"size":null,"saucer":{"zone":"Europe/Berlin"}}],
        "id":"01980000-0000-7000-8000-000000000000"}"#;
    assert_eq!(errors(text), []);
    let tray: Tray = parse(text.as_bytes(), Unknown::Refused).unwrap();
    assert_eq!(tray.cups[0].quantity, 9);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    let text = r#"{"cups":[{"name":"","quantity":0,"size":"huge"},{"name":7,"quantity":1.5,"a/b~":1,
        "saucer":{"zone":"Nowhere"}},5],"id":"x","more":{}}"#;
    let said = errors(text);
    let wrong = |pointer: &str, part: &str| {
        let found = said.iter().find(|(at, _)| at == pointer);
        assert!(
            found.is_some_and(|(_, detail)| detail.contains(part)),
            "{pointer} {part}: {said:?}"
        );
    };
    wrong("/cups/0/name", "empty");
    wrong("/cups/0/quantity", "at least 1");
    wrong("/cups/0/size", "one of small, large");
    wrong("/cups/1/name", "a string");
    wrong("/cups/1/quantity", "integer");
    wrong("/cups/1/a~1b~0", "unknown");
    wrong("/cups/1/saucer/zone", "time zone");
    wrong("/cups/2", "an object");
    wrong("/id", "UUID");
    wrong("/more", "unknown");
    assert_eq!(said.len(), 10, "{said:?}");
}

#[test]
fn what_is_missing_or_too_much_is_told_where_it_should_be() {
    assert_eq!(
        errors("{}")
            .iter()
            .map(|e| e.0.as_str())
            .collect::<Vec<_>>(),
        ["/cups", "/id"]
    );
    let many = format!(r#"{{"cups":[{}],"id":null}}"#, vec!["{}"; 1000].join(","));
    let said = errors(&many);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].1.contains("at most 3 items"));
}

#[test]
fn errors_are_bounded() {
    let members: Vec<String> = (0..5000).map(|n| format!("\"x{n}\":1")).collect();
    let text = format!("{{{}}}", members.join(","));
    assert!(errors(&text).len() <= 100);
}

#[test]
fn nesting_and_twin_keys_do_no_harm() {
    let deep = "[".repeat(100_000);
    let problem = parse::<Tray>(deep.as_bytes(), Unknown::Refused).unwrap_err();
    assert_eq!(problem.reason(), Reason::MalformedJson);
    let twin = r#"{"id":5,"cups":[{"name":"a","quantity":1}],"id":"01980000-0000-7000-8000-000000000000"}"#;
    assert!(parse::<Tray>(twin.as_bytes(), Unknown::Refused).is_ok());
}

#[derive(Debug, Object)]
struct Shelf {
    /// A description, which turns the reference into a composition.
    top: Option<Saucer>,
    /// Another description.
    drink: Option<Drink>,
}

#[derive(Debug, Union)]
#[oai(discriminator_name = "kind", rename_all = "lowercase")]
enum Drink {
    Tea(Tea),
    Milk(Milk),
}

#[derive(Debug, Object)]
struct Tea {
    #[oai(validator(minimum(value = "1")))]
    minutes: u8,
}

#[derive(Debug, Object)]
struct Milk {
    fat: Option<f64>,
}

#[test]
fn variants_are_checked_by_their_word_and_closed_like_all_else() {
    let errors = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        let errors = schema_of::<Shelf>()
            .errors(&value, Unknown::Refused)
            .into_iter();
        errors.map(|error| error.pointer).collect::<Vec<_>>()
    };
    let right = r#"{"top":{"zone":"UTC"},"drink":{"kind":"tea","minutes":3}}"#;
    assert_eq!(errors(right), [""; 0]);
    assert!(parse::<Shelf>(right.as_bytes(), Unknown::Refused).is_ok());
    assert_eq!(errors(r#"{"drink":{"kind":"milk"}}"#), [""; 0]);
    assert_eq!(
        errors(r#"{"drink":{"kind":"tea","minutes":0,"fat":1}}"#),
        ["/drink/minutes", "/drink/fat"]
    );
    assert_eq!(errors(r#"{"drink":{"kind":"rum"}}"#), ["/drink/kind"]);
    assert_eq!(errors(r#"{"drink":{}}"#), ["/drink/kind"]);
    assert_eq!(
        errors(r#"{"drink":"tea","top":{"zone":"UTC","x":1}}"#),
        ["/top/x", "/drink"]
    );
}

fn limit(each_bytes: usize, all_bytes: usize) -> BodyLimit {
    BodyLimit {
        each_bytes,
        all: Arc::new(Semaphore::new(all_bytes)),
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let (writer, reader) = tokio::io::duplex(16);
    let body = Body::from_async_read(reader);
    let limit = limit(1024, 1024);
    let refused = read_with_timeout(body, &limit, Duration::from_millis(1)).await;
    drop(writer);
    let refused = refused.unwrap_err();
    assert_eq!(refused.reason(), Reason::BadRequest);
    assert!(refused.to_string().contains("in time"), "{refused}");
    assert_eq!(limit.all.available_permits(), 1024);
}

#[tokio::test]
async fn bodies_that_are_under_way_share_a_bound_and_leave_it_when_they_are_whole() {
    let limit = limit(100, 150);
    let read = async |bytes: usize| {
        let body = Body::from_bytes(vec![b'x'; bytes].into());
        let read = read_with_timeout(body, &limit, Duration::from_secs(60)).await;
        read.map(|bytes| bytes.len())
            .map_err(|problem| problem.reason())
    };
    assert_eq!(read(100).await, Ok(100));
    assert_eq!(read(101).await, Err(Reason::PayloadTooLarge));
    // Another body has begun and does not go on.
    let under_way = limit.all.try_acquire_many(60).unwrap();
    assert_eq!(read(90).await, Ok(90));
    assert_eq!(read(91).await, Err(Reason::Overloaded));
    drop(under_way);
    assert_eq!(read(91).await, Ok(91));
    assert_eq!(limit.all.available_permits(), 150);
}
