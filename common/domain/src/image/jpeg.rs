//! JPEG: segments that begin with a marker, and pixels between them.

use super::{NotAnImage, Reader, check_size};

pub(super) const SIGNATURE: &[u8] = b"\xff\xd8\xff";

const END: u8 = 0xd9;
const SCAN: u8 = 0xda;
const EXIF: &[u8] = b"Exif\0\0";

/// Keeps frames, tables, pixels, the colour profile, and the orientation of a photo; drops comments, thumbnails, and all
/// else that cameras write.
pub(super) fn clean(file: &[u8]) -> Result<Vec<u8>, NotAnImage> {
    let mut reader = Reader(file);
    let mut kept = reader.take(2)?.to_vec();
    let (mut has_frame, mut has_scan, mut has_orientation) = (false, false, false);
    loop {
        let marker = next_marker(&mut reader)?;
        if marker == END {
            kept.extend_from_slice(&[0xff, END]);
            return if has_scan {
                Ok(kept)
            } else {
                Err(NotAnImage::Damaged)
            };
        }
        let length = reader.array()?;
        let size = usize::from(u16::from_be_bytes(length)).checked_sub(2);
        let data = reader.take(size.ok_or(NotAnImage::Damaged)?)?;
        let is_kept = match marker {
            // Baseline, extended and progressive frames.
            0xc0..=0xc2 => {
                if has_frame {
                    return Err(NotAnImage::Damaged);
                }
                check_frame(data)?;
                has_frame = true;
                true
            }
            // Huffman and quantization tables, restart intervals.
            0xc4 | 0xdb | 0xdd => true,
            SCAN if !has_frame => return Err(NotAnImage::Damaged),
            SCAN => {
                has_scan = true;
                true
            }
            0xe0 => data.starts_with(b"JFIF\0"),
            0xe1 => {
                if let Some(orientation) = orientation(data).filter(|_| !has_orientation) {
                    kept.extend_from_slice(&exif(orientation));
                    has_orientation = true;
                }
                false
            }
            0xe2 => data.starts_with(b"ICC_PROFILE\0"),
            0xee => data.starts_with(b"Adobe"),
            // Other application segments and comments.
            0xe3..=0xef | 0xfe => false,
            // Lossless, hierarchical and arithmetic frames, and what is no segment.
            _ => return Err(NotAnImage::Unsupported),
        };
        if is_kept {
            kept.extend_from_slice(&[0xff, marker]);
            kept.extend_from_slice(&length);
            kept.extend_from_slice(data);
        }
        if marker == SCAN {
            kept.extend_from_slice(pixels(&mut reader)?);
        }
    }
}

/// Reads a marker, which may have any number of fill bytes before it.
fn next_marker(reader: &mut Reader<'_>) -> Result<u8, NotAnImage> {
    if reader.array()? != [0xff] {
        return Err(NotAnImage::Damaged);
    }
    loop {
        match reader.array()? {
            [0xff] => {}
            [marker] => return Ok(marker),
        }
    }
}

/// Takes the pixels of a scan, up to the next marker that is not part of them.
fn pixels<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], NotAnImage> {
    let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7);
    let end = reader.0.windows(2).position(is_marker);
    reader.take(end.ok_or(NotAnImage::Truncated)?)
}

fn check_frame(data: &[u8]) -> Result<(), NotAnImage> {
    // Precision, height, width, number of components. A height of 0 stands after the pixels, where few look for it.
    let [_, h0, h1, w0, w1, ..] = *data else {
        return Err(NotAnImage::Damaged);
    };
    check_size(
        u16::from_be_bytes([w0, w1]).into(),
        u16::from_be_bytes([h0, h1]).into(),
    )
}

/// Returns the orientation (2 to 8) that an Exif segment asks for.
fn orientation(data: &[u8]) -> Option<u8> {
    const ORIENTATION: u16 = 0x0112;
    const SHORT: u16 = 3;
    let tiff = data.strip_prefix(EXIF)?;
    let is_big_endian = match tiff.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if is_big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    };
    let long = |at: usize| {
        let (first, second) = (short(at)?, short(at.checked_add(2)?)?);
        let (high, low) = if is_big_endian {
            (first, second)
        } else {
            (second, first)
        };
        usize::try_from(u32::from(high) << 16 | u32::from(low)).ok()
    };
    let directory = long(4)?;
    (0..usize::from(short(directory)?))
        .map_while(|entry| directory.checked_add(2 + 12 * entry))
        .find(|at| short(*at) == Some(ORIENTATION))
        .filter(|at| short(at + 2) == Some(SHORT))
        .and_then(|at| u8::try_from(short(at + 8)?).ok())
        .filter(|orientation| (2..=8).contains(orientation))
}

/// Builds an Exif segment that has only an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut segment = vec![0xff, 0xe1, 0, 34];
    segment.extend_from_slice(EXIF);
    segment.extend_from_slice(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0");
    segment.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0]);
    segment
}
