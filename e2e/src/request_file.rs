//! A file of HTTP requests, as REST Client and IntelliJ read it: run from the first to the last, each checked.
//!
//! What is understood: `### title`, `@name = value`, `# @name placed`, `# expect: 201`, a request line, headers, a body;
//! `{{name}}`, `{{$guid}}` and `{{placed.response.body.id}}` anywhere.

use std::collections::HashMap;

use reqwest::{
    Method,
    header::{HeaderName, HeaderValue},
};
use serde_json::Value;

use crate::Expediter;

/// As it was read: nothing is filled in yet.
#[derive(Clone, Debug)]
pub struct RequestFile {
    variables: Vec<(String, String)>,
    requests: Vec<Request>,
}

#[derive(Clone, Debug, Default)]
struct Request {
    title: String,
    name: Option<String>,
    expected_status: Option<u16>,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl RequestFile {
    /// # Panics
    /// With what it can't make out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut file = Self {
            variables: Vec::new(),
            requests: Vec::new(),
        };
        let mut lines = text.lines().peekable();
        let mut request = Request::default();
        while let Some(line) = lines.next() {
            if let Some(title) = line.strip_prefix("###") {
                title.trim().clone_into(&mut request.title);
            } else if let Some(comment) = line.strip_prefix('#').or_else(|| line.strip_prefix("//"))
            {
                request.note(comment.trim());
            } else if let Some(variable) = line.strip_prefix('@') {
                let (name, value) = variable
                    .split_once('=')
                    .expect("a variable is @name = value");
                file.variables
                    .push((name.trim().to_owned(), value.trim().to_owned()));
            } else if !line.trim().is_empty() {
                let (method, url) = line
                    .split_once(' ')
                    .unwrap_or_else(|| panic!("no request: {line}"));
                method.clone_into(&mut request.method);
                url.trim().clone_into(&mut request.url);
                while let Some(header) =
                    lines.next_if(|line| !line.trim().is_empty() && !line.starts_with("###"))
                {
                    let (name, value) = header
                        .split_once(':')
                        .unwrap_or_else(|| panic!("no header: {header}"));
                    request
                        .headers
                        .push((name.trim().to_owned(), value.trim().to_owned()));
                }
                while let Some(line) = lines.next_if(|line| !line.starts_with("###")) {
                    request.body.push_str(line);
                    request.body.push('\n');
                }
                file.requests.push(std::mem::take(&mut request));
            }
        }
        file
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Every request in order; `values` stand in for the file's own variables of the same names.
    ///
    /// # Panics
    /// With the first answer that is not the expected one.
    pub async fn run(&self, expediter: &Expediter, values: &[(&str, &str)]) {
        let mut known = Known {
            variables: self.variables.iter().cloned().collect(),
            answers: HashMap::new(),
            drawn: 0,
        };
        known.variables.extend(
            values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        for request in &self.requests {
            let said = request.send(expediter, &mut known).await;
            let expected = request.expected_status;
            let expected = expected
                .unwrap_or_else(|| panic!("{}: says nothing of what it expects", request.title));
            let (status, answer) = said.unwrap_or_else(|| panic!("{}: no answer", request.title));
            assert_eq!(
                status, expected,
                "{} ({} {}): {answer}",
                request.title, request.method, request.url
            );
            if let Some(name) = &request.name {
                known.answers.insert(name.clone(), answer);
            }
        }
    }
}

impl Request {
    fn note(&mut self, comment: &str) {
        if let Some(name) = comment.strip_prefix("@name ") {
            self.name = Some(name.trim().to_owned());
        } else if let Some(status) = comment.strip_prefix("expect:") {
            self.expected_status = Some(status.trim().parse().expect("a status is a number"));
        }
    }

    async fn send(&self, expediter: &Expediter, known: &mut Known) -> Option<(u16, Value)> {
        let method: Method = self.method.parse().expect("a method of HTTP");
        let url = known.fill(&self.url);
        let path = url
            .strip_prefix(&expediter.url)
            .unwrap_or_else(|| panic!("{url} goes elsewhere"));
        let mut request = expediter.request(method, path);
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().expect("a header's name");
            let value = known.fill(value);
            request = match value
                .strip_prefix("Basic ")
                .and_then(|login| login.split_once(' '))
            {
                // Both programs take `Basic name password` and encode it.
                Some((name, password)) => request.basic_auth(name, Some(password)),
                None => request.header(
                    name,
                    HeaderValue::try_from(value).expect("a header's value"),
                ),
            };
        }
        expediter
            .try_answer(request.body(known.fill(self.body.trim())))
            .await
    }
}

/// What a request may name.
struct Known {
    variables: HashMap<String, String>,
    answers: HashMap<String, Value>,
    drawn: u32,
}

impl Known {
    fn fill(&mut self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let (name, behind) = behind
                .split_once("}}")
                .unwrap_or_else(|| panic!("no end of {{{{: {text}"));
            filled.push_str(before);
            let value = self.value(name.trim());
            filled.push_str(&self.fill(&value));
            rest = behind;
        }
        filled + rest
    }

    fn value(&mut self, name: &str) -> String {
        if name == "$guid" {
            self.drawn += 1;
            return format!("00000000-0000-4000-8000-{:012}", self.drawn);
        }
        if let Some(value) = self.variables.get(name) {
            return value.clone();
        }
        let (request, path) = name
            .split_once(".response.body.")
            .unwrap_or_else(|| panic!("unknown: {name}"));
        let answer = self
            .answers
            .get(request)
            .unwrap_or_else(|| panic!("{name}: no such answer yet"));
        let pointer = format!(
            "/{}",
            path.trim_start_matches("$.")
                .replace(['.', '['], "/")
                .replace(']', "")
        );
        match answer.pointer(&pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => panic!("{name}: not in {answer}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_with_their_names_expectations_headers_and_bodies() {
        let file = RequestFile::parse(
            "@host = http://h\n\n### One\n# @name one\n# expect: 201\nPOST {{host}}/a\nX-A: b\n\n{\n  \"c\": 1\n}\n\n### Two\n# expect: 200\nGET {{host}}/b\n",
        );
        assert_eq!(file.len(), 2);
        let one = &file.requests[0];
        assert_eq!(
            (one.name.as_deref(), one.expected_status),
            (Some("one"), Some(201))
        );
        assert_eq!(one.headers, [("X-A".to_owned(), "b".to_owned())]);
        assert_eq!(one.body.trim(), "{\n  \"c\": 1\n}");
        assert_eq!(
            (
                file.requests[1].title.as_str(),
                file.requests[1].body.as_str()
            ),
            ("Two", "")
        );
    }

    #[test]
    fn what_stands_in_braces_is_filled_in() {
        let mut known = Known {
            variables: HashMap::from([("host".to_owned(), "http://h".to_owned())]),
            answers: HashMap::from([("one".to_owned(), serde_json::json!({"items": [{"id": 7}]}))]),
            drawn: 0,
        };
        assert_eq!(
            known.fill("{{host}}/x/{{one.response.body.items[0].id}}"),
            "http://h/x/7"
        );
    }
}
