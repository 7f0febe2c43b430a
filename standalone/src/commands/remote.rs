//! A running expediter as a command calls it: over its API, with a token or with an account's password.

use std::{
    fs,
    io::{self, BufRead, Read},
    path::Path,
    time::Duration,
};

use platform::chance::Chance;
use reqwest::{Client, Method, RequestBuilder, StatusCode, header, redirect};
use runtime::config::{Secret, Settings, secret_from_environment};
use serde_json::Value;
use url::{Host, Url};

use super::warn;
use crate::{command_line::RemoteArgs, refusal::Refusal};

/// Environment variable with an access token. An argument would be visible to everybody on the machine.
const TOKEN: &str = "EXPEDITER_TOKEN";
/// Time that a request may take, beyond the time that it asks the server to wait.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum number of bytes read for a password.
const MAX_LINE_BYTES: u64 = 4096;
/// Pause before the second try of a request; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Remote {
    url: Url,
    client: Client,
    credentials: Credentials,
    chance: Chance,
}

#[derive(Debug)]
enum Credentials {
    Token(Secret),
    Password { username: String, password: Secret },
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    /// It may be done if it is sent again.
    #[error("{0}")]
    Unavailable(String),
    /// The same request will be refused again.
    #[error("{reason}: {detail}")]
    Refused {
        status: StatusCode,
        reason: String,
        detail: String,
    },
}

impl RemoteError {
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}

impl Remote {
    /// Prepares the calls; asks for the password if no file has it and no token is set.
    pub(super) fn new(settings: &Settings, args: &RemoteArgs) -> Result<Self, Refusal> {
        let mut url = match &args.url {
            Some(url) => url.clone(),
            None => Url::parse(&format!(
                "{}://{}",
                settings.http.scheme(),
                settings.http.api_listen
            ))
            .expect("a socket address forms a valid HTTP URL"),
        };
        if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::NotAnAddress { url });
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            warn(
                "the address is not https: others may read the password or token, and all messages",
            );
        }
        // So that a path of a gateway stays before ours.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let credentials = match (&args.username, secret_from_environment(TOKEN)) {
            (Some(username), _) => Credentials::Password {
                username: username.clone(),
                password: password(args.password_file.as_deref())?,
            },
            (None, Some(token)) => Credentials::Token(token),
            (None, None) => return Err(Refusal::NoCredentials),
        };
        Ok(Self {
            url,
            client: client(None)?,
            credentials,
            chance: Chance::system(),
        })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, RemoteError> {
        self.send(Method::GET, path, None, Duration::ZERO).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, RemoteError> {
        self.send(Method::POST, path, Some(body), Duration::ZERO)
            .await
    }

    /// Sends a request to a path below `/api/v1`, whose answer the server may delay by `wait`.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        wait: Duration,
    ) -> Result<Value, RemoteError> {
        let url = self.url.join(&format!("api/v1/{path}"));
        let url = url.map_err(|error| RemoteError::Unavailable(error.to_string()))?;
        let request = self.client.request(method, url);
        let request = self.authorized(request).timeout(REQUEST_TIMEOUT + wait);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let failed = |error: &reqwest::Error| {
            RemoteError::Unavailable(format!("{}: {}", self.url, in_one_line(error)))
        };
        let answer = request.send().await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| failed(&error))?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let word = |key: &str| body[key].as_str().map(str::to_owned);
        let reason = word("title").unwrap_or_else(|| status.to_string());
        let detail = word("detail").unwrap_or_else(|| match body["errors"].as_array() {
            Some(errors) => Value::from(errors.clone()).to_string(),
            None => status.to_string(),
        });
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(RemoteError::Unavailable(format!("{reason} ({status})")));
        }
        Err(RemoteError::Refused {
            status,
            reason,
            detail,
        })
    }

    /// Returns the pause before a try after so many failed ones, with jitter.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let doubled = FIRST_PAUSE * 2_u32.pow(failures.saturating_sub(1).min(8));
        doubled
            .min(LONGEST_PAUSE)
            .mul_f64(1.0 - self.chance.fraction() / 2.0)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            Credentials::Token(token) => request.bearer_auth(token.expose()),
            Credentials::Password { username, password } => {
                request.basic_auth(username, Some(password.expose()))
            }
        }
    }
}

/// Returns a client without redirects and proxies.
pub(super) fn client(connect_timeout: Option<Duration>) -> Result<Client, Refusal> {
    // An error means that the process has installed a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let agent = header::HeaderValue::from_static(concat!("expediter/", env!("CARGO_PKG_VERSION")));
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent(agent);
    if let Some(timeout) = connect_timeout {
        builder = builder.connect_timeout(timeout);
    }
    builder
        .build()
        .map_err(Refusal::failed("building the HTTP client"))
}

/// Returns the causes of an error, without reqwest's own sentence, which says only that it failed.
pub(super) fn in_one_line(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(one) = cause {
        causes.push(one.to_string());
        cause = one.source();
    }
    if causes.is_empty() {
        error.to_string()
    } else {
        causes.join(": ")
    }
}

/// Reads the first line of the file or, without one, of standard input.
fn password(file: Option<&Path>) -> Result<Secret, Refusal> {
    let failed = Refusal::failed("reading the password");
    let mut line = String::new();
    let read = match file {
        Some(path) => fs::File::open(path)
            .and_then(|file| io::BufReader::new(file.take(MAX_LINE_BYTES)).read_line(&mut line)),
        None => {
            warn("type the password, or set --password-file FILE:");
            io::stdin().lock().take(MAX_LINE_BYTES).read_line(&mut line)
        }
    };
    read.map_err(failed)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Refusal::NoCredentials);
    }
    Ok(Secret::new(password))
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
