//! How large a picture may be.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::PictureError;

/// How large a picture may be, and what decoding it may take. Sizes are checked before memory for pixels is taken; time
/// and memory hold for decoding in a cell, whatever the decoder does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DecodeLimits {
    /// Width times height.
    pub max_pixels: u64,
    /// The longer side.
    pub max_side: u32,
    /// Milliseconds of processor time that decoding one picture may take; by the clock it may take three times as long. 25
    /// megapixels take at most 1.4 s (AVIF; HEIC 0.9 s, JPEG 0.2 to 0.3 s).
    pub max_decode_ms: u64,
    /// Bytes of memory that decoding one picture may take, beside its bytes and its pixels. 25 megapixels take at most 472
    /// MiB (HEIC; AVIF 230, GIF 120, JPEG 4 to 109). A cell's process may hold a quarter and 64 MiB more, for its allocator.
    pub max_decode_bytes: u64,
}

impl Default for DecodeLimits {
    /// 25 megapixels hold what phones send (12 to 24); 10,000 pixels hold a panorama of that size.
    fn default() -> Self {
        Self { max_pixels: 25_000_000, max_side: 10_000, max_decode_ms: 3_000, max_decode_bytes: 512 << 20 }
    }
}

impl DecodeLimits {
    /// How long decoding one picture may take by the clock, on a machine so busy that its cell waits for a processor most of the
    /// time.
    pub fn longest(&self) -> Duration {
        Duration::from_millis(self.max_decode_ms).saturating_mul(3)
    }

    /// Refuses a stored size of no pixels, of too many, or with too long a side.
    pub(crate) fn check(&self, format: &'static str, width: u32, height: u32) -> Result<(), PictureError> {
        if width == 0 || height == 0 {
            return Err(PictureError::malformed(format, "a side is zero"));
        }
        if width.max(height) > self.max_side {
            return Err(PictureError::SideTooLong { width, height, limit: self.max_side });
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(PictureError::TooManyPixels { width, height, limit: self.max_pixels });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_may_be_as_large_as_the_limits_say_and_no_larger() {
        let limits = DecodeLimits { max_pixels: 600, max_side: 100, ..Default::default() };
        let code = |width, height| limits.check("png", width, height).err().map(|error| error.code());
        for (width, height) in [(100, 6), (6, 100), (24, 25), (1, 1)] {
            assert_eq!(code(width, height), None, "{width} x {height}");
        }
        for (width, height) in [(101, 1), (1, 101), (u32::MAX, 2)] {
            assert_eq!(code(width, height), Some("image_side_too_long"), "{width} x {height}");
        }
        assert_eq!(code(25, 25), Some("image_too_many_pixels"));
        assert_eq!(code(601, 1), Some("image_side_too_long"), "the side goes first");
        assert_eq!((code(0, 9), code(9, 0)), (Some("image_malformed"), Some("image_malformed")));
    }
}
