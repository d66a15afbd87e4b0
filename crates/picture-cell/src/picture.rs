//! What decoding gives: a picture, or the reason why there is none.

use std::borrow::Cow;
use std::fmt;

use crate::pixels::{Orientation, Pixels};

/// A decoded picture as it is stored, and how it has to be turned to be seen.
#[derive(Debug)]
pub struct Picture {
    /// The stored pixels.
    pub pixels: Pixels,
    /// Brings the stored pixels into the position in which a person sees the picture.
    pub orientation: Orientation,
    /// The EXIF number behind `orientation`.
    pub exif_orientation: u8,
    /// `jpeg`, `png`, `webp`, `bmp`, `gif`, `tiff`, `heic` or `avif`.
    pub format: &'static str,
}

impl Picture {
    /// Width and height as a person sees the picture.
    pub fn seen_size(&self) -> (usize, usize) {
        self.orientation.size((self.pixels.width(), self.pixels.height()))
    }
}

/// Why bytes could not be turned into a picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// No bytes at all.
    #[error("the picture is empty: it has no bytes")]
    Empty,
    /// The first bytes belong to no format that we know.
    #[error("the bytes are no picture that can be read: send JPEG, PNG, WebP, HEIC, AVIF, BMP, GIF or TIFF")]
    UnknownFormat,
    /// A format that we know and do not read, or a kind of one that we read.
    #[error("pictures of this kind are not read ({0}): convert to JPEG, PNG or WebP")]
    UnsupportedFormat(Cow<'static, str>),
    /// Truncated or damaged.
    #[error(
        "the {format} picture is damaged or incomplete: {reason}; send it again, or save it anew as JPEG or PNG before \
         sending"
    )]
    Malformed {
        /// The format that the first bytes promised.
        format: &'static str,
        /// What is wrong with it, in our own words.
        reason: String,
    },
    /// Over `max_pixels`.
    #[error("the picture has {width} x {height} pixels, more than the limit of {limit}: scale it down before sending")]
    TooManyPixels {
        /// Stored width.
        width: u32,
        /// Stored height.
        height: u32,
        /// The configured limit.
        limit: u64,
    },
    /// Over `max_side`.
    #[error("the picture has {width} x {height} pixels and no side may exceed {limit}: scale it down before sending")]
    SideTooLong {
        /// Stored width.
        width: u32,
        /// Stored height.
        height: u32,
        /// The configured limit.
        limit: u32,
    },
    /// Decoding it took more than it may.
    #[error("decoding the picture takes more than {limit}: scale it down or save it anew as JPEG before sending")]
    TooCostly {
        /// What it took too much of.
        limit: Cost,
    },
}

/// A limit on what decoding may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Milliseconds.
    Time(u64),
    /// Bytes.
    Memory(u64),
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(milliseconds) => write!(f, "{milliseconds} ms"),
            Self::Memory(bytes) => write!(f, "{} MiB of memory", bytes.div_ceil(1 << 20)),
        }
    }
}

impl PictureError {
    /// A stable reason in snake_case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "image_empty",
            Self::UnknownFormat => "image_format_unknown",
            Self::UnsupportedFormat(_) => "image_format_unsupported",
            Self::Malformed { .. } => "image_malformed",
            Self::TooManyPixels { .. } => "image_too_many_pixels",
            Self::SideTooLong { .. } => "image_side_too_long",
            Self::TooCostly { .. } => "image_too_costly",
        }
    }

    /// What is wrong with a picture of `format`, in our own words: what a library says is for programmers, so an error of one
    /// is not taken for a reason.
    pub(crate) fn malformed(format: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed { format, reason: reason.into().into_owned() }
    }
}
