//! Stands in for the shared test kit until that is there: the same names, the same meanings.

use std::io::Cursor;
use std::sync::OnceLock;

use face_analysis::{Analysis, FaceAnalyzer, ModelFiles, Settings, Wanted};
use face_models::{Group, ModelStore};
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

fn store(group: Group) -> &'static ModelStore {
    static STORE: OnceLock<ModelStore> = OnceLock::new();
    let store = STORE.get_or_init(|| ModelStore::open(ModelStore::default_dir().unwrap()).unwrap());
    store.ensure(group, &mut |_: face_models::Event<'_>| {}).unwrap();
    store
}

fn analyzer() -> &'static FaceAnalyzer {
    static ANALYZER: OnceLock<FaceAnalyzer> = OnceLock::new();
    ANALYZER.get_or_init(|| {
        let paths = store(Group::Models).paths().unwrap();
        let files = ModelFiles {
            onnx_runtime: paths.onnx_runtime,
            detector: paths.detector,
            liveness_v2: paths.liveness_v2,
            liveness_v1se: paths.liveness_v1se,
            age: paths.age,
            gender: paths.gender,
            age_gender: paths.age_gender,
            landmarks: paths.landmarks,
            face_geometry: paths.face_geometry,
            occlusion: paths.occlusion,
        };
        FaceAnalyzer::load(&files, Settings::default(), 2).unwrap()
    })
}

/// The analysis of a picture with all details.
pub fn analyze(bytes: &[u8]) -> Analysis {
    analyzer().analyze(bytes, Wanted { details: true, face_image: false }).unwrap()
}

/// The packaged portrait (512x512), enlarged `scale` times.
pub fn portrait(scale: f32) -> RgbImage {
    let bytes = std::fs::read(store(Group::TestPictures).pictures_dir().join("astronaut.png")).unwrap();
    let original = image::load_from_memory(&bytes).unwrap().to_rgb8();
    resized(&original, (512.0 * scale).round() as u32, (512.0 * scale).round() as u32)
}

/// Without loss.
pub fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    DynamicImage::ImageRgb8(picture.clone()).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

/// With loss; `quality` is 1 to 100.
pub fn jpeg(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (width, height) = (picture.width() as u16, picture.height() as u16);
    jpeg_encoder::Encoder::new(&mut bytes, quality)
        .encode(picture.as_raw(), width, height, jpeg_encoder::ColorType::Rgb)
        .unwrap();
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
