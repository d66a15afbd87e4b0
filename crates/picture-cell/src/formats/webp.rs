//! WebP, lossy and lossless; of an animation the first picture.

use image::ImageFormat;

use super::common::{self, Transparency};
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format = Format {
    name: "webp",
    recognises: |bytes| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
    decode,
};

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    common::decode(bytes, ImageFormat::WebP, FORMAT.name, limits, Transparency::Plain, canvas)
}
