//! Requests a token: OAuth 2 client credentials (RFC 6749 section 4.4), or a sign-in that returns a JWT.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use domain::integrator::OutboundAuth;
use http::header;
use platform::clock::Clock;
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{auth_failed, basic};
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
}

impl<'a> TokenRequest<'a> {
    /// Builds the request; `None` for methods that need no token.
    pub(super) fn of(auth: &'a OutboundAuth) -> Option<Self> {
        match auth {
            OutboundAuth::Oauth2 {
                token_url,
                client_id,
                client_secret,
                scope,
            } => Some(Self {
                url: token_url,
                content_type: "application/x-www-form-urlencoded",
                // RFC 6749 section 2.3.1: form-encoded before they go into Basic.
                authorization: Some(basic(
                    &form_encoded(client_id),
                    &form_encoded(client_secret),
                )),
                body: client_credentials(scope.as_deref()),
            }),
            OutboundAuth::SignIn {
                url,
                username,
                password,
            } => Some(Self {
                url,
                content_type: "application/json",
                authorization: None,
                body: serde_json::json!({ "username": username, "password": password }).to_string(),
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
        serde_json::from_slice(&answer.body)
            .ok()
            .and_then(|said: TokenResponse| said.token(requested_at))
            .ok_or_else(|| auth_failed("the sign-in response contains no token"))
    }
}

/// Response to a token request. The fields accept any type: only the token matters, and an order must not fail because
/// another field is malformed.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: Option<Value>,
    token: Option<Value>,
    jwt: Option<Value>,
    expires_in: Option<Value>,
}

impl TokenResponse {
    fn token(self, requested_at: DateTime<Utc>) -> Option<Token> {
        let lifetime = self.expires_in.as_ref().and_then(seconds);
        let said = [self.access_token, self.token, self.jwt];
        let text = said.into_iter().find_map(|said| match said {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        })?;
        let until_expiry = || (expiry(&text)? - requested_at).to_std().ok();
        let lifetime = lifetime
            .or_else(until_expiry)
            .unwrap_or(DEFAULT_LIFETIME)
            .min(MAX_LIFETIME);
        let margin = MARGIN.min(lifetime / 10);
        Some(Token {
            text,
            expires_at: requested_at + (lifetime - margin),
        })
    }
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

fn client_credentials(scope: Option<&str>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = scope {
        form.append_pair("scope", scope);
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
        serde_json::from_str::<TokenResponse>(answer)
            .unwrap()
            .token(at(1000))
            .unwrap()
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
        for nothing in [r#"{"token":""}"#, r#"{"token":7}"#, "{}"] {
            let said: TokenResponse = serde_json::from_str(nothing).unwrap();
            assert!(said.token(at(1000)).is_none(), "{nothing}");
        }
    }

    #[test]
    fn client_credentials_are_form_encoded() {
        assert_eq!(
            client_credentials(Some("orders write")),
            "grant_type=client_credentials&scope=orders+write"
        );
        assert_eq!(form_encoded("a:b c"), "a%3Ab+c");
    }
}
