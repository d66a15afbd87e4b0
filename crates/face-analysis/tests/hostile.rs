//! Pictures that mean harm: each gets an error, soon and without taking memory in proportion to what it claims.

use std::time::{Duration, Instant};

use face_analysis::decode::{DecodeLimits, decode};
use image::ImageFormat;
use testkit::{cropped, encoded, jpeg, portrait};

/// What the service promises on an idle core; the test machine may be slower and busy.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// Decodes and checks what holds for any bytes.
fn decoded(name: &str, bytes: &[u8]) -> Result<(usize, usize), &'static str> {
    let limits = DecodeLimits::default();
    let begin = Instant::now();
    let result = decode(bytes, &limits);
    let time = begin.elapsed();
    assert!(time < PATIENCE, "{name} took {time:?}");
    let picture = result.map_err(|error| error.code())?;
    let (width, height) = (picture.pixels.width(), picture.pixels.height());
    assert!((width * height) as u64 <= limits.max_pixels && picture.pixels.data().len() == width * height * 3);
    Ok((width, height))
}

fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let crc = kind.iter().chain(data).fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })
    });
    let length = u32::try_from(data.len()).expect("short").to_be_bytes();
    [&length[..], kind, data, &(!crc).to_be_bytes()].concat()
}

fn png(width: u32, height: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), png_chunk(b"IHDR", &header), chunks.concat(), png_chunk(b"IEND", b"")].concat()
}

#[test]
fn sizes_beyond_the_limits_are_refused_from_the_header() {
    for (width, height, code) in [
        (60_000, 60_000, "image_side_too_long"),
        (u32::MAX, u32::MAX, "image_side_too_long"),
        (9_000, 9_000, "image_too_many_pixels"),
        (10_000, 2_501, "image_too_many_pixels"),
    ] {
        let code_of = decoded("a large PNG", &png(width, height, &[png_chunk(b"IDAT", b"x")]));
        assert!(code_of == Err(code) || code_of == Err("image_malformed"), "{width}x{height}: {code_of:?}");
    }
    assert!(decoded("an empty PNG", &png(0, 10, &[])).is_err());
    // GIF: logical screen of 65535 x 65535; BMP: 2^31 columns; TIFF: a count of 2^32 - 1 in a tag.
    assert!(
        decoded(
            "a large GIF",
            b"GIF89a\xff\xff\xff\xff\xf0\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0\xff\xff\xff\xff\0\x02\0;"
        )
        .is_err()
    );
    let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bmp.extend([0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f, 1, 0, 24, 0]);
    bmp.extend([0; 24]);
    assert!(decoded("a large BMP", &bmp).is_err());
}

#[test]
fn a_png_that_unpacks_to_a_gigabyte_is_refused() {
    // Stored deflate blocks would be as long as what they hold; a fixed-Huffman run of zeros is 1032 times shorter.
    let zeros = fixed_huffman_zeros(4 << 20);
    assert!(
        decoded("a PNG with a text bomb", &png(16, 16, &[png_chunk(b"zTXt", &[b"k\0\0", &zeros[..]].concat())]))
            .is_err()
    );
    assert!(
        decoded("a PNG with a profile bomb", &png(16, 16, &[png_chunk(b"iCCP", &[b"k\0\0", &zeros[..]].concat())]))
            .is_err()
    );
    // As many bytes as claimed pixels, and many more.
    assert!(
        decoded("a PNG with too much data", &png(16, 16, &[png_chunk(b"IDAT", &zeros)])).is_ok_and(|s| s == (16, 16))
    );
    let many: Vec<_> = (0..200_000).map(|_| png_chunk(b"tEXt", b"k\0v")).collect();
    let _ = decoded("a PNG of many chunks", &png(16, 16, &many));
}

/// A zlib stream of `count * 258` zeros: one literal, then the longest match again and again (RFC 1951, 3.2.6).
fn fixed_huffman_zeros(count: usize) -> Vec<u8> {
    let mut bits: Vec<bool> = vec![true, true, false];
    let code =
        |value: u32, length: u32, bits: &mut Vec<bool>| bits.extend((0..length).rev().map(|i| value >> i & 1 == 1));
    code(0x30, 8, &mut bits);
    for _ in 0..count / 1_000 {
        // Length 258 is symbol 285 (0b11000101), distance 1 is symbol 0 (five zero bits).
        code(0b1100_0101, 8, &mut bits);
        code(0, 5, &mut bits);
    }
    code(0, 7, &mut bits);
    let mut bytes = vec![0x78, 0x9c];
    bytes.extend(bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |b, (i, bit)| b | u8::from(*bit) << i)));
    bytes
}

#[test]
fn a_gif_of_a_million_frames_costs_no_more_than_its_first() {
    let frame = b"\x2c\0\0\0\0\x04\0\x04\0\0\x02\x04\x84\x8f\x09\x05\0";
    let mut gif = b"GIF89a\x04\0\x04\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    for _ in 0..500_000 {
        gif.extend(frame);
    }
    gif.push(b';');
    let _ = decoded("a GIF of many frames", &gif);
}

#[test]
fn a_progressive_jpeg_of_a_thousand_scans_is_refused() {
    // Frame header of a progressive greyscale picture, then the same scan header over and over.
    let mut bytes = b"\xff\xd8\xff\xc2\0\x0b\x08\x0f\xa0\x0f\xa0\x01\x01\x11\0".to_vec();
    bytes.extend(b"\xff\xc4\0\x14\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    for _ in 0..5_000 {
        bytes.extend(b"\xff\xda\0\x08\x01\x01\0\0\0\0\0");
    }
    bytes.extend(b"\xff\xd9");
    assert_eq!(decoded("a JPEG of many scans", &bytes), Err("image_malformed"));
}

#[test]
fn tiff_with_absurd_tags_is_refused() {
    for (tag, kind, count) in [(0x100_u16, 4_u16, u32::MAX), (0x111, 4, u32::MAX), (0x8769, 13, 1), (0x112, 3, 0)] {
        let mut tiff = b"II\x2a\0\x08\0\0\0\xff\xff".to_vec();
        for _ in 0..100 {
            tiff.extend(tag.to_le_bytes());
            tiff.extend(kind.to_le_bytes());
            tiff.extend(count.to_le_bytes());
            tiff.extend([8, 0, 0, 0]);
        }
        assert!(decoded("a TIFF of absurd tags", &tiff).is_err());
    }
    // A directory that points to itself.
    assert!(decoded("a TIFF in a circle", b"II\x2a\0\x08\0\0\0\0\0\x08\0\0\0").is_err());
}

#[test]
fn what_is_cut_off_is_refused_wherever_it_is_cut() {
    let small = cropped(&portrait(0.5), 60, 0, 110, 120);
    let formats = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff];
    let mut whole: Vec<_> = formats.iter().map(|format| (format!("{format:?}"), encoded(&small, *format))).collect();
    whole.push(("Jpeg".into(), jpeg(&small, 85)));
    for (name, bytes) in whole {
        assert_eq!(decoded(&name, &bytes), Ok((110, 120)));
        for part in 1..20 {
            let cut = &bytes[..bytes.len() * part / 20];
            assert!(decoded(&name, cut).is_err(), "{name} cut to {part} twentieths");
        }
    }
}

#[test]
fn a_picture_that_is_also_something_else_is_only_a_picture() {
    let small = cropped(&portrait(0.5), 60, 0, 110, 120);
    for tail in [&b"<script>alert(1)</script>"[..], b"PK\x03\x04", b"%PDF-1.7", b"GIF89a"] {
        let both = [jpeg(&small, 85), tail.to_vec()].concat();
        assert_eq!(decoded("a JPEG with a tail", &both), Ok((110, 120)));
    }
    for head in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"PK\x03\x04", b"%PDF-1.7\n", b"MZ"] {
        let both = [head.to_vec(), jpeg(&small, 85)].concat();
        assert_eq!(decoded("a JPEG with a head", &both), Err("image_format_unknown"));
    }
}

/// A short run of what the fuzzer does for hours: the same changes on every machine.
#[test]
fn ten_thousand_damaged_pictures_give_errors_or_pixels() {
    let tiny = cropped(&portrait(0.5), 90, 40, 24, 20);
    let formats = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff];
    let mut seeds: Vec<_> = formats.iter().map(|format| encoded(&tiny, *format)).collect();
    seeds.extend([jpeg(&tiny, 80), testkit::jpeg_with_orientation(&tiny, 80, 6)]);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..10_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random(6) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes[at] ^= 1 << random(8),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, [0, 0xff, 0x7f, 0x80][random(4)]),
            }
        }
        let _ = decoded("a damaged picture", &bytes);
    }
}
