//! Passive liveness: MiniFASNetV2 and MiniFASNetV1SE (Minivision Silent-Face-Anti-Spoofing) on two crops that show
//! the face with its surroundings.

use crate::inference::{InferenceError, Network};
use crate::pixels::{Area, Orientation, Pixels};
use crate::report::{Extent, LivenessDetails, LivenessModelScore};

/// Side of the networks' square input in pixels.
const INPUT: usize = 80;

/// Classes per answer: flat attack, live, attack with depth.
const CLASSES: usize = 3;

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
    input: Vec<f32>,
}

impl Liveness {
    pub(crate) fn new(v2: Network, v1se: Network) -> Self {
        let judges = [
            Judge { name: "MiniFASNetV2", crop_scale: 2.7, network: v2 },
            Judge { name: "MiniFASNetV1SE", crop_scale: 4.0, network: v1se },
        ];
        Self { judges, input: Vec::new() }
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
        for judge in &mut self.judges {
            let (area, actual_scale) = crop_area(extent, judge.crop_scale, size);
            self.input.clear();
            sample_crop(stored, upright, area, &mut self.input);
            let outputs = judge.network.run([1, CLASSES, INPUT, INPUT], &self.input)?;
            let answer = outputs.get("probabilities")?;
            let class = |i: usize| answer.get(i).copied().unwrap_or(0.0);
            models.push(LivenessModelScore {
                model: judge.name,
                flat_attack: class(0),
                live: class(1),
                shaped_attack: class(2),
                crop_scale: judge.crop_scale,
                actual_scale,
            });
        }
        let score = models.iter().map(|m| m.live).sum::<f32>() / models.len() as f32;
        let widest = self.judges.iter().map(|j| j.crop_scale).fold(1.0, f32::max);
        let reliability = ((surrounding - 1.0) / (widest - 1.0)).clamp(0.0, 1.0);
        Ok(LivenessDetails { score: score.clamp(0.0, 1.0), surrounding, reliability, models })
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
    let back = upright.inverse();
    let seen_size = upright.size((stored.width(), stored.height()));
    let pixel = |x: usize, y: usize| {
        let at = back.area(Area { left: x, top: y, width: 1, height: 1 }, seen_size);
        stored.at(at.left, at.top).map(i32::from)
    };
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
}
