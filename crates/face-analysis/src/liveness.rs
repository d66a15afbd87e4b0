//! Passive liveness: MiniFASNetV2 and MiniFASNetV1SE (Minivision Silent-Face-Anti-Spoofing) on two crops that show
//! the face with its surroundings.

use serde::{Deserialize, Serialize};

use crate::inference::{InferenceError, Network};
use crate::report::{Extent, LivenessDetails, LivenessModelScore};
use picture_cell::{Area, Orientation, Pixels};

/// Side of the networks' square input in pixels.
const INPUT: usize = 80;

/// Classes per answer: flat attack, live, attack with depth.
const CLASSES: usize = 3;

/// How liveness is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LivenessSettings {
    /// Crops that each network sees, 1 to 5: the face box itself, then moved and resized by a few per cent. The score
    /// is their mean, which moves less when a picture is shifted, resized or compressed again.
    pub crops: usize,
}

impl Default for LivenessSettings {
    /// Three crops lower the spread of doubtful scores by 12 %, by 22 % where the picture has room to move them, and
    /// five bring no more; see docs/accuracy.md.
    fn default() -> Self {
        Self { crops: 3 }
    }
}

/// The face box of each crop: relative size, and shift right and down in parts of the box. In pairs that cancel out.
const JITTER: [(f32, f32); 5] = [(1.0, 0.0), (1.04, 0.03), (0.96, -0.03), (0.96, 0.03), (1.04, -0.03)];

/// One of the two networks and the crop that it was trained on.
#[derive(Debug)]
struct Judge {
    name: &'static str,
    crop_scale: f32,
    network: Network,
}

/// Both networks.
#[derive(Debug)]
pub(crate) struct Liveness {
    judges: [Judge; 2],
    crops: usize,
    input: Vec<f32>,
}

impl Liveness {
    pub(crate) fn new(v2: Network, v1se: Network, settings: &LivenessSettings) -> Self {
        let judges = [
            Judge { name: "MiniFASNetV2", crop_scale: 2.7, network: v2 },
            Judge { name: "MiniFASNetV1SE", crop_scale: 4.0, network: v1se },
        ];
        Self { judges, crops: settings.crops.clamp(1, JITTER.len()), input: Vec::new() }
    }

    /// Judges the face in `extent` (upright coordinates) of the stored picture that `upright` brings upright.
    pub(crate) fn judge(
        &mut self,
        stored: &Pixels,
        upright: Orientation,
        extent: Extent,
        surrounding: f32,
    ) -> Result<LivenessDetails, InferenceError> {
        let size = upright.size((stored.width(), stored.height()));
        let mut models = Vec::with_capacity(self.judges.len());
        let mut sum = 0.0;
        for judge in &mut self.judges {
            let mut areas: Vec<Area> = Vec::with_capacity(self.crops);
            let mut live = 0.0;
            for (number, (grow, shift)) in JITTER.into_iter().take(self.crops).enumerate() {
                let (area, actual_scale) = crop_area(jittered(extent, grow, shift), judge.crop_scale, size);
                // Where the picture is too small for the crop, moving the box changes nothing.
                if areas.contains(&area) {
                    continue;
                }
                areas.push(area);
                self.input.clear();
                sample_crop(stored, upright, area, &mut self.input);
                let outputs = judge.network.run([1, CLASSES, INPUT, INPUT], &self.input)?;
                let answer = outputs.get("probabilities")?;
                let class = |i: usize| answer.get(i).copied().unwrap_or(0.0);
                live += class(1);
                if number == 0 {
                    models.push(LivenessModelScore {
                        model: judge.name,
                        flat_attack: class(0),
                        live: class(1),
                        shaped_attack: class(2),
                        crop_scale: judge.crop_scale,
                        actual_scale,
                    });
                }
            }
            sum += live / areas.len() as f32;
        }
        let score = sum / self.judges.len() as f32;
        let widest = self.judges.iter().map(|j| j.crop_scale).fold(1.0, f32::max);
        let reliability = ((surrounding - 1.0) / (widest - 1.0)).clamp(0.0, 1.0);
        Ok(LivenessDetails { score: score.clamp(0.0, 1.0), surrounding, reliability, models })
    }
}

/// The face box, a little larger or smaller about its centre and moved down and to the right.
fn jittered(extent: Extent, grow: f32, shift: f32) -> Extent {
    let (width, height) = (extent.width * grow, extent.height * grow);
    Extent {
        left: extent.left + (extent.width - width) / 2.0 + extent.width * shift,
        top: extent.top + (extent.height - height) / 2.0 + extent.height * shift,
        width,
        height,
    }
}

/// The crop in whole pixels of a picture of `size`, and the scale that fitted: the box grows by `scale` about its
/// centre, at most to the picture's size, and is shifted inside where it would leave the picture. The last pixel
/// belongs to the crop (the training code cuts inclusively).
fn crop_area(extent: Extent, scale: f32, size: (usize, usize)) -> (Area, f32) {
    let (last_x, last_y) = (size.0 as f32 - 1.0, size.1 as f32 - 1.0);
    let (box_width, box_height) = (extent.width.max(1.0), extent.height.max(1.0));
    let fitting = scale.min(last_x / box_width).min(last_y / box_height);
    let place = |begin: f32, length: f32, last: f32| {
        let wanted = length * fitting;
        let from = (begin + length / 2.0 - wanted / 2.0).min(last - wanted).max(0.0);
        let to = (from + wanted).min(last);
        (from as usize, (to as usize - from as usize) + 1)
    };
    let (left, width) = place(extent.left, box_width, last_x);
    let (top, height) = place(extent.top, box_height, last_y);
    (Area { left, top, width, height }, fitting)
}

/// Resizes the crop bit for bit as OpenCV's bilinear interpolation of 8-bit pictures does, which the networks were
/// trained on: no smoothing when it shrinks, weights of 11 bits, first along rows, then along columns, with the
/// truncations of its fixed-point arithmetic. One level of difference moves a doubtful score by 0.03.
///
/// Appends planar values, blue first, 0 to 255. Reads the stored picture in the order of the upright one, so that
/// all eight orientations give the same crop.
fn sample_crop(stored: &Pixels, upright: Orientation, crop: Area, out: &mut Vec<f32>) {
    let seen = stored.upright(upright);
    let pixel = |x: usize, y: usize| seen.at(x, y).map(i32::from);
    let columns = taps(crop.left, crop.width);
    let start = out.len();
    out.resize(start + 3 * INPUT * INPUT, 0.0);
    for (y, row) in taps(crop.top, crop.height).iter().enumerate() {
        for (x, column) in columns.iter().enumerate() {
            let along = |line: usize| {
                let (near, far) = (pixel(column.near, line), pixel(column.far, line));
                [0, 1, 2].map(|c| near[c] * column.keep + far[c] * column.share)
            };
            let (upper, lower) = (along(row.near), along(row.far));
            for (plane, channel) in [2, 1, 0].into_iter().enumerate() {
                let weighted = |sum: i32, weight: i32| (weight * (sum >> 4)) >> 16;
                let value = (weighted(upper[channel], row.keep) + weighted(lower[channel], row.share) + 2) >> 2;
                out[start + (plane * INPUT + y) * INPUT + x] = value as f32;
            }
        }
    }
}

/// Two source samples and their weights, of 2^11 together.
struct Tap {
    near: usize,
    far: usize,
    keep: i32,
    share: i32,
}

/// The taps of `INPUT` target samples over `length` source samples from `begin`; the edges repeat.
fn taps(begin: usize, length: usize) -> Vec<Tap> {
    const ONE: f32 = 2048.0;
    let step = length as f64 / INPUT as f64;
    let last = length - 1;
    (0..INPUT)
        .map(|i| {
            let at = (i as f64 + 0.5) * step - 0.5;
            let whole = at.floor();
            let share = (at - whole) as f32;
            // Left of the first sample both taps are the first one.
            let index = |whole: f64| begin + (whole.max(0.0) as usize).min(last);
            Tap {
                near: index(whole),
                far: index(whole + 1.0),
                keep: ((1.0 - share) * ONE).round_ties_even() as i32,
                share: (share * ONE).round_ties_even() as i32,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{Blueprint, Clock, Runtime};
    use picture_cell::{DecodeLimits, decode};

    fn extent(left: f32, top: f32, width: f32, height: f32) -> Extent {
        Extent { left, top, width, height }
    }

    #[test]
    fn a_crop_that_fits_is_centred_on_the_face() {
        let (area, scale) = crop_area(extent(400.0, 400.0, 100.0, 200.0), 2.0, (1000, 1000));
        assert_eq!(area, Area { left: 350, top: 300, width: 201, height: 401 });
        assert_eq!(scale, 2.0);
    }

    #[test]
    fn a_crop_that_leaves_the_picture_is_shifted_inside() {
        let (area, _) = crop_area(extent(10.0, 880.0, 100.0, 100.0), 2.0, (1000, 1000));
        assert_eq!(area, Area { left: 0, top: 799, width: 201, height: 201 });
    }

    #[test]
    fn a_crop_larger_than_the_picture_is_limited_to_it() {
        let (area, scale) = crop_area(extent(100.0, 100.0, 300.0, 300.0), 4.0, (601, 901));
        assert_eq!(area, Area { left: 0, top: 0, width: 601, height: 601 });
        assert_eq!(scale, 2.0);
    }

    #[test]
    fn crops_of_faces_outside_the_picture_stay_inside() {
        for (x, y, w, h) in [(-50.0, -50.0, 80.0, 90.0), (95.0, 95.0, 50.0, 50.0), (0.0, 0.0, 0.0, 0.0)] {
            let (area, _) = crop_area(extent(x, y, w, h), 4.0, (100, 100));
            assert!(area.left + area.width <= 100 && area.top + area.height <= 100 && area.width > 0, "{area:?}");
        }
    }

    #[test]
    fn the_moved_boxes_of_three_and_of_five_crops_cancel_out() {
        for crops in [1, 3, 5] {
            let sum = |pick: fn((f32, f32)) -> f32| JITTER[..crops].iter().copied().map(pick).sum::<f32>();
            assert!((sum(|j| j.0) - crops as f32).abs() < 1e-6 && sum(|j| j.1).abs() < 1e-6, "{crops}");
        }
        let face = extent(100.0, 50.0, 200.0, 300.0);
        assert_eq!(jittered(face, 1.0, 0.0), face);
        let moved = jittered(face, 0.5, 0.1);
        assert_eq!(moved, extent(170.0, 155.0, 100.0, 150.0));
    }

    #[test]
    fn a_turned_picture_gives_the_same_crop() {
        let data = (0..90_usize * 70 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let seen = Pixels::new(90, 70, data).expect("sizes fit");
        let area = Area { left: 3, top: 5, width: 61, height: 47 };
        let mut expected = Vec::new();
        sample_crop(&seen, Orientation::UPRIGHT, area, &mut expected);
        for number in 2..=8 {
            let upright = Orientation::from_exif(number);
            let mut crop = Vec::new();
            sample_crop(&upright.inverse().apply(seen.clone()), upright, area, &mut crop);
            assert_eq!(crop, expected, "orientation {number}");
        }
    }

    fn liveness(crops: usize) -> Liveness {
        let files = testkit::models();
        let runtime = Runtime::load(&files.onnx_runtime).expect("ONNX Runtime");
        let network = |path| {
            let blueprint = Blueprint::draw(&runtime, path).expect("a network");
            Network::load(&blueprint, &Clock::default()).expect("a network")
        };
        Liveness::new(network(&files.liveness_v2), network(&files.liveness_v1se), &LivenessSettings { crops })
    }

    /// Live probabilities of both networks: docs/MODELS.md of the development checkout for the samples, which
    /// training/liveness/reference.py repeats; that script alone for the packaged portrait.
    ///
    /// F1 is doubtful for one network, which turns a JPEG decoder's rounding (one level here and there) into 0.013: with
    /// libjpeg's pixels it gives 0.4392.
    #[test]
    fn a_given_box_gives_the_reference_scores() {
        let cases = [
            (Some(testkit::picture("astronaut.png")), extent(178.8, 63.3, 89.3, 112.8), [0.9173, 0.9569], 1e-3),
            (testkit::shared_sample("T1.jpg"), extent(119.1, 113.5, 169.6, 239.9), [0.9998, 1.0000], 1e-3),
            (testkit::shared_sample("F1.jpg"), extent(187.6, 109.6, 195.6, 239.8), [0.0180, 0.4392], 0.015),
            (testkit::shared_sample("F2.jpg"), extent(139.2, 216.6, 222.9, 298.3), [0.0005, 0.0042], 1e-3),
        ];
        let mut liveness = liveness(1);
        for (bytes, face, expected, tolerance) in cases {
            let Some(bytes) = bytes else { continue };
            let picture = decode(&bytes, &DecodeLimits::default()).expect("a picture");
            let judged = liveness.judge(&picture.pixels, picture.orientation, face, 2.0).expect("judged");
            for (model, expected) in judged.models.iter().zip(expected) {
                assert!((model.live - expected).abs() < tolerance, "{model:?}, expected {expected}");
            }
        }
    }

    #[test]
    fn several_crops_change_the_score_and_not_the_networks_own_answers() {
        let picture = decode(&testkit::picture("astronaut.png"), &DecodeLimits::default()).expect("a picture");
        let face = extent(178.8, 63.3, 89.3, 112.8);
        let judge = |crops| liveness(crops).judge(&picture.pixels, picture.orientation, face, 4.5).expect("judged");
        let (one, three) = (judge(1), judge(3));
        assert_eq!(one.models[1].live, three.models[1].live);
        assert_ne!(one.score, three.score);
    }
}
