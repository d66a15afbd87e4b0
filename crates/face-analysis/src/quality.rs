//! Capture quality: components named and scaled (0 worst, 100 best) as in ISO/IEC 29794-5.
//!
//! Formulas and constants are those of the standard's open reference implementation, OFIQ (github.com/BSI-OFIQ/
//! OFIQ-Project): `OFIQlib/modules/measures/src/*.cpp`, `utils/src/{utils,image_utils}.cpp`,
//! `landmarks/src/FaceMeasures.cpp` and the settings of `data/ofiq_config.jaxn`; the file is named at each component.
//! What differs:
//!
//! - Landmarks are MediaPipe's 478 points, not ADNet's 98. Those that correspond to ADNet's are used, also for the
//!   face region (the hull of the jaw from ear to ear and the eyebrows, without the forehead).
//! - Pixels of the face region are counted in the reduced view of the face, not in OFIQ's 616 x 616 alignment, and
//!   nothing is taken out of it where something covers the face (OFIQ's exposure components use a segmentation).
//! - Everything is measured in the picture turned so that the head is upright: a portrait stored on its side is no
//!   worse than one that stands.
//! - `sharpness` and `compression_artifacts` measure what the standard names so with formulas of our own: OFIQ has
//!   networks for them (a random forest and a CNN), whose values cannot be compared with these.
//!
//! A component that cannot be measured is left out.

mod brightness;
mod capture;
mod compression;
mod geometry;
mod histogram;
mod light;
mod region;
#[cfg(test)]
mod samples;
mod scale;
mod sharpness;

use std::collections::BTreeMap;

use picture_cell::Picture;

use self::capture::Capture;
use self::compression::blocking;
use self::geometry::{
    head_size, inter_eye_distance, leftward_crop, margin_above, margin_below, rightward_crop, second_face,
};
use self::histogram::Histogram;
use self::light::{BRIGHT, DARK, illumination_uniformity};
use self::scale::{
    sigmoid, value_of_angle, value_of_blocking, value_of_blur, value_of_head_size, value_of_mean, value_of_variance,
};
use self::sharpness::edge_blur;
use crate::alignment::FaceView;
use crate::detection::Found;
use crate::landmarks::Landmarks;
use crate::report::{Pose, QualityComponent};

/// One component: how its native value is measured, and what it is worth from 0 to 100.
struct Component {
    name: &'static str,
    /// `None` when there is nothing to measure.
    measure: fn(&Capture<'_>) -> Option<f64>,
    value: fn(f64) -> f64,
}

/// All components. A new one is an entry here and a function.
static COMPONENTS: [Component; 18] = [
    Component { name: "inter_eye_distance", measure: inter_eye_distance, value: |d| 100.0 * sigmoid(d, 70.0, 20.0) },
    Component { name: "head_size", measure: head_size, value: value_of_head_size },
    Component { name: "leftward_crop", measure: leftward_crop, value: |d| 100.0 * sigmoid(d, 0.9, 0.1) },
    Component { name: "rightward_crop", measure: rightward_crop, value: |d| 100.0 * sigmoid(d, 0.9, 0.1) },
    Component { name: "margin_above", measure: margin_above, value: |d| 100.0 * sigmoid(d, 1.4, 0.1) },
    Component { name: "margin_below", measure: margin_below, value: |d| 100.0 * sigmoid(d, 1.8, 0.1) },
    Component { name: "luminance_mean", measure: |c| c.face_light().map(Histogram::mean), value: value_of_mean },
    Component {
        name: "luminance_variance",
        measure: |c| c.face_light().map(Histogram::variance),
        value: value_of_variance,
    },
    Component {
        name: "under_exposure_prevention",
        measure: |c| c.face_light().map(|light| light.share(DARK)),
        value: |share| 120.0 * (0.832 - sigmoid(share, 0.92, 0.05)),
    },
    Component {
        name: "over_exposure_prevention",
        measure: |c| c.face_light().map(|light| light.share(BRIGHT)),
        value: |share| 1.0 / (share + 0.01),
    },
    Component { name: "dynamic_range", measure: |c| c.face_light().map(Histogram::entropy), value: |bits| 12.5 * bits },
    Component {
        name: "illumination_uniformity",
        measure: illumination_uniformity,
        value: |common| 100.0 * common.powf(0.3),
    },
    Component { name: "single_face_present", measure: second_face, value: |share| 100.0 * (1.0 - share) },
    Component { name: "head_pose_yaw", measure: |c| c.pose.map(|p| p.yaw.into()), value: value_of_angle },
    Component { name: "head_pose_pitch", measure: |c| c.pose.map(|p| p.pitch.into()), value: value_of_angle },
    Component { name: "head_pose_roll", measure: |c| c.pose.map(|p| p.roll.into()), value: value_of_angle },
    Component { name: "sharpness", measure: edge_blur, value: value_of_blur },
    Component { name: "compression_artifacts", measure: blocking, value: value_of_blocking },
];

/// Measures every component of the main face.
pub(crate) fn measure(
    picture: &Picture,
    found: &Found,
    view: &FaceView,
    landmarks: &Landmarks,
    pose: Option<Pose>,
) -> BTreeMap<&'static str, QualityComponent> {
    let capture = Capture::new(picture, found, view, landmarks, pose);
    let rated = |c: &Component| Some((c.name, rate((c.measure)(&capture)?, c.value)?));
    COMPONENTS.iter().filter_map(rated).collect()
}

/// The component of a native value; `None` when that is no number.
fn rate(raw: f64, value: fn(f64) -> f64) -> Option<QualityComponent> {
    let value = value(raw);
    let component = QualityComponent { raw: raw as f32, value: value.round().clamp(0.0, 100.0) as u8 };
    (component.raw.is_finite() && !value.is_nan()).then_some(component)
}

#[cfg(test)]
mod tests {
    use super::samples::{all, drawn, landmarks, with};
    use super::sharpness::MAX_BLUR;
    use super::*;
    use crate::landmarks::POINTS;
    use picture_cell::Pixels;

    /// Native values and what they are worth, from OFIQ's conformance table (data/tests/expected_results).
    #[test]
    fn values_are_those_of_the_reference_implementation() {
        let table = [
            ("inter_eye_distance", 352.585_483, 100),
            ("head_size", 0.224_977, 2),
            ("head_size", 0.257_293, 4),
            ("head_size", 0.134_832, 0),
            ("leftward_crop", 2.561_339, 100),
            ("rightward_crop", 3.132_588, 100),
            ("margin_above", 1.545_541, 81),
            ("margin_above", 1.742_159, 97),
            ("margin_below", 1.726_251, 32),
            ("margin_below", 1.749_557, 38),
            ("margin_below", 2.021_810, 90),
            ("luminance_mean", 0.103_973, 13),
            ("luminance_mean", 0.190_446, 45),
            ("luminance_mean", 0.296_339, 87),
            ("luminance_mean", 0.498_524, 100),
            ("luminance_variance", 0.007_321, 82),
            ("luminance_variance", 0.014_962, 100),
            ("luminance_variance", 0.039_975, 80),
            ("luminance_variance", 0.059_640, 63),
            ("under_exposure_prevention", 0.049_128, 100),
            ("under_exposure_prevention", 0.351_960, 100),
            ("over_exposure_prevention", 0.0, 100),
            ("over_exposure_prevention", 0.000_043, 100),
            ("dynamic_range", 5.560_847, 70),
            ("dynamic_range", 6.912_061, 86),
            ("dynamic_range", 7.607_157, 95),
            ("illumination_uniformity", 0.009_796, 25),
            ("illumination_uniformity", 0.148_789, 56),
            ("illumination_uniformity", 0.843_893, 95),
            ("single_face_present", 0.720_493, 28),
            ("single_face_present", 0.743_829, 26),
            ("head_pose_yaw", 7.966_364, 98),
            ("head_pose_pitch", -13.847_975, 94),
            ("head_pose_roll", -16.291_553, 92),
            ("head_pose_roll", 27.373_343, 79),
        ];
        for (name, raw, value) in table {
            let component = COMPONENTS.iter().find(|c| c.name == name).expect(name);
            assert_eq!(rate(raw, component.value).map(|c| c.value), Some(value), "{name} of {raw}");
        }
    }

    /// Beyond that table, worked out by hand from the formulas.
    #[test]
    fn values_stay_within_0_and_100() {
        let value = |name: &str, raw: f64| {
            let component = COMPONENTS.iter().find(|c| c.name == name).expect(name);
            rate(raw, component.value).map(|c| c.value)
        };
        assert_eq!(value("inter_eye_distance", 70.0), Some(50));
        assert_eq!(value("head_size", 0.45), Some(100));
        assert_eq!(value("under_exposure_prevention", 0.92), Some(40)); // 120 * (0.832 - 0.5) = 39.84
        assert_eq!(value("under_exposure_prevention", 1.0), Some(0)); // 120 * (0.832 - 0.83202)
        assert_eq!(value("over_exposure_prevention", 0.09), Some(10));
        assert_eq!(value("luminance_mean", 0.8), Some(50));
        assert_eq!(value("head_pose_yaw", 45.0), Some(50));
        assert_eq!(value("head_pose_roll", 180.0), Some(0));
        assert_eq!(value("sharpness", MAX_BLUR), Some(0));
        for component in &COMPONENTS {
            for raw in [0.0, 1e-30, -1e30, 1e30] {
                let value = rate(raw, component.value).map(|c| c.value);
                assert!(value.is_none_or(|v| v <= 100), "{} of {raw}: {value:?}", component.name);
            }
            assert!(rate(f64::NAN, component.value).is_none(), "{}", component.name);
            assert!(rate(f64::INFINITY, component.value).is_none(), "{}", component.name);
        }
    }

    /// Speckled, so that nothing is the same on both sides.
    fn scene() -> Pixels {
        drawn(|x, y| ((x * x / 7 + y * y / 5 + x * y / 11) % 200 + x / 10) as u8)
    }

    #[test]
    fn a_picture_is_worth_the_same_however_it_is_stored() {
        let pose = Some(Pose { yaw: 10.0, pitch: 5.0, roll: 3.0 });
        let upright = with(&scene(), 1, &landmarks(), pose, all);
        assert_eq!(upright.len(), COMPONENTS.len());
        for exif in 2..=8 {
            let turned = with(&scene(), exif, &landmarks(), pose, all);
            assert_eq!(turned.len(), upright.len());
            for (name, component) in &upright {
                let difference = (turned[name].raw - component.raw).abs();
                let allowed = match *name {
                    // Steps are taken towards the next stored pixels, which lie on other sides.
                    "sharpness" | "compression_artifacts" => 0.02,
                    // Of histograms of the view, whose axes are reduced and rounded in the other order.
                    "illumination_uniformity" => 3e-3,
                    _ => 1e-3,
                };
                assert!(difference <= allowed, "{name} in orientation {exif}: {difference}");
            }
        }
    }

    #[test]
    fn landmarks_without_sense_give_fewer_components_and_no_panic() {
        let everywhere = |p: [f32; 3]| Landmarks { points: vec![p; POINTS], presence: 1.0 };
        let stretched = |factor: f32, shift: f32| {
            let points = landmarks().points.iter().map(|p| p.map(|v| v * factor + shift)).collect();
            Landmarks { points, presence: 1.0 }
        };
        let cases = [
            everywhere([200.0, 150.0, 0.0]),
            everywhere([0.0; 3]),
            everywhere([-1e30; 3]),
            everywhere([f32::MAX; 3]),
            everywhere([f32::NAN; 3]),
            everywhere([f32::INFINITY; 3]),
            stretched(1.0, -1000.0),
            stretched(1.0, 1000.0),
            stretched(1e-6, 200.0),
            stretched(0.05, 100.0),
            stretched(20.0, -2000.0),
            stretched(1e20, 0.0),
            stretched(-1.0, 200.0),
            Landmarks { points: Vec::new(), presence: 0.0 },
        ];
        let wild = Some(Pose { yaw: f32::NAN, pitch: 90.0, roll: f32::INFINITY });
        for (case, landmarks) in cases.iter().enumerate() {
            for exif in 1..=8 {
                let quality = with(&scene(), exif, landmarks, wild, all);
                assert!(quality.values().all(|c| c.raw.is_finite() && c.value <= 100), "case {case}: {quality:?}");
                let text = serde_json::to_string(&quality).expect("serializes");
                assert!(!text.contains("null"), "case {case}: {text}");
            }
        }
    }
}
