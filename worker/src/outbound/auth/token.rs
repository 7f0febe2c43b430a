//! Requests a token: OAuth 2 client credentials (RFC 6749 section 4.4), or a sign-in that returns a JWT.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use domain::{
    answers::JsonPointer,
    integrator::{ClientAuth, OutboundAuth},
};
use http::header;
use platform::clock::Clock;
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{TokenSource, auth_failed, basic};
use crate::outbound::{Post, SendError, client::Request};

/// Lifetime of a token that does not tell its own.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
/// Maximum lifetime of a token, whatever it says itself.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Time before its expiry from which a token is not used any more; at most a tenth of its lifetime.
const MARGIN: Duration = Duration::from_secs(30);

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    expires_at: DateTime<Utc>,
}

impl Token {
    pub(super) fn is_valid_at(&self, now: DateTime<Utc>) -> bool {
        now < self.expires_at
    }
}

/// Request for a token; does not count as an attempt.
pub(super) struct TokenRequest<'a> {
    url: &'a Url,
    content_type: &'static str,
    authorization: Option<String>,
    body: String,
    /// Place of the token in the answer; `None` for the usual ones.
    at: Option<&'a JsonPointer>,
}

impl<'a> TokenRequest<'a> {
    /// Builds the request; `None` for methods that need no token.
    pub(super) fn of(source: &'a TokenSource) -> Option<Self> {
        let at = source.at.as_ref();
        match &source.auth {
            OutboundAuth::Oauth2 {
                token_url,
                client_id,
                client_secret,
                scope,
                client_auth,
            } => {
                let in_body = match client_auth {
                    ClientAuth::Basic => None,
                    ClientAuth::Post => Some((client_id.as_str(), client_secret.as_str())),
                };
                // RFC 6749 section 2.3.1: form-encoded before they go into Basic.
                let in_header = || basic(&form_encoded(client_id), &form_encoded(client_secret));
                Some(Self {
                    url: token_url,
                    content_type: "application/x-www-form-urlencoded",
                    authorization: in_body.is_none().then(in_header),
                    body: client_credentials(scope.as_deref(), in_body),
                    at,
                })
            }
            OutboundAuth::SignIn {
                url,
                username,
                password,
            } => Some(Self {
                url,
                content_type: "application/json",
                authorization: None,
                body: serde_json::json!({ "username": username, "password": password }).to_string(),
                at,
            }),
            OutboundAuth::None
            | OutboundAuth::Basic { .. }
            | OutboundAuth::Bearer { .. }
            | OutboundAuth::Header { .. } => None,
        }
    }

    pub(super) async fn ask(self, post: &Post, clock: &Clock) -> Result<Token, SendError> {
        let mut headers = http::HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            http::HeaderValue::from_static(self.content_type),
        );
        headers.insert(
            header::ACCEPT,
            http::HeaderValue::from_static("application/json"),
        );
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, super::secret(authorization)?);
        }
        let requested_at = clock.now();
        let request = Request::new(self.url, headers, self.body.into());
        // Nothing can be done with a part of this answer.
        let grace = super::SIGN_IN_TIMEOUT;
        let answer = post
            .send(&request, super::SIGN_IN_TIMEOUT, grace)
            .await
            .map_err(|trouble| trouble.with_prefix("sign-in: "))?;
        if !(200..=299).contains(&answer.status) {
            return Err(auth_failed(&format!(
                "sign-in returned status {}",
                answer.status
            )));
        }
        read(&answer.body, self.at, requested_at).ok_or_else(|| {
            let place = self
                .at
                .map_or_else(String::new, |at| format!(" at {:?}", at.as_str()));
            auth_failed(&format!("the sign-in response contains no token{place}"))
        })
    }
}

/// Usual places of a token, the standard's first. Seed 004's answers have an envelope, whose `data` is the token.
const TOKENS: [&str; 7] = [
    "/access_token",
    "/token",
    "/jwt",
    "/data",
    "/data/access_token",
    "/data/token",
    "/data/jwt",
];
/// Usual places of its lifetime.
const LIFETIMES: [&str; 2] = ["/expires_in", "/data/expires_in"];

/// Reads a token from what stands at `at`, or else at the first usual place that has one. Only the token matters: an
/// order must not fail because another field is malformed.
fn read(answer: &[u8], at: Option<&JsonPointer>, requested_at: DateTime<Utc>) -> Option<Token> {
    let said: Value = serde_json::from_slice(answer).ok()?;
    let text = match at {
        Some(at) => match said.pointer(at.as_str())? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        },
        None => {
            let mut texts = TOKENS
                .iter()
                .filter_map(|place| said.pointer(place)?.as_str());
            texts.find(|text| !text.is_empty()).map(str::to_owned)
        }
    };
    let text = text.filter(|text| !text.is_empty())?;
    let mut lifetimes = LIFETIMES
        .iter()
        .filter_map(|place| seconds(said.pointer(place)?));
    let until_expiry = || (expiry(&text)? - requested_at).to_std().ok();
    let lifetime = lifetimes
        .next()
        .or_else(until_expiry)
        .unwrap_or(DEFAULT_LIFETIME)
        .min(MAX_LIFETIME);
    let margin = MARGIN.min(lifetime / 10);
    Some(Token {
        text,
        expires_at: requested_at + (lifetime - margin),
    })
}

/// Parses `expires_in`: RFC 6749 requires a number, but some servers send a string or a fraction.
fn seconds(said: &Value) -> Option<Duration> {
    let seconds = match said {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let seconds = Some(seconds).filter(|seconds: &f64| seconds.is_finite())?;
    Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(MAX_LIFETIME))
}

/// Returns a JWT's `exp`. The signature is not verified, because the time only tells when to request a new token.
fn expiry(jwt: &str) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let payload = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    DateTime::from_timestamp(claims.exp, 0)
}

fn client_credentials(scope: Option<&str>, client: Option<(&str, &str)>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = scope {
        form.append_pair("scope", scope);
    }
    if let Some((id, secret)) = client {
        form.append_pair("client_id", id)
            .append_pair("client_secret", secret);
    }
    form.finish()
}

fn form_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(s, 0).unwrap()
    }

    fn token(answer: &str) -> Token {
        read(answer.as_bytes(), None, at(1000)).unwrap()
    }

    #[test]
    fn a_token_is_good_until_shortly_before_it_says() {
        let token = token(r#"{"access_token":"t","token_type":"bearer","expires_in":600}"#);
        assert!(token.is_valid_at(at(1569)));
        assert!(!token.is_valid_at(at(1570)));
    }

    #[test]
    fn a_jwt_says_itself_until_when_it_is_good() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":1100}"#);
        let token = token(&format!(r#"{{"token":"e30.{claims}.x"}}"#));
        assert!(token.is_valid_at(at(1089)));
        assert!(!token.is_valid_at(at(1090)));
    }

    #[test]
    fn a_token_that_says_nothing_is_good_for_a_few_minutes() {
        let token = token(r#"{"jwt":"opaque"}"#);
        assert!(token.is_valid_at(at(1269)));
        assert!(!token.is_valid_at(at(1270)));
    }

    #[test]
    fn a_lifetime_is_read_however_it_is_written_and_nonsense_is_none() {
        for (said, good_for_s) in [
            ("600", 570),
            ("600.9", 570),
            (r#""600""#, 570),
            ("-1", 0),
            ("1e300", 86_370),
            (r#""NaN""#, 270),
            (r#""soon""#, 270),
            ("null", 270),
            ("{}", 270),
        ] {
            let token = token(&format!(r#"{{"access_token":"t","expires_in":{said}}}"#));
            assert_eq!(token.expires_at.timestamp() - 1000, good_for_s, "{said}");
        }
    }

    #[test]
    fn of_several_tokens_the_standards_is_taken_and_an_empty_one_is_none() {
        let said = r#"{"jwt":"c","token":"b","access_token":"a"}"#;
        assert_eq!(token(said).text, "a");
        assert_eq!(token(r#"{"access_token":null,"jwt":"c"}"#).text, "c");
        for nothing in [
            r#"{"token":""}"#,
            r#"{"token":7}"#,
            "{}",
            "[]",
            r#""t""#,
            "t",
            "",
        ] {
            let read = read(nothing.as_bytes(), None, at(1000));
            assert!(read.is_none(), "{nothing}");
        }
    }

    #[test]
    fn seed_004s_envelope_is_opened_if_there_is_nothing_beside_it() {
        for (said, text, good_for_s) in [
            (r#"{"code":"ok","message":"","data":"TOKEN"}"#, "TOKEN", 270),
            (
                r#"{"data":{"token":"T","expires_in":600},"expires_in":null}"#,
                "T",
                570,
            ),
            (r#"{"data":"D","token":"T"}"#, "T", 270),
            (r#"{"data":"","token":7}"#, "", 0),
            (r#"{"data":["T"]}"#, "", 0),
        ] {
            let token = read(said.as_bytes(), None, at(1000));
            let read = token.map(|token| (token.text, token.expires_at.timestamp() - 1000));
            let expected = (!text.is_empty()).then(|| (text.to_owned(), good_for_s));
            assert_eq!(read, expected, "{said}");
        }
    }

    #[test]
    fn a_pointer_says_alone_where_the_token_stands() {
        let said = r#"{"token":"usual","auth":[{"a/b":"odd"},{"key":7}],"expires_in":600}"#;
        for (pointer, expected) in [
            ("/auth/0/a~1b", Some("odd")),
            ("/auth/1/key", Some("7")),
            ("/auth/0", None),
            ("/auth/01/key", None),
            ("/nowhere", None),
            ("", None),
        ] {
            let pointer: JsonPointer = pointer.parse().unwrap();
            let token = read(said.as_bytes(), Some(&pointer), at(1000));
            let text = token.map(|token| token.text);
            assert_eq!(text.as_deref(), expected, "{pointer}");
        }
        let whole = "".parse().unwrap();
        let token = read(br#""bare""#, Some(&whole), at(1000));
        assert_eq!(token.unwrap().text, "bare");
    }

    #[test]
    fn client_credentials_are_form_encoded() {
        assert_eq!(
            client_credentials(Some("orders write"), None),
            "grant_type=client_credentials&scope=orders+write"
        );
        assert_eq!(form_encoded("a:b c"), "a%3Ab+c");
    }
}
