//! A face as the networks are shown it.

use std::f32::consts::FRAC_PI_4;

use picture_cell::Orientation;

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

    /// How high the face is in the direction of the head, whichever way that lies.
    pub(crate) fn head_height(&self) -> f32 {
        let lies = (FRAC_PI_4..3.0 * FRAC_PI_4).contains(&self.roll().abs());
        if lies { self.extent.width } else { self.extent.height }
    }

    /// Where `turn` moves it in a picture of `size` (width, height, before the turn).
    pub(crate) fn turned(self, turn: Orientation, size: (f32, f32)) -> Self {
        let keypoints = self.keypoints.map(|point| turn.point(point, size));
        Self { extent: self.extent.turned(turn, size), keypoints, ..self }
    }
}
