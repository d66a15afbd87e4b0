//! The pictures that are measured.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use face_bulk::pictures::read;
use face_models::{Group, ModelStore};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;

use super::super::CommandError;
use super::super::models::fetch_with_progress;
use crate::answer::too_large_message;

/// Width and height in pixels of the pictures that are measured when none are named.
pub const SIZES: [(u32, u32); 4] = [(640, 480), (1280, 720), (1080, 1920), (4000, 3000)];

/// The named pictures, or the packaged portrait in four sizes.
pub(super) fn pictures(
    paths: &[PathBuf],
    max_bytes: usize,
    store: &ModelStore,
) -> Result<Vec<(String, Vec<u8>)>, CommandError> {
    if !paths.is_empty() {
        return paths.iter().map(|path| named(path, max_bytes)).collect();
    }
    fetch_with_progress(store, Group::Portrait)?;
    let portrait = image::open(store.pictures_dir().join("astronaut.png"))?.to_rgb8();
    SIZES
        .map(|(width, height)| Ok((format!("{width}x{height}"), photo(&portrait, width, height)?)))
        .into_iter()
        .collect()
}

fn named(path: &Path, max_bytes: usize) -> Result<(String, Vec<u8>), CommandError> {
    let name = path.display().to_string();
    match read(path, max_bytes) {
        Ok(Some(bytes)) => Ok((name, bytes)),
        Ok(None) => Err(CommandError::new(format!("{name}: {}", too_large_message(max_bytes)))),
        Err(error) => Err(CommandError::new(format!("cannot read {name}: {error}"))),
    }
}

/// Head and shoulders of the packaged portrait (512x512, the face 118 pixels high round 225, 120) as a JPEG of the
/// given size, with the noise of a sensor: an enlarged picture alone would have nothing to decode.
pub fn photo(portrait: &RgbImage, width: u32, height: u32) -> Result<Vec<u8>, CommandError> {
    /// The noise's amplitude in levels of 255.
    const NOISE: u64 = 12;
    let (x, y, w, h) = match f64::from(width) / f64::from(height) {
        wide if wide > 1.5 => (0, 0, 512, 288),
        tall if tall < 1.0 => (81, 0, 288, 512),
        _ => (81, 12, 288, 216),
    };
    let part = image::imageops::crop_imm(portrait, x, y, w, h).to_image();
    let mut scaled = image::imageops::resize(&part, width, height, FilterType::CatmullRom);
    // Knuth's multiplier for linear congruences modulo 2^64: the same noise every time.
    let mut random = 1_u64;
    for value in scaled.iter_mut() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let noise = (random >> 33) % (2 * NOISE + 1);
        *value = value.saturating_add(noise as u8).saturating_sub(NOISE as u8);
    }
    let mut jpeg = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut jpeg, 85).encode_image(&scaled)?;
    Ok(jpeg.into_inner())
}
