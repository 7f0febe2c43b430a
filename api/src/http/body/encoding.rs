//! Bodies that were compressed on their way here.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, header};

use super::too_large;
use crate::http::problem::{Problem, Reason};

/// Encoding of a body; the limit of bodies holds before and after it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// Reads the encoding of a body, which may be named in several headers; refuses any other than gzip.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut encoding = Self::Identity;
        for said in headers.get_all(header::CONTENT_ENCODING) {
            let said = said.to_str().map_err(|_| unsupported())?;
            let words = said
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty());
            for word in words {
                if word.eq_ignore_ascii_case("identity") {
                    continue;
                }
                let is_gzip = ["gzip", "x-gzip"]
                    .iter()
                    .any(|name| word.eq_ignore_ascii_case(name));
                if !is_gzip || encoding == Self::Gzip {
                    return Err(unsupported());
                }
                encoding = Self::Gzip;
            }
        }
        Ok(encoding)
    }

    pub(super) fn decode(self, bytes: Bytes, limit: usize) -> Result<Bytes, Problem> {
        if self == Self::Identity {
            return Ok(bytes);
        }
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let mut decoded = Vec::new();
        MultiGzDecoder::new(&bytes[..])
            .take(most)
            .read_to_end(&mut decoded)
            .map_err(|_| Problem::new(Reason::BadRequest).detail("The body is not valid gzip."))?;
        if decoded.len() > limit {
            return Err(too_large(limit));
        }
        Ok(decoded.into())
    }
}

fn unsupported() -> Problem {
    Problem::new(Reason::UnsupportedMediaType)
        .detail("Content-Encoding may be gzip or identity, once.")
        .with_accept_encoding("gzip")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(plain: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    fn of(said: &[&'static str]) -> Result<Encoding, Reason> {
        let headers = said
            .iter()
            .map(|said| (header::CONTENT_ENCODING, said.parse().unwrap()));
        Encoding::of(&headers.collect()).map_err(|problem| problem.reason())
    }

    #[test]
    fn gzip_is_read_and_any_other_encoding_is_refused() {
        for plain in [&[][..], &["identity"], &["Identity", ""]] {
            assert_eq!(of(plain), Ok(Encoding::Identity), "{plain:?}");
        }
        for gzip in [&["gzip"][..], &["GZIP"], &["x-gzip"], &["identity, gzip"]] {
            assert_eq!(of(gzip), Ok(Encoding::Gzip), "{gzip:?}");
        }
        for wrong in [
            &["deflate"][..],
            &["br"],
            &["zstd"],
            &["gzip, gzip"],
            &["gzip", "gzip"],
            &["gzip,br"],
        ] {
            assert_eq!(of(wrong), Err(Reason::UnsupportedMediaType), "{wrong:?}");
        }
    }

    #[test]
    fn a_decoded_body_is_at_most_as_long_as_any_other() {
        let decode = |bytes: &Bytes| {
            let decoded = Encoding::Gzip.decode(bytes.clone(), 1000);
            decoded.map_err(|problem| problem.reason())
        };
        assert_eq!(decode(&gzip(&[b'x'; 1000])).unwrap().len(), 1000);
        assert_eq!(decode(&gzip(&[b'x'; 1001])), Err(Reason::PayloadTooLarge));
        assert_eq!(
            decode(&gzip(&vec![0; 50_000_000])),
            Err(Reason::PayloadTooLarge)
        );
        let two: Bytes = [gzip(b"ab"), gzip(b"cd")].concat().into();
        assert_eq!(decode(&two).unwrap(), "abcd");
        let whole = gzip(b"a body");
        for broken in [
            Bytes::new(),
            whole.slice(..whole.len() - 1),
            Bytes::from_static(b"{}"),
        ] {
            assert_eq!(decode(&broken), Err(Reason::BadRequest), "{broken:?}");
        }
    }
}
