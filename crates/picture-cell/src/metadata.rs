//! What a picture says about itself beside its pixels: how it has to be turned to be seen.

use image::metadata::Orientation as ExifOrientation;

/// The EXIF orientation (1 to 8) in an EXIF chunk; 1 when the chunk has none.
pub(crate) fn orientation_in_exif(chunk: &[u8]) -> u8 {
    exif_number(ExifOrientation::from_exif_chunk(chunk))
}

/// `orientation` as the EXIF standard numbers it; 1 when there is none.
pub(crate) fn exif_number(orientation: Option<ExifOrientation>) -> u8 {
    orientation.map_or(1, ExifOrientation::to_exif)
}
