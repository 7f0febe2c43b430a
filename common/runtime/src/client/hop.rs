//! One hop of `X-Forwarded-For`, in the forms that gateways write.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// Prefix of the addresses that translators of IPv4 to IPv6 give to IPv4 clients (RFC 6052).
const TRANSLATED: u128 = 0x0064_ff9b << 96;
const LOW_32_BITS: u128 = u32::MAX as u128;

/// Parses an address with or without a port: `192.0.2.1`, `192.0.2.1:4000`, `2001:db8::1`, `[2001:db8::1]` or
/// `[2001:db8::1]:4000`, each of which may be quoted. An IPv6 address may have a zone.
pub(super) fn parse(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?;
    let hop = trimmed(hop);
    let unquoted = hop.strip_prefix('"').and_then(|hop| hop.strip_suffix('"'));
    let hop = trimmed(unquoted.unwrap_or(hop));
    let address = if let Some(bracketed) = hop.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        is_port.then(|| v6(address)).flatten()?
    } else {
        match hop.split_once(':') {
            Some((address, port)) if is_port(port) => address.parse().ok().map(IpAddr::V4)?,
            Some(_) => v6(hop)?,
            None => hop.parse().ok().map(IpAddr::V4)?,
        }
    };
    Some(canonical(address))
}

/// Returns the IPv4 address that an IPv6 address stands for, if it stands for one; otherwise one /64 would be all of
/// IPv4.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if address.to_bits() & !LOW_32_BITS == TRANSLATED => {
            let low = address.to_bits() & LOW_32_BITS;
            u32::try_from(low).map_or(IpAddr::V6(address), |low| IpAddr::V4(low.into()))
        }
        address => address,
    }
}

/// Returns the IPv4 network that a network of mapped or translated addresses stands for.
pub(super) fn canonical_network(network: &IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return *network;
    };
    let prefix = v6.prefix_len().checked_sub(96);
    match (prefix, canonical(IpAddr::V6(v6.addr()))) {
        (Some(prefix), IpAddr::V4(address)) => {
            Ipv4Net::new(address, prefix).map_or(*network, IpNet::V4)
        }
        _ => *network,
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn v6(address: &str) -> Option<IpAddr> {
    let without_zone = address
        .split_once('%')
        .map_or(address, |(before, _)| before);
    without_zone.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// Returns true for the digits of a port.
fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.parse::<u16>().is_ok() && !text.starts_with('+')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(hop: &str) -> Option<String> {
        parse(hop.as_bytes()).map(|address| address.to_string())
    }

    #[test]
    fn every_form_of_an_address_is_read() {
        for (hop, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:0", "192.0.2.1"),
            ("192.0.2.1:65535", "192.0.2.1"),
            ("\t \"192.0.2.1:80\" ", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("\"[2001:db8::1]:443\"", "2001:db8::1"),
            // Without brackets the last group is no port.
            ("2001:db8::1:443", "2001:db8::1:443"),
            ("::1", "::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:c000:201", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
            ("64:ff9b::192.0.2.1", "192.0.2.1"),
            ("[64:ff9b::c000:201]:80", "192.0.2.1"),
        ] {
            assert_eq!(parsed(hop).as_deref(), Some(address), "{hop}");
        }
    }

    #[test]
    fn nothing_else_is_taken_for_an_address() {
        for hop in [
            "",
            " ",
            "\"\"",
            "unknown",
            "_hidden",
            "unix:",
            "localhost:80",
            "192.0.2.1:",
            "192.0.2.1:65536",
            "192.0.2.1:+80",
            "192.0.2.1:000080",
            "192.0.2.1:80:80",
            "192.0.2.1:http",
            "192.0.2.1 80",
            "192.0.2",
            "192.0.2.01",
            "192.0.2.256",
            "[192.0.2.1]:80",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]443",
            "[2001:db8::1]:",
            "[]:80",
            "\"192.0.2.1",
            "for=192.0.2.1",
        ] {
            assert_eq!(parsed(hop), None, "{hop}");
        }
        assert_eq!(parse(b"192.0.2.1\xff"), None);
    }

    #[test]
    fn only_a_network_that_stands_for_ipv4_becomes_one() {
        for (network, same) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
            ("64:ff9b::10.0.0.1/128", "10.0.0.1/32"),
            ("::/0", "::/0"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            let network: IpNet = network.parse().unwrap();
            assert_eq!(canonical_network(&network).to_string(), same);
        }
    }
}
