//! URLs that name several servers: `mysql://user:password@a:3306,b:3306/name` is two servers with one account.

use std::{fmt, net::Ipv6Addr};

/// Schemes whose URLs may name several hosts, with the port of a host that names none.
const SCHEMES: [(&str, u16); 3] = [("mysql", 3306), ("amqp", 5672), ("amqps", 5671)];
/// More than any set of servers has. Each process asks each of them, so that a slip must not make thousands.
const MAX_HOSTS: usize = 16;

/// One server of a URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Host {
    /// Host and port as they were written, such as `a:3306` or `[::1]:3306`. Empty if the URL has one host.
    pub name: String,
    /// The URL with this host alone.
    pub url: String,
}

impl fmt::Debug for Host {
    /// Formats the host without its URL, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Reason why a list of hosts is refused. It repeats nothing of the URL, in which a password may stand anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    #[error("a host in the list has no name: write scheme://user:password@a:3306,b:3306/name")]
    NoName,
    #[error(
        "a host in the list is neither a name nor an address: hosts are separated by commas without spaces"
    )]
    NoHost,
    #[error("an IPv6 address in the list of hosts must be in brackets, as in [::1]:3306")]
    NoBrackets,
    #[error("a port in the list of hosts must be a number from 1 to 65535")]
    NoPort,
    #[error("a host is twice in the list of hosts")]
    Twice,
    #[error("the list has more than {max} hosts", max = MAX_HOSTS)]
    TooMany,
}

/// Returns the servers that a URL names, in their order. A URL of one host, or of a scheme without lists, is returned as
/// it is.
pub fn split(url: &str) -> Result<Vec<Host>, HostsError> {
    let one = || {
        let (name, url) = (String::new(), url.to_owned());
        Ok(vec![Host { name, url }])
    };
    let Some((parts, default_port)) = parts(url) else {
        return one();
    };
    if !parts.hosts.contains(',') {
        return one();
    }
    let names: Vec<&str> = parts.hosts.split(',').collect();
    if names.len() > MAX_HOSTS {
        return Err(HostsError::TooMany);
    }
    let mut known = Vec::new();
    let mut hosts = Vec::new();
    for name in names {
        let (host, port) = host_and_port(name)?;
        let server = (host.to_ascii_lowercase(), port.unwrap_or(default_port));
        if known.contains(&server) {
            return Err(HostsError::Twice);
        }
        known.push(server);
        hosts.push(Host {
            name: name.to_owned(),
            url: format!("{}{name}{}", parts.before, parts.after),
        });
    }
    Ok(hosts)
}

/// Returns the IPv6 address that a URL has as its only host.
#[must_use]
pub fn ipv6(url: &str) -> Option<Ipv6Addr> {
    let hosts = parts(url)?.0.hosts;
    let (address, _) = hosts.strip_prefix('[')?.split_once(']')?;
    address.parse().ok()
}

/// A URL, cut around its hosts.
struct Parts<'u> {
    before: &'u str,
    hosts: &'u str,
    after: &'u str,
}

/// Cuts a URL as the URL standard does: the account ends at the last `@` before the path.
fn parts(url: &str) -> Option<(Parts<'_>, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let (_, default_port) = SCHEMES
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(scheme))?;
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let account = rest[..authority].rfind('@').map_or(0, |at| at + 1);
    let begin = scheme.len() + "://".len();
    let parts = Parts {
        before: &url[..begin + account],
        hosts: &rest[account..authority],
        after: &rest[authority..],
    };
    Some((parts, default_port))
}

fn host_and_port(name: &str) -> Result<(&str, Option<u16>), HostsError> {
    let (host, port) = if let Some(bracketed) = name.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').ok_or(HostsError::NoHost)?;
        address
            .parse::<Ipv6Addr>()
            .map_err(|_| HostsError::NoHost)?;
        match rest.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None if rest.is_empty() => (address, None),
            None => return Err(HostsError::NoHost),
        }
    } else if name.parse::<Ipv6Addr>().is_ok() {
        return Err(HostsError::NoBrackets);
    } else {
        let (host, port) = match name.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (name, None),
        };
        let is_named = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if host.is_empty() {
            return Err(HostsError::NoName);
        }
        if !host.chars().all(is_named) {
            return Err(HostsError::NoHost);
        }
        (host, port)
    };
    let port = port.map(parse_port).transpose()?;
    Ok((host, port))
}

/// Parses a port of digits only: the parser of numbers also takes a sign.
fn parse_port(port: &str) -> Result<u16, HostsError> {
    let is_number = port.bytes().all(|digit| digit.is_ascii_digit());
    match port.parse() {
        Ok(port) if is_number && port > 0 => Ok(port),
        _ => Err(HostsError::NoPort),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(url: &str) -> Vec<String> {
        let hosts = split(url).unwrap().into_iter();
        hosts.map(|host| host.url).collect()
    }

    #[test]
    fn every_host_of_a_list_gets_the_account_the_path_and_the_options() {
        assert_eq!(
            urls(
                "mysql://me:p%40ss@a:3306,b,c.example:3307/shop?ssl-mode=VERIFY_CA&ssl-ca=/ca.pem"
            ),
            [
                "mysql://me:p%40ss@a:3306/shop?ssl-mode=VERIFY_CA&ssl-ca=/ca.pem",
                "mysql://me:p%40ss@b/shop?ssl-mode=VERIFY_CA&ssl-ca=/ca.pem",
                "mysql://me:p%40ss@c.example:3307/shop?ssl-mode=VERIFY_CA&ssl-ca=/ca.pem",
            ]
        );
        assert_eq!(urls("amqps://a,b/%2f"), ["amqps://a/%2f", "amqps://b/%2f"]);
        assert_eq!(urls("amqp://a,b"), ["amqp://a", "amqp://b"]);
        let hosts = split("amqp://me@[::1]:5672,[fe80::2],10.0.0.7:1/x").unwrap();
        let names: Vec<&str> = hosts.iter().map(|host| &*host.name).collect();
        assert_eq!(names, ["[::1]:5672", "[fe80::2]", "10.0.0.7:1"]);
        assert_eq!(hosts[1].url, "amqp://me@[fe80::2]/x");
    }

    #[test]
    fn commas_outside_the_hosts_and_other_schemes_make_no_list() {
        for url in [
            "mysql://me:a,b@db:3306/shop",
            "mysql://m,e:a@b,c@db/shop",
            "mysql://me@db/shop?ssl-ca=/a,b.pem",
            "mysql://me@db/a,b",
            "mysql://db?x=a,b@c,d",
            "sqlite://data,old/expediter.db",
            "https://a,b/",
            "embedded:",
            "a,b",
        ] {
            assert_eq!(urls(url), [url]);
        }
        // The last @ ends the account, also if its password has one.
        assert_eq!(
            urls("mysql://me:a,b@c@d,e/shop"),
            ["mysql://me:a,b@c@d/shop", "mysql://me:a,b@c@e/shop"]
        );
    }

    #[test]
    fn a_bad_list_is_refused_with_its_reason_and_nothing_of_the_url() {
        for (hosts, reason) in [
            ("a,", HostsError::NoName),
            (",a", HostsError::NoName),
            ("a,,b", HostsError::NoName),
            (",", HostsError::NoName),
            ("a:3306,:3306", HostsError::NoName),
            ("a, b", HostsError::NoHost),
            ("a,b c", HostsError::NoHost),
            ("a,b%2c", HostsError::NoHost),
            ("a,[::1", HostsError::NoHost),
            ("a,[b]", HostsError::NoHost),
            ("a,[::1]3306", HostsError::NoHost),
            ("a,b\\c", HostsError::NoHost),
            ("a,::1", HostsError::NoBrackets),
            ("a,fe80::1", HostsError::NoBrackets),
            ("a,b:", HostsError::NoPort),
            ("a,b:0", HostsError::NoPort),
            ("a,b:65536", HostsError::NoPort),
            ("a,b:+1", HostsError::NoPort),
            ("a,b:33o6", HostsError::NoPort),
            ("a,b:1:2", HostsError::NoPort),
            ("a,a", HostsError::Twice),
            ("a,A:3306", HostsError::Twice),
            ("[::1]:1,[::1]:1", HostsError::Twice),
        ] {
            let refused = split(&format!("mysql://me:hunter2@{hosts}/x")).unwrap_err();
            assert_eq!(refused, reason, "{hosts}");
            assert!(!refused.to_string().contains("hunter2"));
        }
        let many: Vec<String> = (0..=MAX_HOSTS).map(|n| format!("h{n}")).collect();
        let refused = split(&format!("amqp://{}/x", many.join(",")));
        assert_eq!(refused, Err(HostsError::TooMany));
        assert_eq!(split("amqp://a:5672,a:5671/x").unwrap().len(), 2);
    }

    #[test]
    fn a_host_prints_without_its_password() {
        let hosts = split("mysql://me:hunter2@a,b/x").unwrap();
        assert!(!format!("{hosts:?}").contains("hunter2"));
    }

    #[test]
    fn the_address_in_brackets_is_found_behind_an_account() {
        assert_eq!(ipv6("amqp://me:x@[::1]:5672/v"), Some(Ipv6Addr::LOCALHOST));
        assert_eq!(ipv6("amqps://[::1]"), Some(Ipv6Addr::LOCALHOST));
        assert_eq!(ipv6("amqp://mq:5672/[::1]"), None);
        assert_eq!(ipv6("embedded:"), None);
    }
}
