//! Sizes are held against the limits before anything else is taken, whatever a header states.

use image::{ImageFormat, RgbImage};
use picture_cell::{DecodeLimits, decode};

fn code(bytes: &[u8]) -> &'static str {
    decode(bytes, &DecodeLimits::default()).map_or_else(|error| error.code(), |_| "decoded")
}

fn written(format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(20, 10, image::Rgb([9, 99, 199])).write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}

/// Chunks of a PNG: a header, some data, the end.
fn png(width: u32, height: u32, bits: u8, colour: u8) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[bits, colour, 0, 0, 0]].concat();
    for (kind, data) in [(b"IHDR", &header[..]), (b"IDAT", &[0x78, 0x9c]), (b"IEND", &[])] {
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(data);
        bytes.extend([&(data.len() as u32).to_be_bytes()[..], kind, data, &sum.sum().to_be_bytes()].concat());
    }
    bytes
}

#[test]
fn a_png_of_absurd_sides_has_sides_that_are_too_long() {
    for (width, height) in [
        (268_435_456, 1),
        (1, 268_435_456),
        (536_870_912, 10),
        (1 << 24, 1 << 24),
        (1 << 30, 1 << 30),
        (2_147_483_647, 1),
        (2_147_483_647, 2_147_483_647),
    ] {
        for (bits, colour) in [(1, 0), (8, 0), (8, 2), (8, 3), (16, 6)] {
            let said = code(&png(width, height, bits, colour));
            assert_eq!(said, "image_side_too_long", "{width} x {height}, {bits} bits of colour {colour}");
        }
    }
    assert_eq!(code(&png(9_000, 9_000, 8, 2)), "image_too_many_pixels");
}

#[test]
fn a_bitmap_of_absurd_sides_has_sides_that_are_too_long() {
    for format in ["colours", "palette"] {
        let whole = if format == "colours" {
            written(ImageFormat::Bmp)
        } else {
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures/bmp_P.bmp")).expect("the file is there")
        };
        for (width, height) in
            [(20_000, 10), (70_000, 1), (10, 70_000), (i32::MAX, i32::MAX), (10, -70_000), (10, i32::MIN)]
        {
            let mut bytes = whole.clone();
            bytes[18..22].copy_from_slice(&width.to_le_bytes());
            bytes[22..26].copy_from_slice(&height.to_le_bytes());
            assert_eq!(code(&bytes), "image_side_too_long", "{format}, {width} x {height}");
        }
    }
}

#[test]
fn a_gif_whose_screen_or_picture_has_absurd_sides_has_sides_that_are_too_long() {
    let whole = written(ImageFormat::Gif);
    let mark = whole.iter().rposition(|&byte| byte == 0x2C).expect("a picture");
    assert_eq!(whole[mark + 5..mark + 9], [20, 0, 10, 0]);
    for place in [6, mark + 5] {
        let mut bytes = whole.clone();
        bytes[place..place + 4].fill(0xFF);
        assert_eq!(code(&bytes), "image_side_too_long", "at {place}");
        bytes[place..place + 4].copy_from_slice(&[0x10, 0x27, 0x10, 0x27]);
        assert_eq!(code(&bytes), "image_too_many_pixels", "at {place}");
    }
}

#[test]
fn a_webp_of_absurd_sides_has_sides_that_are_too_long() {
    let whole = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures/webp_lossy_alpha.webp"));
    let whole = whole.expect("the file is there");
    assert_eq!(whole[12..16], *b"VP8X");
    for sides in [[0xFF; 6], [0xFF, 0xFF, 0xFF, 0, 0, 0], [0, 0, 0, 0xFF, 0xFF, 0xFF], [0x1F, 0x4E, 0, 1, 0, 0]] {
        let mut bytes = whole.clone();
        bytes[24..30].copy_from_slice(&sides);
        assert_eq!(code(&bytes), "image_side_too_long", "{sides:?}");
    }
}

#[test]
fn a_tiff_of_absurd_sides_has_sides_that_are_too_long() {
    for (width, height) in [(u32::MAX, u32::MAX), (u32::MAX, 1), (1, 1 << 30)] {
        let mut bytes = b"MM\0\x2a\0\0\0\x08\0\x02".to_vec();
        for (tag, value) in [(256_u16, width), (257, height)] {
            bytes.extend([&tag.to_be_bytes()[..], &[0, 4, 0, 0, 0, 1], &value.to_be_bytes()].concat());
        }
        bytes.extend([0; 4]);
        assert_eq!(code(&bytes), "image_side_too_long", "{width} x {height}");
    }
}

#[cfg(feature = "heic")]
#[test]
fn a_heic_that_states_absurd_sides_has_sides_that_are_too_long() {
    let whole = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures/heic_420.heic"));
    let whole = whole.expect("the file is there");
    let places: Vec<usize> = memchr::memmem::find_iter(&whole, b"ispe").map(|kind| kind + 8).collect();
    assert!(!places.is_empty());
    for sides in [[0x7F; 8], [0xFF; 8], [0, 1, 0, 0, 0, 0, 0, 1]] {
        let mut bytes = whole.clone();
        for &at in &places {
            bytes[at..at + 8].copy_from_slice(&sides);
        }
        assert_eq!(code(&bytes), "image_side_too_long", "{sides:?}");
    }
}
