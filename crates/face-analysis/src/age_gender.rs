//! Age and gender from two families of networks: dlib's (CC0) and face-api's (MIT).
//!
//! Their errors have little in common, so that the mean of both is better than either; and the mean over slightly
//! different crops is steadier than one crop (8.9 to 8.3 years and 93.3 to 95.0 % for dlib's pair, MODELS.md).

use serde::{Deserialize, Serialize};

use crate::alignment::{FaceView, Similarity};
use crate::inference::{InferenceError, Network};
use crate::landmarks::Landmarks;

/// How age and gender are estimated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttributeSettings {
    /// `accurate` averages several crops, `fast` uses one.
    pub effort: Effort,
}

/// How many crops the attribute networks see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// Where dlib's chips have the eyes, as shares of the side (MODELS.md, measured).
const CHIP_EYES: [[f32; 2]; 2] = [[0.3123, 0.3009], [0.6877, 0.3009]];

/// Corners of the person's right and left eye among the landmarks.
const EYE_CORNERS: [[usize; 2]; 2] = [[33, 133], [362, 263]];

/// The outline of the jaw from ear to ear and the eyebrows: those of the dense landmarks that correspond to the
/// points whose bounding box face-api crops to.
const OUTLINE: [usize; 29] = [
    127, 234, 93, 132, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 361, 323, 454, 356, // jaw
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, // eyebrows
];

/// face-api widens that box by this factor.
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
        let eyes = EYE_CORNERS.map(|[a, b]| {
            let (a, b) = (landmarks.points[a], landmarks.points[b]);
            [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0]
        });
        let eye_chip = |side: usize| Similarity::fit(&CHIP_EYES.map(|p| p.map(|v| v * side as f32)), &eyes);

        sample(view, &eye_chip(AGE_INPUT), AGE_INPUT, first, &mut self.input);
        let outputs = self.age.run([first.len(), 3, AGE_INPUT, AGE_INPUT], &self.input)?;
        let first_age = mean(outputs.get("probabilities")?.chunks_exact(AGE_CLASSES).map(expected_age));

        sample(view, &eye_chip(GENDER_INPUT), GENDER_INPUT, first, &mut self.input);
        let outputs = self.gender.run([first.len(), 3, GENDER_INPUT, GENDER_INPUT], &self.input)?;
        let first_female =
            mean(outputs.get("probabilities")?.chunks_exact(2).map(|female_male| log_odds(female_male[0])));

        let outline = Outline::of(landmarks);
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

/// The box that face-api crops to: upright, from the eyebrows to the chin and from one edge of the jaw to the other.
struct Outline {
    center: [f32; 2],
    size: [f32; 2],
}

impl Outline {
    fn of(landmarks: &Landmarks) -> Self {
        let mut low = [f32::MAX; 2];
        let mut high = [f32::MIN; 2];
        for index in OUTLINE {
            let [x, y, _] = landmarks.points[index];
            low = [low[0].min(x), low[1].min(y)];
            high = [high[0].max(x), high[1].max(y)];
        }
        Self {
            center: [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0],
            size: [(high[0] - low[0]) * OUTLINE_SCALE, (high[1] - low[1]) * OUTLINE_SCALE],
        }
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
