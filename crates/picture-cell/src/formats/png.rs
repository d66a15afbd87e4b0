//! PNG, also of 16 bits, with a palette or with transparency.

use image::ImageFormat;

use super::common::{self, Transparency};
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format =
    Format { name: "png", recognises: |bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n"), decode };

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    common::decode(bytes, ImageFormat::Png, FORMAT.name, limits, Transparency::Plain, canvas)
}
