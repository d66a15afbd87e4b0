//! What parent and cell send each other: one request and one answer of fixed size, each a packet of its own.
//!
//! Both are the same program, so there are no versions. The cell may be under somebody else's control by the time it
//! answers: [`Answer::read`] gives an error for everything that no decoder of ours would say.

use crate::formats::{FORMATS, Found};
use crate::limits::DecodeLimits;
use crate::picture::{Cost, PictureError};

/// A picture to decode. Its bytes lie at the beginning of the shared memory, pixels go to `input_room`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    /// Bytes of the encoded picture.
    pub(super) length: u64,
    /// Bytes of the pixels' place whose pages are there from earlier pictures.
    pub(super) present: u64,
}

impl Request {
    pub(super) const SIZE: usize = 16;

    pub(super) fn write(self) -> [u8; Self::SIZE] {
        (u128::from(self.length) | u128::from(self.present) << 64).to_le_bytes()
    }

    pub(super) fn read(bytes: [u8; Self::SIZE]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self { length: both as u64, present: (both >> 64) as u64 }
    }
}

/// What a cell says.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is confined and waits for a picture.
    Ready,
    /// It could not be confined, and why.
    Unconfined(String),
    /// Pixels of a format lie in the shared memory.
    Picture(&'static str, Found),
    /// No picture, and why.
    Refused(PictureError),
    /// The decoder of a format, or what was before it, panicked.
    Panicked,
}

/// The answer is none that our program gives.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

/// Longest text of an answer in bytes. Decoders say what they found in about 100.
const TEXT: usize = 256;

/// Where the fields of an answer lie.
const KIND: usize = 0;
const FORMAT: usize = 1;
const ORIENTATION: usize = 2;
const WIDTH: usize = 4;
const HEIGHT: usize = 8;
const TEXT_LENGTH: usize = 12;
const TEXT_START: usize = 16;

/// The kinds of an answer.
const READY: u8 = 1;
const PICTURE: u8 = 2;
const EMPTY: u8 = 3;
const UNKNOWN: u8 = 4;
const UNSUPPORTED: u8 = 5;
const MALFORMED: u8 = 6;
const TOO_MANY_PIXELS: u8 = 7;
const SIDE_TOO_LONG: u8 = 8;
const PANICKED: u8 = 9;
const TOO_COSTLY: u8 = 10;
const UNCONFINED: u8 = 11;

impl Answer {
    pub(super) const SIZE: usize = TEXT_START + TEXT;

    pub(super) fn write(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let text = match self {
            Self::Refused(PictureError::UnsupportedFormat(what)) => what,
            Self::Refused(PictureError::Malformed { reason, .. }) | Self::Unconfined(reason) => reason.as_str(),
            _ => "",
        };
        let (kind, format, size) = match self {
            Self::Ready => (READY, "", (0, 0)),
            Self::Unconfined(_) => (UNCONFINED, "", (0, 0)),
            Self::Picture(format, found) => (PICTURE, *format, (found.width, found.height)),
            Self::Panicked => (PANICKED, "", (0, 0)),
            Self::Refused(PictureError::Empty) => (EMPTY, "", (0, 0)),
            Self::Refused(PictureError::UnknownFormat) => (UNKNOWN, "", (0, 0)),
            Self::Refused(PictureError::UnsupportedFormat(_)) => (UNSUPPORTED, "", (0, 0)),
            Self::Refused(PictureError::Malformed { format, .. }) => (MALFORMED, *format, (0, 0)),
            Self::Refused(PictureError::TooManyPixels { width, height, limit }) => {
                bytes[TEXT_START..][..8].copy_from_slice(&limit.to_le_bytes());
                (TOO_MANY_PIXELS, "", (*width, *height))
            }
            Self::Refused(PictureError::SideTooLong { width, height, .. }) => (SIDE_TOO_LONG, "", (*width, *height)),
            // Of memory: time is the parent's to take.
            Self::Refused(PictureError::TooCostly { .. }) => (TOO_COSTLY, "", (0, 0)),
        };
        bytes[KIND] = kind;
        bytes[FORMAT] = FORMATS.iter().position(|known| known.name == format).unwrap_or(FORMATS.len()) as u8;
        if let Self::Picture(_, found) = self {
            bytes[ORIENTATION] = found.exif_orientation;
        }
        bytes[WIDTH..][..4].copy_from_slice(&size.0.to_le_bytes());
        bytes[HEIGHT..][..4].copy_from_slice(&size.1.to_le_bytes());
        let mut length = text.len().min(TEXT);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        bytes[TEXT_LENGTH..][..4].copy_from_slice(&(length as u32).to_le_bytes());
        if length > 0 {
            bytes[TEXT_START..][..length].copy_from_slice(&text.as_bytes()[..length]);
        }
        bytes
    }

    /// The answer to a picture that was sent with `limits`.
    pub(super) fn read(bytes: &[u8], limits: &DecodeLimits) -> Result<Self, Nonsense> {
        let bytes: &[u8; Self::SIZE] = bytes.try_into().map_err(|_| Nonsense)?;
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (width, height) = (number(WIDTH), number(HEIGHT));
        let format = || FORMATS.get(usize::from(bytes[FORMAT])).map(|format| format.name).ok_or(Nonsense);
        let text = || {
            let text = bytes[TEXT_START..].get(..number(TEXT_LENGTH) as usize).ok_or(Nonsense)?;
            let text = std::str::from_utf8(text).map_err(|_| Nonsense)?;
            // It becomes part of a message to the caller and of a line of the log.
            Ok(text.replace(|c: char| !c.is_ascii_graphic() && c != ' ', "?"))
        };
        let refused = match bytes[KIND] {
            READY => return Ok(Self::Ready),
            UNCONFINED => return Ok(Self::Unconfined(text()?)),
            PANICKED => return Ok(Self::Panicked),
            PICTURE => {
                let found = Found { width, height, exif_orientation: bytes[ORIENTATION] };
                limits.check("", width, height).map_err(|_| Nonsense)?;
                if !(1..=8).contains(&found.exif_orientation) {
                    return Err(Nonsense);
                }
                return Ok(Self::Picture(format()?, found));
            }
            EMPTY => PictureError::Empty,
            UNKNOWN => PictureError::UnknownFormat,
            UNSUPPORTED => PictureError::UnsupportedFormat(text()?.into()),
            MALFORMED => PictureError::Malformed { format: format()?, reason: text()? },
            TOO_MANY_PIXELS => {
                let limit = u64::from(number(TEXT_START)) | u64::from(number(TEXT_START + 4)) << 32;
                PictureError::TooManyPixels { width, height, limit: limit.min(limits.max_pixels) }
            }
            TOO_COSTLY => PictureError::TooCostly { limit: Cost::Memory(limits.max_decode_bytes) },
            SIDE_TOO_LONG => PictureError::SideTooLong { width, height, limit: limits.max_side },
            _ => return Err(Nonsense),
        };
        Ok(Self::Refused(refused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(answer: &Answer) -> String {
        format!("{:?}", Answer::read(&answer.write(), &DecodeLimits::default()).expect("an answer"))
    }

    #[test]
    fn every_request_arrives_as_it_was_sent() {
        let request = Request { length: 0x0102_0304_0506, present: 75_000_000 };
        assert_eq!(Request::read(request.write()), request);
    }

    #[test]
    fn every_answer_arrives_as_it_was_sent() {
        let found = Found { width: 4000, height: 3000, exif_orientation: 8 };
        let malformed = |reason: &str| PictureError::malformed("tiff", reason.to_owned());
        let answers = [
            Answer::Ready,
            Answer::Unconfined("/proc/self/status: No such file or directory (os error 2)".into()),
            Answer::Panicked,
            Answer::Picture("gif", found),
            Answer::Refused(PictureError::Empty),
            Answer::Refused(PictureError::UnknownFormat),
            Answer::Refused(PictureError::UnsupportedFormat("HEIC".into())),
            Answer::Refused(malformed("it ends before its end marker")),
            Answer::Refused(PictureError::TooManyPixels { width: 70_000, height: 9, limit: 12_345_678 }),
            Answer::Refused(PictureError::SideTooLong { width: 70_000, height: 9, limit: 10_000 }),
            Answer::Refused(PictureError::TooCostly { limit: Cost::Memory(512 << 20) }),
        ];
        for answer in answers {
            assert_eq!(sent(&answer), format!("{answer:?}"));
        }
        // What is long is cut, between characters, and what could forge a line or a colour is replaced.
        let long = sent(&Answer::Refused(malformed(&"ä".repeat(300))));
        assert!(long.contains(&"?".repeat(TEXT / 2)) && !long.contains(&"?".repeat(TEXT / 2 + 1)), "{long}");
        assert!(sent(&Answer::Refused(malformed("a\n\u{1b}[31m\u{202e}b"))).contains("a??[31m?b"));
    }

    #[test]
    fn what_no_decoder_would_say_is_nonsense() {
        let limits = DecodeLimits::default();
        let good = Answer::Picture("png", Found { width: 40, height: 30, exif_orientation: 1 }).write();
        let changed = |at: usize, to: &[u8]| {
            let mut bytes = good;
            bytes[at..][..to.len()].copy_from_slice(to);
            Answer::read(&bytes, &limits).err()
        };
        assert_eq!(changed(KIND, &[PICTURE]), None);
        for kind in [0, UNCONFINED + 1, 0xff] {
            assert_eq!(changed(KIND, &[kind]), Some(Nonsense));
        }
        assert_eq!(changed(FORMAT, &[FORMATS.len() as u8]), Some(Nonsense));
        for turn in [0, 9, 0xff] {
            assert_eq!(changed(ORIENTATION, &[turn]), Some(Nonsense));
        }
        for size in [0, 10_001, u32::MAX] {
            assert_eq!(changed(WIDTH, &size.to_le_bytes()), Some(Nonsense));
            assert_eq!(changed(HEIGHT, &size.to_le_bytes()), Some(Nonsense));
        }
        let large = [6_000_u32.to_le_bytes(), 6_000_u32.to_le_bytes()].concat();
        assert_eq!(changed(WIDTH, &large), Some(Nonsense));
        // A text of no such length, and one that is no text.
        let mut bytes = Answer::Refused(PictureError::malformed("png", "a")).write();
        bytes[TEXT_START] = 0xff;
        assert_eq!(Answer::read(&bytes, &limits).err(), Some(Nonsense));
        bytes[TEXT_LENGTH..][..4].copy_from_slice(&257_u32.to_le_bytes());
        assert_eq!(Answer::read(&bytes, &limits).err(), Some(Nonsense));
        for length in [0, 1, Answer::SIZE - 1] {
            assert_eq!(Answer::read(&good[..length], &limits).err(), Some(Nonsense));
        }
    }
}
