//! The figures as they are reported.

use serde::Serialize;

use crate::outcomes::LivenessReasons;
use crate::statistics::{Estimate, Proportion};

/// All figures of presentation attack detection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PresentationAttackDetection {
    /// A response at or above this score is classified as bona fide.
    pub liveness_threshold: f64,
    /// Bona fide presentations.
    pub bona_fide: BonaFide,
    /// Attack presentations, one entry per species in alphabetical order.
    pub species: Vec<Species>,
    /// The species with the highest APCER. Its interval is that of the species alone: the choice of the highest is
    /// not accounted for.
    pub apcer_max: Option<WorstSpecies>,
    /// Mean of the highest APCER and BPCER; its interval resamples each class and species.
    pub acer: Option<Estimate>,
    /// Equal error rate of all attacks pooled.
    pub eer: Option<EqualErrorRate>,
    /// Area under the curve of pooled attacks: probability that a bona fide presentation scores above an attack,
    /// ties counted half.
    pub auc: Option<Estimate>,
    /// BPCER at an APCER of at most 1, 5 and 10 % for every species.
    pub bpcer_at_apcer: Vec<BpcerAtApcer>,
    /// Detection error trade-off: one curve per species, and the pooled one when there are several.
    pub det_curves: Vec<DetCurve>,
    /// Distribution of scores.
    pub score_histogram: ScoreHistogram,
    /// What each liveness network says alone, by name.
    pub networks: Vec<NetworkAlone>,
    /// The pictures furthest on the wrong side of the threshold, the furthest first; 20 at most.
    pub misclassified: Vec<Misclassified>,
}

/// What one liveness network says alone of the pictures that responded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetworkAlone {
    /// The network's name.
    pub name: String,
    /// Pictures that it has judged.
    pub pictures: u64,
    /// Equal error rate of all attacks pooled.
    pub eer: Option<Estimate>,
    /// Area under the curve of pooled attacks.
    pub auc: Option<Estimate>,
    /// Area under the curve of each species, in the order of the species.
    pub species: Vec<Option<Estimate>>,
}

/// A picture that was classified wrongly, and what speaks for the score that it got.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Misclassified {
    /// As in the labels.
    pub path: String,
    /// The species; absent for a bona fide presentation.
    pub species: Option<String>,
    /// The liveness score that was answered, 0 to 1.
    pub score: f64,
    /// What it is made of.
    pub reasons: Option<LivenessReasons>,
}

/// Figures of the bona fide presentations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BonaFide {
    /// Presentations.
    pub presentations: u64,
    /// Share classified as attacks, of those that responded.
    pub bpcer: Option<Proportion>,
    /// Share without a response.
    pub bpnrr: Option<Proportion>,
}

/// Figures of one species of presentation attack instrument.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Species {
    /// The name in the labels.
    pub name: String,
    /// Presentations.
    pub presentations: u64,
    /// Share classified as bona fide, of those that responded.
    pub apcer: Option<Proportion>,
    /// Share without a response.
    pub apnrr: Option<Proportion>,
    /// Share that got through altogether: responded and were classified as bona fide, of all presentations. Not a
    /// term of the standard.
    pub passed: Option<Proportion>,
    /// Equal error rate of this species against all bona fide presentations.
    pub eer: Option<Estimate>,
    /// Area under the curve of this species against all bona fide presentations.
    pub auc: Option<Estimate>,
}

/// The species that deceives the detector most often.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorstSpecies {
    /// The species; the first in alphabetical order of several.
    pub name: String,
    /// Its APCER.
    pub apcer: Proportion,
}

/// An equal error rate and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EqualErrorRate {
    /// The rate, 0 to 1.
    pub ratio: Estimate,
    /// The score, taken as threshold, at which the two error rates are nearest to each other.
    pub nearest_threshold: f64,
}

/// BPCER at a limited APCER.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BpcerAtApcer {
    /// Highest APCER that any species may have, 0 to 1.
    pub apcer_limit: f64,
    /// BPCER at the lowest threshold that meets the limit, 0 to 1.
    pub bpcer: Estimate,
    /// That threshold; absent when it lies above every score of the sample.
    pub threshold: Option<f64>,
    /// Whether every species has so many responses that a single error is within the limit. If not, the limit
    /// means that no attack at all may pass.
    pub sample_resolves_limit: bool,
}

/// A detection error trade-off curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DetCurve {
    /// The species; absent for all attacks pooled.
    pub species: Option<String>,
    /// Operating points by rising threshold, without those on a straight line between their neighbours along an axis;
    /// of a long curve, 500 evenly spaced ones.
    pub points: Vec<DetPoint>,
}

/// One operating point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DetPoint {
    /// Scores at or above it are classified as bona fide; absent above every score of the sample.
    pub threshold: Option<f64>,
    /// APCER, 0 to 1.
    pub apcer: f64,
    /// BPCER, 0 to 1.
    pub bpcer: f64,
}

/// How the scores are distributed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreHistogram {
    /// 21 edges of 20 bins; the last bin includes 1.
    pub bin_edges: Vec<f64>,
    /// Bona fide presentations per bin.
    pub bona_fide: Vec<u64>,
    /// Attack presentations per bin, in the order of the species.
    pub species: Vec<Vec<u64>>,
}
