//! What is said of pictures that cannot be decoded: one plain sentence with what to do, and nothing that a library says.

use std::fs;
use std::path::Path;

use image::ImageFormat;
use picture_cell::{DecodeLimits, PictureError, decode};
use scene::written;

#[path = "support/scene.rs"]
mod scene;

const ADVICE: &str = "; send it again, or save it anew as JPEG or PNG before sending";

fn packaged(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)).expect("the file is there")
}

/// The reason, when a picture is damaged.
fn reason(bytes: &[u8]) -> Option<String> {
    let error = decode(bytes, &DecodeLimits::default()).err()?;
    let PictureError::Malformed { format, reason } = &error else { return None };
    assert_eq!(error.to_string(), format!("the {format} picture is damaged or incomplete: {reason}{ADVICE}"));
    Some(reason.clone())
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let mut files = vec![
        ("png", written(ImageFormat::Png)),
        ("webp", written(ImageFormat::WebP)),
        ("bmp", written(ImageFormat::Bmp)),
        ("gif", written(ImageFormat::Gif)),
        ("tiff", packaged("rgb_II_5_strips.tif")),
        ("tiff", packaged("rgb_II_8_strips.tif")),
        ("webp", packaged("webp_lossy_alpha.webp")),
        ("bmp", packaged("bmp_P.bmp")),
        ("jpeg", packaged("arithmetic.jpg")),
        ("jpeg", packaged("sampling_2x2_progressive.jpg")),
    ];
    if cfg!(feature = "heic") {
        files.push(("heic", packaged("heic_420.heic")));
    }
    if cfg!(feature = "avif") {
        files.push(("avif", packaged("avif_420.avif")));
    }
    files
}

#[test]
fn the_words_are_ours_whatever_is_wrong() {
    // What a person is told has no names of code, and none of what the libraries are known to say.
    let foreign = ["error", "invalid", "failed to", "unexpected", "corrupt", "malformed", "truncated", "offset", "::"];
    let mut state = 1_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for (name, whole) in files() {
        let mut damaged: Vec<Vec<u8>> = (0..40).map(|part| whole[..whole.len() * part / 40].to_vec()).collect();
        for _ in 0..200 {
            let mut bytes = whole.clone();
            let at = 4 + random(bytes.len() - 4);
            bytes[at] = random(256) as u8;
            damaged.push(bytes);
        }
        let reasons: Vec<String> = damaged.iter().filter_map(|bytes| reason(bytes)).collect();
        assert!(reasons.len() > 10, "{name}: {} are too few to mean anything", reasons.len());
        for reason in reasons {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || " ,%".contains(letter);
            assert!(reason.chars().all(plain), "{name}: {reason}");
            let lower = reason.to_lowercase();
            assert!(foreign.iter().all(|word| !lower.contains(word)), "{name}: {reason}");
        }
    }
}

#[test]
fn a_file_that_is_cut_is_said_to_end_early_and_a_wrong_checksum_is_named() {
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif] {
        let whole = written(format);
        for percent in [50, 80, 95] {
            let reason = reason(&whole[..whole.len() * percent / 100]).expect("is damaged");
            assert_eq!(reason, "its data end early", "{format:?}, {percent} %");
        }
    }
    let mut wrong = written(ImageFormat::Png);
    let sum = wrong.len() - 14;
    wrong[sum] ^= 1;
    assert_eq!(reason(&wrong).expect("is damaged"), "a checksum in it is wrong");
}
