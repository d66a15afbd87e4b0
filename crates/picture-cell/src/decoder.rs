//! One picture from its bytes, in memory of its own or in that of an earlier one.

use std::sync::{Mutex, PoisonError};

#[cfg(target_os = "linux")]
use crate::cell::Cells;
use crate::failure::{DecodeError, Endings};
use crate::limits::DecodeLimits;
use crate::picture::{Picture, PictureError};
use crate::pixels::{Orientation, Pixels};
use crate::sniff::sniff;

/// Decodes pictures, in cells or in the calling thread.
#[derive(Debug)]
pub struct Decoder {
    limits: DecodeLimits,
    place: Place,
}

#[derive(Debug)]
enum Place {
    #[cfg(target_os = "linux")]
    Cells(Cells),
    /// What earlier pictures took, for as many as were analysed at the same time: to be given fresh memory for 12
    /// megapixels costs a tenth of an analysis.
    Here(Mutex<Vec<Vec<u8>>>),
}

impl Decoder {
    /// Decodes in `cells`: for pictures from strangers.
    #[cfg(target_os = "linux")]
    pub fn in_cells(cells: Cells) -> Self {
        Self { limits: cells.limits().clone(), place: Place::Cells(cells) }
    }

    /// Decodes in the calling thread: for pictures of one's own and for systems other than Linux. A decoder that fails
    /// then takes the process with it, and of `limits` only the sizes hold.
    pub fn in_process(limits: DecodeLimits) -> Self {
        Self { limits, place: Place::Here(Mutex::default()) }
    }

    /// Decodes the first picture in `bytes`. Waits for a free cell when all are at work.
    pub fn decode(&self, bytes: &[u8]) -> Result<Picture, DecodeError> {
        match &self.place {
            #[cfg(target_os = "linux")]
            Place::Cells(cells) => cells.decode(bytes),
            Place::Here(spare) => {
                let memory = spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
                Ok(decode_into(bytes, &self.limits, memory.unwrap_or_default())?)
            }
        }
    }

    /// Takes a picture that is no longer needed.
    pub fn recycle(&self, picture: Picture) {
        if let (Place::Here(spare), Some(memory)) = (&self.place, picture.pixels.into_memory()) {
            spare.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        }
    }

    /// Waits until pictures can be decoded: cells start beside whatever the caller does meanwhile.
    pub fn warm_up(&self) -> Result<(), DecodeError> {
        match &self.place {
            #[cfg(target_os = "linux")]
            Place::Cells(cells) => Ok(cells.warm_up()?),
            Place::Here(_) => Ok(()),
        }
    }

    /// How many cells had to be ended since the start; none where there are none.
    pub fn endings(&self) -> Endings {
        match &self.place {
            #[cfg(target_os = "linux")]
            Place::Cells(cells) => cells.endings(),
            Place::Here(_) => Endings::default(),
        }
    }
}

/// Decodes the first picture in `bytes` in the calling thread, for pictures of one's own: a decoder with a bug may panic,
/// abort or take any time here.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, PictureError> {
    decode_into(bytes, limits, Vec::new())
}

fn decode_into(bytes: &[u8], limits: &DecodeLimits, mut memory: Vec<u8>) -> Result<Picture, PictureError> {
    let format = sniff(bytes)?;
    let found = (format.decode)(bytes, limits, &mut memory)?;
    let pixels = Pixels::new(found.width as usize, found.height as usize, memory)
        .ok_or_else(|| PictureError::malformed(format.name, "its data does not fill its size"))?;
    let exif_orientation = found.exif_orientation;
    Ok(Picture { pixels, orientation: Orientation::from_exif(exif_orientation), exif_orientation, format: format.name })
}

#[cfg(test)]
#[path = "../tests/support/scene.rs"]
mod scene;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::ImageFormat;
    use jpeg_encoder::{ColorType, Encoder};

    use super::scene::{scene, written};
    use super::*;

    fn jpeg(set_up: impl FnOnce(&mut Encoder<&mut Vec<u8>>), data: &[u8], color: ColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 95);
        set_up(&mut encoder);
        encoder.encode(data, 48, 32, color).expect("encodes");
        bytes
    }

    #[test]
    fn a_picture_in_used_memory_is_the_same() {
        let decoder = Decoder::in_process(DecodeLimits::default());
        let (first, second) =
            (jpeg(|_| {}, &[200; 48 * 32 * 3], ColorType::Rgb), jpeg(|_| {}, &scene(), ColorType::Rgb));
        for bytes in [&first, &second, &written(ImageFormat::Png), &second] {
            let picture = decoder.decode(bytes).expect("a picture");
            assert_eq!(picture.pixels, decode(bytes, &DecodeLimits::default()).expect("a picture").pixels);
            decoder.recycle(picture);
            let Place::Here(spare) = &decoder.place else { panic!("no cells were asked for") };
            assert_eq!(spare.lock().expect("no panic").len(), 1);
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
    fn what_encoders_fill_up_with_is_no_damage_to_a_jpeg() {
        let rgb = scene().into_raw();
        let plain = jpeg(|_| (), &rgb, ColorType::Rgb);
        let progressive = jpeg(|e| e.set_progressive(true), &rgb, ColorType::Rgb);
        let whole = |bytes: &[u8]| looks_like_the_scene(&decode(bytes, &DecodeLimits::default()).expect("whole"), 12);
        let refusal = |bytes: &[u8]| decode(bytes, &DecodeLimits::default()).expect_err("refused").to_string();
        for bytes in [&plain, &progressive] {
            let (data, end) = bytes.split_at(bytes.len() - 2);
            for (number, value) in [(4, 0), (8, 0), (300, 0), (16, 0x55), (5, 0xFF)] {
                let padded = [data, &vec![value; number]].concat();
                whole(&padded);
                whole(&[&padded, end].concat());
            }
            let message = refusal(&[data, b"abcd", end].concat());
            assert!(message.contains("4 bytes follow the last block"), "{message}");
        }
        // A unit in each interval: between them no more than a word or a few, and of one value.
        let intervals = jpeg(|e| e.set_restart_interval(1), &rgb, ColorType::Rgb);
        let before_markers = |padding: &[u8]| {
            let markers =
                memchr::memchr_iter(0xFF, &intervals).filter(|&at| (0xD0..=0xD7).contains(&intervals[at + 1]));
            let (mut bytes, mut from) = (Vec::new(), 0);
            for at in markers {
                bytes.extend([&intervals[from..at], padding].concat());
                from = at;
            }
            [&bytes, &intervals[from..]].concat()
        };
        for padding in [&[][..], &[0; 4], &[0; 16]] {
            whole(&before_markers(padding));
        }
        for padding in [&b"abcd"[..], &[0; 17]] {
            let message = refusal(&before_markers(padding));
            assert!(message.contains(&format!("then {} bytes of none", padding.len())), "{message}");
        }
        // Its second half never came, and zeros make enough blocks and to spare.
        let mut noise: Vec<u8> = Vec::new();
        let encoder = Encoder::new(&mut noise, 98);
        let mut state = 7_u32;
        let pixels: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(128 * 128 * 3)
        .collect();
        encoder.encode(&pixels, 128, 128, ColorType::Rgb).expect("encodes");
        let half = noise.len() / 2;
        noise[half..].fill(0);
        let message = refusal(&noise);
        assert!(message.contains("bytes follow the last block"), "{message}");
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
    fn what_is_no_picture_gets_a_reason() {
        let limits = DecodeLimits::default();
        assert_eq!(decode(b"", &limits).expect_err("empty").code(), "image_empty");
        assert_eq!(decode(b"hello world", &limits).expect_err("text").code(), "image_format_unknown");
        let avci = b"\0\0\0\x18ftypavci\0\0\0\0mif1avci";
        assert_eq!(decode(avci, &limits).expect_err("AVCI").code(), "image_format_unsupported");
    }
}
