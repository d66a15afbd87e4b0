//! GIF: the first picture, on its whole screen.

use std::borrow::Cow;
use std::iter;

use image::ImageFormat;

use super::common::{self, EARLY, Kind, Transparency};
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format =
    Format { name: "gif", recognises: |bytes| bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a"), decode };

const KIND: Kind = Kind {
    name: FORMAT.name,
    library: ImageFormat::Gif,
    transparency: Transparency::Plain,
    size: |bytes| sides(bytes, 6),
    wrong: |bytes| (bytes.len() <= end(bytes)).then_some(EARLY),
    unread: |_| "GIF of an uncommon kind",
};

/// Only the first picture of an animation is looked at. Films have hundreds; a file with more pictures than this was made
/// to keep somebody busy.
const MAX_FRAMES: usize = 1_000;

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    if frames(bytes).take(MAX_FRAMES + 1).count() > MAX_FRAMES {
        return Err(PictureError::malformed(FORMAT.name, format!("it has more than {MAX_FRAMES} frames")));
    }
    let screened = with_screen(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned);
    KIND.check(&screened, limits)?;
    // It may be larger than its screen. Behind its mark a picture has its place and its size.
    if let Some((width, height)) = frames(bytes).next().and_then(|mark| sides(bytes, mark + 5)) {
        limits.check(FORMAT.name, width.max(1), height.max(1))?;
    }
    common::decode(&screened, &KIND, limits, canvas)
}

/// A width and a height that lie at a place.
fn sides(bytes: &[u8], at: usize) -> Option<(u32, u32)> {
    let side = |at: usize| bytes.get(at..)?.first_chunk().map(|&side| u32::from(u16::from_le_bytes(side)));
    Some((side(at)?, side(at + 2)?))
}

/// A file whose screen has no size with one of its first picture's, as browsers have it.
fn with_screen(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_empty = |side: usize| bytes.get(side..side + 2) == Some(&[0, 0]);
    if !is_empty(6) && !is_empty(8) {
        return None;
    }
    // Behind its mark a picture has its place and its size.
    let place = frames(bytes).next()? + 1;
    let size: [u8; 4] = *bytes.get(place + 4..)?.first_chunk()?;
    let mut screened = bytes.to_vec();
    screened[6..10].copy_from_slice(&size);
    screened[place..place + 4].fill(0);
    Some(screened)
}

/// What blocks begin with.
const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2C;

/// Where the pictures of a GIF begin, up to its end or to what is no GIF any more.
fn frames(bytes: &[u8]) -> impl Iterator<Item = usize> {
    blocks(bytes).filter(|&(begin, _)| bytes.get(begin) == Some(&IMAGE)).map(|(begin, _)| begin)
}

/// Where the mark of its end is to lie, behind the last block. Those of a file that was cut reach beyond it.
fn end(bytes: &[u8]) -> usize {
    blocks(bytes).last().map_or_else(|| first(bytes), |(_, end)| end)
}

/// How long a table of colours is.
fn colours(packed: u8) -> usize {
    if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) }
}

/// Where the first block begins: after the header and the screen descriptor with its table of colours.
fn first(bytes: &[u8]) -> usize {
    bytes.get(10).map_or(bytes.len(), |&packed| 13 + colours(packed))
}

/// Where the blocks of a GIF begin and end.
fn blocks(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = first(bytes);
    iter::from_fn(move || {
        let (begin, kind) = (at, *bytes.get(at)?);
        at += match kind {
            EXTENSION => 2,
            IMAGE => 11 + bytes.get(at + 9).map_or(0, |&packed| colours(packed)),
            _ => return None,
        };
        // Data blocks: a length, so many bytes; a length of zero ends them.
        while let Some(&length) = bytes.get(at) {
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
        Some((begin, at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_gif_are_counted_and_too_many_refused() {
        let frame = image::Frame::new(image::RgbaImage::from_pixel(3, 2, image::Rgba([9, 9, 9, 255])));
        let film = |frames: usize| {
            let mut bytes = Vec::new();
            let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
            encoder.encode_frames(vec![frame.clone(); frames]).expect("encodes");
            drop(encoder);
            bytes
        };
        for count in [1, 2, 40] {
            assert_eq!(frames(&film(count)).count(), count);
        }
        let limits = DecodeLimits::default();
        assert_eq!(crate::decode(&film(MAX_FRAMES), &limits).expect("decodes").format, "gif");
        let error = crate::decode(&film(MAX_FRAMES + 1), &limits).expect_err("too many");
        assert!(error.to_string().contains("1000 frames"), "{error}");
        let whole = film(3);
        for length in 0..whole.len() {
            assert!(frames(&whole[..length]).count() <= 3);
        }
    }

    #[test]
    fn a_screen_of_no_size_has_its_first_pictures() {
        let picture = image::RgbaImage::from_fn(3, 2, |x, y| image::Rgba([x as u8 * 80, y as u8 * 200, 9, 255]));
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        encoder.encode_frame(image::Frame::new(picture)).expect("encodes");
        drop(encoder);
        let limits = DecodeLimits::default();
        let whole = crate::decode(&bytes, &limits).expect("decodes").pixels;
        assert_eq!((whole.width(), whole.height()), (3, 2));
        let place = frames(&bytes).next().expect("a picture") + 1;
        for (side, left) in [(6_usize..10, 0), (6..8, 0), (8..10, 0), (6..10, 9)] {
            let mut bytes = bytes.clone();
            bytes[side].fill(0);
            bytes[place] = left;
            assert_eq!(crate::decode(&bytes, &limits).expect("decodes").pixels, whole);
        }
        // Its size is held against the limits, and there is none without a picture.
        bytes[6..10].fill(0);
        let narrow = DecodeLimits { max_side: 2, ..Default::default() };
        assert!(matches!(crate::decode(&bytes, &narrow), Err(PictureError::SideTooLong { width: 3, .. })));
        crate::decode(&bytes[..place - 1], &limits).expect_err("no picture");
        bytes[place + 4..place + 8].fill(0);
        crate::decode(&bytes, &limits).expect_err("no pixels");
    }
}
