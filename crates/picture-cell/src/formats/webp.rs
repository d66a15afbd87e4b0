//! WebP, lossy and lossless; of an animation the first picture.

use image::ImageFormat;

use super::common::{self, EARLY, Kind, Transparency};
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format = Format {
    name: "webp",
    recognises: |bytes| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
    decode,
};

const KIND: Kind = Kind {
    name: FORMAT.name,
    library: ImageFormat::WebP,
    transparency: Transparency::Plain,
    size,
    wrong,
    unread: |_| "WebP of an uncommon kind",
};

/// Zeros at the end of the data that raise the question whether they belong to them. Those of a flat picture do: all are
/// needed there.
const ZEROS: usize = 64;

/// So many of them are left out to find that. Encoders write no more than two bytes, and the decoder invents no more than
/// one, that nobody needs. Left where they are they read as empty chunks, which are of eight bytes.
const LEFT_OUT: usize = 16;

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    // The decoder takes the zeros of a file that was never filled for codes, and those that end a picture are short.
    if without_last_zeros(bytes).is_some_and(|shorter| read(&shorter, limits, &mut Vec::<u8>::new()).is_ok()) {
        let reason = "its data end in zeros that belong to no picture, as where the rest never came";
        return Err(PictureError::malformed(FORMAT.name, reason));
    }
    read(bytes, limits, canvas)
}

fn read(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    common::decode(bytes, &KIND, limits, canvas)
}

/// Width and height of a file whose first chunk states more than the picture does. Those of the picture itself have 14 bits,
/// and the decoder takes no memory before it tells them.
fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| bytes.get(at..at + 3).map(|side| u32::from_le_bytes([side[0], side[1], side[2], 0]) + 1);
    (bytes.get(12..16)? == b"VP8X").then_some((side(24)?, side(27)?))
}

/// A file states its length.
fn wrong(bytes: &[u8]) -> Option<&'static str> {
    let stated = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    (bytes.len() < 8 + stated as usize).then_some(EARLY)
}

/// The file with a picture that is said to be shorter, when it ends in many zeros.
fn without_last_zeros(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut at = 12;
    loop {
        let length = u32::from_le_bytes(*bytes.get(at + 4..)?.first_chunk()?) as usize;
        let data = at + 8;
        match bytes.get(at..at + 4)? {
            b"VP8 " | b"VP8L" => {
                let end = bytes.len().min(data + length);
                if !bytes.get(data..end)?.ends_with(&[0; ZEROS]) {
                    return None;
                }
                let mut shorter = bytes.to_vec();
                shorter[at + 4..data].copy_from_slice(&((end - data - LEFT_OUT) as u32).to_le_bytes());
                return Some(shorter);
            }
            // A picture of an animation: chunks behind its place, size and time.
            b"ANMF" => at = data + 16,
            _ => at = data + length.next_multiple_of(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOSSY: &[u8] = include_bytes!("../../tests/pictures/webp_lossy.webp");
    const LOSSY_ALPHA: &[u8] = include_bytes!("../../tests/pictures/webp_lossy_alpha.webp");
    const WITH_EXIF: &[u8] = include_bytes!("../../tests/pictures/webp_orientation_6.webp");
    const FLAT_END: &[u8] = include_bytes!("../../tests/pictures/webp_flat_end.webp");

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let padding = vec![0; data.len() % 2];
        [kind, &(data.len() as u32).to_le_bytes()[..], data, &padding].concat()
    }

    fn file(chunks: &[u8]) -> Vec<u8> {
        chunk(b"RIFF", &[b"WEBP", chunks].concat())
    }

    /// An animation whose first picture is the lossy one.
    fn animation() -> Vec<u8> {
        let size = [49_u8, 0, 0, 36, 0, 0];
        let picture = [&[0_u8; 6][..], &size, &[100, 0, 0, 2], &LOSSY[12..]].concat();
        let canvas = [&[2_u8, 0, 0, 0][..], &size].concat();
        file(&[chunk(b"VP8X", &canvas), chunk(b"ANIM", &[0; 6]), chunk(b"ANMF", &picture)].concat())
    }

    /// 32 x 64 pixels of one bit each, 0 for black and 1 for green, and so many bytes after them.
    fn lossless(pixels: u8, more: usize) -> Vec<u8> {
        let mut bits: Vec<bool> = Vec::new();
        let header = [(0x2f, 8), (31, 14), (63, 14), (0, 4)];
        // No transform, no cache of colours, one group of codes: 0 or 255 for green, 0 for red and blue, 255 for alpha.
        let codes = [(0, 3), (0b0011, 4), (255, 8), (1, 4), (1, 4), (0b101, 3), (255, 8), (1, 4)];
        for (value, width) in header.into_iter().chain(codes) {
            bits.extend((0..width).map(|bit| value >> bit & 1 == 1));
        }
        bits.extend((0..32 * 64).map(|pixel| pixels >> (pixel % 8) & 1 == 1));
        let mut data: Vec<u8> =
            bits.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect();
        data.resize(data.len() + more, 0);
        file(&chunk(b"VP8L", &data))
    }

    fn drawn(bytes: &[u8]) -> Result<Vec<u8>, PictureError> {
        let mut canvas = Vec::new();
        decode(bytes, &DecodeLimits::default(), &mut canvas).map(|_| canvas)
    }

    #[test]
    fn a_picture_whose_rest_is_zeros_is_refused() {
        for whole in [LOSSY.to_vec(), LOSSY_ALPHA.to_vec(), WITH_EXIF.to_vec(), animation()] {
            drawn(&whole).expect("is whole");
            let begin = memchr::memmem::find(&whole, b"VP8 ").expect("a picture") + 8;
            let length = usize::from(whole[begin - 4]) | usize::from(whole[begin - 3]) << 8;
            for missing in [100, 200, 300] {
                let mut zeros = whole.clone();
                zeros[begin + length - missing..begin + length].fill(0);
                read(&zeros, &DecodeLimits::default(), &mut Vec::<u8>::new()).expect("zeros are codes");
                let message = drawn(&zeros).expect_err("is refused").to_string();
                assert!(message.contains("zeros that belong to no picture"), "{missing}: {message}");
            }
        }
    }

    #[test]
    fn zeros_that_are_pixels_are_no_damage() {
        drawn(FLAT_END).expect("is whole");
        assert!(without_last_zeros(FLAT_END).is_some(), "it is asked about");
        assert!(without_last_zeros(LOSSY).is_none());
        for pixels in [0, 0b0110_0010] {
            let canvas = drawn(&lossless(pixels, 0)).expect("is whole");
            for (place, seen) in canvas.as_chunks::<3>().0.iter().enumerate() {
                assert_eq!(*seen, [0, 255 * (pixels >> (place % 8) & 1), 0], "pixel {place}");
            }
        }
        assert!(without_last_zeros(&lossless(0, 0)).is_some(), "it is asked about");
        for more in [64, 5_000] {
            let message = drawn(&lossless(0, more)).expect_err("is refused").to_string();
            assert!(message.contains("zeros that belong to no picture"), "{more}: {message}");
        }
    }
}
