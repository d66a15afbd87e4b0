//! Bytes to pixels: formats told from the bytes, limits checked from the header before any pixel is decoded,
//! EXIF orientation read (and applied by coordinates later, which is cheaper than turning 12 megapixels).

use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// Only the first picture of an animation is looked at. Films have hundreds; a file with more pictures than this was made
/// to keep somebody busy.
const MAX_GIF_FRAMES: usize = 1_000;

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

/// Decodes pictures into memory of earlier ones: to be given fresh memory for 12 megapixels costs a tenth of an analysis.
#[derive(Debug)]
pub(crate) struct Decoder {
    limits: DecodeLimits,
    /// What earlier pictures took, for as many as were analysed at the same time.
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Memory is given back when the next picture takes less than this part of it.
const LEAST_USED: usize = 4;

impl Decoder {
    pub(crate) fn new(limits: DecodeLimits) -> Self {
        Self { limits, spare: Mutex::default() }
    }

    /// Decodes the first picture in `bytes`.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Picture, PictureError> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        decode_into(bytes, &self.limits, spare.unwrap_or_default())
    }

    /// Takes a picture that has been analysed.
    pub(crate) fn recycle(&self, picture: Picture) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(picture.pixels.into_data());
    }
}

/// `spare` as `length` zeros: nothing of an earlier picture may show through one that does not fill its size.
fn zeros(mut spare: Vec<u8>, length: usize) -> Vec<u8> {
    if spare.capacity() < length || spare.capacity() / LEAST_USED > length {
        return vec![0; length];
    }
    spare.clear();
    spare.resize(length, 0);
    spare
}

/// Decodes the first picture in `bytes`. Never panics; takes memory in proportion to the limits, not to the bytes.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, PictureError> {
    decode_into(bytes, limits, Vec::new())
}

fn decode_into(bytes: &[u8], limits: &DecodeLimits, spare: Vec<u8>) -> Result<Picture, PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    let (format, name) = match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => return decode_jpeg(bytes, limits, spare),
        Ok(ImageFormat::Png) => (ImageFormat::Png, "png"),
        Ok(ImageFormat::WebP) => (ImageFormat::WebP, "webp"),
        Ok(ImageFormat::Bmp) => (ImageFormat::Bmp, "bmp"),
        Ok(ImageFormat::Gif) if gif_frames(bytes) > MAX_GIF_FRAMES => {
            let reason = format!("it has more than {MAX_GIF_FRAMES} frames: send the one that shows the face");
            return Err(PictureError::Malformed { format: "gif", reason });
        }
        Ok(ImageFormat::Gif) => (ImageFormat::Gif, "gif"),
        Ok(ImageFormat::Tiff) => (ImageFormat::Tiff, "tiff"),
        Ok(ImageFormat::Avif) => return Err(PictureError::UnsupportedFormat("AVIF")),
        _ if is_heif(bytes) => return Err(PictureError::UnsupportedFormat("HEIC")),
        _ => return Err(PictureError::UnknownFormat),
    };
    // These decoders take memory of their own.
    drop(spare);
    decode_other(bytes, format, name, limits)
}

/// ISO base media files start with a box size, then `ftyp` and a brand.
fn is_heif(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ftyp")
        && matches!(bytes.get(8..12), Some(b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1"))
}

fn decode_jpeg(bytes: &[u8], limits: &DecodeLimits, spare: Vec<u8>) -> Result<Picture, PictureError> {
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
    let length = decoder.output_buffer_size().ok_or_else(|| malformed("it has no size".into()))?;
    let mut data = zeros(spare, length);
    decoder.decode_into(&mut data).map_err(|e| malformed(e.to_string()))?;
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

/// Number of pictures in a GIF up to its end or to what is no GIF any more, at most one more than `MAX_GIF_FRAMES`.
fn gif_frames(bytes: &[u8]) -> usize {
    const EXTENSION: u8 = 0x21;
    const IMAGE: u8 = 0x2C;
    let colours = |packed: u8| if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) };
    let mut frames = 0;
    // After the header and the screen descriptor comes its colour table.
    let mut at = bytes.get(10).map_or(bytes.len(), |&packed| 13 + colours(packed));
    while frames <= MAX_GIF_FRAMES {
        at += match bytes.get(at) {
            Some(&EXTENSION) => 2,
            Some(&IMAGE) => {
                frames += 1;
                11 + bytes.get(at + 9).map_or(0, |&packed| colours(packed))
            }
            _ => break,
        };
        // Data blocks: a length, so many bytes; a length of zero ends them.
        while let Some(&length) = bytes.get(at) {
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
    }
    frames
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

#[cfg(test)]
mod tests {
    use image::{ImageFormat, RgbImage};
    use jpeg_encoder::{ColorType, Encoder};

    use super::*;

    /// Red left, blue right, brighter downwards: no two of the eight orientations look alike.
    fn scene() -> RgbImage {
        RgbImage::from_fn(48, 32, |x, y| {
            let light = 120 + y as u8 * 4;
            if x < 24 { Rgb([light, 0, 0]) } else { Rgb([0, 0, light]) }
        })
    }

    fn written(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        scene().write_to(&mut bytes, format).expect("encodes");
        bytes.into_inner()
    }

    fn jpeg(set_up: impl FnOnce(&mut Encoder<&mut Vec<u8>>), data: &[u8], color: ColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 95);
        set_up(&mut encoder);
        encoder.encode(data, 48, 32, color).expect("encodes");
        bytes
    }

    #[test]
    fn nothing_of_an_earlier_picture_is_left_in_its_memory() {
        let spare = zeros(vec![7; 100], 60);
        assert_eq!((spare.as_slice(), spare.capacity()), (&[0; 60][..], 100));
        assert_eq!(zeros(vec![7; 100], 200), [0; 200]);
        // A small picture does not keep the memory of a large one.
        assert!(zeros(vec![7; 1000], 60).capacity() < 1000);
    }

    #[test]
    fn a_picture_in_used_memory_is_the_same() {
        let decoder = Decoder::new(DecodeLimits::default());
        let (first, second) =
            (jpeg(|_| {}, &[200; 48 * 32 * 3], ColorType::Rgb), jpeg(|_| {}, &scene(), ColorType::Rgb));
        for bytes in [&first, &second, &written(ImageFormat::Png), &second] {
            let picture = decoder.decode(bytes).expect("a picture");
            assert_eq!(picture.pixels, decode(bytes, &DecodeLimits::default()).expect("a picture").pixels);
            decoder.recycle(picture);
            assert_eq!(decoder.spare.lock().expect("no panic").len(), 1);
        }
    }

    /// The TIFF header and the one entry (tag 0x0112, short) that an EXIF orientation needs.
    fn exif(orientation: u8) -> Vec<u8> {
        let mut chunk = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        chunk.extend([orientation, 0, 0, 0, 0, 0, 0]);
        chunk
    }

    fn looks_like_the_scene(picture: &Picture, tolerance: i16) {
        let scene = scene();
        assert_eq!((picture.pixels.width(), picture.pixels.height()), (48, 32));
        for (x, y) in [(4, 4), (43, 4), (4, 28), (43, 28)] {
            for (got, wanted) in picture.pixels.at(x, y).iter().zip(scene.get_pixel(x as u32, y as u32).0) {
                assert!((i16::from(*got) - i16::from(wanted)).abs() <= tolerance, "at {x}, {y}: {got} for {wanted}");
            }
        }
    }

    #[test]
    fn reads_every_format_and_tells_it_from_the_bytes() {
        let formats = [
            (ImageFormat::Png, "png"),
            (ImageFormat::WebP, "webp"),
            (ImageFormat::Bmp, "bmp"),
            (ImageFormat::Gif, "gif"),
            (ImageFormat::Tiff, "tiff"),
        ];
        for (format, name) in formats {
            let picture = decode(&written(format), &DecodeLimits::default()).expect(name);
            assert_eq!(picture.format, name);
            looks_like_the_scene(&picture, if name == "gif" { 8 } else { 0 });
        }
    }

    #[test]
    fn reads_every_kind_of_jpeg() {
        let rgb = scene().into_raw();
        let grey: Vec<u8> = scene().pixels().map(|p| p[0].max(p[2])).collect();
        // jpeg-encoder writes CMYK as Adobe does (inverted) and takes it as 255 = full ink.
        let cmyk: Vec<u8> = scene().pixels().flat_map(|p| [255 - p[0], 255 - p[1], 255 - p[2], 0]).collect();
        let plain = jpeg(|_| (), &rgb, ColorType::Rgb);
        let progressive = jpeg(|e| e.set_progressive(true), &rgb, ColorType::Rgb);
        let inked = jpeg(|_| (), &cmyk, ColorType::Cmyk);
        let ycck = jpeg(|_| (), &cmyk, ColorType::CmykAsYcck);
        for bytes in [plain, progressive, inked, ycck] {
            let picture = decode(&bytes, &DecodeLimits::default()).expect("decodes");
            assert_eq!(picture.format, "jpeg");
            looks_like_the_scene(&picture, 12);
        }
        let picture = decode(&jpeg(|_| (), &grey, ColorType::Luma), &DecodeLimits::default()).expect("decodes");
        let [r, g, b] = picture.pixels.at(4, 28);
        assert!(r == g && g == b && r > 200);
    }

    #[test]
    fn applies_no_orientation_to_the_pixels_but_reports_it() {
        for orientation in 1..=8 {
            let chunk = exif(orientation);
            let set_up = move |e: &mut Encoder<&mut Vec<u8>>| e.add_app_segment(1, chunk).expect("short");
            let picture = decode(&jpeg(set_up, &scene().into_raw(), ColorType::Rgb), &DecodeLimits::default());
            let picture = picture.expect("decodes");
            assert_eq!(picture.exif_orientation, orientation);
            assert_eq!(picture.orientation, Orientation::from_exif(orientation));
            assert_eq!(picture.seen_size(), if orientation < 5 { (48, 32) } else { (32, 48) });
        }
    }

    #[test]
    fn transparent_parts_are_white() {
        let mut bytes = Cursor::new(Vec::new());
        let glass = image::RgbaImage::from_pixel(5, 5, image::Rgba([10, 20, 30, 0]));
        glass.write_to(&mut bytes, ImageFormat::Png).expect("encodes");
        let picture = decode(&bytes.into_inner(), &DecodeLimits::default()).expect("decodes");
        assert_eq!(picture.pixels.at(2, 2), [255; 3]);
    }

    #[test]
    fn every_truncation_of_every_format_is_an_error_and_no_panic() {
        let rgb = scene().into_raw();
        let mut files =
            vec![jpeg(|_| (), &rgb, ColorType::Rgb), jpeg(|e| e.set_progressive(true), &rgb, ColorType::Rgb)];
        files.extend([ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff].map(written));
        for bytes in &files {
            for length in 0..bytes.len() - 16 {
                let result = decode(&bytes[..length], &DecodeLimits::default());
                assert!(result.is_err(), "{length} of {} bytes of {:?}", bytes.len(), &bytes[..4]);
            }
        }
    }

    #[test]
    fn limits_are_checked_before_pixels_are_decoded() {
        let bytes = written(ImageFormat::Png);
        let narrow = DecodeLimits { max_side: 47, ..Default::default() };
        assert!(matches!(decode(&bytes, &narrow), Err(PictureError::SideTooLong { width: 48, .. })));
        let few = DecodeLimits { max_pixels: 48 * 32 - 1, ..Default::default() };
        for bytes in [bytes, jpeg(|_| (), &scene().into_raw(), ColorType::Rgb)] {
            assert!(matches!(decode(&bytes, &few), Err(PictureError::TooManyPixels { .. })));
        }
    }

    #[test]
    fn a_jpeg_with_a_thousand_scans_is_refused() {
        let bytes = jpeg(|e| e.set_progressive(true), &scene().into_raw(), ColorType::Rgb);
        let scan = memchr::memmem::rfind(&bytes, &[0xFF, 0xDA]).expect("has scans");
        let last = &bytes[scan..bytes.len() - 2];
        let mut bomb = bytes[..bytes.len() - 2].to_vec();
        for _ in 0..1000 {
            bomb.extend_from_slice(last);
        }
        bomb.extend([0xFF, 0xD9]);
        assert!(matches!(decode(&bomb, &DecodeLimits::default()), Err(PictureError::Malformed { .. })));
    }

    #[test]
    fn frames_of_a_gif_are_counted_and_too_many_refused() {
        let frame = image::Frame::new(image::RgbaImage::from_pixel(3, 2, image::Rgba([9, 9, 9, 255])));
        let film = |frames: usize| {
            let mut bytes = Vec::new();
            let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
            encoder.encode_frames(vec![frame.clone(); frames]).expect("encodes");
            drop(encoder);
            bytes
        };
        for frames in [1, 2, 40] {
            assert_eq!(gif_frames(&film(frames)), frames);
        }
        assert_eq!(decode(&film(MAX_GIF_FRAMES), &DecodeLimits::default()).expect("decodes").format, "gif");
        let error = decode(&film(MAX_GIF_FRAMES + 1), &DecodeLimits::default()).expect_err("too many");
        assert!(error.to_string().contains("1000 frames"), "{error}");
        let whole = film(3);
        for length in 0..whole.len() {
            assert!(gif_frames(&whole[..length]) <= 3);
        }
    }

    #[test]
    fn what_is_no_picture_gets_a_reason() {
        let limits = DecodeLimits::default();
        assert_eq!(decode(b"", &limits).expect_err("empty").code(), "image_empty");
        assert_eq!(decode(b"hello world", &limits).expect_err("text").code(), "image_format_unknown");
        let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
        assert_eq!(decode(heic, &limits).expect_err("HEIC").code(), "image_format_unsupported");
    }
}
