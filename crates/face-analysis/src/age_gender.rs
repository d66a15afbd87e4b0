//! Age and gender from two families of networks: dlib's (CC0) and face-api's (MIT).
//!
//! Each network sees the face as it was trained on. The families' errors should have little in common, so that their mean
//! is worth more than either (not measured: docs/accuracy.md); and the mean over slightly different crops is steadier
//! than one crop (8.9 to 8.3 years and 93.3 to 95.0 % for dlib's pair, MODELS.md).

use serde::{Deserialize, Serialize};

use crate::alignment::{FaceView, Similarity};
use crate::inference::{InferenceError, Network};
use crate::landmarks::Landmarks;
use crate::report::Extent;

/// How age and gender are estimated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttributeSettings {
    /// `accurate` averages several crops, `fast` uses one.
    pub effort: Effort,
}

/// How many crops the attribute networks see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Effort {
    /// Four crops for dlib's networks, two for face-api's.
    #[default]
    Accurate,
    /// One crop each.
    Fast,
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

/// One view of the face: mirrored or not, scaled, shifted (shares of the chip's side).
#[derive(Debug, Clone, Copy)]
struct Variant {
    mirrored: bool,
    scale: f32,
    shift: [f32; 2],
}

const PLAIN: Variant = Variant { mirrored: false, scale: 1.0, shift: [0.0, 0.0] };
const MIRRORED: Variant = Variant { mirrored: true, scale: 1.0, shift: [0.0, 0.0] };

/// The crops measured in MODELS.md: mirrored, scale 0.95 to 1.05, shifted by 2 %.
const VARIANTS: [Variant; 4] = [
    PLAIN,
    Variant { mirrored: true, scale: 1.0, shift: [0.0, 0.0] },
    Variant { mirrored: false, scale: 1.05, shift: [0.02, 0.02] },
    Variant { mirrored: true, scale: 0.95, shift: [0.02, -0.02] },
];

/// Share of dlib's estimate in the age; the rest is face-api's. In inverse proportion to their squared errors
/// measured in MODELS.md (8.3 and 7.3 years).
const FIRST_AGE_SHARE: f32 = 0.44;

/// The same for the logarithm of the odds of the gender, from 95.0 and 97.7 %.
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
        let (first, second): (&[Variant], &[Variant]) = match self.settings.effort {
            Effort::Accurate => (&VARIANTS, &[PLAIN, MIRRORED]),
            Effort::Fast => (&[PLAIN], &[PLAIN]),
        };
        let points = CHIP_LANDMARKS.map(|i| [landmarks.points[i][0], landmarks.points[i][1]]);
        let chip = |side: usize| Similarity::fit(&CHIP_POINTS.map(|p| p.map(|v| v * side as f32)), &points);

        sample(view, &chip(AGE_INPUT), AGE_INPUT, first, &mut self.input);
        let outputs = self.age.run([first.len(), 3, AGE_INPUT, AGE_INPUT], &self.input)?;
        let first_age = mean(outputs.get("probabilities")?.chunks_exact(AGE_CLASSES).map(expected_age));

        sample(view, &chip(GENDER_INPUT), GENDER_INPUT, first, &mut self.input);
        let outputs = self.gender.run([first.len(), 3, GENDER_INPUT, GENDER_INPUT], &self.input)?;
        let first_female =
            mean(outputs.get("probabilities")?.chunks_exact(2).map(|female_male| log_odds(female_male[0])));

        let outline = Outline::of(landmarks, view.seen());
        sample(view, &outline.chip(), SECOND_INPUT, second, &mut self.input);
        outline.blacken_bars(&mut self.input);
        let outputs = self.second.run([second.len(), 3, SECOND_INPUT, SECOND_INPUT], &self.input)?;
        let second_age = mean(outputs.get("age")?.iter().copied());
        let second_female = mean(outputs.get("gender")?.chunks_exact(2).map(|male_female| log_odds(male_female[1])));

        let blend = |first: f32, second: f32, share: f32| share * first + (1.0 - share) * second;
        let odds = blend(first_female, second_female, FIRST_GENDER_SHARE);
        Ok(Attributes {
            age: blend(first_age, second_age, FIRST_AGE_SHARE).clamp(0.0, 100.0),
            female: 1.0 / (1.0 + (-odds).exp()),
        })
    }
}

/// Samples one chip per variant into `[variants, 3, side, side]`.
fn sample(view: &FaceView, from_chip: &Similarity, side: usize, variants: &[Variant], input: &mut Vec<f32>) {
    input.clear();
    let middle = side as f32 / 2.0;
    for variant in variants {
        let shifted = variant.shift.map(|s| middle + s * side as f32);
        let moved = Similarity::around([middle, middle], shifted, variant.scale, 0.0);
        let start = input.len();
        view.sample(&moved.then(from_chip), side, side, input);
        if variant.mirrored {
            input[start..].chunks_exact_mut(side).for_each(<[f32]>::reverse);
        }
    }
}

/// The box that face-api crops to: upright, from the eyebrows to the chin and from one edge of the jaw to the other, as
/// far as the picture goes.
struct Outline {
    center: [f32; 2],
    size: [f32; 2],
}

impl Outline {
    fn of(landmarks: &Landmarks, seen: Extent) -> Self {
        let along = |axis: usize, begin: f32, length: f32| {
            let points = OUTLINE.map(|index| landmarks.points[index][axis]);
            let low = points.into_iter().fold(f32::MAX, f32::min);
            let high = points.into_iter().fold(f32::MIN, f32::max);
            let rim = (high - low) * (OUTLINE_SCALE - 1.0) / 2.0;
            let (from, to) = ((low - rim).max(begin), (high + rim).min(begin + length));
            ((from + to) / 2.0, (to - from).max(0.0))
        };
        let (x, width) = along(0, seen.left, seen.width);
        let (y, height) = along(1, seen.top, seen.height);
        Self { center: [x, y], size: [width, height] }
    }

    /// The square round the box.
    fn chip(&self) -> Similarity {
        let middle = SECOND_INPUT as f32 / 2.0;
        let side = self.size[0].max(self.size[1]);
        Similarity::around([middle, middle], self.center, side / SECOND_INPUT as f32, 0.0)
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
    fn the_expected_age_weighs_the_classes_by_their_years() {
        let mut probabilities = [0.0; AGE_CLASSES];
        (probabilities[0], probabilities[20], probabilities[80]) = (0.5, 0.25, 0.25);
        assert!((expected_age(&probabilities) - 25.125).abs() < 1e-5);
    }
}
