//! The rule for query strings: an operation takes the parameters that the OpenAPI document lists, in their published
//! types, and refuses everything else; a response lists all errors at once.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use http::Method;
use poem_openapi::{
    OpenApi,
    registry::{MetaParamIn, MetaSchemaRef, Registry},
};
use serde_json::{Number, Value};
use url::form_urlencoded;

use crate::http::{
    body::schema::{self, Named},
    parameters::name_and_describe,
    problem::FieldError,
};

/// Maximum number of errors in one response.
const MAX_ERRORS: usize = 100;
/// Maximum length of a client's parameter name that is repeated to it, in characters.
const MAX_SHOWN_NAME: usize = 100;

/// Query parameters of one operation.
#[derive(Default)]
pub(crate) struct QueryParameters {
    known: Vec<Parameter>,
    named: Arc<Named>,
}

struct Parameter {
    name: String,
    schema: MetaSchemaRef,
    is_required: bool,
}

/// Returns the query parameters of all operations by method and pattern, from the descriptions that the OpenAPI
/// document is made of. Operations without parameters are included.
pub(crate) fn parameters_of<T: OpenApi>() -> HashMap<(Method, String), QueryParameters> {
    let mut registry = Registry::new();
    T::register(&mut registry);
    let named = Arc::new(registry.schemas);
    let paths = T::meta().into_iter().flat_map(|api| api.paths);
    let operations = paths.flat_map(|path| {
        let pattern = path.path;
        let operations = path.operations.into_iter();
        operations.map(move |operation| (operation, pattern.clone()))
    });
    operations
        .map(|(operation, pattern)| {
            let in_query = operation
                .params
                .into_iter()
                .filter(|one| one.in_type == MetaParamIn::Query);
            let known = in_query.map(|mut one| {
                name_and_describe(&mut one);
                Parameter {
                    name: one.name,
                    schema: one.schema,
                    is_required: one.required,
                }
            });
            let parameters = QueryParameters {
                known: known.collect(),
                named: Arc::clone(&named),
            };
            ((operation.method, pattern), parameters)
        })
        .collect()
}

impl QueryParameters {
    /// Returns what is wrong with a query string: unknown, repeated, missing and wrongly typed parameters.
    pub(crate) fn errors(&self, query: Option<&str>) -> Vec<FieldError> {
        let mut given: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut unknown = HashSet::new();
        let mut errors = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match self.known.iter().find(|one| one.name == name) {
                Some(one) => given.entry(&one.name).or_default().push(value.into_owned()),
                None if errors.len() < MAX_ERRORS && unknown.insert(name.to_string()) => {
                    let shown: String = name.chars().take(MAX_SHOWN_NAME).collect();
                    errors.push(FieldError::new(shown, self.unknown_detail()));
                }
                None => {}
            }
        }
        for one in &self.known {
            let detail = match given.get(one.name.as_str()) {
                Some(values) => self.wrong(one, values),
                None => one.is_required.then(|| "is required".to_owned()),
            };
            errors.extend(detail.map(|detail| FieldError::new(&one.name, detail)));
        }
        errors
    }

    fn unknown_detail(&self) -> String {
        if self.known.is_empty() {
            return "is an unknown parameter; this operation takes none".to_owned();
        }
        let names: Vec<&str> = self.known.iter().map(|one| one.name.as_str()).collect();
        format!(
            "is an unknown parameter; this operation takes {}",
            names.join(", ")
        )
    }

    fn wrong(&self, parameter: &Parameter, values: &[String]) -> Option<String> {
        let schema = schema::resolve(&parameter.schema, &self.named);
        let value = if let ("array", Some(item)) = (schema.ty, &schema.items) {
            let words = values.iter().flat_map(|value| value.split(','));
            words.map(|word| self.json(word.trim(), item)).collect()
        } else {
            let [value] = values else {
                return Some("must be given once".to_owned());
            };
            self.json(value, &parameter.schema)
        };
        let errors = schema::errors(&value, &parameter.schema, &self.named);
        errors.into_iter().next().map(|error| error.detail)
    }

    /// Returns the JSON value that a text stands for; the text itself if it is not of that type.
    fn json(&self, text: &str, schema: &MetaSchemaRef) -> Value {
        let schema = schema::resolve(schema, &self.named);
        let typed = match (schema.ty, schema.format) {
            ("integer" | "number", _) => text.parse::<Number>().ok().map(Value::Number),
            ("boolean", _) => text.parse::<bool>().ok().map(Value::Bool),
            // A plus sign that was not percent-encoded arrives as a space.
            ("string", Some("date-time")) => Some(text.replace(' ', "+").into()),
            _ => None,
        };
        typed.unwrap_or_else(|| text.into())
    }
}

#[cfg(test)]
mod tests;
