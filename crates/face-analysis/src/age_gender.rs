//! Age and gender from two families of networks: dlib's (CC0) and face-api's (MIT).
//!
//! Each network sees the face as it was trained on. The families err differently (dlib's takes old women for much
//! younger, face-api's does not), so that both together are worth more than either; how their ages are combined was
//! fitted on known ages (training/age).

use serde::{Deserialize, Serialize};

use crate::alignment::{FaceView, Similarity};
use crate::face_box;
use crate::inference::{InferenceError, Network};
use crate::landmarks::Landmarks;
use crate::report::Extent;

/// How age and gender are estimated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttributeSettings {
    /// `fast` runs each network once, `accurate` also on the mirror image, for twice the time.
    pub effort: Effort,
}

/// How often the attribute networks run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Effort {
    /// The face as it is.
    #[default]
    Fast,
    /// The mean over the face and its mirror image: a little more accurate and steadier.
    Accurate,
}

/// The estimates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Attributes {
    /// Years.
    pub(crate) age: f32,
    /// Probability, 0 to 1.
    pub(crate) female: f32,
}

/// Sides of the networks' square inputs in pixels.
const AGE_INPUT: usize = 64;
const GENDER_INPUT: usize = 32;
const SECOND_INPUT: usize = 112;

/// Where dlib's chips have the outer and inner corner of the person's left eye, of the right eye, and the foot of the
/// nose, as shares of the side: its mean five-point face with a padding of 0.2.
///
/// The foot of the nose keeps the scale when a turned head brings the eyes together. Against the chips that dlib itself
/// cuts, the age moves by 2.2 years on average with these points and by 3.2 with the centres of the eyes alone
/// (training/evaluation/age_chips.py).
const CHIP_POINTS: [[f32; 2]; 5] =
    [[0.7568, 0.2954], [0.6043, 0.3064], [0.2290, 0.2955], [0.3815, 0.3065], [0.4929, 0.5913]];

/// The landmarks that belong to `CHIP_POINTS`.
const CHIP_LANDMARKS: [usize; 5] = [263, 362, 33, 133, 2];

/// The outline of the jaw from ear to ear and the eyebrows: those of the dense landmarks that correspond to the
/// points whose bounding box face-api crops to.
const OUTLINE: [usize; 29] = [
    127, 234, 93, 132, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 361, 323, 454, 356, // jaw
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, // eyebrows
];

/// face-api widens that box by this factor. On 182 pictures of the development set the edges of the box lie within
/// 1.3 % of its size of those of dlib's 68 points, which face-api's follow (training/evaluation/age_chips.py).
const OUTLINE_SCALE: f32 = 1.2;

/// How the ages of dlib (first) and face-api (second) become one: a line in both, and a second one in what face-api says
/// beyond `OLD`, since both lean towards the middle and take old people for younger.
///
/// Fitted by training/age/fit.py on portraits of two parliaments and 199 other pictures, so that no decade of life is
/// far off on average, and kept near the networks' own answer for the young, whom those sets lack.
const AGE_OFFSET: f32 = 0.496;
const FIRST_AGE_SHARE: f32 = 0.356;
const SECOND_AGE_SHARE: f32 = 0.65;
const OLD_SHARE: f32 = 0.174;

/// Years from which the second line adds to the first.
const OLD: f32 = 40.0;

/// Share of dlib's network in the logarithm of the odds of the gender; the rest is face-api's. From the accuracies of
/// the families when they were first compared, 95.0 and 97.7 %.
const FIRST_GENDER_SHARE: f32 = 0.35;

/// The networks.
#[derive(Debug)]
pub(crate) struct AttributeEstimator {
    age: Network,
    gender: Network,
    second: Network,
    settings: AttributeSettings,
    input: Vec<f32>,
}

impl AttributeEstimator {
    pub(crate) fn new(age: Network, gender: Network, second: Network, settings: AttributeSettings) -> Self {
        Self { age, gender, second, settings, input: Vec::new() }
    }

    pub(crate) fn run(&mut self, view: &FaceView, landmarks: &Landmarks) -> Result<Attributes, InferenceError> {
        let views = match self.settings.effort {
            Effort::Fast => 1,
            Effort::Accurate => 2,
        };
        let points = CHIP_LANDMARKS.map(|i| [landmarks.points[i][0], landmarks.points[i][1]]);
        let chip = |side: usize| Similarity::fit(&CHIP_POINTS.map(|p| p.map(|v| v * side as f32)), &points);

        sample(view, &chip(AGE_INPUT), AGE_INPUT, views, &mut self.input);
        let outputs = self.age.run([views, 3, AGE_INPUT, AGE_INPUT], &self.input)?;
        let first_age = mean(outputs.get("probabilities")?.chunks_exact(AGE_CLASSES).map(expected_age));

        sample(view, &chip(GENDER_INPUT), GENDER_INPUT, views, &mut self.input);
        let outputs = self.gender.run([views, 3, GENDER_INPUT, GENDER_INPUT], &self.input)?;
        let first_female =
            mean(outputs.get("probabilities")?.chunks_exact(2).map(|female_male| log_odds(female_male[0])));

        let outline = Outline::of(landmarks, view.seen());
        sample(view, &outline.chip(), SECOND_INPUT, views, &mut self.input);
        smooth(&mut self.input, SECOND_INPUT);
        outline.blacken_bars(&mut self.input);
        let outputs = self.second.run([views, 3, SECOND_INPUT, SECOND_INPUT], &self.input)?;
        let second_age = mean(outputs.get("age")?.iter().copied());
        let second_female = mean(outputs.get("gender")?.chunks_exact(2).map(|male_female| log_odds(male_female[1])));

        let odds = FIRST_GENDER_SHARE * first_female + (1.0 - FIRST_GENDER_SHARE) * second_female;
        Ok(Attributes { age: combined_age(first_age, second_age), female: 1.0 / (1.0 + (-odds).exp()) })
    }
}

/// Samples the chip into `[views, 3, side, side]`; the second view is its mirror image.
fn sample(view: &FaceView, from_chip: &Similarity, side: usize, views: usize, input: &mut Vec<f32>) {
    input.resize(3 * side * side, 0.0);
    view.sample(from_chip, side, input);
    if views == 2 {
        let mirrored = input.len();
        input.extend_from_within(..);
        input[mirrored..].chunks_exact_mut(side).for_each(<[f32]>::reverse);
    }
}

/// Filters the chips with the binomial of five taps along both axes, each edge repeating its last pixel.
///
/// face-api's network reads age into the blocks of a JPEG. Filtered like this, its answer to a face that is shifted or
/// compressed again moves by a third less (docs/accuracy.md).
fn smooth(chips: &mut [f32], side: usize) {
    let mut lines = vec![0.0; side + 4];
    let mut rows = vec![0.0; side * (side + 4)];
    for plane in chips.chunks_exact_mut(side * side) {
        for row in plane.chunks_exact_mut(side) {
            lines[2..side + 2].copy_from_slice(row);
            lines[..2].fill(row[0]);
            lines[side + 2..].fill(row[side - 1]);
            for (x, value) in row.iter_mut().enumerate() {
                *value = binomial([0, 1, 2, 3, 4].map(|tap| lines[x + tap]));
            }
        }
        rows[2 * side..(side + 2) * side].copy_from_slice(plane);
        for y in [0, 1] {
            rows[y * side..][..side].copy_from_slice(&plane[..side]);
            rows[(side + 2 + y) * side..][..side].copy_from_slice(&plane[(side - 1) * side..]);
        }
        for (y, row) in plane.chunks_exact_mut(side).enumerate() {
            let taps = [0, 1, 2, 3, 4].map(|tap| &rows[(y + tap) * side..][..side]);
            for (x, value) in row.iter_mut().enumerate() {
                *value = binomial(taps.map(|tap| tap[x]));
            }
        }
    }
}

/// The mean of five neighbours, weighed 1, 4, 6, 4, 1.
fn binomial(v: [f32; 5]) -> f32 {
    (v[0] + v[4] + 4.0 * (v[1] + v[3]) + 6.0 * v[2]) / 16.0
}

/// One age out of those of both families, 0 to 100 years.
fn combined_age(first: f32, second: f32) -> f32 {
    let line = AGE_OFFSET + FIRST_AGE_SHARE * first + SECOND_AGE_SHARE * second;
    (line + OLD_SHARE * (second - OLD).max(0.0)).clamp(0.0, 100.0)
}

/// The box that face-api crops to: upright, from the eyebrows to the chin and from one edge of the jaw to the other, as
/// far as the picture goes. Of a head that leans, turned with it as far as it leans too much for a network that saw level ones.
struct Outline {
    center: [f32; 2],
    size: [f32; 2],
    turn: f32,
}

impl Outline {
    fn of(landmarks: &Landmarks, seen: Extent) -> Self {
        let turn = face_box::excess(landmarks.roll());
        let back = Similarity::around([0.0; 2], [0.0; 2], 1.0, turn);
        let level = back.inverse();
        let points = OUTLINE.map(|index| level.apply([landmarks.points[index][0], landmarks.points[index][1]]));
        let along = |axis: usize, begin: f32, length: f32| {
            let low = points.iter().map(|p| p[axis]).fold(f32::MAX, f32::min);
            let high = points.iter().map(|p| p[axis]).fold(f32::MIN, f32::max);
            let rim = (high - low) * (OUTLINE_SCALE - 1.0) / 2.0;
            // The edges of the picture are those of a level head.
            let (begin, end) = if turn == 0.0 { (begin, begin + length) } else { (f32::MIN, f32::MAX) };
            let (from, to) = ((low - rim).max(begin), (high + rim).min(end));
            ((from + to) / 2.0, (to - from).max(0.0))
        };
        let (x, width) = along(0, seen.left, seen.width);
        let (y, height) = along(1, seen.top, seen.height);
        Self { center: back.apply([x, y]), size: [width, height], turn }
    }

    /// The square round the box.
    fn chip(&self) -> Similarity {
        let middle = SECOND_INPUT as f32 / 2.0;
        let side = self.size[0].max(self.size[1]);
        Similarity::around([middle, middle], self.center, side / SECOND_INPUT as f32, self.turn)
    }

    /// face-api fills what the square has beyond the box with black.
    fn blacken_bars(&self, chips: &mut [f32]) {
        let side = self.size[0].max(self.size[1]).max(1.0);
        let bar = |axis: usize| ((1.0 - self.size[axis] / side) / 2.0 * SECOND_INPUT as f32).round() as usize;
        let (columns, rows) = (bar(0), bar(1));
        for plane in chips.chunks_exact_mut(SECOND_INPUT * SECOND_INPUT) {
            for (y, row) in plane.chunks_exact_mut(SECOND_INPUT).enumerate() {
                if y < rows || y >= SECOND_INPUT - rows {
                    row.fill(0.0);
                } else {
                    row[..columns].fill(0.0);
                    row[SECOND_INPUT - columns..].fill(0.0);
                }
            }
        }
    }
}

/// dlib's classes: a quarter of a year, then 1 to 80 years.
const AGE_CLASSES: usize = 81;

/// The expectation over the classes.
fn expected_age(probabilities: &[f32]) -> f32 {
    let years = |class: usize| if class == 0 { 0.25 } else { class as f32 };
    probabilities.iter().enumerate().map(|(class, p)| years(class) * p).sum()
}

fn log_odds(probability: f32) -> f32 {
    let p = probability.clamp(1e-4, 1.0 - 1e-4);
    (p / (1.0 - p)).ln()
}

fn mean(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = values.len().max(1) as f32;
    values.sum::<f32>() / count
}

#[cfg(test)]
mod tests {
    use picture_cell::{Orientation, Pixels};

    use super::*;
    use crate::landmarks::POINTS;

    #[test]
    fn the_box_of_the_second_network_ends_where_the_picture_does() {
        // An outline of 100 x 200: widened by a fifth it spans -5 to 115 and 30 to 270.
        let mut landmarks = Landmarks { points: vec![[55.0, 150.0, 0.0]; POINTS], presence: 1.0 };
        landmarks.points[OUTLINE[0]] = [5.0, 50.0, 0.0];
        landmarks.points[OUTLINE[1]] = [105.0, 250.0, 0.0];
        let outline = |seen| {
            let outline = Outline::of(&landmarks, seen);
            (outline.center, outline.size)
        };
        let roomy = Extent { left: -50.0, top: -50.0, width: 500.0, height: 500.0 };
        assert_eq!(outline(roomy), ([55.0, 150.0], [120.0, 240.0]));
        let tight = Extent { left: 0.0, top: 0.0, width: 500.0, height: 260.0 };
        assert_eq!(outline(tight), ([57.5, 145.0], [115.0, 230.0]));
        let elsewhere = Extent { left: 300.0, top: 0.0, width: 10.0, height: 10.0 };
        assert_eq!(outline(elsewhere).1, [0.0, 0.0]);
    }

    #[test]
    fn a_smoothed_point_becomes_the_product_of_two_binomials() {
        let mut chip = vec![0.0; 49];
        chip[3 * 7 + 3] = 256.0;
        smooth(&mut chip, 7);
        let weights = [0.0, 1.0, 4.0, 6.0, 4.0, 1.0, 0.0];
        for (y, row) in chip.chunks_exact(7).enumerate() {
            assert_eq!(row, weights.map(|w| w * weights[y]));
        }
    }

    #[test]
    fn smoothing_repeats_the_edge() {
        // A step at the second row: the first row sees itself three times.
        let mut chip: Vec<f32> = [16.0, 0.0, 0.0, 0.0, 0.0].into_iter().flat_map(|v| [v; 5]).collect();
        smooth(&mut chip, 5);
        assert_eq!(chip.iter().step_by(5).copied().collect::<Vec<_>>(), [11.0, 5.0, 1.0, 0.0, 0.0]);
        let mut even = vec![70.0; 3 * 25];
        smooth(&mut even, 5);
        assert_eq!(even, vec![70.0; 3 * 25]);
    }

    #[test]
    fn ages_are_combined_as_they_were_fitted() {
        // dlib's age, face-api's, and what training/age/fit.py computes with NumPy (age.json beside it).
        let reference: [[f32; 3]; 8] = [
            [8.0, 6.0, 7.244],
            [20.0, 26.0, 24.516],
            [33.0, 41.0, 39.068],
            [52.0, 47.0, 50.776],
            [60.0, 71.0, 73.4],
            [75.0, 80.0, 86.156],
            [80.0, 95.0, 100.0],
            [2.0, -9.0, 0.0],
        ];
        for [first, second, expected] in reference {
            let combined = combined_age(first, second);
            assert!((combined - expected).abs() < 1e-3, "{first}, {second}: {combined} instead of {expected}");
        }
    }

    #[test]
    fn who_looks_older_to_a_network_is_not_taken_for_younger() {
        for first in (0..=80).map(|years| years as f32) {
            for second in (-10..110).map(|years| years as f32) {
                assert!(combined_age(first + 1.0, second) >= combined_age(first, second));
                assert!(combined_age(first, second + 1.0) >= combined_age(first, second));
            }
        }
    }

    #[test]
    fn the_expected_age_weighs_the_classes_by_their_years() {
        let mut probabilities = [0.0; AGE_CLASSES];
        (probabilities[0], probabilities[20], probabilities[80]) = (0.5, 0.25, 0.25);
        assert!((expected_age(&probabilities) - 25.125).abs() < 1e-5);
    }

    #[test]
    fn the_second_view_is_the_mirror_image_of_the_first_and_both_count_the_same() {
        // 60 x 40 ramp: red is x, green is y.
        let data = (0..40_u8).flat_map(|y| (0..60_u8).flat_map(move |x| [x * 4, y * 6, 0])).collect();
        let pixels = Pixels::new(60, 40, data).expect("sizes fit");
        let face = Extent { left: 20.0, top: 10.0, width: 10.0, height: 14.0 };
        let view = FaceView::cut(&pixels, Orientation::UPRIGHT, face, 0.0);
        let from_chip = Similarity::around([0.0, 0.0], [20.0, 10.0], 1.0, 0.0);
        let mut input = Vec::new();
        sample(&view, &from_chip, 4, 2, &mut input);
        assert_eq!(input.len(), 2 * 3 * 16);
        let (first, second) = input.split_at(48);
        assert_eq!((&first[..4], &second[..4]), (&[80.0, 84.0, 88.0, 92.0][..], &[92.0, 88.0, 84.0, 80.0][..]));
        for (row, mirrored) in first.chunks_exact(4).zip(second.chunks_exact(4)) {
            assert!(row.iter().rev().eq(mirrored), "{row:?}, {mirrored:?}");
        }
        assert_eq!(mean([20.0, 30.0].into_iter()), 25.0);
    }
}
