//! PNG: a signature, and chunks with a checksum each.

use super::{NotAnImage, Reader, check_size};

pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Chunks that make the picture: pixels, palette, transparency and colours. All others are dropped: texts, times, Exif,
/// and the frames of an animation, of which the first one is left.
const KEPT: [&[u8; 4]; 11] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT",
    b"pHYs",
];

pub(super) fn clean(file: &[u8]) -> Result<Vec<u8>, NotAnImage> {
    let mut reader = Reader(file);
    let mut kept = reader.take(SIGNATURE.len())?.to_vec();
    let (mut has_header, mut has_pixels) = (false, false);
    loop {
        let length = reader.array()?;
        let size = usize::try_from(u32::from_be_bytes(length)).map_err(|_| NotAnImage::Damaged)?;
        let kind: [u8; 4] = reader.array()?;
        let data = reader.take(size)?;
        let checksum: [u8; 4] = reader.array()?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&kind);
        hasher.update(data);
        let is_name = kind.iter().all(u8::is_ascii_alphabetic);
        if !is_name || hasher.finalize() != u32::from_be_bytes(checksum) {
            return Err(NotAnImage::Damaged);
        }
        if !has_header {
            if &kind != b"IHDR" {
                return Err(NotAnImage::Damaged);
            }
            check_header(data)?;
        } else if &kind == b"IHDR" {
            return Err(NotAnImage::Damaged);
        }
        has_header = true;
        has_pixels |= &kind == b"IDAT";
        if KEPT.contains(&&kind) {
            kept.extend_from_slice(&length);
            kept.extend_from_slice(&kind);
            kept.extend_from_slice(data);
            kept.extend_from_slice(&checksum);
        } else if kind[0].is_ascii_uppercase() {
            // A critical chunk that we do not know.
            return Err(NotAnImage::Unsupported);
        }
        if &kind == b"IEND" {
            return if has_pixels && data.is_empty() {
                Ok(kept)
            } else {
                Err(NotAnImage::Damaged)
            };
        }
    }
}

fn check_header(data: &[u8]) -> Result<(), NotAnImage> {
    let header: &[u8; 13] = data.try_into().map_err(|_| NotAnImage::Damaged)?;
    let [w0, w1, w2, w3, h0, h1, h2, h3, ..] = *header;
    check_size(
        u32::from_be_bytes([w0, w1, w2, w3]),
        u32::from_be_bytes([h0, h1, h2, h3]),
    )
}
