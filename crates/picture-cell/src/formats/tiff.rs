//! TIFF in both byte orders; of several pictures the first.

use image::ImageFormat;

use super::{Format, Found, common, tiff_layout};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format = Format {
    name: "tiff",
    recognises: |bytes| bytes.starts_with(b"II\x2a\0") || bytes.starts_with(b"MM\0\x2a"),
    decode,
};

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    tiff_layout::check(bytes, limits)?;
    common::decode(bytes, ImageFormat::Tiff, FORMAT.name, limits, canvas)
}
