//! What the formats of the `image` crate share: limits from the header, 8-bit RGB, transparent parts over white.

use std::io::{Cursor, ErrorKind};

use image::error::LimitErrorKind;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::Found;
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::metadata;
use crate::picture::{Cost, PictureError};

/// Bytes per pixel that a decoded picture may take before it is reduced to 8-bit RGB: 16-bit RGBA takes 8, so
/// such pictures may have half of `max_pixels`.
const DECODED_BYTES_PER_PIXEL: u64 = 4;

/// What is said of data that end before the picture does.
pub(super) const EARLY: &str = "its data end early";

/// What is said of data that a decoder does not take, where no more is known.
pub(super) const WRONG: &str = "its data make no picture";

/// One of `image`'s formats.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) library: ImageFormat,
    pub(super) transparency: Transparency,
    /// Width and height that the header states, if it is there. They are held against the limits before the decoder sees the
    /// file: it takes memory by them.
    pub(super) size: fn(&[u8]) -> Option<(u32, u32)>,
    /// What is wrong with bytes that the decoder has refused, as far as a look at them tells.
    pub(super) wrong: fn(&[u8]) -> Option<&'static str>,
    /// What bytes that the decoder cannot read are called.
    pub(super) unread: fn(&[u8]) -> &'static str,
}

impl Kind {
    /// Refuses a stated size that is over the limits.
    pub(super) fn check(&self, bytes: &[u8], limits: &DecodeLimits) -> Result<(), PictureError> {
        (self.size)(bytes).map_or(Ok(()), |(width, height)| limits.check(self.name, width, height))
    }

    /// Why there is no picture. A kind that the decoder does not know is no damage, nor is memory that it does not get. What
    /// it says itself is for programmers.
    pub(super) fn refused(&self, bytes: &[u8], limits: &DecodeLimits, error: &ImageError) -> PictureError {
        match error {
            ImageError::Unsupported(_) => PictureError::UnsupportedFormat((self.unread)(bytes).into()),
            ImageError::Limits(limit) if limit.kind() == LimitErrorKind::InsufficientMemory => {
                PictureError::TooCostly { limit: Cost::Memory(limits.max_decode_bytes) }
            }
            ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
                PictureError::malformed(self.name, EARLY)
            }
            _ => PictureError::malformed(self.name, (self.wrong)(bytes).unwrap_or(WRONG)),
        }
    }
}

/// Decodes the first picture of a file in one of `image`'s formats.
pub(super) fn decode(
    bytes: &[u8],
    kind: &Kind,
    limits: &DecodeLimits,
    canvas: &mut dyn Canvas,
) -> Result<Found, PictureError> {
    kind.check(bytes, limits)?;
    let malformed = |error| kind.refused(bytes, limits, &error);
    let max_bytes = limits.max_pixels * DECODED_BYTES_PER_PIXEL;
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(max_bytes * 2);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), kind.library);
    reader.limits(allowed.clone());
    let mut decoder = reader.into_decoder().map_err(malformed)?;
    let (width, height) = decoder.dimensions();
    limits.check(kind.name, width, height)?;
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
            over_white(&picture.into_rgba8(), kind.transparency, canvas.zeros(length));
        } else {
            canvas.zeros(length).copy_from_slice(&picture.into_rgb8());
        }
    }
    Ok(Found { width, height, exif_orientation })
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
