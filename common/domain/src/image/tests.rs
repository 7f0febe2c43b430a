//! Real images of Chromium, with and without what is not the picture, and files that are no images.

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::*;

/// A PNG of six by four pixels.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAYAAAAECAYAAACtBE5DAAAAOUlEQVR4AXSLwQ1AERQE578evnaoh3aoh3ZoYnEVDptNJjPW\
     +dUIykQlijxVjiH7AK2dbze4pWcxAQAA//8AUOp7AAAABklEQVQDAGuPFP1djh4lAAAAAElFTkSuQmCC";
/// The same as a JPEG.
const JPEG: &str = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L\
     2u71////m8H////6/+b9//j/2wBDASstLTw1PHZBQXb4pYyl+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4\
     +Pj4+Pj4+Pj4+Pj4+Pj/wAARCAAEAAYDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAX/xAAWEAEBAQAAAAAAAAAA\
     AAAAAAAAAzH/xAAVAQEBAAAAAAAAAAAAAAAAAAACBf/EABcRAAMBAAAAAAAAAAAAAAAAAAABAzL/2gAMAwEAAhEDEQA/AJ9N\
     AUI4Q67Z/9k=";
/// The same as a WebP of the simple form.
const WEBP: &str =
    "UklGRjwAAABXRUJQVlA4IDAAAADQAQCdASoGAAQABUB8JagCdAEO/gPIAAD+zq/ST+TKdR/Q56Hvsutzzn8V2u4wAAA=";
/// A WebP with transparency, of the extended form.
const ALPHA: &str = "UklGRmgAAABXRUJQVlA4WAoAAAAQAAAABQAAAwAAQUxQSA0AAAABDzD/ERHiMz8R/Y8BAFZQOCA0AAAA0AEAnQEqBgAEAAVA\
     fCWwAnQBDv4DyAAA/s6v0k/M70dzfuU8ErSU3Prt3DrmwiaK7AAAAA==";
/// A WebP without losses.
const LOSSLESS: &str = "UklGRlYAAABXRUJQVlA4WAoAAAAQAAAABQAAAwAAVlA4TDgAAAAvBcAAEGcAEIT/bhEEgpApjTACgmyb+vvtEKeY/yII+mAB\
     nw8gCCAJYoOlNlhqg4Uj+h+vFx0PAQ==";

fn samples() -> [(ImageKind, Vec<u8>); 5] {
    let read = |text: &str| STANDARD.decode(text).unwrap();
    [
        (ImageKind::Png, read(PNG)),
        (ImageKind::Jpeg, read(JPEG)),
        (ImageKind::WebP, read(WEBP)),
        (ImageKind::WebP, read(ALPHA)),
        (ImageKind::WebP, read(LOSSLESS)),
    ]
}

fn sample(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn with(mut file: Vec<u8>, at: usize, inserted: &[u8]) -> Vec<u8> {
    file.splice(at..at, inserted.iter().copied());
    file
}

fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = u32::try_from(data.len()).unwrap().to_be_bytes().to_vec();
    let mut checked = kind.to_vec();
    checked.extend_from_slice(data);
    let checksum = crc32fast::hash(&checked);
    chunk.append(&mut checked);
    chunk.extend_from_slice(&checksum.to_be_bytes());
    chunk
}

fn jpeg_segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker][..], &length, data].concat()
}

/// Adds a chunk to the end of a WebP file and to its size.
fn with_webp_chunk(mut file: Vec<u8>, kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    file.extend_from_slice(kind);
    file.extend_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
    file.extend_from_slice(data);
    if data.len() % 2 == 1 {
        file.push(0);
    }
    let size = u32::try_from(file.len() - 8).unwrap();
    file[4..8].copy_from_slice(&size.to_le_bytes());
    file
}

/// The start of the chunks after a PNG's header.
const AFTER_PNG_HEADER: usize = 33;
const SCRIPT: &[u8] = b"<script>alert(1)</script>";

#[test]
fn an_image_that_is_only_a_picture_stays_as_it_is() {
    for (kind, file) in samples() {
        let clean = clean(&file).unwrap();
        assert_eq!(clean.kind, kind);
        assert_eq!(clean.bytes, file);
    }
}

#[test]
fn all_that_is_not_the_picture_is_dropped() {
    let png = sample(PNG);
    let text = [b"Comment\0", SCRIPT].concat();
    let mut dirty = with(png.clone(), AFTER_PNG_HEADER, &png_chunk(b"tEXt", &text));
    dirty = with(dirty, AFTER_PNG_HEADER, &png_chunk(b"eXIf", b"MM\0*"));
    dirty.extend_from_slice(b"PK\x03\x04 an archive");
    assert_eq!(clean(&dirty).unwrap().bytes, png);

    let jpeg = sample(JPEG);
    let mut dirty = with(jpeg.clone(), 2, &jpeg_segment(0xfe, SCRIPT));
    dirty = with(
        dirty,
        2,
        &jpeg_segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"),
    );
    dirty = with(dirty, 2, &jpeg_segment(0xed, b"Photoshop 3.0\0"));
    dirty.extend_from_slice(SCRIPT);
    assert_eq!(clean(&dirty).unwrap().bytes, jpeg);

    let mut dirty = with_webp_chunk(sample(ALPHA), b"EXIF", SCRIPT);
    dirty = with_webp_chunk(dirty, b"XMP ", b"<x:xmpmeta/>");
    dirty[20] |= 0x0c;
    dirty.extend_from_slice(SCRIPT);
    let left = clean(&dirty).unwrap().bytes;
    assert_eq!(left, sample(ALPHA));
}

#[test]
fn of_a_photos_exif_only_its_orientation_is_left() {
    let little = b"Exif\0\0II*\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x04\0\0\0Cam\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0GPS 52.5 13.4";
    let big = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let expected = with(sample(JPEG), 20, &jpeg_segment(0xe1, big));
    for exif in [&little[..], &big[..]] {
        let photo = with(sample(JPEG), 20, &jpeg_segment(0xe1, exif));
        assert_eq!(clean(&photo).unwrap().bytes, expected);
    }
    // An upright photo needs none, and neither does one whose Exif is damaged.
    let mut upright = big.to_vec();
    upright[25] = 1;
    for exif in [&upright[..], &big[..20], b"Exif\0\0MM\0*\xff\xff\xff\xff"] {
        let photo = with(sample(JPEG), 20, &jpeg_segment(0xe1, exif));
        assert_eq!(clean(&photo).unwrap().bytes, sample(JPEG));
    }
}

#[test]
fn a_file_that_is_no_whole_image_is_refused() {
    use NotAnImage::{Animated, Damaged, TooLarge, Truncated, UnknownFormat, Unsupported};
    for no_image in [
        &b""[..],
        b"GIF89a",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        SCRIPT,
    ] {
        assert_eq!(clean(no_image), Err(UnknownFormat));
    }
    for (kind, file) in samples() {
        for end in 12..file.len() {
            let cut = clean(&file[..end]);
            assert!(cut.is_err(), "{kind:?} cut at {end}");
        }
    }
    let png = sample(PNG);
    let mut wrong_checksum = png.clone();
    wrong_checksum[45] ^= 1;
    let unknown = with(png.clone(), AFTER_PNG_HEADER, &png_chunk(b"HTML", SCRIPT));
    let no_header = with(png.clone(), 8, &png_chunk(b"gAMA", &[0; 4]));
    let mut huge = png[..8].to_vec();
    huge.append(&mut png_chunk(
        b"IHDR",
        &[0, 0, 0x20, 0, 0, 0, 0x20, 0, 8, 2, 0, 0, 0],
    ));
    huge.extend_from_slice(&png[AFTER_PNG_HEADER..]);
    let mut empty = png[..AFTER_PNG_HEADER].to_vec();
    empty.append(&mut png_chunk(b"IEND", b""));

    let jpeg = sample(JPEG);
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    let mut arithmetic = jpeg.clone();
    arithmetic[frame + 1] = 0xc9;
    let mut flat = jpeg.clone();
    flat[frame + 5..frame + 7].copy_from_slice(&[0, 0]);
    let no_frame = [&jpeg[..frame], &jpeg[frame + 19..]].concat();
    let two_frames = with(jpeg.clone(), frame, &jpeg[frame..frame + 19]);

    let mut animated = sample(ALPHA);
    animated[20] |= 0x02;
    let mut two_pictures = sample(WEBP);
    two_pictures = with_webp_chunk(two_pictures, b"VP8 ", &sample(WEBP)[20..]);
    let mut no_key_frame = sample(WEBP);
    no_key_frame[23] = 0;
    for (file, error) in [
        (wrong_checksum, Damaged),
        (unknown, Unsupported),
        (no_header, Damaged),
        (huge, TooLarge),
        (empty, Damaged),
        (arithmetic, Unsupported),
        (flat, Damaged),
        (no_frame, Damaged),
        (two_frames, Damaged),
        (animated, Animated),
        (two_pictures, Damaged),
        (no_key_frame, Damaged),
        (b"RIFF\x04\0\0\0WEBP".to_vec(), Truncated),
    ] {
        assert_eq!(clean(&file), Err(error));
    }
}

proptest! {
    /// Damages a real image in some places: it is refused or cleaned, and what is clean stays as it is.
    #[test]
    fn a_clean_image_is_clean(which in 0_usize..5, damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)) {
        let (_, mut file) = samples()[which].clone();
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Ok(once) = clean(&file) {
            prop_assert_eq!(clean(&once.bytes), Ok(once));
        }
    }
}
