//! Windows bitmaps.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::{ImageDecoder as _, ImageFormat, Limits};

use super::common::{self, Transparency};
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format = Format { name: "bmp", recognises: |bytes| bytes.starts_with(b"BM"), decode };

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    if begins_in_header(bytes) {
        return Err(PictureError::malformed(FORMAT.name, "its pixels begin within its header"));
    }
    match Palette::read(bytes) {
        Some(palette) => with_palette(bytes, &palette, limits, canvas),
        None => common::decode(bytes, ImageFormat::Bmp, FORMAT.name, limits, Transparency::Optional, canvas),
    }
}

/// Whether the place that the file names for its pixels lies before the end of its header: what shows would be the header.
fn begins_in_header(bytes: &[u8]) -> bool {
    let (Some(begin), Some(header)) = (long(bytes, 10), long(bytes, 14)) else { return false };
    begin < header.saturating_add(14)
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|&bytes| u32::from_le_bytes(bytes))
}

/// Draws a bitmap whose pixels are places in a palette. Those that a run-length code skips are at its first place, as
/// most readers have it; a place that the palette lacks is black, as in browsers.
fn with_palette(
    bytes: &[u8],
    palette: &Palette,
    limits: &DecodeLimits,
    canvas: &mut dyn Canvas,
) -> Result<Found, PictureError> {
    let refused = |error| common::refused(FORMAT.name, limits, error);
    if palette.begins_in_it {
        return Err(PictureError::malformed(FORMAT.name, "its pixels begin within its palette"));
    }
    let mut decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(refused)?;
    let (width, height) = decoder.dimensions();
    limits.check(FORMAT.name, width, height)?;
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(limits.max_pixels * 3);
    decoder.set_limits(allowed.clone()).map_err(refused)?;
    let colours = decoder.get_palette().map(<[[u8; 3]]>::to_vec).unwrap_or_default();
    let colours = colours.get(..palette.colours.min(colours.len())).unwrap_or_default();
    // The decoder leaves black what is skipped or lacking and does not say which: with places for colours, one in red and
    // all of green, that is told from what was drawn.
    let mut bytes = bytes.to_vec();
    let entries = bytes.get_mut(palette.begin..).unwrap_or_default().chunks_exact_mut(palette.entry);
    for (place, entry) in (0..=u8::MAX).zip(entries).take(palette.colours) {
        entry[..3].copy_from_slice(&[0, u8::MAX, place]);
    }
    let mut decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(refused)?;
    decoder.set_limits(allowed).map_err(refused)?;
    let canvas = canvas.zeros(width as usize * height as usize * 3);
    decoder.read_image(canvas).map_err(refused)?;
    for seen in canvas.as_chunks_mut().0 {
        let [place, drawn, _] = *seen;
        let colour = match (drawn > 0, palette.run_lengths) {
            (true, _) => colours.get(usize::from(place)),
            (false, true) => colours.first(),
            (false, false) => None,
        };
        *seen = colour.copied().unwrap_or_default();
    }
    Ok(Found { width, height, exif_orientation: 1 })
}

/// What the header says of a palette.
struct Palette {
    /// Where it begins.
    begin: usize,
    /// Bytes of a colour: blue, green, red, and none or one that means nothing.
    entry: usize,
    colours: usize,
    /// Whether the places in it come in run-length codes (BI_RLE8, BI_RLE4).
    run_lengths: bool,
    /// Whether the place that the file names for its pixels lies in the palette before them: readers disagree on what that
    /// shows.
    begins_in_it: bool,
}

impl Palette {
    /// `None` when pixels are colours themselves, or when the header is damaged.
    fn read(bytes: &[u8]) -> Option<Self> {
        let short = |at: usize| bytes.get(at..)?.first_chunk().map(|&bytes| u32::from(u16::from_le_bytes(bytes)));
        let long = |at: usize| long(bytes, at);
        let header = long(14)?;
        let (bits, colours, entry) = if header == 12 { (short(24)?, 0, 3) } else { (short(28)?, long(46)?, 4) };
        if !(1..=8).contains(&bits) {
            return None;
        }
        let colours = if colours == 0 { 1 << bits } else { colours };
        let begin = header.saturating_add(14);
        Some(Self {
            begin: begin as usize,
            entry: entry as usize,
            colours: colours as usize,
            run_lengths: header != 12 && matches!(long(30)?, 1 | 2),
            begins_in_it: long(10)? < begin.saturating_add(colours.saturating_mul(entry)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of two pixels of 8 bits, the lower row first.
    fn written(colours: u32, run_lengths: bool, data: &[u8]) -> Vec<u8> {
        let palette = [[10, 20, 30, 0], [200, 100, 50, 0], [1, 2, 3, 0]];
        let begins = 14 + 40 + 4 * colours;
        let mut bytes = b"BM".to_vec();
        bytes.extend((begins + data.len() as u32).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(begins.to_le_bytes());
        let compression = u32::from(run_lengths);
        for (value, width) in
            [(40, 4), (2, 4), (2, 4), (1, 2), (8, 2), (compression, 4), (0, 4), (0, 4), (0, 4), (colours, 4), (0, 4)]
        {
            bytes.extend(&value.to_le_bytes()[..width]);
        }
        bytes.extend(palette[..colours as usize].as_flattened());
        bytes.extend(data);
        bytes
    }

    fn drawn(bytes: &[u8]) -> Result<Vec<u8>, PictureError> {
        let mut canvas = Vec::new();
        decode(bytes, &DecodeLimits::default(), &mut canvas).map(|_| canvas)
    }

    #[test]
    fn what_a_run_length_code_skips_has_the_first_colour_of_the_palette() {
        // One pixel of the second colour, then the end.
        let bytes = written(2, true, &[1, 1, 0, 1]);
        let first = [30, 20, 10];
        assert_eq!(drawn(&bytes).expect("draws").as_chunks::<3>().0, [first, first, [50, 100, 200], first]);
    }

    #[test]
    fn a_colour_that_the_palette_lacks_is_black() {
        let rows = [2, 0, 0, 0, 1, 1, 0, 0];
        let seen = |colours| drawn(&written(colours, false, &rows)).expect("draws").as_chunks::<3>().0.to_vec();
        assert_eq!(seen(2), [[50, 100, 200], [50, 100, 200], [0, 0, 0], [30, 20, 10]]);
        assert_eq!(seen(3), [[50, 100, 200], [50, 100, 200], [3, 2, 1], [30, 20, 10]]);
    }

    #[test]
    fn pixels_that_begin_in_the_header_are_damage() {
        let mut true_colour = Cursor::new(Vec::new());
        image::RgbImage::new(4, 4).write_to(&mut true_colour, ImageFormat::Bmp).expect("encodes");
        for mut bytes in [true_colour.into_inner(), written(2, false, &[0; 8])] {
            drawn(&bytes).expect("draws");
            for begins in [0, 53_u32] {
                bytes[10..14].copy_from_slice(&begins.to_le_bytes());
                assert!(drawn(&bytes).expect_err("is refused").to_string().contains("within its header"));
            }
        }
    }

    #[test]
    fn pixels_that_begin_in_the_palette_are_damage() {
        let mut bytes = written(2, true, &[1, 1, 0, 1]);
        bytes[10] -= 4;
        assert!(drawn(&bytes).expect_err("is refused").to_string().contains("within its palette"));
    }
}
