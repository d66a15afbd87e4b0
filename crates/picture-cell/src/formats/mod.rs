//! The formats that are read, one file each. A new one is a file and a line in [`FORMATS`].

#[cfg(feature = "avif")]
mod avif;
mod bmp;
mod common;
mod gif;
#[cfg(feature = "heic")]
mod heic;
#[cfg(any(feature = "avif", feature = "heic"))]
#[cfg_attr(not(feature = "avif"), expect(dead_code, reason = "of HEIC only the size is read here"))]
mod heif_boxes;
mod jpeg;
#[cfg(feature = "avif")]
mod planes16;
mod png;
mod tiff;
mod tiff_chunks;
mod tiff_directory;
mod tiff_layout;
mod webp;

use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

/// Every format that is read. Signatures exclude each other, so their order does not matter.
pub(crate) const FORMATS: &[Format] = &[
    jpeg::FORMAT,
    png::FORMAT,
    webp::FORMAT,
    bmp::FORMAT,
    gif::FORMAT,
    tiff::FORMAT,
    #[cfg(feature = "heic")]
    heic::FORMAT,
    #[cfg(feature = "avif")]
    avif::FORMAT,
];

/// A format that is read.
pub(crate) struct Format {
    /// As reports name it.
    pub(crate) name: &'static str,
    /// Whether bytes begin as this format does.
    pub(crate) recognises: fn(&[u8]) -> bool,
    /// Checks the limits, then decodes the first picture in the bytes into the canvas as interleaved 8-bit RGB.
    pub(crate) decode: fn(&[u8], &DecodeLimits, &mut dyn Canvas) -> Result<Found, PictureError>,
}

/// What a decoder found beside the pixels. The canvas holds `width * height * 3` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Stored width in pixels.
    pub(crate) width: u32,
    /// Stored height in pixels.
    pub(crate) height: u32,
    /// EXIF orientation, 1 to 8.
    pub(crate) exif_orientation: u8,
}
