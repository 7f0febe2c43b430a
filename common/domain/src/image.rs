//! Images that people upload: taken apart and put together again, so that only an image is stored and served.
//!
//! A file may be an image and something else at the same time: a web page in a comment, an archive after the end, the
//! place where a photo was taken. [`clean`] keeps the parts that make the picture and drops all others. It does not
//! decode the picture: pixels that a browser can't decode are a broken image, and nothing else (ADR 41).

mod jpeg;
mod png;
mod webp;

/// Maximum size of an uploaded file in bytes.
pub const MAX_BYTES: usize = 1_048_576;
/// Maximum width and height in pixels.
const MAX_SIDE: u32 = 10_000;
/// Maximum number of pixels: a small file can hold a picture that fills the memory of a phone.
const MAX_PIXELS: u64 = 25_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    Png,
    Jpeg,
    WebP,
}

impl ImageKind {
    pub const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::WebP];

    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }
}

/// An image of which only the picture is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanImage {
    pub kind: ImageKind,
    pub bytes: Vec<u8>,
}

/// Reason for which a file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnImage {
    #[error("is not a PNG, JPEG or WebP file")]
    UnknownFormat,
    #[error("ends too early")]
    Truncated,
    #[error("is damaged")]
    Damaged,
    #[error("has parts that browsers do not show")]
    Unsupported,
    #[error("must be a still image")]
    Animated,
    #[error("has too many pixels: at most 25 million, and 10000 on each side")]
    TooLarge,
}

/// Returns the image without everything that is not the picture.
///
/// # Errors
/// Refuses a file that is not a whole PNG, JPEG or WebP image.
pub fn clean(file: &[u8]) -> Result<CleanImage, NotAnImage> {
    let (kind, bytes) = if file.starts_with(png::SIGNATURE) {
        (ImageKind::Png, png::clean(file)?)
    } else if file.starts_with(jpeg::SIGNATURE) {
        (ImageKind::Jpeg, jpeg::clean(file)?)
    } else if webp::is_webp(file) {
        (ImageKind::WebP, webp::clean(file)?)
    } else {
        return Err(NotAnImage::UnknownFormat);
    };
    Ok(CleanImage { kind, bytes })
}

fn check_size(width: u32, height: u32) -> Result<(), NotAnImage> {
    if width == 0 || height == 0 {
        return Err(NotAnImage::Damaged);
    }
    let pixels = u64::from(width) * u64::from(height);
    if width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS {
        return Err(NotAnImage::TooLarge);
    }
    Ok(())
}

/// The rest of a file that is being read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], NotAnImage> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(NotAnImage::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NotAnImage> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(NotAnImage::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests;
