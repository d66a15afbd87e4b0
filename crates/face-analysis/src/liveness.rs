//! Passive liveness: MiniFASNetV2 (Minivision Silent-Face-Anti-Spoofing), fr_liveness (FacePlugin) and a network of our own on crops
//! that show the face with its surroundings, and the operator's own head on the features of the first two where there is one.

mod calibration;
mod evidence;
mod heads;
mod own;
mod simulated;
mod surroundings;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use picture_cell::{Orientation, Pixels};
use serde::{Deserialize, Serialize};

pub(crate) use self::calibration::reliability;
use self::evidence::Said;
pub(crate) use self::heads::HeadPlace;
pub use self::heads::{FEATURE_PARTS, FEATURES_REVISION, HeadError};
use self::surroundings::Surroundings;
use crate::inference::{InferenceError, Network, Outputs};
pub use crate::report::HeadName;
use crate::report::{Extent, HeadUse, LivenessDetails, LivenessModelScore};

/// How liveness is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LivenessSettings {
    /// Crops that each network sees, 1 to 5: the face box itself, then moved and resized by a few per cent. The score
    /// is made of the mean of their log-odds, which moves less when a picture is shifted, resized or compressed again.
    pub crops: usize,
    /// A head that `facegate adapt` fitted on pictures of your own; read again on SIGHUP. It judges in place of the built-in
    /// calibration, and is refused when it was fitted on other networks, at another level or with another number of crops.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub head: Option<PathBuf>,
}

impl Default for LivenessSettings {
    /// With crops that are averages one tells attacks as well as three or five, whose doubtful scores move by a tenth less; see
    /// docs/accuracy.md.
    fn default() -> Self {
        Self { crops: 1, head: None }
    }
}

impl LivenessSettings {
    /// The crops that there are of those that are asked for.
    fn crops_used(&self) -> usize {
        self.crops.clamp(1, JITTER.len())
    }
}

/// The face box of each crop: relative size, and shift right and down in parts of the box. In pairs that cancel out.
const JITTER: [(f32, f32); 5] = [(1.0, 0.0), (1.04, 0.03), (0.96, -0.03), (0.96, 0.03), (1.04, -0.03)];

/// One of the two published networks, the crop that it was trained on and the side of its square input in pixels.
#[derive(Debug)]
struct Judge {
    name: &'static str,
    crop_scale: f32,
    side: usize,
    network: Network,
}

/// All networks.
#[derive(Debug)]
pub(crate) struct Liveness {
    judges: [Judge; 2],
    own: own::Own,
    crops: usize,
    head: Arc<HeadPlace>,
    input: Vec<f32>,
}

/// What the networks say of one face, before it becomes a score.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    /// What is reported.
    pub(crate) details: LivenessDetails,
    /// Log-odds of a live face by both published networks, the mean over them and their crops.
    pub(crate) pair: f32,
    /// Log-odds of a live face as they are without a head of the operator's, 0 at the operating point.
    pub(crate) general: f32,
    /// What these two see, each the mean over its crops: before their last layers, one network after the other, then the texture
    /// in an early one, likewise ([`FEATURE_PARTS`]).
    pub(crate) features: Vec<f32>,
}

impl Liveness {
    pub(crate) fn new(
        v2: Network,
        fr: Network,
        own: Network,
        settings: &LivenessSettings,
        head: Arc<HeadPlace>,
    ) -> Self {
        let judges = [
            Judge { name: "MiniFASNetV2", crop_scale: 2.7, side: 80, network: v2 },
            Judge { name: "fr_liveness", crop_scale: 2.0, side: 128, network: fr },
        ];
        let crops = settings.crops_used();
        Self { judges, own: own::Own::new(own), crops, head, input: Vec::new() }
    }

    /// Judges the face in `extent` (upright coordinates) of the stored picture that `upright` brings upright.
    pub(crate) fn judge(
        &mut self,
        stored: &Pixels,
        upright: Orientation,
        extent: Extent,
        surrounding: f32,
    ) -> Result<Judged, InferenceError> {
        let seen = self.look(stored, upright, extent, self.crops);
        let mut models = Vec::with_capacity(self.judges.len());
        let mut features = Features::default();
        let mut answers = [0.0; 2];
        for ((judge, seen), answered) in self.judges.iter_mut().zip(&seen).zip(&mut answers) {
            features.next_network();
            let share = 1.0 / seen.areas.len() as f32;
            for (number, &area) in seen.areas.iter().enumerate() {
                self.input.clear();
                seen.surroundings.sample(area, judge.side, &mut self.input);
                let outputs = judge.network.run([1, 3, judge.side, judge.side], &self.input)?;
                let logits = outputs.get("logits")?;
                features.add(&outputs, share)?;
                let class = |i: usize| logits.get(i).copied().unwrap_or(0.0);
                *answered += share * (class(1) - soft_maximum(class(0), class(2)));
                if number == 0 {
                    let answer = outputs.get("probabilities")?;
                    let probability = |i: usize| answer.get(i).copied().unwrap_or(0.0);
                    models.push(LivenessModelScore {
                        model: judge.name,
                        flat_attack: probability(0),
                        live: probability(1),
                        shaped_attack: probability(2),
                        crop_scale: judge.crop_scale,
                        actual_scale: seen.scale,
                    });
                }
            }
        }
        let features = features.joined();
        let mut own = 0.0;
        // Our own network was trained on MiniFASNetV2's crop.
        let (seen, crop_scale) = (&seen[0], self.judges[0].crop_scale);
        for (number, &area) in seen.areas.iter().enumerate() {
            let answer = self.own.judge(&seen.surroundings, area)?;
            own += answer.log_odds / seen.areas.len() as f32;
            if number == 0 {
                models.push(answer.score(crop_scale, seen.scale));
            }
        }
        let [v2, fr] = answers;
        let evidence = evidence::of(Said { v2, fr, own }, &features, surrounding);
        let pair = (v2 + fr) / 2.0;
        let general = calibration::general(evidence, surrounding);
        let (log_odds, head) = match self.head.current() {
            Some(loaded) => {
                let decision = loaded.head.judge(&features, pair, general, surrounding);
                let used = HeadUse { name: loaded.name.clone(), share: decision.share };
                (decision.log_odds, Some(used))
            }
            None => (general, None),
        };
        let score = score_of(log_odds);
        let reliability = reliability(surrounding);
        Ok(Judged {
            details: LivenessDetails { score, surrounding, reliability, evidence, models, head },
            pair,
            general,
            features,
        })
    }

    /// What the networks see of the mirror image, of one crop each: heads are fitted on it as well, and near-copies are found by it.
    pub(crate) fn mirrored_features(
        &mut self,
        stored: &Pixels,
        upright: Orientation,
        extent: Extent,
    ) -> Result<Vec<f32>, InferenceError> {
        let seen = self.look(stored, upright, extent, 1);
        let mut features = Features::default();
        for (judge, seen) in self.judges.iter_mut().zip(&seen) {
            features.next_network();
            self.input.clear();
            seen.surroundings.sample(seen.areas[0], judge.side, &mut self.input);
            self.input.chunks_exact_mut(judge.side).for_each(<[f32]>::reverse);
            let outputs = judge.network.run([1, 3, judge.side, judge.side], &self.input)?;
            features.add(&outputs, 1.0)?;
        }
        Ok(features.joined())
    }

    /// What each of the published networks gets to see: all out of one part of the picture, as fine as one of them needs it.
    fn look(&self, stored: &Pixels, upright: Orientation, face: Extent, count: usize) -> [Seen; 2] {
        let size = upright.size((stored.width(), stored.height()));
        let crops = self.judges.each_ref().map(|judge| {
            let (areas, scale) = crops(face, judge, size, count);
            // Pixels of the picture per value.
            let least = areas.iter().map(|c| c.width.min(c.height)).fold(f32::INFINITY, f32::min);
            (areas, scale, least / judge.side as f32)
        });
        let all: Vec<Extent> = crops.iter().flat_map(|(areas, ..)| areas.iter().copied()).collect();
        let finest = crops.iter().map(|(.., finest)| *finest).fold(f32::INFINITY, f32::min);
        let part = Rc::new(Surroundings::cut(stored, upright, &all, finest));
        crops.map(|(areas, scale, finest)| {
            let surroundings = part.coarser(finest).map_or_else(|| Rc::clone(&part), Rc::new);
            Seen { areas, scale, surroundings }
        })
    }
}

/// What the networks see, as heads want it: before their last layers, and in an early one.
#[derive(Debug, Default)]
struct Features {
    parts: [Vec<f32>; 2],
    /// Where those of the network begin that is being asked.
    begin: [usize; 2],
}

impl Features {
    fn next_network(&mut self) {
        self.begin = self.parts.each_ref().map(Vec::len);
    }

    /// Adds a share of what the network sees of one crop.
    fn add(&mut self, outputs: &Outputs<'_>, share: f32) -> Result<(), InferenceError> {
        for ((part, begin), name) in self.parts.iter_mut().zip(self.begin).zip(["features", "texture"]) {
            let values = outputs.get(name)?;
            part.resize(begin + values.len(), 0.0);
            part[begin..].iter_mut().zip(values).for_each(|(mean, value)| *mean += share * value);
        }
        Ok(())
    }

    fn joined(self) -> Vec<f32> {
        self.parts.concat()
    }
}

/// The score of the log-odds of a live face; what is no number is an attack.
fn score_of(log_odds: f32) -> f32 {
    let score = 1.0 / (1.0 + (-log_odds).exp());
    if score.is_finite() { score } else { 0.0 }
}

/// ln(e^a + e^b) without overflow.
fn soft_maximum(a: f32, b: f32) -> f32 {
    a.max(b) + (-(a - b).abs()).exp().ln_1p()
}

/// What one network gets to see.
struct Seen {
    /// One for each crop; fewer where the picture is too small to move them.
    areas: Vec<Extent>,
    /// The scale of the first, as far as it fits.
    scale: f32,
    /// The part of the picture that they lie in.
    surroundings: Rc<Surroundings>,
}

/// The crops of one network, and the scale of the first.
fn crops(face: Extent, judge: &Judge, size: (usize, usize), count: usize) -> (Vec<Extent>, f32) {
    let (first, scale) = crop_area(face, judge.crop_scale, size);
    let mut areas = vec![first];
    for (grow, shift) in JITTER.into_iter().take(count).skip(1) {
        let (area, _) = crop_area(jittered(face, grow, shift), judge.crop_scale, size);
        // Where the picture is too small for the crop, moving the box changes nothing.
        if !areas.iter().any(|a| near(a, &area, judge.side)) {
            areas.push(area);
        }
    }
    (areas, scale)
}

/// Whether two crops differ by less than what a network can see.
fn near(a: &Extent, b: &Extent, side: usize) -> bool {
    let little = a.width.min(a.height) / side as f32 / 8.0;
    [a.left - b.left, a.top - b.top, a.width - b.width, a.height - b.height].iter().all(|d| d.abs() <= little)
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

/// The crop in a picture of `size`, and the scale that fitted: the box grows by `scale` about its centre, at most to the
/// picture's size, and is shifted inside where it would leave the picture. Parts of pixels count, so that a face that moves by
/// less than a pixel moves its crop as far.
fn crop_area(extent: Extent, scale: f32, size: (usize, usize)) -> (Extent, f32) {
    let (width, height) = (size.0 as f32, size.1 as f32);
    let (box_width, box_height) = (extent.width.max(1.0), extent.height.max(1.0));
    let fitting = scale.min(width / box_width).min(height / box_height);
    let place = |begin: f32, length: f32, end: f32| {
        let wanted = (length * fitting).min(end);
        ((begin + length / 2.0 - wanted / 2.0).min(end - wanted).max(0.0), wanted)
    };
    let (left, crop_width) = place(extent.left, box_width, width);
    let (top, crop_height) = place(extent.top, box_height, height);
    (Extent { left, top, width: crop_width, height: crop_height }, fitting)
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
        assert_eq!(area, extent(350.0, 300.0, 200.0, 400.0));
        assert_eq!(scale, 2.0);
    }

    #[test]
    fn a_crop_that_leaves_the_picture_is_shifted_inside() {
        let (area, _) = crop_area(extent(10.0, 880.0, 100.0, 100.0), 2.0, (1000, 1000));
        assert_eq!(area, extent(0.0, 800.0, 200.0, 200.0));
    }

    #[test]
    fn a_crop_larger_than_the_picture_is_limited_to_it() {
        let (area, scale) = crop_area(extent(100.0, 100.0, 300.0, 300.0), 4.0, (600, 900));
        assert_eq!(area, extent(0.0, 0.0, 600.0, 600.0));
        assert_eq!(scale, 2.0);
    }

    #[test]
    fn crops_of_faces_outside_the_picture_stay_inside() {
        for (x, y, w, h) in [(-50.0, -50.0, 80.0, 90.0), (95.0, 95.0, 50.0, 50.0), (0.0, 0.0, 0.0, 0.0)] {
            let (area, _) = crop_area(extent(x, y, w, h), 4.0, (100, 100));
            let inside = |begin: f32, length: f32| begin >= 0.0 && length > 0.0 && begin + length <= 100.01;
            assert!(inside(area.left, area.width) && inside(area.top, area.height), "{area:?}");
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

    fn liveness(crops: usize) -> Liveness {
        let files = testkit::models();
        let runtime = Runtime::load(&files.onnx_runtime).expect("ONNX Runtime");
        let network = |path| {
            let blueprint = Blueprint::draw(&runtime, path).expect("a network");
            Network::load(&blueprint, &Clock::default()).expect("a network")
        };
        let settings = LivenessSettings { crops, head: None };
        let head = HeadPlace::load(&settings, Vec::new()).expect("no head");
        let own = network(&files.liveness_own);
        Liveness::new(network(&files.liveness_v2), network(&files.liveness_fr), own, &settings, Arc::new(head))
    }

    #[test]
    fn the_score_is_the_probability_behind_the_log_odds() {
        let far = [(-1e4, 0.0), (1e4, 1.0), (f32::NEG_INFINITY, 0.0), (f32::INFINITY, 1.0), (f32::NAN, 0.0)];
        for (log_odds, expected) in [(-2.0, 0.119_203), (0.0, 0.5), (2.0, 0.880_797)].into_iter().chain(far) {
            let score = score_of(log_odds);
            assert!((score - expected).abs() < 1e-5, "{log_odds}: {score} instead of {expected}");
        }
    }

    /// Live probabilities of both published networks as training/liveness/reference.py computes them, with OpenCV's averaging.
    ///
    /// OpenCV rounds the crop to whole levels, which moves a doubtful answer by 0.005, and another JPEG decoder rounds otherwise
    /// (one level here and there); T1 is doubtful for one network. F1 and F2 are attacks, and score as such.
    #[test]
    fn a_given_box_gives_the_reference_scores() {
        let sample = testkit::shared_sample;
        let portrait = Some(testkit::picture("astronaut.png"));
        let cases = [
            (portrait, extent(178.8, 63.3, 89.3, 112.8), [0.7206, 0.9924, 0.9299], 0.01, true),
            (sample("T1.jpg"), extent(119.1, 113.5, 169.6, 239.9), [0.9993, 0.8241, 0.9715], 0.02, true),
            (sample("F1.jpg"), extent(187.6, 109.6, 195.6, 239.8), [0.0052, 0.0002, 0.1610], 2e-3, false),
            (sample("F2.jpg"), extent(139.2, 216.6, 222.9, 298.3), [0.0004, 0.0016, 0.1007], 1e-3, false),
        ];
        let mut liveness = liveness(1);
        for (bytes, face, expected, tolerance, live) in cases {
            let Some(bytes) = bytes else { continue };
            let picture = decode(&bytes, &DecodeLimits::default()).expect("a picture");
            let judged = liveness.judge(&picture.pixels, picture.orientation, face, 2.0).expect("judged");
            assert_eq!(judged.details.models.len(), expected.len());
            // The third network counts in whole numbers: its log-odds move by 0.15 with the last digits of a crop.
            let tolerances = [tolerance, tolerance, 0.03];
            for ((model, expected), tolerance) in judged.details.models.iter().zip(expected).zip(tolerances) {
                assert!((model.live - expected).abs() < tolerance, "{model:?}, expected {expected}");
            }
            assert_eq!(judged.details.score > 0.5, live, "{:?}", judged.details);
        }
    }

    /// Standard deviations over the map after the first residual stage, by NumPy (training/liveness/reference.py);
    /// training/check_conversion.py finds the same by the packages' own files, of MiniFASNetV2 with PyTorch.
    #[test]
    fn texture_is_what_each_early_channel_varies_over_the_crop() {
        let picture = decode(&testkit::picture("astronaut.png"), &DecodeLimits::default()).expect("a picture");
        let face = extent(178.8, 63.3, 89.3, 112.8);
        let mut liveness = liveness(1);
        let judged = liveness.judge(&picture.pixels, picture.orientation, face, 2.0).expect("judged");
        assert_eq!(judged.features.len(), FEATURE_PARTS.iter().sum::<usize>());
        let [first, second] = [[2.142, 2.624, 1.929, 2.549], [0.1153, 0.1873, 0.1371, 0.1186]];
        let begin = FEATURE_PARTS[0];
        for (begin, expected, mean) in [(begin, first, 2.298), (begin + 64, second, 0.1140)] {
            let found = &judged.features[begin..begin + 64];
            let near = |found: f32, expected: f32| (found / expected - 1.0).abs() < 0.02;
            assert!(found.iter().zip(expected).all(|(&f, e)| near(f, e)), "{:?} instead of {expected:?}", &found[..4]);
            assert!(near(found.iter().sum::<f32>() / 64.0, mean), "{found:?}");
        }
        let mirrored = liveness.mirrored_features(&picture.pixels, picture.orientation, face).expect("judged");
        assert_eq!(mirrored.len(), judged.features.len());
    }

    #[test]
    fn several_crops_change_the_score_and_not_the_networks_own_answers() {
        let picture = decode(&testkit::picture("astronaut.png"), &DecodeLimits::default()).expect("a picture");
        let face = extent(178.8, 63.3, 89.3, 112.8);
        let judge =
            |crops| liveness(crops).judge(&picture.pixels, picture.orientation, face, 4.5).expect("judged").details;
        let (one, three) = (judge(1), judge(3));
        assert!((one.models[1].live - three.models[1].live).abs() < 1e-5);
        assert_ne!(one.score, three.score);
    }

    /// No crop of a face this small is reduced by blocks, so that each shows in company what it shows alone.
    #[test]
    fn several_crops_give_the_mean_of_what_each_gives_alone() {
        let picture = decode(&testkit::picture("astronaut.png"), &DecodeLimits::default()).expect("a picture");
        let judge = |liveness: &mut Liveness, face| {
            liveness.judge(&picture.pixels, picture.orientation, face, 4.5).expect("judged")
        };
        let (mut one, face) = (liveness(1), extent(178.8, 63.3, 89.3, 112.8));
        let alone: Vec<_> =
            JITTER[..3].iter().map(|&(grow, shift)| judge(&mut one, jittered(face, grow, shift))).collect();
        let mean = |of: &dyn Fn(&Judged) -> f32| alone.iter().map(of).sum::<f32>() / 3.0;
        let three = judge(&mut liveness(3), face);
        let pair = mean(&|judged| judged.pair);
        assert!((three.pair - pair).abs() < 0.02, "{} instead of {pair}", three.pair);
        assert_eq!(three.features.len(), alone[0].features.len());
        for (number, feature) in three.features.iter().enumerate() {
            let expected = mean(&|judged| judged.features[number]);
            assert!((feature - expected).abs() < 0.02, "{number}: {feature} instead of {expected}");
        }
    }
}
