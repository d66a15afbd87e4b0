//! The cropped face as JPEG.

use jpeg_encoder::{ColorType, Encoder};

use crate::AnalysisError;
use crate::report::Rectangle;
use picture_cell::Area;
use picture_cell::Picture;

/// JPEG quality, 1 to 100, at which a face keeps what a person or another engine looks at.
const QUALITY: u8 = 92;

/// Encodes exactly `rectangle` (in coordinates of the picture as it is seen).
pub(crate) fn face_jpeg(picture: &Picture, rectangle: Rectangle) -> Result<Vec<u8>, AnalysisError> {
    let seen = Area {
        left: rectangle.left as usize,
        top: rectangle.top as usize,
        width: rectangle.width as usize,
        height: rectangle.height as usize,
    };
    let stored = picture.orientation.inverse().area(seen, picture.seen_size());
    let face = picture.orientation.apply(picture.pixels.crop(stored));
    let failed = |reason: String| AnalysisError::Encode(reason);
    let side = |length: usize| u16::try_from(length).map_err(|_| failed(format!("{length} pixels are too many")));
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, QUALITY)
        .encode(face.data(), side(face.width())?, side(face.height())?, ColorType::Rgb)
        .map_err(|e| failed(e.to_string()))?;
    Ok(jpeg)
}
