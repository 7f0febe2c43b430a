//! The client address of a request; `X-Forwarded-For` counts only from trusted proxies.

mod hop;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::HeaderMap;
use ipnet::IpNet;
use poem::{Addr, FromRequest, Request, RequestBody, web::RemoteAddr};

const FORWARDED_FOR: &str = "x-forwarded-for";
/// The header of RFC 7239. It is not read: most gateways pass on the one that the client wrote.
const FORWARDED: &str = "forwarded";

/// A client's address; for IPv6 its /64 network, all of which belongs to one client. The api's front sets it on every
/// request before anything else runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// Returns the client address of the request; the unspecified address if the request came through no socket.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let found = request.extensions().get::<Self>().copied();
        found.unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }
}

impl<'a> FromRequest<'a> for ClientAddress {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self::of(request))
    }
}

/// Networks whose `X-Forwarded-For` header is trusted.
#[derive(Clone, Debug)]
pub struct Proxies {
    trusted: Arc<[IpNet]>,
    warnings: Arc<Warnings>,
}

/// Warnings that were already logged, since each request would repeat them.
#[derive(Debug, Default)]
struct Warnings {
    untrusted: AtomicBool,
    unreadable: AtomicBool,
}

impl Proxies {
    #[must_use]
    pub fn new(trusted: &[IpNet]) -> Self {
        Self {
            trusted: trusted.iter().map(hop::canonical_network).collect(),
            warnings: Arc::default(),
        }
    }

    #[must_use]
    pub fn client(&self, connected: &RemoteAddr, headers: &HeaderMap) -> ClientAddress {
        let connected = match &connected.0 {
            Addr::SocketAddr(address) => hop::canonical(address.ip()),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        if !self.trusts(connected) && headers.contains_key(FORWARDED_FOR) {
            self.warn_of_untrusted(connected);
        }
        ClientAddress(rate_limit_address(
            self.nearest_untrusted(connected, headers),
        ))
    }

    /// Walks from the nearest hop to the farthest, for as long as a trusted proxy reported the hop.
    fn nearest_untrusted(&self, connected: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = connected;
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).into_iter().collect();
        if lines.is_empty() && headers.contains_key(FORWARDED) && self.trusts(connected) {
            self.warn_of_unreadable(connected);
        }
        // Split as bytes: what a client wrote further left must not spoil the hop that our proxy added.
        let hops = lines
            .iter()
            .rev()
            .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops {
            if !self.trusts(nearest) {
                break;
            }
            // A trusted proxy that sends an unreadable address is itself the last known hop: everything further left
            // may be the client's invention.
            let Some(hop) = hop::parse(hop) else {
                self.warn_of_unreadable(nearest);
                break;
            };
            nearest = hop;
        }
        nearest
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Warns once: behind a gateway that is not listed, all clients share one address.
    fn warn_of_untrusted(&self, connected: IpAddr) {
        let is_local = match connected {
            IpAddr::V4(address) => address.is_private() || address.is_loopback(),
            IpAddr::V6(address) => address.is_unique_local() || address.is_loopback(),
        };
        if is_local && !self.warnings.untrusted.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                proxy = %connected,
                "X-Forwarded-For ignored: the proxy is not trusted, and all clients behind it share one rate limit; \
                 if it is your gateway, add its network to http.trusted_proxies"
            );
        }
    }

    /// Warns once: all clients whose address a proxy does not tell share the proxy's.
    fn warn_of_unreadable(&self, proxy: IpAddr) {
        if !self.warnings.unreadable.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %proxy,
                "a trusted proxy sent no readable address of its client in X-Forwarded-For: all such clients share one \
                 rate limit, that of the proxy; let it append the client's address, with or without a port"
            );
        }
    }
}

fn rate_limit_address(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(trusted: &str, connected: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted
            .split_whitespace()
            .map(|net| net.parse().unwrap())
            .collect();
        let connected = Addr::SocketAddr((connected.parse::<IpAddr>().unwrap(), 4000).into());
        let mut headers = HeaderMap::new();
        for line in forwarded {
            let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append(FORWARDED_FOR, value);
        }
        let client = Proxies::new(&trusted).client(&RemoteAddr(connected), &headers);
        client.0.to_string()
    }

    #[test]
    fn nobody_is_believed_who_is_not_a_proxy_of_ours() {
        assert_eq!(client("", "203.0.113.7", &["192.0.2.1"]), "203.0.113.7");
        assert_eq!(
            client("10.0.0.0/8", "203.0.113.7", &["192.0.2.1"]),
            "203.0.113.7"
        );
    }

    #[test]
    fn the_nearest_hop_that_is_not_ours_is_the_client() {
        let ours = "10.0.0.0/8 172.30.77.0/24";
        assert_eq!(client(ours, "10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        // The client's own header value is left of the address that our proxy added.
        assert_eq!(
            client(ours, "10.0.0.1", &["198.51.100.9, 192.0.2.1"]),
            "192.0.2.1"
        );
        assert_eq!(
            client(ours, "10.0.0.1", &["192.0.2.1, 172.30.77.5"]),
            "192.0.2.1"
        );
        assert_eq!(
            client(ours, "10.0.0.1", &["198.51.100.9", "192.0.2.1"]),
            "192.0.2.1"
        );
    }

    #[test]
    fn what_cannot_be_read_is_where_belief_ends() {
        assert_eq!(
            client("10.0.0.0/8", "10.0.0.1", &["192.0.2.1, unknown"]),
            "10.0.0.1"
        );
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(
            client("10.0.0.0/8", "10.0.0.1", &["10.0.0.2, 10.0.0.3"]),
            "10.0.0.2"
        );
    }

    #[test]
    fn a_hop_counts_with_and_without_its_port() {
        let forms = [
            "192.0.2.1:51034",
            "[::ffff:192.0.2.1]:51034",
            "\"192.0.2.1:51034\"",
            " \t192.0.2.1 ",
        ];
        for form in forms {
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[form]), "192.0.2.1");
            let after_another = ["198.51.100.9:1, 10.0.0.7:2", &format!("{form}, 10.0.0.8:3")];
            let found = client("10.0.0.0/8", "10.0.0.1", &after_another);
            assert_eq!(found, "192.0.2.1", "{form}");
        }
        let two = ["[2001:db8:1:2::5]:443", "[2001:db8:1:2:3:4:5:6]:51034"];
        for form in two {
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[form]), "2001:db8:1:2::");
        }
    }

    #[test]
    fn whatever_a_client_writes_the_hop_that_our_proxy_adds_counts() {
        for written in [
            "é",
            "unknown",
            "",
            ",,,",
            "\"",
            "\"192.0.2.9",
            "10.0.0.9",
            "[::1",
        ] {
            let line = format!("{written}, 192.0.2.1:4000");
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[&line]), "192.0.2.1");
            let lines = [written, "192.0.2.1"];
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &lines), "192.0.2.1");
        }
    }

    #[test]
    fn a_network_of_mapped_addresses_is_one_of_ipv4() {
        let trusted = "::ffff:10.0.0.0/104";
        assert_eq!(client(trusted, "10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(
            client(trusted, "::ffff:10.0.0.1", &["192.0.2.1"]),
            "192.0.2.1"
        );
        assert_eq!(client(trusted, "11.0.0.1", &["192.0.2.1"]), "11.0.0.1");
    }

    #[test]
    fn a_proxy_that_tells_no_client_is_warned_of_once() {
        let unreadable = |name: &'static str, value: &str, connected: [u8; 4]| {
            let proxies = Proxies::new(&["10.0.0.0/8".parse().unwrap()]);
            let headers: HeaderMap = [(
                http::HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )]
            .into_iter()
            .collect();
            let connected = RemoteAddr(Addr::SocketAddr((connected, 4000).into()));
            let client = proxies.client(&connected, &headers);
            (
                client.0.to_string(),
                proxies.warnings.unreadable.load(Ordering::Relaxed),
            )
        };
        let ours = [10, 0, 0, 1];
        for value in [
            "unknown",
            "",
            "192.0.2.1, ",
            "_hidden",
            "unix:",
            "192.0.2.1 192.0.2.2",
        ] {
            let found = unreadable(FORWARDED_FOR, value, ours);
            assert_eq!(found, ("10.0.0.1".into(), true), "{value}");
        }
        let found = unreadable(FORWARDED, "for=192.0.2.1", ours);
        assert_eq!(found, ("10.0.0.1".into(), true));
        let found = unreadable(FORWARDED_FOR, "unknown, 192.0.2.1:80", ours);
        assert_eq!(found, ("192.0.2.1".into(), false), "the client wrote that");
        let strange = unreadable(FORWARDED_FOR, "unknown", [203, 0, 113, 7]);
        assert_eq!(strange, ("203.0.113.7".into(), false));
    }

    #[test]
    fn one_ipv6_client_is_its_64_bit_network_and_a_mapped_address_is_ipv4() {
        assert_eq!(client("", "2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
        assert_eq!(
            client("10.0.0.0/8", "::ffff:10.0.0.1", &["::ffff:192.0.2.1"]),
            "192.0.2.1"
        );
    }
}
