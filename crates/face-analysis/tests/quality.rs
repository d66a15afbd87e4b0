//! Each component of the capture quality falls when a real portrait is made worse step by step in the one respect
//! that it measures, and the others hardly move.

use std::collections::BTreeMap;

use face_analysis::report::QualityComponent;
use image::{Rgb, RgbImage, imageops};

type Quality = BTreeMap<&'static str, QualityComponent>;

/// The portrait's width and height, and what lies where in it (from its landmarks).
const SIDE: u32 = 1024;
const EYE_DISTANCE: f32 = 83.0;
const EYES: [f32; 2] = [451.0, 206.0];
const FACE_HEIGHT: f32 = 150.0;

const COMPONENTS: [&str; 18] = [
    "compression_artifacts",
    "dynamic_range",
    "head_pose_pitch",
    "head_pose_roll",
    "head_pose_yaw",
    "head_size",
    "illumination_uniformity",
    "inter_eye_distance",
    "leftward_crop",
    "luminance_mean",
    "luminance_variance",
    "margin_above",
    "margin_below",
    "over_exposure_prevention",
    "rightward_crop",
    "sharpness",
    "single_face_present",
    "under_exposure_prevention",
];

/// Components that the light on the face changes together.
const LIGHT: [&str; 5] =
    ["luminance_mean", "luminance_variance", "dynamic_range", "under_exposure_prevention", "over_exposure_prevention"];

/// Components that the place and size of the face in the picture change together.
const PLACE: [&str; 5] = ["head_size", "leftward_crop", "rightward_crop", "margin_above", "margin_below"];

fn portrait() -> RgbImage {
    testkit::portrait(SIDE as f32 / 512.0)
}

fn quality(bytes: &[u8]) -> Quality {
    let details = testkit::analyze(bytes).details.expect("details were asked for");
    assert!(details.timings.contains_key("quality"));
    details.quality.expect("the portrait has landmarks")
}

/// The picture with every sample changed; the function sees the column too.
fn changed(picture: &RgbImage, change: impl Fn(f32, u32) -> f32) -> RgbImage {
    let mut changed = picture.clone();
    for (x, _, pixel) in changed.enumerate_pixels_mut() {
        *pixel = Rgb(pixel.0.map(|value| change(f32::from(value), x).round().clamp(0.0, 255.0) as u8));
    }
    changed
}

/// Analyses a picture at each step and checks that the value of `component` falls at each, by `total` points in all,
/// while nothing but it and its `kin` moves by more than `still` points.
fn falls<T: Copy + std::fmt::Debug>(
    component: &str,
    kin: &[&str],
    still: u8,
    total: u8,
    steps: &[T],
    picture: impl Fn(T) -> Vec<u8>,
) {
    assert!(steps.len() >= 5, "four steps from the first picture on");
    let seen: Vec<Quality> = steps.iter().map(|step| quality(&picture(*step))).collect();
    let values: Vec<u8> = seen.iter().map(|q| q[component].value).collect();
    eprintln!(
        "{component}: {values:?} at {steps:?}, raw {:?}",
        seen.iter().map(|q| q[component].raw).collect::<Vec<_>>()
    );
    assert!(values.is_sorted_by(|a, b| a > b), "{component} is {values:?} at {steps:?}");
    assert!(values[0] - values[values.len() - 1] >= total, "{component} is {values:?} at {steps:?}");
    for other in COMPONENTS.into_iter().filter(|other| *other != component && !kin.contains(other)) {
        let first = seen[0][other].value;
        for (step, q) in steps.iter().zip(&seen) {
            let now = q[other].value;
            assert!(now.abs_diff(first) <= still, "{component} at {step:?}: {other} went from {first} to {now}");
        }
    }
}

#[test]
fn every_component_is_told_of_a_portrait() {
    let quality = quality(&testkit::png(&portrait()));
    assert_eq!(quality.keys().copied().collect::<Vec<_>>(), COMPONENTS);
    assert!(quality.values().all(|c| c.raw.is_finite() && c.value <= 100));
    let text = serde_json::to_string(&quality).unwrap();
    assert!(!text.contains("null"), "{text}");
}

#[test]
fn inter_eye_distance_falls_when_the_picture_is_scaled_down() {
    let portrait = testkit::portrait(3.0);
    falls("inter_eye_distance", &[], 5, 60, &[1536, 1280, 1024, 768, 640], |side| {
        testkit::png(&testkit::resized(&portrait, side, side))
    });
}

#[test]
fn head_size_falls_when_there_is_more_picture_round_the_head() {
    let portrait = portrait();
    falls("head_size", &PLACE, 5, 80, &[340, 370, 400, 440, 490, 550], |height| {
        testkit::png(&testkit::cropped(&portrait, 0, 60, SIDE, height))
    });
}

#[test]
fn leftward_crop_falls_when_the_left_border_comes_near() {
    let portrait = portrait();
    let right_eye = EYES[0] + EYE_DISTANCE / 2.0;
    falls("leftward_crop", &PLACE, 8, 10, &[1.4_f32, 1.3, 1.2, 1.12, 1.05], |eyes| {
        let left = (right_eye - eyes * EYE_DISTANCE).round() as u32;
        testkit::png(&testkit::cropped(&portrait, left, 0, SIDE - left, SIDE))
    });
}

#[test]
fn rightward_crop_falls_when_the_right_border_comes_near() {
    let portrait = portrait();
    let left_eye = EYES[0] - EYE_DISTANCE / 2.0;
    falls("rightward_crop", &PLACE, 8, 10, &[1.3_f32, 1.2, 1.15, 1.1, 1.05], |eyes| {
        testkit::png(&testkit::cropped(&portrait, 0, 0, (left_eye + eyes * EYE_DISTANCE).round() as u32, SIDE))
    });
}

#[test]
fn margin_above_falls_when_the_upper_border_comes_near() {
    let portrait = portrait();
    let kin = ["head_size", "margin_below"];
    falls("margin_above", &kin, 5, 80, &[1.75_f32, 1.6, 1.5, 1.4, 1.3, 1.2], |faces| {
        // The portrait itself has 1.37 face heights above the eyes.
        let top = (faces * FACE_HEIGHT - EYES[1]).round() as i64;
        let height = (i64::from(SIDE) + top) as u32;
        let mut picture = testkit::on_canvas(&portrait, SIDE, height, 0, top);
        if top > 0 {
            // What lies above is the portrait's upper part once more, upside down: a plain bar would be cut off.
            let above = imageops::flip_vertical(&testkit::cropped(&portrait, 0, 0, SIDE, top as u32));
            imageops::replace(&mut picture, &above, 0, 0);
        }
        testkit::png(&picture)
    });
}

#[test]
fn margin_below_falls_when_the_lower_border_comes_near() {
    let portrait = portrait();
    let kin = ["head_size", "margin_above"];
    falls("margin_below", &kin, 5, 80, &[2.1_f32, 1.95, 1.85, 1.75, 1.65, 1.55], |faces| {
        testkit::png(&testkit::cropped(&portrait, 0, 0, SIDE, (EYES[1] + faces * FACE_HEIGHT).round() as u32))
    });
}

#[test]
fn luminance_mean_falls_when_it_gets_dark() {
    let portrait = portrait();
    falls("luminance_mean", &LIGHT, 5, 90, &[1.0_f32, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3], |light| {
        testkit::png(&changed(&portrait, |value, _| value * light))
    });
}

#[test]
fn under_exposure_prevention_falls_when_it_gets_dark() {
    let portrait = portrait();
    falls("under_exposure_prevention", &LIGHT, 5, 80, &[0.44_f32, 0.42, 0.41, 0.40, 0.39, 0.38], |light| {
        testkit::png(&changed(&portrait, |value, _| value * light))
    });
}

#[test]
fn over_exposure_prevention_falls_when_it_gets_bright() {
    let portrait = portrait();
    falls("over_exposure_prevention", &LIGHT, 5, 80, &[1.0_f32, 1.05, 1.1, 1.15, 1.2, 1.3], |light| {
        testkit::png(&changed(&portrait, |value, _| value * light))
    });
}

#[test]
fn dynamic_range_falls_with_the_contrast() {
    let portrait = portrait();
    falls("dynamic_range", &LIGHT, 5, 30, &[1.0_f32, 0.8, 0.6, 0.45, 0.3, 0.2], |contrast| {
        testkit::png(&changed(&portrait, |value, _| 128.0 + (value - 128.0) * contrast))
    });
}

#[test]
fn luminance_variance_falls_with_the_contrast() {
    let portrait = portrait();
    // A little less contrast than the portrait has is better by the standard's measure.
    falls("luminance_variance", &LIGHT, 5, 70, &[0.7_f32, 0.6, 0.5, 0.4, 0.3, 0.2], |contrast| {
        testkit::png(&changed(&portrait, |value, _| 128.0 + (value - 128.0) * contrast))
    });
}

#[test]
fn illumination_uniformity_falls_when_one_side_is_in_the_shadow() {
    let portrait = portrait();
    falls("illumination_uniformity", &LIGHT, 5, 20, &[0.0_f32, 0.15, 0.3, 0.45, 0.6], |shadow| {
        testkit::png(&changed(&portrait, |value, x| {
            let side = ((x as f32 - EYES[0]) / EYE_DISTANCE + 0.5).clamp(0.0, 1.0);
            value * (1.0 - shadow * side)
        }))
    });
}

#[test]
fn sharpness_falls_with_blur() {
    let portrait = portrait();
    // What two histograms of a cheek have in common depends on the texture of the skin, which blur takes away.
    let kin = ["illumination_uniformity"];
    falls("sharpness", &kin, 6, 60, &[0.5_f32, 1.0, 1.5, 2.0, 2.5, 3.0], |blur| {
        testkit::png(&imageops::blur(&portrait, blur))
    });
}

#[test]
fn compression_artifacts_fall_with_the_quality_of_a_jpeg() {
    let portrait = portrait();
    falls("compression_artifacts", &[], 6, 80, &[95, 80, 70, 50, 30, 20, 10], |quality| {
        testkit::jpeg(&portrait, quality)
    });
}

#[test]
fn single_face_present_falls_as_a_second_face_grows() {
    let portrait = portrait();
    // What is round the head, set once more into the empty part on the right.
    let head = testkit::cropped(&portrait, 301, 56, 300, 360);
    falls("single_face_present", &[], 5, 30, &[0.4_f32, 0.5, 0.6, 0.7, 0.8], |scale| {
        let mut picture = testkit::on_canvas(&portrait, SIDE + 400, SIDE, 0, 0);
        let second = testkit::resized(&head, (300.0 * scale) as u32, (360.0 * scale) as u32);
        imageops::replace(&mut picture, &second, i64::from(SIDE) + 40, 60);
        testkit::png(&picture)
    });
}

#[test]
fn head_pose_roll_falls_when_the_head_leans() {
    let portrait = portrait();
    // The mesh follows the crop that it is given: a head that leans by 30 degrees is measured at 27.
    let kin = [&PLACE[..], &["illumination_uniformity"]].concat();
    falls("head_pose_roll", &kin, 8, 20, &[0.0_f32, 10.0, 17.0, 24.0, 30.0], |degrees| {
        testkit::png(&turned(&portrait, EYES, degrees))
    });
}

/// Turns a picture clockwise round a point; its corners repeat the border.
fn turned(picture: &RgbImage, [cx, cy]: [f32; 2], degrees: f32) -> RgbImage {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (width, height) = picture.dimensions();
    RgbImage::from_fn(width, height, |x, y| {
        let (dx, dy) = (x as f32 - cx, y as f32 - cy);
        let at = [cx + cos * dx + sin * dy, cy - sin * dx + cos * dy];
        let at = [at[0].clamp(0.0, (width - 1) as f32), at[1].clamp(0.0, (height - 1) as f32)];
        imageops::interpolate_bilinear(picture, at[0], at[1]).unwrap_or(Rgb([0; 3]))
    })
}
