//! The end of a certificate's validity, which rustls does not tell a server (RFC 5280, 4.1.2.5).

use chrono::{DateTime, NaiveDateTime, Utc};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Returns the time after which a certificate (DER) is not valid; `None` for what is no certificate.
pub(super) fn end_of(certificate: &[u8]) -> Option<DateTime<Utc>> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = any_element(fields)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields = any_element(fields)?.2;
    }
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_, _, after_begin) = any_element(validity)?;
    let (kind, end, _) = any_element(after_begin)?;
    let end = std::str::from_utf8(end).ok()?;
    let end = match kind {
        UTC_TIME if end.get(..2)? < "50" => format!("20{end}"),
        UTC_TIME => format!("19{end}"),
        GENERALIZED_TIME => end.to_owned(),
        _ => return None,
    };
    let end = NaiveDateTime::parse_from_str(&end, "%Y%m%d%H%M%SZ").ok()?;
    Some(end.and_utc())
}

/// Returns the content of the first element, if it is of this kind, and what follows it.
fn element(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any_element(der)?;
    (found == kind).then_some((content, rest))
}

/// Returns kind and content of the first element, and what follows it.
fn any_element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, length], rest) = der.split_first_chunk()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // The number of bytes that the length has.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x0f))?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| (length << 8) | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((kind, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn ending(year: i32, names: usize) -> Vec<u8> {
        let names: Vec<String> = (0..names).map(|n| format!("host{n}.example")).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(year, 2, 28);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms_and_all_lengths() {
        // From 2050 on, a year has four digits; many names make lengths of two bytes.
        for (year, names) in [(2026, 1), (2049, 300), (2050, 1), (2099, 20)] {
            let end = end_of(&ending(year, names)).unwrap();
            assert_eq!(end.to_rfc3339(), format!("{year}-02-28T00:00:00+00:00"));
        }
    }

    #[test]
    fn nothing_else_has_an_end_and_no_bytes_are_a_panic() {
        let certificate = ending(2026, 3);
        for length in 0..certificate.len() {
            assert_eq!(end_of(&certificate[..length]), None, "{length}");
        }
        for place in 0..certificate.len() {
            let mut changed = certificate.clone();
            for value in [0, 0x30, 0x80, 0x84, 0xff] {
                changed[place] = value;
                let _ = end_of(&changed);
            }
        }
        assert_eq!(end_of(b""), None);
        assert_eq!(end_of(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
