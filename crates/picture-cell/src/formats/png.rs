//! PNG, also of 16 bits, with a palette or with transparency.

use std::borrow::Cow;

use image::ImageFormat;

use super::common::{self, EARLY, Kind, Transparency};
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format =
    Format { name: "png", recognises: |bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n"), decode };

const KIND: Kind = Kind {
    name: FORMAT.name,
    library: ImageFormat::Png,
    transparency: Transparency::Plain,
    size,
    wrong,
    unread: |_| "PNG of an uncommon kind",
};

/// The last chunk.
const END: &[u8; 12] = b"\0\0\0\0IEND\xaeB`\x82";

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    let end = missing_end(bytes);
    let ended = if end.is_empty() { Cow::Borrowed(bytes) } else { Cow::Owned([bytes, end].concat()) };
    common::decode(&ended, &KIND, limits, canvas)
}

/// Width and height in the first chunk.
fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| bytes.get(at..)?.first_chunk().map(|&side| u32::from_be_bytes(side));
    (bytes.get(12..16)? == b"IHDR").then_some((side(16)?, side(20)?))
}

/// What the chunks tell: each has its length before it, and a checksum behind it.
fn wrong(bytes: &[u8]) -> Option<&'static str> {
    let mut at = 8;
    while at < bytes.len() {
        let Some(&length) = bytes[at..].first_chunk() else { return Some(EARLY) };
        let data = at + 8 + u32::from_be_bytes(length) as usize;
        let (Some(chunk), Some(&sum)) = (bytes.get(at + 4..data), bytes.get(data..).and_then(<[u8]>::first_chunk))
        else {
            return Some(EARLY);
        };
        let mut found = flate2::Crc::new();
        found.update(chunk);
        if found.sum() != u32::from_be_bytes(sum) {
            return Some("a checksum in it is wrong");
        }
        if chunk == b"IEND" {
            return None;
        }
        at = data + 4;
    }
    Some(EARLY)
}

/// What is missing of the last chunk where all before it are whole. The decoder waits for it, and with it refuses a picture
/// whose rows did not all come.
fn missing_end(bytes: &[u8]) -> &'static [u8] {
    let mut at = 8;
    while let Some(rest) = bytes.get(at..) {
        if let Some(missing) = END.strip_prefix(rest) {
            return missing;
        }
        let Some(&length) = rest.first_chunk() else { break };
        at += 12 + u32::from_be_bytes(length) as usize;
    }
    &[]
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(data);
        [&(data.len() as u32).to_be_bytes()[..], kind, data, &sum.sum().to_be_bytes()].concat()
    }

    fn drawn(bytes: &[u8]) -> Result<Vec<u8>, PictureError> {
        let mut canvas = Vec::new();
        decode(bytes, &DecodeLimits::default(), &mut canvas).map(|_| canvas)
    }

    #[test]
    fn the_end_may_be_missing_and_no_row() {
        let picture = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 37 + y * 101) as u8, (x * y) as u8, 7]));
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).expect("encodes");
        let (bytes, pixels) = (bytes.into_inner(), picture.into_raw());
        let end = bytes.len() - END.len();
        for length in end..=bytes.len() {
            assert_eq!(drawn(&bytes[..length]).expect("draws"), pixels);
        }
        for length in 0..end {
            assert!(drawn(&bytes[..length]).is_err(), "{length} of {end} bytes");
        }
        // Chunks that are whole, of rows that did not all come.
        let begin = memchr::memmem::find(&bytes, b"IDAT").expect("pixels") - 4;
        let (head, data) = (&bytes[..begin], &bytes[begin + 8..end - 4]);
        let halves = data.split_at(data.len() / 2);
        let halves = [chunk(b"IDAT", halves.0), chunk(b"IDAT", halves.1)];
        assert_eq!(drawn(&[head, &halves[0], &halves[1]].concat()).expect("draws"), pixels);
        drawn(&[head, &halves[0]].concat()).expect_err("half of it is missing");
        drawn(&[head, &halves[0], END].concat()).expect_err("half of it is missing");
    }
}
