//! The client address of a request; `X-Forwarded-For` counts only from trusted proxies.

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
    warned: Arc<AtomicBool>,
}

impl Proxies {
    #[must_use]
    pub fn new(trusted: &[IpNet]) -> Self {
        Self {
            trusted: trusted.into(),
            warned: Arc::default(),
        }
    }

    #[must_use]
    pub fn client(&self, connected: &RemoteAddr, headers: &HeaderMap) -> ClientAddress {
        let connected = match &connected.0 {
            Addr::SocketAddr(address) => address.ip().to_canonical(),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        if !self.trusts(connected) && headers.contains_key(FORWARDED_FOR) {
            self.warn(connected);
        }
        ClientAddress(rate_limit_address(
            self.nearest_untrusted(connected, headers),
        ))
    }

    /// Walks from the nearest hop to the farthest, for as long as a trusted proxy reported the hop.
    fn nearest_untrusted(&self, connected: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = connected;
        let lines: Vec<&str> = headers
            .get_all(FORWARDED_FOR)
            .into_iter()
            .map(|line| line.to_str().unwrap_or_default())
            .collect();
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.trusts(nearest) {
                break;
            }
            // A trusted proxy that sends an unreadable address is itself the last known hop.
            let Ok(hop) = hop.trim().parse::<IpAddr>() else {
                break;
            };
            nearest = hop.to_canonical();
        }
        nearest
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Warns once: behind a gateway that is not listed, all clients share one address.
    fn warn(&self, connected: IpAddr) {
        let is_local = match connected {
            IpAddr::V4(address) => address.is_private() || address.is_loopback(),
            IpAddr::V6(address) => address.is_unique_local() || address.is_loopback(),
        };
        if is_local && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                proxy = %connected,
                "X-Forwarded-For ignored: the proxy is not trusted, and all clients behind it share one rate limit; \
                 if it is your gateway, add its network to http.trusted_proxies"
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
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
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
    fn one_ipv6_client_is_its_64_bit_network_and_a_mapped_address_is_ipv4() {
        assert_eq!(client("", "2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
        assert_eq!(
            client("10.0.0.0/8", "::ffff:10.0.0.1", &["::ffff:192.0.2.1"]),
            "192.0.2.1"
        );
    }
}
