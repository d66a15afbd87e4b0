//! Pictures that mean harm: each gets an error, soon and without taking memory in proportion to what it claims.

use std::time::{Duration, Instant};

use image::ImageFormat;
use picture_cell::{DecodeLimits, decode};
use testkit::{cropped, encoded, hostile, jpeg, portrait};

/// What the service promises on an idle core; the test machine may be slower and busy.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// Decodes and checks what holds for any bytes.
fn decoded(name: &str, bytes: &[u8]) -> Result<(usize, usize), &'static str> {
    let limits = DecodeLimits::default();
    let attempt = || {
        let begin = Instant::now();
        (decode(bytes, &limits), begin.elapsed())
    };
    let (mut result, mut time) = attempt();
    // What was only held up is not held up three times.
    for _ in 0..2 {
        if time >= PATIENCE {
            (result, time) = attempt();
        }
    }
    assert!(time < PATIENCE, "{name} took {time:?}");
    let picture = result.map_err(|error| error.code())?;
    let (width, height) = (picture.pixels.width(), picture.pixels.height());
    assert!((width * height) as u64 <= limits.max_pixels && picture.pixels.data().len() == width * height * 3);
    Ok((width, height))
}

#[test]
fn each_of_the_hostile_pictures_is_refused_soon() {
    for (name, bytes) in hostile::pictures() {
        let code = decoded(&name, &bytes).expect_err(&name);
        assert!(code.starts_with("image_"), "{name}: {code}");
    }
}

#[test]
fn sizes_beyond_the_limits_are_told_from_damage() {
    for (width, height, code) in [
        (60_000, 60_000, "image_side_too_long"),
        (10_001, 1, "image_side_too_long"),
        (9_000, 9_000, "image_too_many_pixels"),
        (5_000, 5_001, "image_too_many_pixels"),
    ] {
        let data = [hostile::png_chunk(b"IDAT", &hostile::zlib_zeros(1_000))];
        assert_eq!(decoded("a large PNG", &hostile::png(width, height, &data)), Err(code), "{width} x {height}");
    }
}

#[test]
fn a_png_with_more_data_than_pixels_is_read_to_its_last_row() {
    let zeros = hostile::zlib_zeros(64 << 20);
    let data = [hostile::png_chunk(b"IDAT", &zeros)];
    assert_eq!(decoded("a PNG with too much data", &hostile::png(16, 16, &data)), Ok((16, 16)));
}

#[test]
fn a_tiff_of_repeated_tags_is_refused() {
    for (tag, kind, count) in [(0x100, 4, u32::MAX), (0x111, 4, u32::MAX), (0x8769, 13, 1), (0x112, 3, 0)] {
        assert!(decoded("a TIFF of absurd tags", &hostile::tiff(&[(tag, kind, count, 8); 100])).is_err());
    }
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
        let refused = decoded("a JPEG with a head", &both);
        assert!(matches!(refused, Err("image_format_unknown" | "image_format_unsupported")), "{refused:?}");
    }
}
