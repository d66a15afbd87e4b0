//! Bytes of a picture in, pixels out. Formats are told from the bytes, limits checked from the header before any pixel
//! is decoded, and the EXIF orientation read (and applied by coordinates later, which is cheaper than turning 12
//! megapixels).
//!
//! Strangers' pictures are decoded by a [`Decoder`] that has [`Cells`]: confined processes, since decoders have bugs that
//! nobody knows yet. [`decode`] reads a picture of one's own in the calling thread. Each format is a file in `formats` and a line of
//! its table.

mod canvas;
#[cfg(target_os = "linux")]
pub mod cell;
mod decoder;
mod failure;
mod formats;
mod limits;
mod metadata;
mod picture;
mod pixels;
mod sniff;

#[cfg(target_os = "linux")]
pub use cell::Cells;
pub use decoder::{Decoder, decode};
pub use failure::{CellError, DecodeError, Endings};
pub use limits::DecodeLimits;
pub use picture::{Cost, Picture, PictureError};
pub use pixels::{Area, Orientation, Pixels, Upright};
