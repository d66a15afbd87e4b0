//! The face's box and five points from its dense landmarks: a linear map, fitted by training/face_box/fit.py.

mod table;

use crate::alignment::Similarity;
use crate::report::Extent;
use table::{EDGE_ANCHORS, EDGES, POINT_ANCHORS, POINTS, SPREAD};

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
/// Each edge and coordinate is the mean of some landmarks plus a weighted sum of their offsets from that mean, the edges plus a
/// part of the spread of the offsets: what moves or scales the landmarks moves and scales the box. It was fitted to be steady, too:
/// moved by a pixel or compressed anew, it jitters by a fifth and two fifths of what the detector's own box does.
pub(crate) fn from_landmarks(points: &[[f32; 3]]) -> FaceBox {
    let edges = Anchors::new(points, &EDGE_ANCHORS);
    let edge = |index: usize| edges.at(&EDGES[index], index % 2) + SPREAD[index] * edges.spread();
    let (left, top) = (edge(0), edge(1));
    let extent = Extent { left, top, width: edge(2) - left, height: edge(3) - top };
    let anchors = Anchors::new(points, &POINT_ANCHORS);
    FaceBox { extent, keypoints: [0, 1, 2, 3, 4].map(|i| [0, 1].map(|axis| anchors.at(&POINTS[i][axis], axis))) }
}

/// Up to this lean of the head (radians, 10 degrees) the points are those of the map, which flattens what it was fitted on less
/// than the detector does, but more than it should.
const LEVEL: f32 = 0.175;

/// How much a lean goes beyond that, in radians.
pub(crate) fn excess(roll: f32) -> f32 {
    roll - roll.clamp(-LEVEL, LEVEL)
}

/// The five points of a head that leans by `roll` (radians), for what is cut out along them: what leans more than `LEVEL` is
/// turned up to there, mapped and turned back.
pub(crate) fn keypoints_of(points: &[[f32; 3]], roll: f32) -> [[f32; 2]; 5] {
    let excess = excess(roll);
    if excess == 0.0 {
        return from_landmarks(points).keypoints;
    }
    let back = Similarity::around([0.0; 2], [0.0; 2], 1.0, excess);
    let level = back.inverse();
    let turned: Vec<_> = points
        .iter()
        .map(|p| {
            let [x, y] = level.apply([p[0], p[1]]);
            [x, y, p[2]]
        })
        .collect();
    from_landmarks(&turned).keypoints.map(|p| back.apply(p))
}

/// Some of the landmarks, about their mean.
struct Anchors<const N: usize> {
    middle: [f32; 2],
    offsets: [[f32; 2]; N],
}

impl<const N: usize> Anchors<N> {
    fn new(points: &[[f32; 3]], chosen: &[usize; N]) -> Self {
        let anchors = chosen.map(|i| points.get(i).map_or([0.0; 2], |p| [p[0], p[1]]));
        let middle = [0, 1].map(|axis| anchors.iter().map(|p| p[axis]).sum::<f32>() / N as f32);
        Self { middle, offsets: anchors.map(|p| [p[0] - middle[0], p[1] - middle[1]]) }
    }

    /// The mean along an axis plus the weighted offsets.
    fn at(&self, weights: &[[f32; 2]; N], axis: usize) -> f32 {
        let sum = self.offsets.iter().zip(weights).map(|(p, w)| p[0] * w[0] + p[1] * w[1]).sum::<f32>();
        self.middle[axis] + sum
    }

    /// Root of the mean square of the offsets.
    fn spread(&self) -> f32 {
        (self.offsets.iter().map(|p| p[0] * p[0] + p[1] * p[1]).sum::<f32>() / N as f32).sqrt()
    }
}
