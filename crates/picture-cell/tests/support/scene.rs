//! A small picture, and files of it.

#![allow(unreachable_pub, reason = "a module of every program that includes it")]

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

/// Red left, blue right, brighter downwards: no two of the eight orientations look alike.
pub fn scene() -> RgbImage {
    RgbImage::from_fn(48, 32, |x, y| {
        let light = 120 + y as u8 * 4;
        if x < 24 { Rgb([light, 0, 0]) } else { Rgb([0, 0, light]) }
    })
}

pub fn written(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    scene().write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}
