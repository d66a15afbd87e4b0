//! Windows bitmaps.

use image::ImageFormat;

use super::{Format, Found, common};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format = Format { name: "bmp", recognises: |bytes| bytes.starts_with(b"BM"), decode };

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    common::decode(bytes, ImageFormat::Bmp, FORMAT.name, limits, canvas)
}
