//! A face of known measures, and pictures that are drawn for it.

use std::collections::BTreeMap;
use std::time::Duration;

use picture_cell::{Orientation, Picture, Pixels};

use super::capture::{CHIN, Capture, EYE_CORNERS, FACE_REGION, LIPS, MOUTH_CORNERS};
use super::measure;
use crate::alignment::FaceView;
use crate::confirmation::Evidence;
use crate::detection::{Detection, Face, Found};
use crate::landmarks::{Landmarks, POINTS};
use crate::report::{Extent, Pose, QualityComponent};

const SIZE: [usize; 2] = [400, 300];
const FACE: Extent = Extent { left: 110.0, top: 50.0, width: 180.0, height: 210.0 };

/// Eyes 100 pixels apart at a height of 100, the chin 150 below them, in a picture of 400 x 300.
pub(super) fn landmarks() -> Landmarks {
    let mut points = vec![[200.0, 150.0, 0.0]; POINTS];
    for (step, &i) in FACE_REGION.iter().enumerate() {
        let angle = step as f32 / FACE_REGION.len() as f32 * std::f32::consts::TAU;
        points[i] = [200.0 + 85.0 * angle.cos(), 165.0 + 85.0 * angle.sin(), 0.0];
    }
    let placed = [
        (EYE_CORNERS[0][0], 140.0, 100.0),
        (EYE_CORNERS[0][1], 160.0, 100.0),
        (EYE_CORNERS[1][0], 240.0, 100.0),
        (EYE_CORNERS[1][1], 260.0, 100.0),
        (CHIN, 200.0, 250.0),
        (LIPS[0], 200.0, 196.0),
        (LIPS[1], 200.0, 204.0),
        (MOUTH_CORNERS[0], 160.0, 200.0),
        (MOUTH_CORNERS[1], 240.0, 200.0),
    ];
    for (i, x, y) in placed {
        points[i] = [x, y, 0.0];
    }
    Landmarks { points, presence: 1.0 }
}

fn face(extent: Extent) -> Face {
    let evidence = Evidence { score: 0.9, closer: None, presence: 1.0, covered: None, disagreement: 0.0, flat: 0.0 };
    Face { detection: Detection { score: 0.9, extent, keypoints: [[0.0; 2]; 5] }, evidence }
}

pub(super) fn drawn(colour: impl Fn(usize, usize) -> u8) -> Pixels {
    let [width, height] = SIZE;
    let data = (0..width * height).flat_map(|i| [colour(i % width, i / width); 3]).collect();
    Pixels::new(width, height, data).expect("sizes fit")
}

/// Measures in an upright picture that is stored in one of the eight orientations.
pub(super) fn with<T>(
    seen: &Pixels,
    exif: u8,
    landmarks: &Landmarks,
    pose: Option<Pose>,
    measure: impl Fn(&Capture<'_>) -> T,
) -> T {
    let upright = Orientation::from_exif(exif);
    let pixels = upright.inverse().apply(seen.clone());
    let view = FaceView::cut(&pixels, upright, FACE, 0.0);
    let picture = Picture { pixels, orientation: upright, exif_orientation: exif, format: "png" };
    let second = Extent { left: 0.0, top: 0.0, width: 90.0, height: 105.0 };
    let faces = vec![face(FACE), face(second)];
    let found = Found { upright, rotation: 0, faces, main: None, mesh_time: Duration::ZERO };
    measure(&Capture::new(&picture, &found, &view, landmarks, pose))
}

pub(super) fn all(c: &Capture<'_>) -> BTreeMap<&'static str, QualityComponent> {
    measure(c.picture, c.found, c.view, c.landmarks, c.pose)
}

pub(super) fn near(a: Option<f64>, b: f64) {
    assert!(a.is_some_and(|a| (a - b).abs() < 1e-4), "{a:?} for {b}");
}
