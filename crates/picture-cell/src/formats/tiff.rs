//! TIFF in both byte orders, in strips or tiles, interleaved or in planes; of several pictures the first. Compression is
//! undone by libraries, the rest is arithmetic that no library does for every kind that scanners write.

use std::borrow::Cow;

use super::tiff_chunks::{Chunks, Compression, NAME, malformed};
use super::tiff_directory::{Directory, tag};
use super::{Format, Found, tiff_layout};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format =
    Format { name: NAME, recognises: |bytes| bytes.starts_with(b"II\x2a\0") || bytes.starts_with(b"MM\0\x2a"), decode };

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    let directory = Directory::read(bytes).ok_or_else(|| malformed("its directory is cut off"))?;
    tiff_layout::check(&directory, limits)?;
    let picture = Layout::read(&directory, limits)?;
    let seen = canvas.zeros(picture.width * picture.height * 3);
    picture.chunks.each(directory.bytes, directory.little, |place, rows| picture.draw(place, rows, seen))?;
    let orientation = directory.number(tag::ORIENTATION).and_then(|number| u8::try_from(number).ok());
    let exif_orientation = orientation.filter(|number| (1..=8).contains(number)).unwrap_or(1);
    Ok(Found { width: picture.width as u32, height: picture.height as u32, exif_orientation })
}

fn unsupported(kind: impl Into<Cow<'static, str>>) -> PictureError {
    PictureError::UnsupportedFormat(kind.into())
}

/// What the samples of a pixel mean.
enum Colour {
    Grey {
        white_is_zero: bool,
    },
    Rgb,
    /// Red, green and blue of each index.
    Palette(Vec<[u8; 3]>),
    /// Amounts of cyan, magenta, yellow and black.
    Ink,
}

/// What a sample after the colours means.
#[derive(Clone, Copy, PartialEq)]
enum Alpha {
    Opaque,
    /// The colours were multiplied by it.
    Associated,
    Unassociated,
}

/// How the pixels of the picture are stored.
struct Layout {
    width: usize,
    height: usize,
    colour: Colour,
    alpha: Alpha,
    samples: usize,
    chunks: Chunks,
}

impl Layout {
    /// Of a directory that [`tiff_layout::check`] has taken: its sides, samples and chunks are within the limits.
    fn read(directory: &Directory<'_>, limits: &DecodeLimits) -> Result<Self, PictureError> {
        let or = |tag, default| directory.number(tag).unwrap_or(default);
        let (width, height) = (or(tag::WIDTH, 0), or(tag::HEIGHT, 0));
        let samples = or(tag::SAMPLES, 1);
        let bits = or(tag::BITS, 1);
        if directory.numbers(tag::BITS).take(samples).any(|other| other != bits) {
            return Err(unsupported("TIFF whose samples differ in size"));
        }
        match directory.numbers(tag::SAMPLE_FORMAT).take(samples).find(|&format| format != 1 && format != 4) {
            None => {}
            Some(2) => return Err(unsupported("TIFF of signed numbers")),
            Some(3) => return Err(unsupported("TIFF of floating-point numbers")),
            Some(_) => return Err(unsupported("TIFF of complex numbers")),
        }
        if !matches!(bits, 1 | 2 | 4 | 8 | 16) {
            return Err(unsupported(format!("TIFF with {bits} bits a sample")));
        }
        let compression = Compression::read(or(tag::COMPRESSION, 1)).map_err(unsupported)?;
        let colour = Colour::read(directory, bits)?;
        let colours = colour.samples();
        let alpha = match (samples.checked_sub(colours), directory.number(tag::EXTRA_SAMPLES)) {
            (None, _) => return Err(malformed("its pixels have too few samples")),
            (Some(0), _) => Alpha::Opaque,
            (Some(_), Some(1)) => Alpha::Associated,
            (Some(_), Some(2)) => Alpha::Unassociated,
            // Who adds a fourth sample to red, green and blue without saying what it is means transparency.
            (Some(1), None) if colours == 3 => Alpha::Unassociated,
            _ => Alpha::Opaque,
        };
        // Only these two packers know predictors (TIFF 6.0, section 14); readers ignore the tag elsewhere.
        let predicts = matches!(compression, Compression::Lzw | Compression::Deflate);
        let predictor = if predicts { or(tag::PREDICTOR, 1) } else { 1 };
        let differences = match (predictor, bits) {
            (1, _) => false,
            (2, 8 | 16) => true,
            _ => return Err(unsupported(format!("TIFF with predictor {predictor} and {bits} bits a sample"))),
        };
        let tiled = directory.is_tiled();
        let (offsets, lengths) =
            if tiled { (tag::TILES, tag::TILE_LENGTHS) } else { (tag::STRIPS, tag::STRIP_LENGTHS) };
        let size = if tiled {
            (or(tag::TILE_WIDTH, 0), or(tag::TILE_HEIGHT, 0))
        } else {
            (width, or(tag::STRIP_ROWS, height).min(height))
        };
        let chunks = Chunks {
            picture: (width, height),
            size,
            tiled,
            planes: if or(tag::PLANES, 1) == 2 { samples } else { 1 },
            samples,
            bits,
            compression,
            reversed: or(tag::FILL_ORDER, 1) == 2,
            differences,
            offsets: directory.numbers(offsets).collect(),
            lengths: directory.numbers(lengths).collect(),
            raw: matches!(colour, Colour::Palette(_)),
        };
        chunks.check(limits)?;
        Ok(Self { width, height, colour, alpha, samples, chunks })
    }

    /// Draws rows of samples, 8 bits each (or as stored for a palette), whose first pixel lies at `place`.
    fn draw(&self, place: (usize, usize), rows: &[u8], canvas: &mut [u8]) {
        let across = self.chunks.size.0;
        let shown = across.min(self.width - place.0);
        for (row, line) in rows.chunks_exact(across * self.samples).enumerate() {
            let start = ((place.1 + row) * self.width + place.0) * 3;
            let seen = canvas[start..start + shown * 3].as_chunks_mut().0;
            for (pixel, seen) in line.chunks_exact(self.samples).zip(seen) {
                *seen = self.over_white(self.colour.rgb(pixel), pixel);
            }
        }
    }

    fn over_white(&self, colours: [u8; 3], pixel: &[u8]) -> [u8; 3] {
        if self.alpha == Alpha::Opaque {
            return colours;
        }
        let alpha = u16::from(pixel[self.colour.samples()]);
        colours.map(|value| {
            let light = u16::from(value);
            let light = if self.alpha == Alpha::Associated { light * 255 } else { light * alpha };
            ((light + 255 * (255 - alpha) + 127) / 255).min(255) as u8
        })
    }
}

impl Colour {
    fn read(directory: &Directory<'_>, bits: usize) -> Result<Self, PictureError> {
        let photometric =
            directory.number(tag::PHOTOMETRIC).ok_or_else(|| malformed("it does not name its colours"))?;
        Ok(match photometric {
            0 | 1 => Self::Grey { white_is_zero: photometric == 0 },
            2 => Self::Rgb,
            3 => {
                let map: Vec<_> = directory.numbers(tag::COLOUR_MAP).collect();
                let colours = 1_usize << bits.min(8);
                if bits > 8 || map.len() < colours * 3 {
                    return Err(malformed("its palette is cut off"));
                }
                // Values have 16 bits; writers that took them for 8 are known by having no larger one.
                let shift = if map.iter().all(|&value| value < 256) { 0 } else { 8 };
                let colour = |index| [0, 1, 2].map(|part| (map[part * colours + index] >> shift) as u8);
                Self::Palette((0..colours).map(colour).collect())
            }
            5 if directory.number(tag::INKS).unwrap_or(1) == 1 => Self::Ink,
            4 => return Err(unsupported("TIFF of a transparency mask")),
            5 => return Err(unsupported("TIFF with inks of its own")),
            6 => return Err(unsupported("TIFF in YCbCr")),
            8..=10 => return Err(unsupported("TIFF in CIE L*a*b*")),
            32_803 | 34_892 => return Err(unsupported("camera raw (DNG)")),
            32_844 | 32_845 => return Err(unsupported("TIFF in LogLuv")),
            other => return Err(unsupported(format!("TIFF with photometric interpretation {other}"))),
        })
    }

    fn samples(&self) -> usize {
        match self {
            Self::Grey { .. } | Self::Palette(_) => 1,
            Self::Rgb => 3,
            Self::Ink => 4,
        }
    }

    fn rgb(&self, pixel: &[u8]) -> [u8; 3] {
        let left = |ink: u8, black: u8| ((u16::from(255 - ink) * u16::from(255 - black) + 127) / 255) as u8;
        match (self, pixel) {
            (Self::Grey { white_is_zero: false }, &[grey, ..]) => [grey; 3],
            (Self::Grey { white_is_zero: true }, &[grey, ..]) => [255 - grey; 3],
            (Self::Rgb, &[r, g, b, ..]) => [r, g, b],
            (Self::Palette(colours), &[index, ..]) => colours.get(usize::from(index)).copied().unwrap_or_default(),
            (Self::Ink, &[c, m, y, k, ..]) => [left(c, k), left(m, k), left(y, k)],
            _ => [0; 3],
        }
    }
}
