//! A face as the networks are shown it.

use crate::report::Extent;

/// What the detector takes for a face, in upright picture coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// 0 to 1.
    pub score: f32,
    /// The whole face, which may reach beyond the picture.
    pub extent: Extent,
    /// Right eye, left eye, nose tip, right and left corner of the mouth (the person's right).
    pub keypoints: [[f32; 2]; 5],
}

impl Detection {
    /// How far the line through the eyes is turned, clockwise in radians.
    pub(crate) fn roll(&self) -> f32 {
        let [right, left, ..] = self.keypoints;
        (left[1] - right[1]).atan2(left[0] - right[0])
    }
}
