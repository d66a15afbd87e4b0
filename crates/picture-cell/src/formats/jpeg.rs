//! JPEG: baseline and progressive, colour, grey and ink, decoded straight into the canvas.

use std::io::Cursor;

use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

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
    let malformed = |reason: String| PictureError::malformed(FORMAT.name, reason);
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| malformed(e.to_string()))?;
    let info = decoder.info().ok_or_else(|| malformed("it has no frame header".into()))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    limits.check(FORMAT.name, width, height)?;
    let scans = scans(bytes).ok_or_else(|| malformed("it ends before its end marker".into()))?;
    if scans > MAX_SCANS {
        return Err(malformed(format!("it has {scans} scans, at most {MAX_SCANS} are decoded")));
    }
    let exif_orientation = decoder.exif().map_or(1, |chunk| metadata::orientation_in_exif(chunk));
    let length = decoder.output_buffer_size().ok_or_else(|| malformed("it has no size".into()))?;
    decoder.decode_into(canvas.zeros(length)).map_err(|e| malformed(e.to_string()))?;
    Ok(Found { width, height, exif_orientation })
}

/// Number of scans up to the end-of-image marker; `None` when the stream ends before that marker.
///
/// Decoders fill what is missing with grey, which a caller would take for an answer about the whole picture.
fn scans(bytes: &[u8]) -> Option<usize> {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    let mut at = 2;
    let mut scans = 0;
    loop {
        at += memchr::memchr(0xFF, bytes.get(at..)?)? + 1;
        match *bytes.get(at)? {
            // A stuffed zero, a restart marker, a fill byte or TEM: no segment follows.
            0x00 | 0x01 | 0xD0..=0xD8 => at += 1,
            0xFF => {}
            END_OF_IMAGE => return Some(scans),
            marker => {
                scans += usize::from(marker == START_OF_SCAN);
                let length = usize::from(*bytes.get(at + 1)?) << 8 | usize::from(*bytes.get(at + 2)?);
                at += 1 + length.max(2);
            }
        }
    }
}
