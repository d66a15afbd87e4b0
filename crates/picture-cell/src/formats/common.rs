//! What the formats of the `image` crate share: limits from the header, 8-bit RGB, transparent parts over white.

use std::io::Cursor;

use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::Found;
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::metadata;
use crate::picture::PictureError;

/// Bytes per pixel that a decoded picture may take before it is reduced to 8-bit RGB: 16-bit RGBA takes 8, so
/// such pictures may have half of `max_pixels`.
const DECODED_BYTES_PER_PIXEL: u64 = 4;

/// Decodes the first picture of a file in one of `image`'s formats.
pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    name: &'static str,
    limits: &DecodeLimits,
    canvas: &mut dyn Canvas,
) -> Result<Found, PictureError> {
    let malformed = |e: image::ImageError| PictureError::malformed(name, e);
    let max_bytes = limits.max_pixels * DECODED_BYTES_PER_PIXEL;
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(max_bytes * 2);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(allowed.clone());
    let mut decoder = reader.into_decoder().map_err(malformed)?;
    let (width, height) = decoder.dimensions();
    limits.check(name, width, height)?;
    if decoder.total_bytes() > max_bytes {
        let limit = max_bytes * u64::from(width) * u64::from(height) / decoder.total_bytes().max(1);
        return Err(PictureError::TooManyPixels { width, height, limit });
    }
    decoder.set_limits(allowed).map_err(malformed)?;
    let exif_orientation = metadata::exif_number(decoder.orientation().ok());
    let length = width as usize * height as usize * 3;
    if decoder.color_type() == ColorType::Rgb8 {
        decoder.read_image(canvas.zeros(length)).map_err(malformed)?;
    } else {
        let picture = DynamicImage::from_decoder(decoder).map_err(malformed)?;
        if picture.color().has_alpha() {
            over_white(&picture.into_rgba8(), canvas.zeros(length));
        } else {
            canvas.zeros(length).copy_from_slice(&picture.into_rgb8());
        }
    }
    Ok(Found { width, height, exif_orientation })
}

/// Transparent parts hold arbitrary colours; a person sees the page behind them.
fn over_white(picture: &[u8], canvas: &mut [u8]) {
    let blend = |value: u8, alpha: u8| {
        let (value, alpha) = (u16::from(value), u16::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    for ([r, g, b, a], seen) in picture.as_chunks().0.iter().zip(canvas.as_chunks_mut().0) {
        *seen = [blend(*r, *a), blend(*g, *a), blend(*b, *a)];
    }
}
