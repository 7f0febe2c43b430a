//! Checks of the options in a MySQL URL: sqlx ignores those that it does not know, and a slip would cost the encryption.

use super::ServiceUrl;

/// Options that sqlx reads (`sqlx-mysql`, `options/parse.rs`).
const KNOWN: [&str; 14] = [
    "ssl-mode",
    "sslmode",
    "ssl-ca",
    "sslca",
    "ssl-cert",
    "sslcert",
    "ssl-key",
    "sslkey",
    "charset",
    "collation",
    "timezone",
    "time-zone",
    "socket",
    "statement-cache-capacity",
];

/// Returns what is wrong with the options, without any of their text: a password may stand among them by mistake.
pub(super) fn problem(url: &ServiceUrl) -> Option<&'static str> {
    let has_several_hosts = url.has_several_hosts();
    let url = url.url();
    if url.query_pairs().any(|(key, _)| !KNOWN.contains(&&*key)) {
        return Some(
            "has an unknown option after the question mark; known are ssl-mode, ssl-ca, ssl-cert, ssl-key, charset, \
             collation, time-zone, socket and statement-cache-capacity",
        );
    }
    if has_several_hosts && url.query_pairs().any(|(key, _)| key == "socket") {
        return Some("has several hosts and a socket, which would be used in place of all of them");
    }
    let last = |names: [&str; 2]| {
        let pairs = url.query_pairs();
        let named = pairs.filter(|(key, _)| names.contains(&&**key));
        named.last().map(|(_, value)| value)
    };
    let mode = last(["ssl-mode", "sslmode"]).unwrap_or_default();
    let verifies =
        mode.eq_ignore_ascii_case("verify_ca") || mode.eq_ignore_ascii_case("verify_identity");
    if last(["ssl-ca", "sslca"]).is_some() && !verifies {
        return Some(
            "has ssl-ca, which checks nothing without ssl-mode=VERIFY_CA or ssl-mode=VERIFY_IDENTITY",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_with(options: &str) -> Option<&'static str> {
        let url = format!("mysql://me:secret@db/x{options}");
        problem(&url.try_into().unwrap())
    }

    #[test]
    fn a_socket_is_for_one_host_only() {
        for (url, is_refused) in [
            ("mysql://me@a,b/x?socket=/run/mysqld.sock", true),
            ("mysql://me@a/x?socket=/run/mysqld.sock", false),
            ("mysql://me@a,b/x?ssl-mode=REQUIRED", false),
        ] {
            let url = ServiceUrl::try_from(url.to_owned()).unwrap();
            assert_eq!(problem(&url).is_some(), is_refused, "{url}");
        }
    }

    #[test]
    fn every_option_that_the_driver_does_not_know_is_refused() {
        for options in [
            "?ssl_mode=VERIFY_IDENTITY",
            "?sslMode=VERIFY_IDENTITY",
            "?SSL-MODE=VERIFY_IDENTITY",
            "?ssl-mode=VERIFY_CA&ssl_ca=/ca.pem",
            "?tls=true",
            "?hunter2",
            "?=x",
        ] {
            let refused = problem_with(options).unwrap_or_default();
            assert!(refused.contains("unknown option"), "{options}: {refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn a_ca_is_refused_unless_the_mode_checks_it() {
        for options in [
            "?ssl-ca=/ca.pem",
            "?sslca=/ca.pem",
            "?ssl-ca=/ca.pem&ssl-mode=REQUIRED",
            "?ssl-mode=VERIFY_CA&ssl-ca=/ca.pem&sslmode=PREFERRED",
            "?ssl-mode=VERIFY-CA&ssl-ca=/ca.pem",
        ] {
            let refused = problem_with(options).unwrap_or_default();
            assert!(refused.contains("checks nothing"), "{options}: {refused}");
        }
    }

    #[test]
    fn every_spelling_that_the_driver_knows_is_taken() {
        for options in [
            "",
            "?",
            "?ssl-mode=REQUIRED",
            "?ssl-mode=VERIFY_IDENTITY",
            "?ssl-mode=VERIFY_CA&ssl-ca=/ca.pem",
            "?sslca=/ca.pem&sslmode=verify_identity",
            "?ssl-mode=DISABLED&ssl-ca=/ca.pem&ssl-mode=Verify_Ca",
            "?sslcert=/c.pem&ssl-cert=/c.pem&sslkey=/k.pem&ssl-key=/k.pem",
            "?charset=utf8mb4&collation=utf8mb4_bin&timezone=UTC&time-zone=UTC",
            "?socket=/run/mysqld.sock&statement-cache-capacity=100",
        ] {
            assert_eq!(problem_with(options), None, "{options}");
        }
    }
}
