//! The format of a picture, told from its first bytes and never from a name or a header of the request.

use crate::PictureError;
use crate::formats::{FORMATS, Format};

/// The format whose signature `bytes` begin with.
pub(crate) fn sniff(bytes: &[u8]) -> Result<&'static Format, PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    if let Some(format) = FORMATS.iter().find(|format| (format.recognises)(bytes)) {
        return Ok(format);
    }
    match brand(bytes) {
        Some(b"avif" | b"avis") => Err(PictureError::UnsupportedFormat("AVIF".into())),
        Some(b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1") => Err(PictureError::UnsupportedFormat("HEIC".into())),
        _ => Err(PictureError::UnknownFormat),
    }
}

/// ISO base media files start with a box size, then `ftyp` and a brand.
fn brand(bytes: &[u8]) -> Option<&[u8; 4]> {
    if bytes.get(4..8)? != b"ftyp" {
        return None;
    }
    bytes.get(8..12)?.try_into().ok()
}
