//! What the formats of the `image` crate share: limits from the header, 8-bit RGB, transparent parts over white.

use std::io::Cursor;

use image::error::{LimitErrorKind, UnsupportedErrorKind};
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::Found;
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::metadata;
use crate::picture::{Cost, PictureError};

/// Bytes per pixel that a decoded picture may take before it is reduced to 8-bit RGB: 16-bit RGBA takes 8, so
/// such pictures may have half of `max_pixels`.
const DECODED_BYTES_PER_PIXEL: u64 = 4;

/// Decodes the first picture of a file in one of `image`'s formats.
pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    name: &'static str,
    limits: &DecodeLimits,
    transparency: Transparency,
    canvas: &mut dyn Canvas,
) -> Result<Found, PictureError> {
    let malformed = |error| refused(name, limits, error);
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
    let exif = decoder.exif_metadata().ok().flatten();
    let exif_orientation = exif.map_or(1, |block| metadata::orientation_in_exif(&block));
    let length = width as usize * height as usize * 3;
    if decoder.color_type() == ColorType::Rgb8 {
        decoder.read_image(canvas.zeros(length)).map_err(malformed)?;
    } else {
        let picture = DynamicImage::from_decoder(decoder).map_err(malformed)?;
        if picture.color().has_alpha() {
            over_white(&picture.into_rgba8(), transparency, canvas.zeros(length));
        } else {
            canvas.zeros(length).copy_from_slice(&picture.into_rgb8());
        }
    }
    Ok(Found { width, height, exif_orientation })
}

/// A kind that the decoder does not know is no damage, nor is memory that it does not get.
pub(super) fn refused(name: &'static str, limits: &DecodeLimits, error: ImageError) -> PictureError {
    match error {
        ImageError::Unsupported(unsupported) => {
            let kind = match unsupported.kind() {
                UnsupportedErrorKind::GenericFeature(feature) => feature,
                other => format!("{other:?}"),
            };
            PictureError::UnsupportedFormat(format!("{} ({kind})", name.to_uppercase()).into())
        }
        ImageError::Limits(limit) if limit.kind() == LimitErrorKind::InsufficientMemory => {
            PictureError::TooCostly { limit: Cost::Memory(limits.max_decode_bytes) }
        }
        other => PictureError::malformed(name, other),
    }
}

/// What the fourth sample of a pixel means.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Transparency {
    /// How much of the colour is seen.
    Plain,
    /// The same, and the colours were multiplied by it.
    Premultiplied,
    /// The same, unless all are 0: writers that leave the sample empty show their pictures.
    Optional,
}

/// Transparent parts hold arbitrary colours; a person sees the page behind them.
pub(super) fn over_white(picture: &[u8], transparency: Transparency, canvas: &mut [u8]) {
    let pixels = picture.as_chunks().0;
    let empty = transparency == Transparency::Optional && pixels.iter().all(|pixel: &[u8; 4]| pixel[3] == 0);
    for (&[r, g, b, alpha], seen) in pixels.iter().zip(canvas.as_chunks_mut().0) {
        let alpha = if empty { 255 } else { u16::from(alpha) };
        *seen = [r, g, b].map(|value| {
            let share = if transparency == Transparency::Premultiplied { 255 } else { alpha };
            ((u16::from(value) * share + 255 * (255 - alpha) + 127) / 255).min(255) as u8
        });
    }
}
