//! The face's box and five points from its dense landmarks: a linear map, fitted by training/face_box/fit.py.

mod table;

use crate::report::Extent;
use table::{ANCHORS, EDGES, POINTS};

/// What the map gives, in the coordinates of the landmarks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FaceBox {
    /// From the hairline to the chin and from cheek to cheek, as the detector draws it.
    pub(crate) extent: Extent,
    /// Right eye, left eye, nose tip, right and left corner of the mouth (the person's right), as the detector sets them.
    pub(crate) keypoints: [[f32; 2]; 5],
}

/// The box and points of the face whose 478 landmarks these are.
///
/// Each edge and coordinate is the mean of the anchors plus a weighted sum of the anchors' offsets from that mean: what moves
/// or scales the landmarks moves and scales the box. In contrast to a detector's box, which jitters by per cents when a
/// picture moves by a pixel, it is as steady as the mean of many landmarks.
pub(crate) fn from_landmarks(points: &[[f32; 3]]) -> FaceBox {
    let anchors = ANCHORS.map(|i| points.get(i).map_or([0.0; 2], |p| [p[0], p[1]]));
    let mean = |axis: usize| anchors.iter().map(|p| p[axis]).sum::<f32>() / ANCHORS.len() as f32;
    let middle = [mean(0), mean(1)];
    let at = |weights: &[[f32; 2]; ANCHORS.len()], axis: usize| {
        let offset = |(p, w): (&[f32; 2], &[f32; 2])| (p[0] - middle[0]) * w[0] + (p[1] - middle[1]) * w[1];
        middle[axis] + anchors.iter().zip(weights).map(offset).sum::<f32>()
    };
    let (left, top) = (at(&EDGES[0], 0), at(&EDGES[1], 1));
    let extent = Extent { left, top, width: at(&EDGES[2], 0) - left, height: at(&EDGES[3], 1) - top };
    FaceBox { extent, keypoints: [0, 1, 2, 3, 4].map(|i| [at(&POINTS[i][0], 0), at(&POINTS[i][1], 1)]) }
}
