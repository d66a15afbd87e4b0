//! Windows bitmaps.

use image::ImageFormat;

use super::common::{self, Transparency};
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format = Format { name: "bmp", recognises: |bytes| bytes.starts_with(b"BM"), decode };

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    if begins_in_palette(bytes) {
        return Err(PictureError::malformed(FORMAT.name, "its pixels begin within its palette"));
    }
    common::decode(bytes, ImageFormat::Bmp, FORMAT.name, limits, Transparency::Optional, canvas)
}

/// Whether the place that the file names for its pixels lies in the palette before them: readers disagree on what that
/// shows.
fn begins_in_palette(bytes: &[u8]) -> bool {
    let short = |at: usize| bytes.get(at..)?.first_chunk().map(|&bytes| u32::from(u16::from_le_bytes(bytes)));
    let long = |at: usize| bytes.get(at..)?.first_chunk().map(|&bytes| u32::from_le_bytes(bytes));
    let begins = || {
        let header = long(14)?;
        let (bits, colours, entry) = if header == 12 { (short(24)?, 0, 3) } else { (short(28)?, long(46)?, 4) };
        let colours = if colours == 0 { 1_u32.checked_shl(bits)? } else { colours };
        let pixels = header.saturating_add(14).saturating_add(colours.saturating_mul(entry));
        Some(bits <= 8 && long(10)? < pixels)
    };
    begins().unwrap_or(false)
}
