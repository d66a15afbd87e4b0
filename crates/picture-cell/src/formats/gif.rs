//! GIF: the first picture, on its whole screen.

use image::ImageFormat;

use super::common::{self, Transparency};
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

pub(super) const FORMAT: Format =
    Format { name: "gif", recognises: |bytes| bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a"), decode };

/// Only the first picture of an animation is looked at. Films have hundreds; a file with more pictures than this was made
/// to keep somebody busy.
const MAX_FRAMES: usize = 1_000;

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    if frames(bytes) > MAX_FRAMES {
        let reason = format!("it has more than {MAX_FRAMES} frames: send the one that shows the face");
        return Err(PictureError::malformed(FORMAT.name, reason));
    }
    common::decode(bytes, ImageFormat::Gif, FORMAT.name, limits, Transparency::Plain, canvas)
}

/// Number of pictures in a GIF up to its end or to what is no GIF any more, at most one more than `MAX_FRAMES`.
fn frames(bytes: &[u8]) -> usize {
    const EXTENSION: u8 = 0x21;
    const IMAGE: u8 = 0x2C;
    let colours = |packed: u8| if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) };
    let mut frames = 0;
    // After the header and the screen descriptor comes its colour table.
    let mut at = bytes.get(10).map_or(bytes.len(), |&packed| 13 + colours(packed));
    while frames <= MAX_FRAMES {
        at += match bytes.get(at) {
            Some(&EXTENSION) => 2,
            Some(&IMAGE) => {
                frames += 1;
                11 + bytes.get(at + 9).map_or(0, |&packed| colours(packed))
            }
            _ => break,
        };
        // Data blocks: a length, so many bytes; a length of zero ends them.
        while let Some(&length) = bytes.get(at) {
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
    }
    frames
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
            assert_eq!(frames(&film(count)), count);
        }
        let limits = DecodeLimits::default();
        assert_eq!(crate::decode(&film(MAX_FRAMES), &limits).expect("decodes").format, "gif");
        let error = crate::decode(&film(MAX_FRAMES + 1), &limits).expect_err("too many");
        assert!(error.to_string().contains("1000 frames"), "{error}");
        let whole = film(3);
        for length in 0..whole.len() {
            assert!(frames(&whole[..length]) <= 3);
        }
    }
}
