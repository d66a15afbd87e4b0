//! Bytes of a picture in, pixels out. Formats are told from the bytes, limits checked from the header before any pixel
//! is decoded, and the EXIF orientation read (and applied by coordinates later, which is cheaper than turning 12
//! megapixels).
//!
//! [`decode`] reads one picture, [`Decoder`] many in the same memory. Each format is a file in `formats` and a line of
//! its table.

mod canvas;
mod decoder;
mod formats;
mod limits;
mod metadata;
mod picture;
mod pixels;
mod sniff;

pub use decoder::{Decoder, decode};
pub use limits::DecodeLimits;
pub use picture::{Picture, PictureError};
pub use pixels::{Area, Orientation, Pixels, Upright};
