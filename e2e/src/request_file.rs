//! Parses and runs a file of HTTP requests, in the format of REST Client and IntelliJ, and checks each response.
//!
//! Supported are `### title`, `@name = value`, `# @name placed`, `# expect: 201`, a request line, headers, a body;
//! `{{name}}`, `{{$guid}}` and `{{placed.response.body.id}}` anywhere. Claims about the response's body are
//! `# holds: $.status = "ready"`, `# holds: $.code` (is not null), and `# until: $.status = "ready"`, which repeats the
//! request until the claim holds.

mod claim; // a comment's claim about a response

use std::{collections::HashMap, time::Duration};

use reqwest::{
    Method,
    header::{HeaderName, HeaderValue},
};
use serde_json::Value;

use self::claim::{Claim, pointer};
use crate::{Expediter, SOON};

/// Delay between two repetitions of an awaited request.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// A parsed file; placeholders are not filled in yet.
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
    claims: Vec<Claim>,
    /// Claims until which the request is repeated.
    awaited: Vec<Claim>,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl RequestFile {
    /// Parses a file.
    ///
    /// # Panics
    /// If a line cannot be understood.
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

    /// Runs every request in order. `values` override the file's variables; `named` is called with the response of each
    /// named request.
    ///
    /// # Panics
    /// With the first unexpected response.
    pub async fn run(
        &self,
        expediter: &Expediter,
        values: &[(&str, &str)],
        named: impl Fn(&str, &Value),
    ) {
        let mut known = Known {
            variables: self.variables.iter().cloned().collect(),
            given: values
                .iter()
                .map(|(_, value)| (*value).to_owned())
                .collect(),
            answers: HashMap::new(),
            drawn: 0,
        };
        known.variables.extend(
            values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        for request in &self.requests {
            let expected = request.expected_status;
            let expected =
                expected.unwrap_or_else(|| panic!("{}: has no `# expect` line", request.title));
            let (status, answer) = request.answer(expediter, &mut known).await;
            let asked = format!("{} ({} {})", request.title, request.method, request.url);
            assert_eq!(status, expected, "{asked}: {answer}");
            for claim in request.claims.iter().chain(&request.awaited) {
                let claim = claim.filled(|text| known.fill(text));
                assert!(claim.holds(&answer), "{asked}: not {claim}: {answer}");
            }
            if let Some(name) = &request.name {
                named(name, &answer);
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
        } else if let Some(claim) = comment.strip_prefix("holds:") {
            self.claims.push(Claim::parse(claim));
        } else if let Some(claim) = comment.strip_prefix("until:") {
            self.awaited.push(Claim::parse(claim));
        }
    }

    /// Repeats the request until all awaited claims hold; returns that response.
    async fn answer(&self, expediter: &Expediter, known: &mut Known) -> (u16, Value) {
        if self.awaited.is_empty() {
            let said = self.send(expediter, known).await;
            return said.unwrap_or_else(|| panic!("{}: no answer", self.title));
        }
        let awaited: Vec<Claim> = self
            .awaited
            .iter()
            .map(|claim| claim.filled(|text| known.fill(text)))
            .collect();
        let what = format!("{}: {awaited:?}", self.title);
        let all_hold = |answer: &Value| awaited.iter().all(|claim| claim.holds(answer));
        let asked = async {
            loop {
                let said = self.send(expediter, known).await;
                if let Some(said) = said.filter(|(_, answer)| all_hold(answer)) {
                    return said;
                }
                tokio::time::sleep(RETRY_DELAY).await;
            }
        };
        let answered = tokio::time::timeout(SOON, asked).await;
        answered.unwrap_or_else(|_| panic!("{what}: not within {} s", SOON.as_secs()))
    }

    async fn send(&self, expediter: &Expediter, known: &mut Known) -> Option<(u16, Value)> {
        let method: Method = self.method.parse().expect("a method of HTTP");
        let url = known.fill(&self.url);
        let mut request = match url.strip_prefix(&expediter.url) {
            Some(path) => expediter.request(method, path),
            // A service beside the server under test.
            None if known.is_given(&url) => crate::client().request(method, url),
            None => panic!("{url} does not lead to the server under test"),
        };
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().expect("a header's name");
            let value = known.fill(value);
            request = match value
                .strip_prefix("Basic ")
                .and_then(|login| login.split_once(' '))
            {
                // Both programs accept `Basic name password` and encode it.
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

/// Values of placeholders.
struct Known {
    variables: HashMap<String, String>,
    /// Values of the test itself.
    given: Vec<String>,
    answers: HashMap<String, Value>,
    drawn: u32,
}

impl Known {
    /// Returns true for a URL below one that the test gave.
    fn is_given(&self, url: &str) -> bool {
        self.given.iter().any(|given| url.starts_with(given))
    }

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
            .unwrap_or_else(|| panic!("{name}: there is no response of that name yet"));
        match answer.pointer(&pointer(path)) {
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
            given: Vec::new(),
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
