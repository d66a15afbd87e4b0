//! Pictures that other people's encoders wrote, held against what Pillow and libheif make of them.
//!
//! `scripts/decoders` draws and writes them, and compares many more with Pillow and ImageMagick.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use picture_cell::{DecodeLimits, PictureError, Pixels, decode};
use serde::Deserialize;

/// A picture as a person sees it: its size, and the mean colours of 4 x 3 cells.
#[derive(Deserialize)]
struct Expected {
    size: [usize; 2],
    means: Vec<[f64; 3]>,
}

const COLUMNS: usize = 4;
const ROWS: usize = 3;

/// Decoders differ by a step or two where colour has fewer samples than light, and means of cells by less.
const TOLERANCE: f64 = 3.0;
/// Our HEVC decoder places the samples of colour at the left of their pixels, as the standard has it, libheif in the
/// middle: half a pixel, which shows in pictures as small as these.
const TOLERANCE_HEIC: f64 = 6.0;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures")
}

fn seen(bytes: &[u8]) -> Result<Pixels, PictureError> {
    let picture = decode(bytes, &DecodeLimits::default())?;
    Ok(picture.orientation.apply(picture.pixels))
}

/// The mean colour of cell `index`, counted in rows.
fn mean(pixels: &Pixels, index: usize) -> [f64; 3] {
    let span = |at: usize, of: usize, length: usize| length * at / of..length * (at + 1) / of;
    let (columns, rows) =
        (span(index % COLUMNS, COLUMNS, pixels.width()), span(index / COLUMNS, ROWS, pixels.height()));
    let count = (columns.len() * rows.len()) as f64;
    let mut sums = [0.0; 3];
    for y in rows {
        let row = &pixels.data()[y * pixels.width() * 3..][..pixels.width() * 3];
        for pixel in &row.as_chunks::<3>().0[columns.clone()] {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += f64::from(value);
            }
        }
    }
    sums.map(|sum| sum / count)
}

#[test]
fn pictures_of_other_encoders_look_as_other_decoders_show_them() {
    let expected = fs::read(folder().join("expected.json")).expect("the list is there");
    let mut expected: BTreeMap<String, Expected> = serde_json::from_slice(&expected).expect("the list is JSON");
    for (feature, ending) in [(cfg!(feature = "avif"), ".avif"), (cfg!(feature = "heic"), ".heic")] {
        expected.retain(|name, _| feature || !name.ends_with(ending));
    }
    let mut wrong = Vec::new();
    for (name, expected) in &expected {
        let pixels = match seen(&fs::read(folder().join(name)).expect("the file is there")) {
            Ok(pixels) => pixels,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        if [pixels.width(), pixels.height()] != expected.size {
            wrong.push(format!("{name}: {} x {}", pixels.width(), pixels.height()));
            continue;
        }
        let tolerance = if name.ends_with(".heic") { TOLERANCE_HEIC } else { TOLERANCE };
        for (index, wanted) in expected.means.iter().enumerate() {
            let found = mean(&pixels, index);
            if found.iter().zip(wanted).any(|(found, wanted)| (found - wanted).abs() > tolerance) {
                wrong.push(format!("{name}: cell {index} is {found:.1?}, not {wanted:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), expected.len(), wrong.join("\n"));
    assert!(expected.len() > 90, "{} files are too few to mean anything", expected.len());
}

#[test]
fn jpegs_that_are_not_whole_are_refused_and_say_how_much_came() {
    let mut files = 0;
    for entry in fs::read_dir(folder().join("broken")).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        match seen(&fs::read(&path).expect("the file is there")) {
            Err(error @ PictureError::Malformed { .. }) => {
                assert!(error.to_string().contains(" % of "), "{}: {error}", path.display());
            }
            other => panic!("{}: {:?}", path.display(), other.map(|pixels| (pixels.width(), pixels.height()))),
        }
        files += 1;
    }
    assert!(files > 20, "{files} files are too few to mean anything");
}
