//! The API in one process with a fresh SQLite database, and a client for it.

use std::sync::Arc;

use api::{ApiState, Front};
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{
    account::{Account, Role},
    ids::StoreId,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use ledger::{
    accounts::NewAccount,
    testing::{TestLedger, fixtures::new_account, on_sqlite},
};
use platform::{metrics::Metrics, secrets::Keys};
use poem::{Endpoint, EndpointExt, Request, Response, Route, endpoint::BoxEndpoint};
use runtime::config::Settings;
use serde_json::Value;

use crate::documented;

pub(crate) const PASSWORD: &str = "open sesame";

/// Setting that trusts the test client as a proxy: without a connection its address is the unspecified one.
pub(crate) const TRUST_TEST_PROXY: (&str, &str) = ("http.trusted_proxies", r#"["0.0.0.0/32"]"#);

pub(crate) struct App {
    pub(crate) house: TestLedger,
    pub(crate) state: ApiState,
    endpoint: BoxEndpoint<'static, Response>,
}

/// Runs a test against a fresh app.
pub(crate) async fn with_app<F: Future<Output = ()>>(body: impl FnOnce(App) -> F) {
    with_app_configured(&[], |routes| routes, body).await;
}

/// Like [`with_app`], with other settings and additional routes.
pub(crate) async fn with_app_configured<F: Future<Output = ()>>(
    settings: &[(&str, &str)],
    beside: impl FnOnce(Route) -> Route,
    body: impl FnOnce(App) -> F,
) {
    on_sqlite(|house| {
        let settings = Settings::with(settings).unwrap();
        let keys = Arc::new(house.keys.clone());
        let metrics = Metrics::new();
        let state = ApiState::new(house.ledger.clone(), keys, Arc::new(settings), metrics);
        let endpoint = beside(api::routes(&state)).with(Front::new(&state)).boxed();
        body(App {
            house,
            state,
            endpoint,
        })
    })
    .await;
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the JSON of a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.json()
    }

    /// Returns the problem document after checking the members that every one must have.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, reason: &str) -> Value {
        let problem = self.json();
        assert_eq!(
            (self.status.as_u16(), problem["reason"].as_str()),
            (status, Some(reason)),
            "{}",
            self.text
        );
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("/problems/{reason}"));
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        problem
    }

    /// Returns the pointers of a 422.
    #[track_caller]
    pub(crate) fn pointers(&self) -> Vec<String> {
        let problem = self.problem(422, "validation_failed");
        let errors = problem["errors"].as_array().unwrap();
        errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Builder of a request; finish with `send`.
pub(crate) struct Ask<'a> {
    app: &'a App,
    request: Request,
}

impl App {
    /// Returns the API of a second process with the same database.
    pub(crate) fn another(&self) -> Self {
        self.another_with_keys(Keys::clone(&self.state.keys))
    }

    /// Returns the API of a second process with other keys.
    pub(crate) fn another_with_keys(&self, keys: Keys) -> Self {
        let (keys, metrics) = (Arc::new(keys), Metrics::new());
        let settings = Arc::clone(&self.state.settings);
        let state = ApiState::new(self.house.ledger.clone(), keys, settings, metrics);
        let endpoint = api::routes(&state).with(Front::new(&state)).boxed();
        Self {
            house: self.house.clone(),
            state,
            endpoint,
        }
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let request = Request::builder()
            .method(method.parse::<Method>().unwrap())
            .uri(path.parse::<Uri>().unwrap())
            .finish();
        Ask { app: self, request }
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask("GET", path)
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Ask<'_> {
        self.ask("POST", path).json(body)
    }

    pub(crate) fn patch(&self, path: &str, body: Value) -> Ask<'_> {
        self.ask("PATCH", path).json(body)
    }

    /// Creates an account with the password [`PASSWORD`].
    pub(crate) async fn account(&self, username: &str, role: Role, stores: &[StoreId]) -> Account {
        let passwords = self.state.authenticator.passwords();
        let new = NewAccount {
            password_hash: passwords.hash(&self.house.chance, PASSWORD).await.unwrap(),
            stores: stores.to_vec(),
            ..new_account(username, role)
        };
        self.house.ledger.create_account(&new).await.unwrap()
    }

    pub(crate) fn bearer(&self, account: &Account) -> String {
        let (token, _) = self.state.authenticator.access_token(account.id).unwrap();
        format!("Bearer {token}")
    }

    /// Creates an account and returns its `Authorization` header.
    pub(crate) async fn signed_in(&self, username: &str, role: Role, stores: &[StoreId]) -> String {
        self.bearer(&self.account(username, role, stores).await)
    }
}

pub(crate) fn basic(username: &str, password: &str) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{username}:{password}"))
    )
}

impl Ask<'_> {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request
            .headers_mut()
            .insert(name, value.parse().unwrap());
        self
    }

    /// Adds a header that may contain bytes outside ASCII.
    pub(crate) fn raw_header(mut self, name: &'static str, value: &[u8]) -> Self {
        let value = HeaderValue::from_bytes(value).unwrap();
        self.request.headers_mut().insert(name, value);
        self
    }

    /// Sends the request through a proxy that [`TRUST_TEST_PROXY`] trusts.
    pub(crate) fn from(self, address: &str) -> Self {
        self.header("x-forwarded-for", address)
    }

    pub(crate) fn by(self, authorization: &str) -> Self {
        self.header("authorization", authorization)
    }

    pub(crate) fn json(self, body: Value) -> Self {
        self.header("content-type", "application/json")
            .raw(body.to_string())
    }

    pub(crate) fn raw(mut self, body: impl Into<poem::Body>) -> Self {
        self.request.set_body(body.into());
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let (method, uri) = (self.request.method().clone(), self.request.uri().clone());
        let response = self.app.endpoint.get_response(self.request).await;
        documented::assert_documented(&method, uri.path(), response.status());
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            // A compressed body is not text; tests look only at its headers.
            text: String::from_utf8_lossy(&response.into_body().into_vec().await.unwrap())
                .into_owned(),
        }
    }
}
