//! Size and place of the face, and whether there is another.

use super::capture::{Capture, middle};

/// A head turned further than this (84 degrees) counts as turned so far: the projected distance says nothing more.
const MIN_COSINE: f64 = 0.1;

/// Pixels between the eyes as if the head were not turned to the side (InterEyeDistance.cpp, FaceMeasures.cpp).
pub(super) fn inter_eye_distance(c: &Capture<'_>) -> Option<f64> {
    let yaw = c.pose.map_or(0.0, |pose| f64::from(pose.yaw));
    Some(c.eye_distance()? / yaw.to_radians().cos().max(MIN_COSINE))
}

/// Face height relative to the height of the picture (HeadSize.cpp).
pub(super) fn head_size(c: &Capture<'_>) -> Option<f64> {
    Some(c.face_height()? / c.size[1])
}

/// Distance in eye distances from the left border to the eye that is further from it (CropOfTheFaceImage.cpp).
///
/// The further eye is what OFIQ measures, although 0.9 as the middle of the scale would suit the nearer one: in the
/// published conformance table the two crops of a picture add up to its width plus one eye distance (3024 pixels for
/// `c-01-frontal.png`), not less one.
pub(super) fn leftward_crop(c: &Capture<'_>) -> Option<f64> {
    Some(c.eyes[1][0] / c.eye_distance()?)
}

/// Distance in eye distances from the right border to the eye that is further from it.
pub(super) fn rightward_crop(c: &Capture<'_>) -> Option<f64> {
    Some((c.size[0] - c.eyes[0][0]) / c.eye_distance()?)
}

/// Distance in face heights from the upper border to the eyes (CropOfTheFaceImage.cpp, scales of ofiq_config.jaxn).
pub(super) fn margin_above(c: &Capture<'_>) -> Option<f64> {
    Some(middle(c.eyes)[1] / c.face_height()?)
}

/// Distance in face heights from the lower border to the eyes.
pub(super) fn margin_below(c: &Capture<'_>) -> Option<f64> {
    Some((c.size[1] - middle(c.eyes)[1]) / c.face_height()?)
}

/// Root of the second largest face's area relative to the largest's; 0 when there is one face (SingleFacePresent.cpp).
pub(super) fn second_face(c: &Capture<'_>) -> Option<f64> {
    let area = |i: usize| {
        c.found.faces.get(i).map(|f| f64::from(f.detection.extent.width) * f64::from(f.detection.extent.height))
    };
    let largest = area(0).filter(|a| *a > 0.0)?;
    Some((area(1).unwrap_or(0.0) / largest).max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{all, drawn, landmarks, near, with};
    use super::*;
    use crate::report::Pose;

    #[test]
    fn sizes_and_places_follow_from_the_landmarks() {
        let pose = Pose { yaw: 60.0, pitch: -20.0, roll: 5.0 };
        with(&drawn(|_, _| 0), 1, &landmarks(), Some(pose), |c| {
            near(inter_eye_distance(c), 200.0); // 100 / cos 60
            near(head_size(c), 0.5);
            near(leftward_crop(c), 2.5);
            near(rightward_crop(c), 2.5);
            near(margin_above(c), 100.0 / 150.0);
            near(margin_below(c), 200.0 / 150.0);
            near(second_face(c), 0.5);
            assert_eq!(all(c)["head_pose_pitch"].raw, -20.0);
        });
        with(&drawn(|_, _| 0), 1, &landmarks(), None, |c| {
            near(inter_eye_distance(c), 100.0);
            assert!(!all(c).contains_key("head_pose_yaw"));
        });
    }
}
