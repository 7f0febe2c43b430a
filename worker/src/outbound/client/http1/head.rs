//! Parses the head of an answer. Lines that are not as HTTP wants them are skipped and never cost the status.

/// Status line, and those headers that frame the body.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    is_http_1_1: bool,
    /// True if the head has a line that another reader could understand otherwise.
    is_odd: bool,
    closes: bool,
    content_length: Option<ContentLength>,
    /// Last transfer coding.
    transfer_coding: Option<String>,
    /// The last line with its name, because the next one may continue it.
    last: Option<(&'static str, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContentLength {
    Bytes(u64),
    /// Not a number, or several different ones.
    Unknown,
}

/// End of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// Length of a value that is not continued any more: each continuation is read with all before it, and thousands of them
/// would keep the processor busy.
const MAX_FOLDED_BYTES: usize = 1024;

/// Names of the headers that matter, to the framing or to the caller.
const NAMES: [&str; 7] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "retry-after",
    "date",
    "content-type",
    "location",
];

/// Parses `HTTP/1.1 201 Created`; the version may be another, and the reason may be missing.
pub(super) fn parse_status_line(line: &[u8]) -> Option<Head> {
    let line = trim(line);
    let (protocol, rest) = line.split_at_checked(5)?;
    if !protocol.eq_ignore_ascii_case(b"HTTP/") {
        return None;
    }
    let space = rest.iter().position(|byte| is_space(*byte))?;
    let (version, rest) = (&rest[..space], trim(&rest[space..]));
    if !version
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'.')
    {
        return None;
    }
    let (code, rest) = rest.split_at_checked(3)?;
    if rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let status = number(code)?;
    (status >= 100).then(|| Head {
        status: status as u16,
        is_http_1_1: version == b"1.1",
        is_odd: false,
        closes: false,
        content_length: None,
        transfer_coding: None,
        last: None,
    })
}

impl Head {
    /// Takes a header line; returns its name and value if they matter.
    pub(super) fn line(&mut self, line: &[u8]) -> Option<(&'static str, &[u8])> {
        if is_space(line[0]) {
            self.is_odd = true;
            let (_, value) = self.last.as_mut()?;
            if value.len() > MAX_FOLDED_BYTES {
                return None;
            }
            value.push(b' ');
            value.extend_from_slice(trim(line));
        } else {
            self.last = None;
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                self.is_odd = true;
                return None;
            };
            let name = trim(&line[..colon]);
            self.is_odd |= !is_token(&line[..colon]);
            let known = NAMES
                .iter()
                .find(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
            self.last = Some((known, trim(&line[colon + 1..]).to_vec()));
        }
        let (name, value) = self.last.take()?;
        self.field(name, &String::from_utf8_lossy(&value));
        let (name, value) = self.last.insert((name, value));
        Some((*name, value.as_slice()))
    }

    fn field(&mut self, name: &str, value: &str) {
        let mut words = value
            .split(',')
            .map(|word| word.trim().to_ascii_lowercase());
        match name {
            "content-length" => {
                for word in words {
                    let length = number(word.as_bytes()).map(ContentLength::Bytes);
                    let length = length.unwrap_or(ContentLength::Unknown);
                    self.content_length = match self.content_length {
                        Some(other) if other != length => Some(ContentLength::Unknown),
                        _ => Some(length),
                    };
                }
            }
            "transfer-encoding" => {
                let chunked = words.clone().filter(|word| word == "chunked").count();
                self.is_odd |= chunked > 1 || self.transfer_coding.is_some();
                self.transfer_coding = words.next_back();
            }
            "connection" => self.closes |= words.any(|word| word == "close"),
            _ => {}
        }
    }

    pub(super) fn framing(&self) -> Framing {
        match (&self.transfer_coding, self.content_length) {
            _ if matches!(self.status, 204 | 304) => Framing::None,
            (Some(coding), _) if coding == "chunked" => Framing::Chunked,
            (None, Some(ContentLength::Bytes(length))) => Framing::Length(length),
            _ => Framing::UntilClose,
        }
    }

    /// Names the part of the head that another reader could understand otherwise.
    pub(super) fn oddity(&self) -> Option<&'static str> {
        match (&self.transfer_coding, self.content_length) {
            (_, Some(ContentLength::Unknown)) => {
                Some("its Content-Length is not a number, or there are several")
            }
            (Some(_), Some(_)) => Some("it has both Transfer-Encoding and Content-Length"),
            _ if self.is_odd => Some("it has a line that is not `name: value`"),
            _ => None,
        }
    }

    /// Returns true if the connection can be used again after the body.
    pub(super) fn keeps_alive(&self) -> bool {
        let is_certain = match self.framing() {
            // Some servers send the body that they announce.
            Framing::None => {
                let length = self.content_length.unwrap_or(ContentLength::Bytes(0));
                length == ContentLength::Bytes(0) && self.transfer_coding.is_none()
            }
            Framing::Length(_) => true,
            Framing::Chunked => self.content_length.is_none(),
            Framing::UntilClose => false,
        };
        is_certain && self.is_http_1_1 && !self.is_odd && !self.closes
    }
}

/// Parses the size of a chunk, which may have extensions.
pub(super) fn parse_chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    let digits = std::str::from_utf8(trim(digits)).ok()?;
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    // More than can be counted is more than is read.
    Some(u64::from_str_radix(digits, 16).unwrap_or(u64::MAX))
}

/// Parses decimal digits, and nothing but digits.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// Returns true for a header name that is valid in HTTP.
fn is_token(name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[&str]) -> Head {
        let mut head = parse_status_line(b"HTTP/1.1 201 Created").unwrap();
        for line in lines {
            head.line(line.as_bytes());
        }
        head
    }

    #[test]
    fn a_status_line_may_be_sloppy_but_has_a_status() {
        for line in [
            "HTTP/1.1 201 Created",
            "HTTP/1.1 201",
            "HTTP/1.1 201 ",
            "HTTP/1.1  201\tCr\u{e9}e",
            "HTTP/1.0 201 Created",
            "HTTP/2 201",
            "http/1.1 201 created",
        ] {
            let status = parse_status_line(line.as_bytes()).map(|head| head.status);
            assert_eq!(status, Some(201), "{line}");
        }
        for line in [
            "HTTP/1.1",
            "HTTP/1.1 20",
            "HTTP/1.1 2010 x",
            "HTTP/1.1 099 x",
            "HTTP/1.1 -20 x",
            "HTTP/1.1 OK",
            "HTTP/x 201",
            "SSH-2.0-x",
            "201 Created",
        ] {
            assert!(parse_status_line(line.as_bytes()).is_none(), "{line}");
        }
    }

    #[test]
    fn the_body_ends_where_the_framing_says_or_with_the_connection() {
        for (lines, framing, keeps_alive) in [
            (&["Content-Length: 7"][..], Framing::Length(7), true),
            (&["content-length: 7, 7"], Framing::Length(7), true),
            (
                &["content-length: 7", "content-length: 7"],
                Framing::Length(7),
                true,
            ),
            (
                &["content-length: 7", "content-length: 8"],
                Framing::UntilClose,
                false,
            ),
            (&["content-length: +7"], Framing::UntilClose, false),
            (&["content-length: 7x"], Framing::UntilClose, false),
            (&["content-length:"], Framing::UntilClose, false),
            (&["transfer-encoding: Chunked"], Framing::Chunked, true),
            (
                &["transfer-encoding: gzip, chunked"],
                Framing::Chunked,
                true,
            ),
            (
                &["transfer-encoding: chunked", "content-length: 7"],
                Framing::Chunked,
                false,
            ),
            (
                &["transfer-encoding: gzip", "content-length: 7"],
                Framing::UntilClose,
                false,
            ),
            (
                &["content-length: 7", "connection: x, Close"],
                Framing::Length(7),
                false,
            ),
            (&[], Framing::UntilClose, false),
        ] {
            let head = head(lines);
            assert_eq!(head.framing(), framing, "{lines:?}");
            assert_eq!(head.keeps_alive(), keeps_alive, "{lines:?}");
        }
    }

    #[test]
    fn an_odd_line_costs_the_connection_and_no_other_line() {
        for odd in [
            "x-why : 1",
            "x why: 1",
            " folded",
            "\tfolded",
            "stray text",
            ": 1",
            "x-w\u{e9}: 1",
        ] {
            let head = head(&["x-a: 1", odd, "content-length: 7"]);
            assert_eq!(head.framing(), Framing::Length(7), "{odd}");
            assert!(!head.keeps_alive(), "{odd}");
        }
        let spaced = head(&["content-length : 7"]);
        assert_eq!(
            (spaced.framing(), spaced.keeps_alive()),
            (Framing::Length(7), false)
        );
    }

    #[test]
    fn a_folded_line_continues_the_one_before_it() {
        let mut head = head(&[]);
        head.line(b"Retry-After: Fri, 15 Jan 2027");
        let continued = head.line(b"  08:01:00 GMT");
        let expected = ("retry-after", &b"Fri, 15 Jan 2027 08:01:00 GMT"[..]);
        assert_eq!(continued, Some(expected));
    }

    #[test]
    fn a_line_is_not_continued_for_ever() {
        let mut head = head(&["connection: keep-alive"]);
        let lengths = (0..100_000).filter_map(|_| head.line(b" ,").map(|(_, value)| value.len()));
        let longest = lengths.max().unwrap();
        assert!(longest <= MAX_FOLDED_BYTES + 2, "{longest}");
        assert!(!head.keeps_alive());
    }

    #[test]
    fn a_connection_is_kept_only_if_everybody_sees_the_same_end_of_the_answer() {
        for (status, lines, keeps_alive) in [
            (204, &[][..], true),
            (204, &["content-length: 0"], true),
            (204, &["content-length: 2"], false),
            (204, &["transfer-encoding: chunked"], false),
            (304, &[], true),
            (304, &["content-length: 2"], false),
            (304, &["transfer-encoding: chunked"], false),
            (201, &["transfer-encoding: chunked, chunked"], false),
            (
                201,
                &["transfer-encoding: chunked", "transfer-encoding: chunked"],
                false,
            ),
        ] {
            let mut head = parse_status_line(format!("HTTP/1.1 {status} x").as_bytes()).unwrap();
            for line in lines {
                head.line(line.as_bytes());
            }
            assert_eq!(head.keeps_alive(), keeps_alive, "{status} {lines:?}");
        }
    }

    #[test]
    fn a_chunk_size_is_hexadecimal() {
        assert_eq!(parse_chunk_size(b"1F"), Some(31));
        assert_eq!(parse_chunk_size(b" 2 ;name=value"), Some(2));
        assert_eq!(parse_chunk_size(b"fffffffffffffffffff"), Some(u64::MAX));
        for bad in ["", "x", "-1", "+1", "0x1", "1 2"] {
            assert_eq!(parse_chunk_size(bad.as_bytes()), None, "{bad}");
        }
    }
}
