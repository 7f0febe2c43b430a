//! WebP: a RIFF file whose chunks are the picture and what belongs to it.

use super::{NotAnImage, Reader, check_size};

const ANIMATION: u8 = 0x02;
/// Flags for chunks that are dropped: XMP and Exif.
const METADATA: u8 = 0x04 | 0x08;

pub(super) fn is_webp(file: &[u8]) -> bool {
    file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP")
}

/// Keeps the picture, its transparency and its colour profile.
pub(super) fn clean(file: &[u8]) -> Result<Vec<u8>, NotAnImage> {
    let mut reader = Reader(file);
    reader.take(4)?;
    let size = u32::from_le_bytes(reader.array()?);
    let size = usize::try_from(size).map_err(|_| NotAnImage::Damaged)?;
    // Bytes after the end that the file itself states are dropped.
    let mut reader = Reader(reader.take(size)?);
    reader.take(4)?;
    let mut chunks = Vec::new();
    let (mut is_extended, mut has_picture) = (false, false);
    while !reader.0.is_empty() {
        let kind: [u8; 4] = reader.array()?;
        let length = reader.array()?;
        let size = usize::try_from(u32::from_le_bytes(length)).map_err(|_| NotAnImage::Damaged)?;
        let data = reader.take(size)?;
        if size % 2 == 1 && !reader.0.is_empty() {
            reader.take(1)?;
        }
        let mut data = data.to_vec();
        match &kind {
            b"VP8X" if chunks.is_empty() => {
                check_extended(&mut data)?;
                is_extended = true;
            }
            b"VP8 " | b"VP8L" if !has_picture && (is_extended || chunks.is_empty()) => {
                if &kind == b"VP8 " {
                    check_lossy(&data)?;
                } else {
                    check_lossless(&data)?;
                }
                has_picture = true;
            }
            b"ICCP" | b"ALPH" if is_extended && !has_picture => {}
            b"ANIM" | b"ANMF" => return Err(NotAnImage::Animated),
            b"VP8X" | b"VP8 " | b"VP8L" => return Err(NotAnImage::Damaged),
            // Exif, XMP, and what nobody knows.
            _ => continue,
        }
        chunks.extend_from_slice(&kind);
        chunks.extend_from_slice(&length);
        chunks.append(&mut data);
        if size % 2 == 1 {
            chunks.push(0);
        }
    }
    if !has_picture {
        return Err(NotAnImage::Truncated);
    }
    let size = u32::try_from(chunks.len() + 4).map_err(|_| NotAnImage::Damaged)?;
    let mut kept = b"RIFF".to_vec();
    kept.extend_from_slice(&size.to_le_bytes());
    kept.extend_from_slice(b"WEBP");
    kept.append(&mut chunks);
    Ok(kept)
}

/// Checks the header of an extended file, and takes the flags of dropped chunks out of it.
fn check_extended(data: &mut [u8]) -> Result<(), NotAnImage> {
    let [flags, _, _, _, w0, w1, w2, h0, h1, h2] = data else {
        return Err(NotAnImage::Damaged);
    };
    if *flags & ANIMATION != 0 {
        return Err(NotAnImage::Animated);
    }
    *flags &= !METADATA;
    let side = |bytes: [u8; 3]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) + 1;
    check_size(side([*w0, *w1, *w2]), side([*h0, *h1, *h2]))
}

fn check_lossy(data: &[u8]) -> Result<(), NotAnImage> {
    // A key frame's tag, its start code, and 14 bits for each side.
    let [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = *data else {
        return Err(NotAnImage::Damaged);
    };
    let side = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3fff);
    check_size(side([w0, w1]), side([h0, h1]))
}

fn check_lossless(data: &[u8]) -> Result<(), NotAnImage> {
    let [0x2f, b0, b1, b2, b3, ..] = *data else {
        return Err(NotAnImage::Damaged);
    };
    let bits = u32::from_le_bytes([b0, b1, b2, b3]);
    check_size((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)
}
