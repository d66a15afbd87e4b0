//! What the components are measured in: the picture, the main face and the landmarks that OFIQ names.

use picture_cell::{Area, Orientation, Picture};

use super::histogram::Histogram;
use super::region::convex_hull;
use crate::alignment::FaceView;
use crate::detection::Found;
use crate::landmarks::Landmarks;
use crate::report::Pose;

/// What the components are measured in. Points are those of the upright picture.
pub(super) struct Capture<'a> {
    pub(super) picture: &'a Picture,
    pub(super) found: &'a Found,
    pub(super) view: &'a FaceView,
    pub(super) landmarks: &'a Landmarks,
    pub(super) pose: Option<Pose>,
    /// Centres of the eyes, the one on the left of the picture (the person's right) first.
    pub(super) eyes: [[f64; 2]; 2],
    /// Width and height of the upright picture.
    pub(super) size: [f64; 2],
    /// The light on the face region; `None` when no pixel of it is in the picture.
    light: Option<Histogram>,
}

/// Corners of the eyes, whose middles are the centres of the eyes (ADNet 60, 64 and 68, 72).
pub(super) const EYE_CORNERS: [[usize; 2]; 2] = [[33, 133], [362, 263]];

/// The lowest point of the chin (ADNet 16).
pub(super) const CHIN: usize = 152;

/// The middles of the inner rims of the lips (ADNet 90 and 94).
pub(super) const LIPS: [usize; 2] = [13, 14];

/// Tip of the nose (ADNet 54) and the corners of the mouth, the left one in the picture first (76 and 82).
pub(super) const NOSE: usize = 4;
pub(super) const MOUTH_CORNERS: [usize; 2] = [61, 291];

/// The jaw from ear to ear and the upper rims of the eyebrows: what lies outside among ADNet's points.
pub(super) const FACE_REGION: [usize; 33] = [
    127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
];

impl<'a> Capture<'a> {
    pub(super) fn new(
        picture: &'a Picture,
        found: &'a Found,
        view: &'a FaceView,
        landmarks: &'a Landmarks,
        pose: Option<Pose>,
    ) -> Self {
        let (width, height) = found.upright.size((picture.pixels.width(), picture.pixels.height()));
        let region = convex_hull(FACE_REGION.map(|i| point(landmarks, i)).map(|p| view.point(p.map(|v| v as f32))));
        Self {
            picture,
            found,
            view,
            landmarks,
            pose,
            eyes: EYE_CORNERS.map(|corners| middle(corners.map(|i| point(landmarks, i)))),
            size: [width as f64, height as f64],
            light: Histogram::of_region(view.pixels(), &region),
        }
    }

    pub(super) fn face_light(&self) -> Option<&Histogram> {
        self.light.as_ref()
    }

    /// Distance of the centres of the eyes; `None` when they coincide.
    pub(super) fn eye_distance(&self) -> Option<f64> {
        Some(distance(self.eyes[0], self.eyes[1])).filter(|d| *d > 0.0)
    }

    /// From the middle between the eyes to the chin (utils.cpp, T-metric); `None` when they coincide.
    pub(super) fn face_height(&self) -> Option<f64> {
        Some(distance(middle(self.eyes), point(self.landmarks, CHIN))).filter(|d| *d > 0.0)
    }

    pub(super) fn mouth(&self) -> [f64; 2] {
        middle(LIPS.map(|i| point(self.landmarks, i)))
    }
}

/// A landmark; no number when the network answered with fewer.
pub(super) fn point(landmarks: &Landmarks, index: usize) -> [f64; 2] {
    landmarks.points.get(index).map_or([f64::NAN; 2], |p| [p[0].into(), p[1].into()])
}

pub(super) fn middle([a, b]: [[f64; 2]; 2]) -> [f64; 2] {
    [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0]
}

pub(super) fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// The whole stored pixels of a box of the upright picture; `None` when it lies outside the picture.
pub(super) fn stored_area(c: &Capture<'_>, [left, top]: [f64; 2], [width, height]: [f64; 2]) -> Option<Area> {
    let upright: Orientation = c.found.upright;
    let size = upright.size((c.picture.pixels.width(), c.picture.pixels.height()));
    // Casts take negative numbers and NaN to zero.
    let inside = |begin: f64, length: f64, limit: usize| {
        let (from, to) = (begin.round() as usize, ((begin + length).round() as usize).min(limit));
        to.checked_sub(from).filter(|length| *length > 0).map(|length| (from, length))
    };
    let (left, width) = inside(left, width, size.0)?;
    let (top, height) = inside(top, height, size.1)?;
    Some(upright.inverse().area(Area { left, top, width, height }, size))
}
