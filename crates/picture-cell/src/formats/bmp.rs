//! Windows bitmaps.

use std::borrow::Cow;
use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::{ImageDecoder as _, ImageFormat, Limits};

use super::common::{self, Kind, Transparency};
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format = Format { name: "bmp", recognises: |bytes| bytes.starts_with(b"BM"), decode };

const KIND: Kind = Kind {
    name: FORMAT.name,
    library: ImageFormat::Bmp,
    transparency: Transparency::Optional,
    size,
    wrong: |_| None,
    unread,
};

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    KIND.check(bytes, limits)?;
    let header = Header::read(bytes);
    if header.as_ref().is_some_and(|header| (header.pixels as usize) < header.end) {
        return Err(PictureError::malformed(FORMAT.name, "its pixels begin within its header"));
    }
    let completed = match &header {
        Some(header) if header.has_palette() => return with_palette(bytes, header, limits, canvas),
        Some(header) => header.completed(bytes),
        // The decoder says what is wrong with it.
        None => Cow::Borrowed(bytes),
    };
    common::decode(&completed, &KIND, limits, canvas)
}

/// Width and height in the header. Rows may be stored from the top, which a height below zero says.
fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let short = |at: usize| bytes.get(at..)?.first_chunk().map(|&side| u32::from(u16::from_le_bytes(side)));
    let long = |at: usize| bytes.get(at..)?.first_chunk().map(|&side| i32::from_le_bytes(side));
    match u32::from_le_bytes(*bytes.get(14..)?.first_chunk()?) {
        12 => Some((short(18)?, short(20)?)),
        40.. => Some((u32::try_from(long(18)?).ok()?, long(22)?.unsigned_abs())),
        _ => None,
    }
}

/// What a bitmap is called that the decoder cannot read.
fn unread(bytes: &[u8]) -> &'static str {
    match bytes.get(30) {
        Some(4) => "BMP of a JPEG",
        Some(5) => "BMP of a PNG",
        Some(11..=13) => "BMP in CMYK",
        _ => "BMP of an uncommon kind",
    }
}

/// Draws a bitmap whose pixels are places in a palette. Those that a run-length code skips are at its first place, as
/// most readers have it; a place that the palette lacks is black, as in browsers.
fn with_palette(
    bytes: &[u8],
    header: &Header,
    limits: &DecodeLimits,
    canvas: &mut dyn Canvas,
) -> Result<Found, PictureError> {
    let refused = |error| KIND.refused(bytes, limits, &error);
    let begins_in_palette = || PictureError::malformed(FORMAT.name, "its pixels begin within its palette");
    let room = (header.pixels as usize - header.end) / header.entry;
    // Readers disagree on what pixels in the palette show. Where the file does not say how many colours there are, those
    // before the pixels are all.
    if room < header.colours && (header.states_colours || room == 0) {
        return Err(begins_in_palette());
    }
    let colours: Vec<[u8; 3]> = bytes
        .get(header.end..)
        .unwrap_or_default()
        .chunks_exact(header.entry)
        .take(header.colours.min(room).min(1 << header.bits))
        .map(|entry| [entry[2], entry[1], entry[0]])
        .collect();
    let mut decoder = BmpDecoder::new(Cursor::new(header.with_places(bytes, colours.len()))).map_err(refused)?;
    let (width, height) = decoder.dimensions();
    limits.check(FORMAT.name, width, height)?;
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(limits.max_pixels * 3);
    decoder.set_limits(allowed).map_err(refused)?;
    let canvas = canvas.zeros(width as usize * height as usize * 3);
    decoder.read_image(canvas).map_err(refused)?;
    for seen in canvas.as_chunks_mut::<3>().0 {
        *seen = match *seen {
            [place, u8::MAX, _] => colours.get(usize::from(place)).copied().unwrap_or_default(),
            [_, _, u8::MAX] if header.states_colours => [0; 3],
            [_, _, u8::MAX] => return Err(begins_in_palette()),
            _ => colours.first().copied().unwrap_or_default(),
        };
    }
    Ok(Found { width, height, exif_orientation: 1 })
}

/// What the header says of where things lie.
struct Header {
    /// Where it ends, and a palette begins.
    end: usize,
    bits: u16,
    colours: usize,
    /// Whether the file says how many colours there are; else it is as many as its bits can name.
    states_colours: bool,
    /// Bytes of a colour: blue, green, red, and none or one that means nothing.
    entry: usize,
    /// Where the pixels begin: where the file says, or behind all else when it says 0.
    pixels: u32,
    /// What fills up a row to a multiple of four bytes.
    padding: usize,
}

impl Header {
    /// `None` when it is damaged, or of a kind that the decoder does not know.
    fn read(bytes: &[u8]) -> Option<Self> {
        let short = |at: usize| bytes.get(at..)?.first_chunk().map(|&bytes| u16::from_le_bytes(bytes));
        let long = |at: usize| bytes.get(at..)?.first_chunk().map(|&bytes| u32::from_le_bytes(bytes));
        let length = long(14)?;
        let (width, bits, compression, stated, entry) = match length {
            12 => (u32::from(short(18)?), short(24)?, 0, 0, 3),
            40.. => (long(18)?, short(28)?, long(30)?, long(46)?, 4_u32),
            _ => return None,
        };
        let colours = if stated == 0 && (1..=8).contains(&bits) { 1_u32 << bits } else { stated };
        // Masks of colours (BI_BITFIELDS) follow the shortest header that can have any and lie in the longer ones.
        let masks = if length == 40 && compression == 3 { 12 } else { 0 };
        let end = length.saturating_add(14);
        let behind = end.saturating_add(masks).saturating_add(colours.saturating_mul(entry));
        let run_lengths = matches!(compression, 1 | 2);
        let row = (u64::from(width) * u64::from(bits)).div_ceil(8);
        Some(Self {
            end: end as usize,
            bits,
            colours: colours as usize,
            states_colours: stated > 0,
            entry: entry as usize,
            pixels: long(10).filter(|&pixels| pixels > 0).unwrap_or(behind),
            padding: if run_lengths { 0 } else { (row.next_multiple_of(4) - row) as usize },
        })
    }

    /// Whether pixels are places in a palette and not colours themselves.
    fn has_palette(&self) -> bool {
        (1..=8).contains(&self.bits)
    }

    /// The file with what some writers leave out: where the pixels begin, and what fills up the last row. A row that lacks
    /// pixels stays too short.
    fn completed<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let pixels = self.pixels.to_le_bytes();
        if bytes[10..14] == pixels && bytes.len().saturating_sub(self.pixels as usize).is_multiple_of(4) {
            return Cow::Borrowed(bytes);
        }
        let mut completed = bytes.to_vec();
        completed[10..14].copy_from_slice(&pixels);
        completed.resize(bytes.len() + self.padding, 0);
        Cow::Owned(completed)
    }

    /// The same with a whole palette whose first `colours` are places: one in red and all of green, by which it is told from
    /// those that the palette lacks, all of blue, and from what a code skips, which the decoder leaves black.
    fn with_places(&self, bytes: &[u8], colours: usize) -> Vec<u8> {
        let mut file = bytes.get(..self.end).unwrap_or(bytes).to_vec();
        for place in (0..=u8::MAX).take(1 << self.bits) {
            let colour = if usize::from(place) < colours { [0, u8::MAX, place, 0] } else { [u8::MAX, 0, 0, 0] };
            file.extend(&colour[..self.entry]);
        }
        let pixels = file.len() as u32;
        file[10..14].copy_from_slice(&pixels.to_le_bytes());
        if self.entry == 4 {
            // As many colours as the bits can name.
            file[46..50].fill(0);
        }
        file.extend(bytes.get(self.pixels as usize..).unwrap_or_default());
        file.resize(file.len() + self.padding, 0);
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALETTE: &[[u8; 4]; 3] = &[[10, 20, 30, 0], [200, 100, 50, 0], [1, 2, 3, 0]];

    /// Two rows of two pixels, the lower row first.
    fn bitmap(bits: u32, compression: u32, colours: u32, between: &[u8], data: &[u8]) -> Vec<u8> {
        let begins = 54 + between.len() as u32;
        let mut bytes = b"BM".to_vec();
        bytes.extend((begins + data.len() as u32).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(begins.to_le_bytes());
        for (value, width) in
            [(40, 4), (2, 4), (2, 4), (1, 2), (bits, 2), (compression, 4), (0, 4), (0, 4), (0, 4), (colours, 4), (0, 4)]
        {
            bytes.extend(&value.to_le_bytes()[..width]);
        }
        bytes.extend(between);
        bytes.extend(data);
        bytes
    }

    /// The same of 8 bits with so many colours.
    fn written(colours: u32, run_lengths: bool, data: &[u8]) -> Vec<u8> {
        bitmap(8, u32::from(run_lengths), colours, PALETTE[..colours as usize].as_flattened(), data)
    }

    /// Two rows of three pixels that are colours.
    fn true_colour(transparent: bool) -> Vec<u8> {
        let picture = image::RgbImage::from_fn(3, 2, |x, y| image::Rgb([x as u8 * 60 + 1, y as u8 * 90 + 2, 200]));
        let picture = image::DynamicImage::from(picture);
        let picture = if transparent { picture.into_rgba8().into() } else { picture };
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Bmp).expect("encodes");
        bytes.into_inner()
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
    fn a_palette_has_the_colours_that_lie_before_the_pixels_where_no_number_is_stated() {
        let rows = [2, 0, 0, 0, 1, 1, 0, 0];
        let stated = drawn(&written(3, false, &rows)).expect("draws");
        assert_eq!(drawn(&bitmap(8, 0, 0, PALETTE.as_flattened(), &rows)).expect("draws"), stated);
        let skips = [1, 1, 0, 1];
        let short = PALETTE[..2].as_flattened();
        assert_eq!(
            drawn(&bitmap(8, 1, 0, short, &skips)).expect("draws"),
            drawn(&written(2, true, &skips)).expect("draws")
        );
        // A colour is missing, and all are, which a code that skips all does not show.
        for bytes in [bitmap(8, 0, 0, short, &rows), bitmap(8, 1, 0, &[], &[0, 1])] {
            let message = drawn(&bytes).expect_err("is refused").to_string();
            assert!(message.contains("within its palette"), "{message}");
        }
        // The oldest header cannot state it.
        let mut oldest = b"BM\0\0\0\0\0\0\0\0\x23\0\0\0\x0c\0\0\0\x02\0\x02\0\x01\0\x08\0".to_vec();
        oldest.extend(PALETTE.iter().flat_map(|colour| &colour[..3]));
        oldest.extend(rows);
        assert_eq!(drawn(&oldest).expect("draws"), stated);
        // More than the bits can name.
        let rows = [0x80, 0, 0, 0, 0x40, 0, 0, 0];
        assert_eq!(
            drawn(&bitmap(1, 0, 3, PALETTE.as_flattened(), &rows)).expect("draws"),
            drawn(&bitmap(1, 0, 2, short, &rows)).expect("draws")
        );
    }

    #[test]
    fn pixels_at_0_lie_behind_all_else() {
        let masks = [0, 0xF8, 0, 0, 0xE0, 0x07, 0, 0, 0x1F, 0, 0, 0];
        for mut bytes in [
            true_colour(false),
            true_colour(true),
            written(3, false, &[2, 0, 0, 0, 1, 1, 0, 0]),
            written(2, true, &[1, 1, 0, 1]),
            bitmap(8, 0, 0, &[7; 1_024], &[9; 8]),
            bitmap(16, 3, 0, &masks, &[0, 0xF8, 0xE0, 0x07, 0x1F, 0, 0xFF, 0xFF]),
        ] {
            let seen = drawn(&bytes).expect("draws");
            bytes[10..14].fill(0);
            assert_eq!(drawn(&bytes).expect("draws"), seen);
        }
    }

    #[test]
    fn a_last_row_may_lack_what_fills_it_up_and_no_pixel() {
        let one_bit = bitmap(1, 0, 2, PALETTE[..2].as_flattened(), &[0x80, 0, 0, 0, 0x40, 0, 0, 0]);
        for (bytes, padding) in
            [(true_colour(false), 3), (written(3, false, &[2, 0, 0, 0, 1, 1, 0, 0]), 2), (one_bit, 3)]
        {
            let seen = drawn(&bytes).expect("draws");
            let pixels = bytes.len() - padding;
            for length in pixels..bytes.len() {
                assert_eq!(drawn(&bytes[..length]).expect("draws"), seen);
            }
            for length in 0..pixels {
                assert!(drawn(&bytes[..length]).is_err(), "{length} of {pixels} bytes");
            }
        }
    }

    #[test]
    fn pixels_that_begin_in_the_header_are_damage() {
        for mut bytes in [true_colour(false), written(2, false, &[0; 8])] {
            drawn(&bytes).expect("draws");
            for begins in [1, 53_u32] {
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
