//! JPEG: baseline and progressive, colour, grey and ink, as libjpeg-turbo and browsers read it, once all blocks are known
//! to have come.

mod bits;
mod blocks;
mod codes;
mod drawn;
mod markers;
mod planes;
mod values;

use std::alloc::{Layout, handle_alloc_error};
use std::borrow::Cow;

use libjpeg_turbo_rs::{ColorSpace, Decoder, JpegError, PixelFormat};

use self::blocks::Stop;
use self::drawn::Drawn;
use self::markers::Fault;
use super::common::{EARLY, WRONG};
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::metadata;
use crate::picture::PictureError;

pub(super) const FORMAT: Format =
    Format { name: "jpeg", recognises: |bytes| bytes.starts_with(b"\xff\xd8\xff"), decode };

/// Each scan of a progressive JPEG walks over all coefficients. Encoders write about 10; thousands are an attack.
const MAX_SCANS: usize = 50;

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    let layout = markers::layout(bytes, MAX_SCANS)?;
    let (width, height) = (layout.frame.width, layout.frame.height);
    limits.check(FORMAT.name, width, height)?;
    if let Some(kind) = layout.frame.unread_sampling() {
        return Err(PictureError::UnsupportedFormat(kind.into()));
    }
    let exif_orientation = layout.exif.map_or(1, metadata::orientation_in_exif);
    let found = Found { width, height, exif_orientation };
    let pixels = width as usize * height as usize;
    // The decoder looks for further scans until it meets an end marker.
    let ended = if layout.has_end { Cow::Borrowed(bytes) } else { Cow::Owned([bytes, b"\xff\xd9"].concat()) };
    let usual = |decoder: Decoder<'_>| decoder.jpeg_color_space() == ColorSpace::YCbCr && !decoder.is_arithmetic();
    if let Some(drawn) = Drawn::new(&layout)
        && Decoder::new(&ended).is_ok_and(usual)
    {
        let stopped = |stop: Stop| PictureError::malformed(FORMAT.name, stop.told(""));
        drawn.draw(canvas.room(pixels * 3)).map_err(stopped)?;
        return Ok(found);
    }
    // Arithmetic codes cannot be walked over without decoding them: there an end marker must do.
    if !layout.frame.arithmetic {
        blocks::all_came(&layout).map_err(|reason| PictureError::malformed(FORMAT.name, reason))?;
    } else if !layout.has_end {
        return Err(PictureError::malformed(FORMAT.name, "it has no end marker"));
    }
    let mut decoder = Decoder::new(&ended)?;
    match decoder.jpeg_color_space() {
        ColorSpace::Cmyk | ColorSpace::Ycck => {
            decoder.set_output_format(PixelFormat::Cmyk);
            let ink = decoder.decode_image()?;
            without_ink(&ink.data, canvas.zeros(pixels * 3));
        }
        space if layout.frame.luminance_is_reduced() => {
            let raw = decoder.decode_raw()?;
            planes::draw(&layout.frame, &raw, space == ColorSpace::Rgb, canvas.zeros(pixels * 3));
        }
        _ => {
            decoder.set_output_format(PixelFormat::Rgb);
            let canvas = canvas.room(pixels * 3);
            let written = decoder.decode_image_into(canvas)?.bytes_written;
            // Nothing of an earlier picture shows through, whatever the decoder left out.
            canvas.get_mut(written..).unwrap_or_default().fill(0);
        }
    }
    Ok(found)
}

/// What is left of white where ink lies. Who writes CMYK into a JPEG stores 255 for no ink, as Adobe does, and readers
/// take it so whether the file says so or not. Profiles of printers are not looked at.
fn without_ink(inks: &[u8], canvas: &mut [u8]) {
    let part = |light: u8, black: u8| ((u16::from(light) * u16::from(black) + 127) / 255) as u8;
    for (&[c, m, y, k], seen) in inks.as_chunks().0.iter().zip(canvas.as_chunks_mut().0) {
        *seen = [part(c, k), part(m, k), part(y, k)];
    }
}

impl From<Fault> for PictureError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed(reason) => Self::malformed(FORMAT.name, reason),
            Fault::Unsupported(kind) => Self::UnsupportedFormat(kind.into()),
        }
    }
}

impl From<JpegError> for PictureError {
    fn from(error: JpegError) -> Self {
        match error {
            // As every other allocation that fails: a cell's parent knows it by its end.
            JpegError::AllocationFailed { bytes, .. } => {
                let size = usize::try_from(bytes).unwrap_or(usize::MAX);
                handle_alloc_error(Layout::array::<u8>(size).unwrap_or(Layout::new::<u8>()))
            }
            // What the decoder says itself is for programmers.
            JpegError::Unsupported(_) => Self::UnsupportedFormat("JPEG of an uncommon kind".into()),
            JpegError::UnexpectedEof => Self::malformed(FORMAT.name, EARLY),
            _ => Self::malformed(FORMAT.name, WRONG),
        }
    }
}
