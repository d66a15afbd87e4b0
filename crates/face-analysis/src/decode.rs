//! Bytes to pixels: formats told from the bytes, limits checked from the header before any pixel is decoded,
//! EXIF orientation read (and applied by coordinates later, which is cheaper than turning 12 megapixels).

use std::io::Cursor;

use image::metadata::Orientation as ExifOrientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb};
use serde::{Deserialize, Serialize};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::pixels::{Orientation, Pixels};

/// How large a picture may be. Every limit is checked before memory for pixels is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeLimits {
    /// Width times height.
    pub max_pixels: u64,
    /// The longer side.
    pub max_side: u32,
}

impl Default for DecodeLimits {
    /// 25 megapixels hold what phones send (12 to 24); 10,000 pixels hold a panorama of that size.
    fn default() -> Self {
        Self { max_pixels: 25_000_000, max_side: 10_000 }
    }
}

/// Bytes per pixel that a decoded picture may take before it is reduced to 8-bit RGB: 16-bit RGBA takes 8, so
/// such pictures may have half of `max_pixels`.
const DECODED_BYTES_PER_PIXEL: u64 = 4;

/// Each scan of a progressive JPEG walks over all coefficients. Encoders write about 10; thousands are an attack.
const MAX_JPEG_SCANS: usize = 50;

/// A decoded picture as it is stored, and how it has to be turned to be seen.
#[derive(Debug)]
pub struct Picture {
    /// The stored pixels.
    pub pixels: Pixels,
    /// Brings the stored pixels into the position in which a person sees the picture.
    pub orientation: Orientation,
    /// The EXIF number behind `orientation`.
    pub exif_orientation: u8,
    /// `jpeg`, `png`, `webp`, `bmp`, `gif` or `tiff`.
    pub format: &'static str,
}

impl Picture {
    /// Width and height as a person sees the picture.
    pub fn seen_size(&self) -> (usize, usize) {
        self.orientation.size((self.pixels.width(), self.pixels.height()))
    }
}

/// Why bytes could not be turned into a picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// No bytes at all.
    #[error("the picture is empty: it has no bytes")]
    Empty,
    /// The first bytes belong to no format that we know.
    #[error("the bytes are no picture that can be read: send JPEG, PNG, WebP, BMP, GIF or TIFF")]
    UnknownFormat,
    /// A format that we know and do not read.
    #[error("{0} pictures cannot be read: convert to JPEG, PNG, WebP, BMP, GIF or TIFF")]
    UnsupportedFormat(&'static str),
    /// Truncated or damaged.
    #[error("the {format} picture is damaged or incomplete: {reason}")]
    Malformed {
        /// The format that the first bytes promised.
        format: &'static str,
        /// What the decoder found.
        reason: String,
    },
    /// Over `max_pixels`.
    #[error("the picture has {width} x {height} pixels, more than the limit of {limit}: scale it down before sending")]
    TooManyPixels {
        /// Stored width.
        width: u32,
        /// Stored height.
        height: u32,
        /// The configured limit.
        limit: u64,
    },
    /// Over `max_side`.
    #[error("the picture has {width} x {height} pixels and no side may exceed {limit}: scale it down before sending")]
    SideTooLong {
        /// Stored width.
        width: u32,
        /// Stored height.
        height: u32,
        /// The configured limit.
        limit: u32,
    },
}

impl PictureError {
    /// A stable reason in snake_case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "image_empty",
            Self::UnknownFormat => "image_format_unknown",
            Self::UnsupportedFormat(_) => "image_format_unsupported",
            Self::Malformed { .. } => "image_malformed",
            Self::TooManyPixels { .. } => "image_too_many_pixels",
            Self::SideTooLong { .. } => "image_side_too_long",
        }
    }
}

impl DecodeLimits {
    fn check(&self, format: &'static str, width: u32, height: u32) -> Result<(), PictureError> {
        if width == 0 || height == 0 {
            return Err(PictureError::Malformed { format, reason: "a side is zero".into() });
        }
        if width.max(height) > self.max_side {
            return Err(PictureError::SideTooLong { width, height, limit: self.max_side });
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(PictureError::TooManyPixels { width, height, limit: self.max_pixels });
        }
        Ok(())
    }
}

/// Decodes the first picture in `bytes`. Never panics; takes memory in proportion to the limits, not to the bytes.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    let (format, name) = match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => return decode_jpeg(bytes, limits),
        Ok(ImageFormat::Png) => (ImageFormat::Png, "png"),
        Ok(ImageFormat::WebP) => (ImageFormat::WebP, "webp"),
        Ok(ImageFormat::Bmp) => (ImageFormat::Bmp, "bmp"),
        Ok(ImageFormat::Gif) => (ImageFormat::Gif, "gif"),
        Ok(ImageFormat::Tiff) => (ImageFormat::Tiff, "tiff"),
        Ok(ImageFormat::Avif) => return Err(PictureError::UnsupportedFormat("AVIF")),
        _ if is_heif(bytes) => return Err(PictureError::UnsupportedFormat("HEIC")),
        _ => return Err(PictureError::UnknownFormat),
    };
    decode_other(bytes, format, name, limits)
}

/// ISO base media files start with a box size, then `ftyp` and a brand.
fn is_heif(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ftyp")
        && matches!(bytes.get(8..12), Some(b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1"))
}

fn decode_jpeg(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, PictureError> {
    const FORMAT: &str = "jpeg";
    let malformed = |reason: String| PictureError::Malformed { format: FORMAT, reason };
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(MAX_JPEG_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| malformed(e.to_string()))?;
    let info = decoder.info().ok_or_else(|| malformed("it has no frame header".into()))?;
    limits.check(FORMAT, u32::from(info.width), u32::from(info.height))?;
    let scans = jpeg_scans(bytes).ok_or_else(|| malformed("it ends before its end marker".into()))?;
    if scans > MAX_JPEG_SCANS {
        return Err(malformed(format!("it has {scans} scans, at most {MAX_JPEG_SCANS} are decoded")));
    }
    let exif_orientation =
        decoder.exif().and_then(|chunk| ExifOrientation::from_exif_chunk(chunk)).map_or(1, ExifOrientation::to_exif);
    let data = decoder.decode().map_err(|e| malformed(e.to_string()))?;
    let pixels = Pixels::new(usize::from(info.width), usize::from(info.height), data)
        .ok_or_else(|| malformed("its data does not fill its size".into()))?;
    Ok(Picture { pixels, orientation: Orientation::from_exif(exif_orientation), exif_orientation, format: FORMAT })
}

/// Number of scans up to the end-of-image marker; `None` when the stream ends before that marker.
///
/// Decoders fill what is missing with grey, which a caller would take for an answer about the whole picture.
fn jpeg_scans(bytes: &[u8]) -> Option<usize> {
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

fn decode_other(
    bytes: &[u8],
    format: ImageFormat,
    name: &'static str,
    limits: &DecodeLimits,
) -> Result<Picture, PictureError> {
    let malformed = |e: image::ImageError| PictureError::Malformed { format: name, reason: e.to_string() };
    let max_bytes = limits.max_pixels * DECODED_BYTES_PER_PIXEL;
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(max_bytes * 2);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(allowed.clone());
    let mut decoder = reader.into_decoder().map_err(malformed)?;
    let (width, height) = decoder.dimensions();
    limits.check(name, width, height)?;
    if decoder.total_bytes() > max_bytes {
        let limit =
            limits.max_pixels * u64::from(DECODED_BYTES_PER_PIXEL as u32) * u64::from(width) * u64::from(height)
                / decoder.total_bytes().max(1);
        return Err(PictureError::TooManyPixels { width, height, limit });
    }
    decoder.set_limits(allowed).map_err(malformed)?;
    let exif_orientation = decoder.orientation().map_or(1, ExifOrientation::to_exif);
    let picture = DynamicImage::from_decoder(decoder).map_err(malformed)?;
    let data = if picture.color().has_alpha() { over_white(&picture) } else { picture.into_rgb8().into_raw() };
    let pixels = Pixels::new(width as usize, height as usize, data)
        .ok_or_else(|| PictureError::Malformed { format: name, reason: "its data does not fill its size".into() })?;
    Ok(Picture { pixels, orientation: Orientation::from_exif(exif_orientation), exif_orientation, format: name })
}

/// Transparent parts hold arbitrary colours; a person sees the page behind them.
fn over_white(picture: &DynamicImage) -> Vec<u8> {
    let blend = |value: u8, alpha: u8| {
        let (value, alpha) = (u16::from(value), u16::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let rgba = picture.to_rgba8();
    rgba.pixels().flat_map(|p| Rgb([blend(p[0], p[3]), blend(p[1], p[3]), blend(p[2], p[3])]).0).collect()
}
