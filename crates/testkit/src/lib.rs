//! What tests share: the real networks, the real pictures, and ways to change a picture.
//!
//! Networks and pictures come from the model folder and are fetched when they are missing. Nothing here is ever part
//! of the program.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

mod drawn;
pub mod fuzz;
pub mod hostile;
pub mod http;
mod marks;

use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use face_analysis::{Analysis, FaceAnalyzer, ModelFiles, Settings, Wanted};
use face_models::{Group, ModelStore};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

pub use drawn::drawn_face;
pub use marks::{marked, overlap};

/// Where the networks lie, fetched when they are missing.
pub fn models() -> ModelFiles {
    facegate::models::files(store(Group::Models)).unwrap()
}

fn store(group: Group) -> &'static ModelStore {
    static STORE: OnceLock<ModelStore> = OnceLock::new();
    let store = STORE.get_or_init(|| ModelStore::open(ModelStore::default_dir().unwrap()).unwrap());
    store.ensure(group, &mut |_: face_models::Event<'_>| {}).unwrap();
    store
}

/// One analyzer with the default settings for all tests of a program.
pub fn analyzer() -> &'static Arc<FaceAnalyzer> {
    static ANALYZER: OnceLock<Arc<FaceAnalyzer>> = OnceLock::new();
    ANALYZER.get_or_init(|| Arc::new(FaceAnalyzer::load(&models(), Settings::default(), 2).unwrap()))
}

/// The analysis of a picture with all details.
pub fn analyze(bytes: &[u8]) -> Analysis {
    analyzer().analyze(bytes, Wanted { details: true, face_image: false }).unwrap()
}

/// The outcome as the contract words it: `OK` or one of the eight FACE words.
pub fn word(analysis: &Analysis) -> &'static str {
    face_service::contract::outcome(analysis)
}

/// The bytes of a packaged picture, such as `astronaut.png`.
pub fn picture(name: &str) -> Vec<u8> {
    let group = if name == "astronaut.png" { Group::Portrait } else { Group::TestPictures };
    std::fs::read(store(group).pictures_dir().join(name)).unwrap()
}

/// The packaged portrait (scikit-image's astronaut, 512x512, public domain), enlarged `scale` times. As it is, its
/// pupils are 43 pixels apart; twice as large it meets every rule.
pub fn portrait(scale: f32) -> RgbImage {
    let original = image::load_from_memory(&picture("astronaut.png")).unwrap().to_rgb8();
    resized(&original, (512.0 * scale).round() as u32, (512.0 * scale).round() as u32)
}

/// The packaged portrait as a photograph of that size, which meets every rule: what `facegate bench` measures with.
pub fn portrait_photo(width: u32, height: u32) -> Vec<u8> {
    facegate::commands::bench::photo(&portrait(1.0), width, height).unwrap()
}

/// One of the three sample pictures that stand beside a development checkout. Elsewhere there are none: the test that
/// asks says so and has nothing to check.
pub fn shared_sample(name: &str) -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/liveness-samples").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            eprintln!("SKIPPED: {} is not here ({error})", path.display());
            None
        }
    }
}

/// Without loss.
pub fn png(picture: &RgbImage) -> Vec<u8> {
    encoded(picture, ImageFormat::Png)
}

/// In any format that the `image` crate writes.
pub fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    DynamicImage::ImageRgb8(picture.clone()).write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// With loss; `quality` is 1 to 100.
pub fn jpeg(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture).unwrap();
    bytes
}

/// A JPEG with an EXIF block that holds nothing but the orientation (TIFF tag 0x0112, type SHORT).
pub fn jpeg_with_orientation(picture: &RgbImage, quality: u8, orientation: u8) -> Vec<u8> {
    let mut exif = Vec::from(*b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0");
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let plain = jpeg(picture, quality);
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe1];
    bytes.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&plain[2..]);
    bytes
}

/// Scaled with a filter that neither blurs nor aliases much.
pub fn resized(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    image::imageops::resize(picture, width, height, FilterType::CatmullRom)
}

/// The part of a picture from `left`, `top` on.
pub fn cropped(picture: &RgbImage, left: u32, top: u32, width: u32, height: u32) -> RgbImage {
    image::imageops::crop_imm(picture, left, top, width, height).to_image()
}

/// The picture on a grey canvas, its upper left corner at `left`, `top`.
pub fn on_canvas(picture: &RgbImage, width: u32, height: u32, left: i64, top: i64) -> RgbImage {
    let mut canvas = RgbImage::from_pixel(width, height, Rgb([120, 120, 120]));
    image::imageops::replace(&mut canvas, picture, left, top);
    canvas
}

/// The picture turned clockwise about its middle on a larger grey canvas.
pub fn leaning(picture: &RgbImage, degrees: f32) -> RgbImage {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let (side, (sin, cos)) = (width.hypot(height).ceil(), degrees.to_radians().sin_cos());
    RgbImage::from_fn(side as u32, side as u32, |x, y| {
        let (x, y) = (x as f32 + 0.5 - side / 2.0, y as f32 + 0.5 - side / 2.0);
        let (u, v) = (cos * x + sin * y + width / 2.0 - 0.5, cos * y - sin * x + height / 2.0 - 0.5);
        image::imageops::interpolate_bilinear(picture, u, v).unwrap_or(Rgb([128; 3]))
    })
}
