//! Our authentication to an integrator, as clients send it; it is never shown again.

use domain::integrator::OutboundAuth;
use http::{HeaderName, HeaderValue, header};
use poem_openapi::{Object, Union};
use url::Url;

use crate::http::{body::format::WebAddress, enums::ClientAuth, problem::FieldError};

#[derive(Union)]
#[oai(rename = "OutboundAuth", discriminator_name = "type", one_of)]
pub(super) enum OutboundAuthBody {
    #[oai(mapping = "none")]
    None(NoAuth),
    #[oai(mapping = "basic")]
    Basic(BasicAuth),
    #[oai(mapping = "bearer")]
    Bearer(BearerAuth),
    #[oai(mapping = "header")]
    Header(HeaderAuth),
    #[oai(mapping = "oauth2")]
    Oauth2(Oauth2Auth),
    #[oai(mapping = "sign_in")]
    SignIn(SignInAuth),
}

/// No authentication besides the signature.
#[derive(Default, Object)]
pub(super) struct NoAuth {}

#[derive(Object)]
pub(super) struct BasicAuth {
    #[oai(validator(min_length = 1, max_length = 500))]
    username: String,
    #[oai(validator(max_length = 500))]
    password: String,
}

/// A fixed token in `Authorization`.
#[derive(Object)]
pub(super) struct BearerAuth {
    #[oai(validator(min_length = 1, max_length = 4000))]
    token: String,
}

/// A fixed value in a custom header.
#[derive(Object)]
pub(super) struct HeaderAuth {
    #[oai(validator(min_length = 1, max_length = 100))]
    name: String,
    #[oai(validator(min_length = 1, max_length = 4000))]
    value: String,
}

/// OAuth 2 client credentials (RFC 6749 section 4.4).
#[derive(Object)]
pub(super) struct Oauth2Auth {
    token_url: WebAddress,
    #[oai(validator(min_length = 1, max_length = 500))]
    client_id: String,
    #[oai(validator(min_length = 1, max_length = 4000))]
    client_secret: String,
    #[oai(validator(min_length = 1, max_length = 500))]
    scope: Option<String>,
    /// How the client says who it is: in the header `Authorization` (`client_secret_basic`, the default), or in the body
    /// (`client_secret_post`).
    client_auth: Option<ClientAuth>,
}

/// A `POST` of `{username, password}` to `url` answers with a `token`, which is then sent in `Authorization`.
#[derive(Object)]
pub(super) struct SignInAuth {
    url: WebAddress,
    #[oai(validator(min_length = 1, max_length = 500))]
    username: String,
    #[oai(validator(min_length = 1, max_length = 500))]
    password: String,
}

impl OutboundAuthBody {
    /// Returns `None` and adds to `errors` if something is wrong; `address` parses and checks a URL.
    pub(super) fn parse(
        self,
        errors: &mut Vec<FieldError>,
        address: impl Fn(&str, &WebAddress, &mut Vec<FieldError>) -> Option<Url>,
    ) -> Option<OutboundAuth> {
        Some(match self {
            Self::None(NoAuth {}) => OutboundAuth::None,
            Self::Basic(BasicAuth { username, password }) => {
                if username.contains(':') {
                    // RFC 7617 section 2: a colon ends the username.
                    errors.push(FieldError::new(
                        "/auth/username",
                        "must not contain a colon",
                    ));
                    return None;
                }
                OutboundAuth::Basic { username, password }
            }
            Self::Bearer(BearerAuth { token }) => {
                check_header_value("/auth/token", &token, errors)?;
                OutboundAuth::Bearer { token }
            }
            Self::Header(HeaderAuth { name, value }) => {
                check_header_name("/auth/name", &name, errors)?;
                check_header_value("/auth/value", &value, errors)?;
                OutboundAuth::Header { name, value }
            }
            Self::Oauth2(oauth2) => OutboundAuth::Oauth2 {
                token_url: address("/auth/token_url", &oauth2.token_url, errors)?,
                client_id: oauth2.client_id,
                client_secret: oauth2.client_secret,
                scope: oauth2.scope,
                client_auth: oauth2.client_auth.map(Into::into).unwrap_or_default(),
            },
            Self::SignIn(sign_in) => OutboundAuth::SignIn {
                url: address("/auth/url", &sign_in.url, errors)?,
                username: sign_in.username,
                password: sign_in.password,
            },
        })
    }
}

impl Default for OutboundAuthBody {
    fn default() -> Self {
        Self::None(NoAuth {})
    }
}

impl std::fmt::Debug for OutboundAuthBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OutboundAuthBody(***)")
    }
}

fn check_header_value(at: &str, value: &str, errors: &mut Vec<FieldError>) -> Option<()> {
    if HeaderValue::from_str(value).is_ok() {
        return Some(());
    }
    errors.push(FieldError::new(
        at,
        "must not contain line breaks or control characters",
    ));
    None
}

/// Refuses the headers that the request itself needs or that carry its signature.
fn check_header_name(at: &str, name: &str, errors: &mut Vec<FieldError>) -> Option<()> {
    const RESERVED_HEADERS: [HeaderName; 6] = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    let free = HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| {
        !RESERVED_HEADERS.contains(&name) && !name.as_str().starts_with("webhook-")
    });
    if free {
        return Some(());
    }
    errors.push(FieldError::new(
        at,
        "must be a header that we do not send ourselves",
    ));
    None
}
