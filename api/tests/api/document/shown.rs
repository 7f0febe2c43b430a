//! Every response example matches its schema and shows every field.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{documented, successes};
use crate::bodies::Document;

/// Field that only GET responses contain.
const HEALTH: (&str, &str) = ("Integrator", "health");

/// Schemas that no example contains, and the reason.
const WITHOUT_EXAMPLE: &[(&str, &str)] =
    &[("GuestDelivery", "guest orders at a table have no delivery")];

/// Recursive comparison of values with schemas.
struct Walk {
    document: Document,
    reads: bool,
    shown: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Walk {
    fn look(&mut self, at: &str, value: &Value, schema: &Value) {
        let parts = schema["anyOf"].as_array();
        if let (Some(parts), false) = (parts, value.is_null()) {
            let fitting = parts
                .iter()
                .find(|part| self.document.wrong(value, part).0.is_empty());
            match fitting {
                Some(part) => self.look(at, value, &part.clone()),
                None => self.wrong.push(format!("{at} is none of {schema}")),
            }
            return;
        }
        let name = name_of(schema);
        let schema = self.document.resolve(schema).clone();
        self.shown.extend((!name.is_empty()).then(|| name.clone()));
        match value {
            Value::Object(members) => {
                let Some(known) = schema["properties"].as_object() else {
                    for value in members.values() {
                        self.look(at, value, &schema["additionalProperties"]);
                    }
                    return;
                };
                for property in known.keys() {
                    let is_said = (name.as_str(), property.as_str()) != HEALTH || self.reads;
                    if members.contains_key(property) != is_said {
                        let word = if is_said { "lacks" } else { "should not say" };
                        self.wrong.push(format!("{at} {word} {name}.{property}"));
                    }
                }
                for (property, value) in members {
                    let at = format!("{at}/{property}");
                    match known.get(property) {
                        Some(schema) => self.look(&at, value, schema),
                        None => self.wrong.push(format!("{at} is no field of {name}")),
                    }
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    self.look(&format!("{at}/{place}"), item, &schema["items"]);
                }
            }
            _ => {}
        }
    }

    /// Collects all named schemas reachable from this one.
    fn reachable(&self, schema: &Value, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(members) => {
                let name = name_of(schema);
                if !name.is_empty() && found.insert(name) {
                    self.reachable(self.document.resolve(schema), found);
                }
                for below in members.values() {
                    self.reachable(below, found);
                }
            }
            Value::Array(parts) => parts.iter().for_each(|part| self.reachable(part, found)),
            _ => {}
        }
    }
}

fn name_of(schema: &Value) -> String {
    let reference = schema["$ref"].as_str().unwrap_or_default();
    reference.rsplit('/').next().unwrap_or_default().to_owned()
}

#[test]
fn the_example_of_each_answer_fits_its_schema_and_shows_every_field() {
    let mut walk = Walk {
        document: Document::read(),
        reads: false,
        shown: BTreeSet::new(),
        wrong: Vec::new(),
    };
    let (mut checked, mut reachable) = (0, BTreeSet::new());
    for ((method, path), operation) in documented() {
        walk.reads = method == "GET";
        for (status, answer) in successes(&operation) {
            let (example, schema) = (&answer["example"], &answer["schema"]);
            let at = format!("{method} {path} {status}: ");
            let (wrong, _) = walk.document.wrong(example, schema);
            walk.wrong
                .extend(wrong.iter().map(|wrong| format!("{at}{wrong}")));
            walk.look(&at, example, schema);
            walk.reachable(schema, &mut reachable);
            checked += 1;
        }
    }
    assert!(checked > 50, "too few responses found: {checked}");
    assert!(walk.wrong.is_empty(), "{:#?}", walk.wrong);
    let unseen: Vec<_> = reachable.difference(&walk.shown).collect();
    let expected: Vec<_> = WITHOUT_EXAMPLE.iter().map(|(name, _)| name).collect();
    assert_eq!(unseen, expected, "every other schema has an example");
}

#[test]
fn an_example_that_lacks_a_field_or_has_one_too_many_is_told_apart() {
    let found = |value: Value| {
        let mut walk = Walk {
            document: Document::read(),
            reads: true,
            shown: BTreeSet::new(),
            wrong: Vec::new(),
        };
        let money = json!({"$ref": "#/components/schemas/Money"});
        walk.look("it", &value, &money);
        walk.wrong
    };
    let whole = json!({"amount": 250, "currency": "EUR"});
    assert!(found(whole).is_empty());
    let short = json!({"amount": 250});
    assert_eq!(found(short), ["it lacks Money.currency"]);
    let long = json!({"amount": 250, "currency": "EUR", "tax": 19});
    assert_eq!(found(long), ["it/tax is no field of Money"]);
}
