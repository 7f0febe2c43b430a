//! Reasons why nothing can be checked, each with its remedy.

use url::Url;

use super::sender::Exchange;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{url} cannot be checked: {what}")]
pub(super) struct Unreachable {
    url: Url,
    what: String,
}

impl Unreachable {
    /// Fails if the first exchange did not come as far as HTTP.
    pub(super) fn check(url: &Url, first: &Exchange) -> Result<(), Self> {
        match first.error() {
            // A time-out after the message was sent is an answer that is too late.
            Some(error) if !first.is_timeout() => Err(Self {
                url: url.clone(),
                what: explain(error, url.scheme()),
            }),
            _ => Ok(()),
        }
    }
}

fn explain(error: &str, scheme: &str) -> String {
    let has = |text: &str| error.contains(text);
    let remedy = if has("sign-in: ") {
        "the sign-in failed, so no token could be sent; check --auth-file"
    } else if has("is not allowed, only https://") {
        "http:// is for this machine only; use https://, or add --allow-http"
    } else if has("address that is not allowed") {
        "the address is private; allow its network with --set 'worker.allow_networks=[\"10.0.0.0/8\"]'"
    } else if has("host not found") || has("could not be resolved") {
        "the name has no address; is it spelled right?"
    } else if has("refused") {
        "nobody listens there; is the program running, and is the port right?"
    } else if has("timed out") {
        "nobody answers there; is the address right, and does a firewall let us through?"
    } else if has("corrupt message") || has("TLS handshake failed: tls handshake eof") {
        "it does not speak TLS; is it an http:// address?"
    } else if has("UnknownIssuer") || has("unknown issuer") || has("not trusted") {
        "its certificate is not signed by an authority that this machine trusts, or the chain is incomplete"
    } else if has("Expired") || has("expired") {
        "its certificate has expired"
    } else if has("NotValidForName") || has("not valid for name") {
        "its certificate is for another name"
    } else if has("TLS handshake failed") {
        "the TLS handshake failed"
    } else if has("not HTTP") {
        "something else than HTTP answers there; is the port right?"
    } else if (has("connection was closed") || has("reset by peer")) && scheme == "http" {
        "it closes the connection without an answer; is it an https:// address?"
    } else {
        "no answer came"
    };
    format!("{remedy} ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_remedy() {
        for (error, scheme, remedy) in [
            (
                "not connected: Connection refused (os error 111)",
                "http",
                "nobody listens",
            ),
            ("connecting timed out", "http", "nobody answers"),
            (
                "x.example: host not found (no such name)",
                "https",
                "no address",
            ),
            (
                "TLS handshake failed: received corrupt message of type InvalidContentType",
                "https",
                "does not speak TLS",
            ),
            (
                "TLS handshake failed: invalid peer certificate: UnknownIssuer",
                "https",
                "authority",
            ),
            (
                "TLS handshake failed: invalid peer certificate: certificate expired: verification time 1",
                "https",
                "expired",
            ),
            (
                "TLS handshake failed: invalid peer certificate: NotValidForName",
                "https",
                "another name",
            ),
            ("TLS handshake failed: tls handshake eof", "https", "TLS"),
            (
                "no answer: the response is not HTTP",
                "http",
                "something else",
            ),
            (
                "no answer: the connection was closed",
                "http",
                "is it an https://",
            ),
            (
                "http:// is not allowed, only https://",
                "http",
                "--allow-http",
            ),
            (
                "the URL leads to an address that is not allowed",
                "https",
                "allow_networks",
            ),
            ("sign-in: status 401", "https", "--auth-file"),
        ] {
            let explained = explain(error, scheme);
            assert!(explained.contains(remedy), "{error}: {explained}");
            assert!(explained.contains(error), "{explained}");
        }
    }
}
