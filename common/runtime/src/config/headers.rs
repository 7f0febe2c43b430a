//! Headers in one setting.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// Reads headers as OpenTelemetry writes them: names and values with `=` between them and commas between headers, and values
/// with `%2C` for a comma.
pub(crate) fn parse_headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=')?;
        let name: HeaderName = name.trim().parse().ok()?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value: HeaderValue = value.parse().ok()?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let read = parse_headers("authorization=Bearer a=b, x-tenant=7,x-list=a%2C%20b").unwrap();
        assert_eq!(read["authorization"], "Bearer a=b");
        assert_eq!(read["x-list"], "a, b");
        assert_eq!(read["x-tenant"], "7");
        assert!(format!("{read:?}").contains("Sensitive"));
        assert_eq!(parse_headers("").unwrap().len(), 0);
        for wrong in ["authorization", "a b=c", "x=\u{1}"] {
            assert!(parse_headers(wrong).is_none(), "{wrong}");
        }
    }
}
