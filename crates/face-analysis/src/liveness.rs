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

/// Resizes the crop as the training code did (OpenCV's bilinear interpolation, no smoothing when it shrinks, 8-bit
/// result), turned upright, planar, blue first, 0 to 255.
fn sample_crop(stored: &Pixels, upright: Orientation, seen: Area, out: &mut Vec<f32>) {
    let back = upright.inverse();
    let area = back.area(seen, upright.size((stored.width(), stored.height())));
    let columns = taps(area.left, area.width);
    let rows = taps(area.top, area.height);
    let mut small = Pixels::black(INPUT, INPUT);
    for (row, target) in rows.iter().zip(small.data_mut().chunks_exact_mut(INPUT * 3)) {
        let (upper, lower) = (stored.row(row.first), stored.row(row.second));
        for (column, pixel) in columns.iter().zip(target.chunks_exact_mut(3)) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let at = |line: &[u8], x: usize| i64::from(line[x * 3 + channel]);
                let along =
                    |line: &[u8]| at(line, column.first) * column.keep() + at(line, column.second) * column.share;
                let sum = along(upper) * row.keep() + along(lower) * row.share;
                *value = ((sum + (ONE * ONE) / 2) / (ONE * ONE)) as u8;
            }
        }
    }
    let small = upright.apply(small);
    for channel in [2, 1, 0] {
        out.extend(small.data().iter().skip(channel).step_by(3).map(|&v| f32::from(v)));
    }
}

/// OpenCV interpolates 8-bit pictures with weights of 11 bits.
const ONE: i64 = 1 << 11;

/// Which two source samples make one target sample.
struct Tap {
    first: usize,
    second: usize,
    /// Weight of `second`, 0 to `ONE`.
    share: i64,
}

impl Tap {
    fn keep(&self) -> i64 {
        ONE - self.share
    }
}

/// The taps of `INPUT` target samples over `length` source samples from `begin`; edges repeat.
fn taps(begin: usize, length: usize) -> Vec<Tap> {
    let step = length as f64 / INPUT as f64;
    (0..INPUT)
        .map(|i| {
            let at = ((i as f64 + 0.5) * step - 0.5).clamp(0.0, (length - 1) as f64);
            let first = at as usize;
            Tap {
                first: begin + first,
                second: begin + (first + 1).min(length - 1),
                share: ((at - first as f64) * ONE as f64).round() as i64,
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
            let worst = crop.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 1.0, "orientation {number} differs by {worst}");
        }
    }
}
