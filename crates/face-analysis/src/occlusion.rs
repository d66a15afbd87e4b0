//! Whether something covers the face, and which part of it: our own network (training/occlusion).

use crate::alignment::{FaceView, Similarity};
use crate::detail::{self, BLURRED};
use crate::face::Detection;
use crate::inference::{InferenceError, Network};
use crate::pixelation::{self, GRID};
use crate::report::Occlusion;

/// Side of the network's square input in pixels.
const INPUT: usize = 112;

/// Where the chip has the eyes, the nose and the corners of the mouth, in pixels: as in training/occlusion/geometry.py.
const CHIP_POINTS: [[f32; 2]; 5] = [[41.84, 54.16], [70.00, 54.00], [56.00, 70.16], [44.40, 86.72], [67.76, 86.56]];

/// From this probability on a part is named as covered: what the network was trained to say of a part that is hidden half way
/// between not hidden and hidden, a fifth of an eye or of the mouth, three tenths of the nose, a third of the lower face
/// (training/occlusion/parts.py).
const COVERED: f32 = 0.5;

/// Detail is judged from so many pixels of the picture on for one of the input.
const FEWEST_PIXELS: f32 = 0.6;

/// The network.
#[derive(Debug)]
pub(crate) struct OcclusionDetector {
    network: Network,
    input: Vec<f32>,
    /// Pixels of the picture to a pixel of the input, in the last run.
    reduction: f32,
}

impl OcclusionDetector {
    pub(crate) fn new(network: Network) -> Self {
        Self { network, input: vec![0.0; 3 * INPUT * INPUT], reduction: 0.0 }
    }

    /// All that tells a covered face: the network and its parts, a face blurred away, a grid of cells over it.
    pub(crate) fn measure(&mut self, view: &FaceView, face: &Detection) -> Result<Occlusion, InferenceError> {
        let seen = self.run(view, face)?;
        Ok(seen.with_eyes().with_detail(self.detail()).under_grid(pixelation::strength(view, face)))
    }

    /// What the network alone says: probabilities that something covers the face and its parts.
    pub(crate) fn run(&mut self, view: &FaceView, face: &Detection) -> Result<Occlusion, InferenceError> {
        let from_chip = Similarity::fit(&CHIP_POINTS, &face.keypoints);
        view.sample(&from_chip, INPUT, &mut self.input);
        self.reduction = from_chip.scale();
        let outputs = self.network.run([1, 3, INPUT, INPUT], &self.input)?;
        let parts = outputs.get("parts")?;
        let part = |i: usize| parts.get(i).copied().unwrap_or(f32::NAN);
        Ok(Occlusion {
            probability: outputs.get("occlusion")?.first().copied().unwrap_or(f32::NAN),
            right_eye: part(0),
            left_eye: part(1),
            nose: part(2),
            mouth: part(3),
            lower_face: part(4),
        })
    }

    /// How much detail the face has that the last run saw (`detail::of`); `None` when it has too few pixels to tell.
    fn detail(&self) -> Option<f32> {
        (self.reduction >= FEWEST_PIXELS).then(|| detail::of(&self.input))
    }
}

impl Occlusion {
    /// The face is as covered as both of its eyes are: dark glasses of an odd shape the network may see there and not in the whole.
    fn with_eyes(self) -> Self {
        let eyes = [self.right_eye, self.left_eye];
        // What is no number stays none, and raises nothing.
        let surer = eyes.iter().all(|eye| *eye > self.probability);
        Self { probability: if surer { eyes[0].min(eyes[1]) } else { self.probability }, ..self }
    }

    /// The same of a face over which a grid lies so strongly (`pixelation::strength`): from `GRID` on all of its parts are hidden, which
    /// the network sees of coarse cells only. The stronger, the surer.
    fn under_grid(self, strength: f32) -> Self {
        if strength < GRID { self } else { self.hidden(12.0 * (strength - GRID)) }
    }

    /// The same of a face with so little detail (`detail::of`): under `BLURRED` all of its parts are hidden.
    fn with_detail(self, detail: Option<f32>) -> Self {
        match detail {
            Some(detail) if detail < BLURRED => self.hidden(20.0 * (BLURRED - detail)),
            _ => self,
        }
    }

    /// All parts are hidden, with these log-odds at least.
    fn hidden(self, log_odds: f32) -> Self {
        let hidden = 1.0 / (1.0 + (-log_odds).exp());
        Self {
            probability: self.probability.max(hidden),
            right_eye: self.right_eye.max(hidden),
            left_eye: self.left_eye.max(hidden),
            nose: self.nose.max(hidden),
            mouth: self.mouth.max(hidden),
            lower_face: self.lower_face.max(hidden),
        }
    }

    /// Whether an eye is told as covered, so that where its pupil lies may be a guess.
    pub(crate) fn hides_an_eye(&self) -> bool {
        self.right_eye.max(self.left_eye) >= COVERED
    }

    /// What is covered, as a sentence without its full stop: `the mouth is covered`.
    pub(crate) fn finding(&self) -> String {
        let named = [
            (self.right_eye.min(self.left_eye), "the eyes"),
            (if self.left_eye >= COVERED { 0.0 } else { self.right_eye }, "the right eye"),
            (if self.right_eye >= COVERED { 0.0 } else { self.left_eye }, "the left eye"),
            (self.nose, "the nose"),
            (self.mouth, "the mouth"),
            // With the mouth the lower face is said already.
            (if self.mouth >= COVERED { 0.0 } else { self.lower_face }, "the lower part of the face"),
        ];
        let covered: Vec<_> = named.into_iter().filter(|(p, _)| *p >= COVERED).map(|(_, name)| name).collect();
        match covered.as_slice() {
            [] => "the face is covered".to_owned(),
            ["the eyes"] => "the eyes are covered".to_owned(),
            [one] => format!("{one} is covered"),
            [most @ .., last] => format!("{} and {last} are covered", most.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_face_is_as_covered_as_both_of_its_eyes() {
        let of = |probability, right_eye, left_eye| {
            Occlusion { probability, right_eye, left_eye, nose: 0.9, mouth: 0.9, lower_face: 0.9 }
                .with_eyes()
                .probability
        };
        assert_eq!(of(0.2, 0.7, 0.6), 0.6);
        assert_eq!(of(0.2, 0.7, 0.1), 0.2);
        assert_eq!(of(0.8, 0.7, 0.6), 0.8);
        assert_eq!(of(0.2, f32::NAN, 0.6), 0.2);
        assert!(of(f32::NAN, 0.7, 0.6).is_nan(), "what is no number is rejected");
    }

    #[test]
    fn the_covered_parts_are_named() {
        let of = |[right_eye, left_eye, nose, mouth, lower_face]: [f32; 5]| {
            Occlusion { probability: 0.9, right_eye, left_eye, nose, mouth, lower_face }.finding()
        };
        assert_eq!(of([0.1, 0.1, 0.9, 0.9, 0.9]), "the nose and the mouth are covered");
        assert_eq!(of([0.1, 0.1, 0.2, 0.5, 0.4]), "the mouth is covered");
        assert_eq!(of([0.1, 0.1, 0.2, 0.3, 0.8]), "the lower part of the face is covered");
        assert_eq!(of([0.9, 0.8, 0.2, 0.1, 0.1]), "the eyes are covered");
        assert_eq!(of([0.1, 0.8, 0.2, 0.1, 0.1]), "the left eye is covered");
        assert_eq!(of([0.9, 0.1, 0.6, 0.7, 0.9]), "the right eye, the nose and the mouth are covered");
        assert_eq!(of([0.9, 0.9, 0.6, 0.7, 0.9]), "the eyes, the nose and the mouth are covered");
        assert_eq!(of([0.4, 0.4, 0.4, 0.4, 0.4]), "the face is covered");
        assert_eq!(of([f32::NAN; 5]), "the face is covered");
    }
}
