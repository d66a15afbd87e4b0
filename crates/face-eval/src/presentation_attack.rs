//! Presentation attack detection, in the terms of ISO/IEC 30107-3.
//!
//! A picture *responds* when the service answers `OK` with a liveness score; a picture that a rule rejected, or
//! that has no score, is a non-response. A response is classified as bona fide when its score is at or above the
//! threshold. Classification rates are taken over the responses, non-response rates over all presentations, so that
//! neither hides in the other:
//!
//! - APCER of a species: share of its responding attacks that are classified as bona fide. The standard asks for one
//!   figure per species of presentation attack instrument (PAI) and for the highest of them.
//! - BPCER: share of the responding bona fide presentations that are classified as attacks.
//! - ACER: mean of the highest APCER and BPCER. Edition 2023 of the standard no longer has it; it is still quoted.
//! - APNRR, BPNRR: share of attack (bona fide) presentations without a response.
//! - BPCER at an APCER of k %: BPCER at the lowest threshold at which no species has an APCER above k %.
//! - EER: where BPCER equals the APCER of all attacks pooled, on the straight lines between the operating points.
//!   Not a term of the standard; it depends on how many attacks of each species the set has.

use serde::Serialize;

use crate::basis::{Options, Pair};
use crate::labels::Presentation;
use crate::statistics::{Estimate, Proportion};
use crate::word::Word;

/// Bins of the score histograms: 0.05 wide, so that 0.5 is an edge.
const HISTOGRAM_BINS: usize = 20;

/// Limits of APCER at which BPCER is given.
const APCER_LIMITS: [f64; 3] = [0.01, 0.05, 0.10];

/// Most points of a published DET curve; more would not show.
const MAX_DET_POINTS: usize = 500;

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

/// A response; class 0 is bona fide, class `i + 1` is species `i`.
#[derive(Debug, Clone, Copy)]
struct Response {
    score: f64,
    class: usize,
}

impl PresentationAttackDetection {
    /// `None` when no analysed picture has a liveness label.
    pub(crate) fn compute(pairs: &[Pair<'_>], options: &Options) -> Option<Self> {
        let labelled: Vec<(&Presentation, Option<f64>)> = pairs
            .iter()
            .filter_map(|pair| {
                let responds = pair.outcome.word == Word::Ok;
                Some((pair.label.liveness.as_ref()?, pair.outcome.liveness_score.filter(|_| responds)))
            })
            .collect();
        if labelled.is_empty() {
            return None;
        }
        let mut names: Vec<&str> = labelled
            .iter()
            .filter_map(|(presentation, _)| match presentation {
                Presentation::BonaFide => None,
                Presentation::Attack(species) => Some(species.as_str()),
            })
            .collect();
        names.sort_unstable();
        names.dedup();

        let mut presentations = vec![0_u64; names.len() + 1];
        let mut responses = Vec::new();
        for (presentation, score) in labelled {
            let class = match presentation {
                Presentation::BonaFide => 0,
                Presentation::Attack(species) => 1 + names.binary_search(&species.as_str()).ok()?,
            };
            presentations[class] += 1;
            responses.extend(score.map(|score| Response { score, class }));
        }
        responses.sort_by(|a, b| a.score.total_cmp(&b.score));
        let threshold = options.liveness_threshold;
        let sample = Sample { responses, classes: presentations.len() };
        let classes = sample.class_sizes(&sample.ones());
        let passed = sample.at_or_above(threshold, &sample.ones());

        let species: Vec<Species> = (1..presentations.len())
            .map(|class| {
                let alone = sample.against_bona_fide(class);
                let [eer, auc] = alone.estimates(options, |weights| [alone.eer(weights), alone.auc(weights)]);
                Species {
                    name: names[class - 1].to_owned(),
                    presentations: presentations[class],
                    apcer: Proportion::new(passed[class], classes[class]),
                    apnrr: Proportion::new(presentations[class] - classes[class], presentations[class]),
                    passed: Proportion::new(passed[class], presentations[class]),
                    eer,
                    auc,
                }
            })
            .collect();
        let [acer, eer, auc, at_1, at_5, at_10] = sample.estimates(options, |weights| {
            let [at_1, at_5, at_10] = APCER_LIMITS.map(|limit| sample.bpcer_at(limit, weights).map(|(bpcer, _)| bpcer));
            [sample.acer(threshold, weights), sample.eer(weights), sample.auc(weights), at_1, at_5, at_10]
        });
        let least_responses = classes[1..].iter().copied().filter(|&responses| responses > 0).min();
        let bpcer_at_apcer = APCER_LIMITS
            .into_iter()
            .zip([at_1, at_5, at_10])
            .filter_map(|(apcer_limit, bpcer)| {
                Some(BpcerAtApcer {
                    apcer_limit,
                    bpcer: bpcer?,
                    threshold: sample.bpcer_at(apcer_limit, &sample.ones())?.1,
                    sample_resolves_limit: least_responses? as f64 * apcer_limit >= 1.0,
                })
            })
            .collect();
        Some(Self {
            liveness_threshold: threshold,
            bona_fide: BonaFide {
                presentations: presentations[0],
                bpcer: Proportion::new(classes[0] - passed[0], classes[0]),
                bpnrr: Proportion::new(presentations[0] - classes[0], presentations[0]),
            },
            apcer_max: worst(&species),
            acer,
            eer: eer
                .and_then(|ratio| Some(EqualErrorRate { ratio, nearest_threshold: sample.nearest_to_equal_errors()? })),
            auc,
            bpcer_at_apcer,
            det_curves: sample.det_curves(&names),
            score_histogram: sample.histogram(),
            species,
        })
    }
}

fn worst(species: &[Species]) -> Option<WorstSpecies> {
    let mut worst: Option<WorstSpecies> = None;
    for (name, apcer) in species.iter().filter_map(|species| Some((&species.name, species.apcer?))) {
        if worst.as_ref().is_none_or(|worst| apcer.ratio > worst.apcer.ratio) {
            worst = Some(WorstSpecies { name: name.clone(), apcer });
        }
    }
    worst
}

/// Responses by rising score. Every figure is a function of how often each response counts, so that the bootstrap
/// and the plain figure share their code.
struct Sample {
    responses: Vec<Response>,
    classes: usize,
}

/// Counts at one threshold.
struct Operating<'a> {
    /// Absent above every score.
    threshold: Option<f64>,
    /// Bona fide responses below the threshold.
    bona_fide_rejected: u64,
    /// Responses of each class at or above the threshold.
    passing: &'a [u64],
}

impl Sample {
    fn ones(&self) -> Vec<u32> {
        vec![1; self.responses.len()]
    }

    /// The bona fide responses and those of one species, which becomes class 1.
    fn against_bona_fide(&self, class: usize) -> Self {
        let of_interest = self.responses.iter().filter(|response| response.class == 0 || response.class == class);
        let responses = of_interest.map(|response| Response { class: response.class.min(1), ..*response }).collect();
        Self { responses, classes: 2 }
    }

    fn estimates<const K: usize>(
        &self,
        options: &Options,
        figures: impl Fn(&[u32]) -> [Option<f64>; K],
    ) -> [Option<Estimate>; K] {
        let values = figures(&self.ones());
        if values.iter().all(Option::is_none) {
            return [None; K];
        }
        let strata: Vec<usize> = self.responses.iter().map(|response| response.class).collect();
        let intervals = options.bootstrap.intervals(&strata, figures);
        std::array::from_fn(|k| values[k].map(|value| Estimate { value, ci95: intervals[k] }))
    }

    fn class_sizes(&self, weights: &[u32]) -> Vec<u64> {
        let mut sizes = vec![0; self.classes];
        for (response, &weight) in self.responses.iter().zip(weights) {
            sizes[response.class] += u64::from(weight);
        }
        sizes
    }

    fn at_or_above(&self, threshold: f64, weights: &[u32]) -> Vec<u64> {
        let mut passing = vec![0; self.classes];
        for (response, &weight) in self.responses.iter().zip(weights) {
            if response.score >= threshold {
                passing[response.class] += u64::from(weight);
            }
        }
        passing
    }

    /// Visits every operating point by rising threshold: each score that occurs, then above all. Stops when told.
    fn sweep(&self, weights: &[u32], mut visit: impl FnMut(Operating<'_>) -> bool) {
        let mut passing = self.class_sizes(weights);
        let mut bona_fide_rejected = 0;
        let mut first = 0;
        while first < self.responses.len() {
            let score = self.responses[first].score;
            if visit(Operating { threshold: Some(score), bona_fide_rejected, passing: &passing }) {
                return;
            }
            while let Some(response) = self.responses.get(first).filter(|response| response.score == score) {
                let weight = u64::from(weights[first]);
                passing[response.class] -= weight;
                bona_fide_rejected += if response.class == 0 { weight } else { 0 };
                first += 1;
            }
        }
        visit(Operating { threshold: None, bona_fide_rejected, passing: &passing });
    }

    /// Bona fide and attack responses, unless one of them is missing.
    fn both_classes(&self, weights: &[u32]) -> Option<(f64, f64)> {
        let sizes = self.class_sizes(weights);
        let (bona_fide, attacks) = (sizes[0], sizes[1..].iter().sum::<u64>());
        (bona_fide > 0 && attacks > 0).then_some((bona_fide as f64, attacks as f64))
    }

    fn acer(&self, threshold: f64, weights: &[u32]) -> Option<f64> {
        self.both_classes(weights)?;
        let sizes = self.class_sizes(weights);
        let passing = self.at_or_above(threshold, weights);
        let bpcer = 1.0 - passing[0] as f64 / sizes[0] as f64;
        Some(0.5 * (highest_apcer(&passing, &sizes) + bpcer))
    }

    fn eer(&self, weights: &[u32]) -> Option<f64> {
        let (bona_fide, attacks) = self.both_classes(weights)?;
        // The lowest threshold lets everything pass: APCER 1, BPCER 0.
        let mut before = (1.0, 0.0);
        let mut eer = None;
        self.sweep(weights, |point| {
            let apcer = point.passing[1..].iter().sum::<u64>() as f64 / attacks;
            let bpcer = point.bona_fide_rejected as f64 / bona_fide;
            if apcer <= bpcer {
                let (gap_before, gap) = (before.0 - before.1, apcer - bpcer);
                let share = gap_before / (gap_before - gap);
                eer = Some(before.0 + share * (apcer - before.0));
            }
            before = (apcer, bpcer);
            eer.is_some()
        });
        eer
    }

    fn nearest_to_equal_errors(&self) -> Option<f64> {
        let weights = self.ones();
        let (bona_fide, attacks) = self.both_classes(&weights)?;
        let mut nearest: Option<(f64, f64)> = None;
        self.sweep(&weights, |point| {
            let apcer = point.passing[1..].iter().sum::<u64>() as f64 / attacks;
            let gap = (apcer - point.bona_fide_rejected as f64 / bona_fide).abs();
            if let Some(threshold) = point.threshold.filter(|_| nearest.is_none_or(|(least, _)| gap < least)) {
                nearest = Some((gap, threshold));
            }
            false
        });
        nearest.map(|(_, threshold)| threshold)
    }

    fn auc(&self, weights: &[u32]) -> Option<f64> {
        let (bona_fide, attacks) = self.both_classes(weights)?;
        let mut area = 0.0;
        let mut before = (attacks, 0.0);
        self.sweep(weights, |point| {
            let passing = point.passing[1..].iter().sum::<u64>() as f64;
            let rejected = point.bona_fide_rejected as f64;
            // Between two thresholds, the bona fide responses tie with the attacks that drop out and score above
            // those that dropped out before.
            area += (rejected - before.1) * (attacks - 0.5 * (before.0 + passing));
            before = (passing, rejected);
            false
        });
        Some(area / (attacks * bona_fide))
    }

    /// BPCER at the lowest threshold at which no species has an APCER above `limit`, and that threshold.
    fn bpcer_at(&self, limit: f64, weights: &[u32]) -> Option<(f64, Option<f64>)> {
        let (bona_fide, _) = self.both_classes(weights)?;
        let sizes = self.class_sizes(weights);
        let mut found = None;
        self.sweep(weights, |point| {
            if highest_apcer(point.passing, &sizes) <= limit {
                found = Some((point.bona_fide_rejected as f64 / bona_fide, point.threshold));
            }
            found.is_some()
        });
        found
    }

    fn det_curves(&self, names: &[&str]) -> Vec<DetCurve> {
        let pooled = (names.len() > 1).then(|| DetCurve { species: None, points: self.det_points() });
        (1..)
            .zip(names)
            .map(|(class, name)| DetCurve {
                species: Some((*name).to_owned()),
                points: self.against_bona_fide(class).det_points(),
            })
            .chain(pooled)
            .filter(|curve| !curve.points.is_empty())
            .collect()
    }

    fn det_points(&self) -> Vec<DetPoint> {
        let weights = self.ones();
        let Some((bona_fide, attacks)) = self.both_classes(&weights) else { return Vec::new() };
        let mut points = Vec::new();
        self.sweep(&weights, |point| {
            points.push(DetPoint {
                threshold: point.threshold,
                apcer: point.passing[1..].iter().sum::<u64>() as f64 / attacks,
                bpcer: point.bona_fide_rejected as f64 / bona_fide,
            });
            false
        });
        thin(corners(points), MAX_DET_POINTS)
    }

    fn histogram(&self) -> ScoreHistogram {
        let mut counts = vec![vec![0; HISTOGRAM_BINS]; self.classes];
        for response in &self.responses {
            let bin = (response.score * HISTOGRAM_BINS as f64) as usize;
            counts[response.class][bin.min(HISTOGRAM_BINS - 1)] += 1;
        }
        let bona_fide = counts.remove(0);
        let bin_edges = (0..=HISTOGRAM_BINS).map(|edge| edge as f64 / HISTOGRAM_BINS as f64).collect();
        ScoreHistogram { bin_edges, bona_fide, species: counts }
    }
}

/// The highest APCER of the species that responded at all; 0 when none did.
fn highest_apcer(passing: &[u64], sizes: &[u64]) -> f64 {
    let rates = passing.iter().zip(sizes).skip(1).filter(|(_, size)| **size > 0);
    rates.map(|(&passing, &size)| passing as f64 / size as f64).fold(0.0, f64::max)
}

/// The curve without the points on its horizontal and vertical stretches: the same line with far fewer points.
fn corners(points: Vec<DetPoint>) -> Vec<DetPoint> {
    let straight = |before: &DetPoint, here: &DetPoint, after: &DetPoint| {
        (before.apcer == here.apcer && here.apcer == after.apcer)
            || (before.bpcer == here.bpcer && here.bpcer == after.bpcer)
    };
    let inner = points.windows(3).filter(|three| !straight(&three[0], &three[1], &three[2])).map(|three| three[1]);
    let last = points.last().filter(|_| points.len() > 1);
    points.first().copied().into_iter().chain(inner).chain(last.copied()).collect()
}

/// At most `limit` evenly spaced items, the first and the last among them.
pub(crate) fn thin<T: Copy>(items: Vec<T>, limit: usize) -> Vec<T> {
    if items.len() <= limit {
        return items;
    }
    (0..limit).map(|index| items[index * (items.len() - 1) / (limit - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelledPicture;
    use crate::outcomes::Outcome;

    /// Figures of (presentation, word, score) triples.
    fn figures(pictures: &[(&str, Word, Option<f64>)]) -> Option<PresentationAttackDetection> {
        let labels: Vec<LabelledPicture> = pictures
            .iter()
            .map(|(name, _, _)| LabelledPicture {
                liveness: Some(match *name {
                    "live" => Presentation::BonaFide,
                    species => Presentation::Attack(species.to_owned()),
                }),
                ..LabelledPicture::default()
            })
            .collect();
        let outcomes: Vec<Outcome> = pictures
            .iter()
            .map(|&(_, word, liveness_score)| Outcome { liveness_score, ..Outcome::new("p", word) })
            .collect();
        let pairs: Vec<Pair<'_>> =
            labels.iter().zip(&outcomes).map(|(label, outcome)| Pair { label, outcome }).collect();
        PresentationAttackDetection::compute(&pairs, &Options::default())
    }

    fn scored(classes: &[(&'static str, &[f64])]) -> PresentationAttackDetection {
        let pictures: Vec<_> = classes
            .iter()
            .flat_map(|(name, scores)| scores.iter().map(|&score| (*name, Word::Ok, Some(score))))
            .collect();
        figures(&pictures).expect("labelled")
    }

    /// Five bona fide presentations and two species of four attacks.
    fn example() -> PresentationAttackDetection {
        scored(&[
            ("live", &[0.9, 0.8, 0.7, 0.6, 0.3]),
            ("print", &[0.1, 0.2, 0.4, 0.65]),
            ("replay", &[0.05, 0.15, 0.25, 0.35]),
        ])
    }

    #[test]
    fn apcer_counts_the_attacks_at_or_above_the_threshold_species_by_species() {
        let figures = example();
        let apcer: Vec<_> = figures.species.iter().filter_map(|species| species.apcer).collect();
        // print: 0.65 passes, one of four; replay: none of four.
        assert_eq!((apcer[0].count, apcer[0].total, apcer[0].ratio), (1, 4, 0.25));
        assert_eq!((apcer[1].count, apcer[1].total, apcer[1].ratio), (0, 4, 0.0));
        let worst = figures.apcer_max.expect("attacks");
        assert_eq!((worst.name.as_str(), worst.apcer.ratio), ("print", 0.25));
    }

    #[test]
    fn a_score_of_exactly_the_threshold_is_bona_fide() {
        let figures = scored(&[("live", &[0.5]), ("print", &[0.5])]);
        assert_eq!(figures.bona_fide.bpcer.map(|share| share.ratio), Some(0.0));
        assert_eq!(figures.species[0].apcer.map(|share| share.ratio), Some(1.0));
    }

    #[test]
    fn bpcer_and_acer_follow() {
        let figures = example();
        // 0.3 is rejected, one of five; ACER = (0.25 + 0.2) / 2.
        assert_eq!(figures.bona_fide.bpcer.map(|share| share.ratio), Some(0.2));
        assert!((figures.acer.expect("both classes").value - 0.225).abs() < 1e-12);
    }

    #[test]
    fn eer_lies_where_the_straight_line_between_two_operating_points_crosses_the_diagonal() {
        // Pooled, by rising threshold, (APCER, BPCER) in eighths and fifths: at 0.35 (3/8, 1/5), at 0.4 (2/8, 1/5),
        // at 0.6 (1/8, 1/5). The gap changes sign between the last two, where BPCER stays 1/5.
        let eer = example().eer.expect("both classes");
        assert!((eer.ratio.value - 0.2).abs() < 1e-12);
        // Gaps there: 0.05 at 0.4, 0.075 at 0.6.
        assert_eq!(eer.nearest_threshold, 0.4);
    }

    #[test]
    fn eer_is_interpolated_across_a_tie() {
        // One score for all: the operating points are (1, 0) and (0, 1), the line between crosses at 1/2.
        let figures = scored(&[("live", &[0.7, 0.7]), ("print", &[0.7])]);
        assert_eq!(figures.eer.map(|eer| eer.ratio.value), Some(0.5));
        assert_eq!(figures.auc.map(|auc| auc.value), Some(0.5));
    }

    #[test]
    fn auc_is_the_share_of_pairs_in_the_right_order() {
        // 40 pairs. Above 0.9, 0.8, 0.7: no attack; 0.6 has 0.65 above it; 0.3 has 0.65, 0.4, 0.35 above it.
        assert!((example().auc.expect("both classes").value - 36.0 / 40.0).abs() < 1e-12);
    }

    #[test]
    fn bpcer_at_limited_apcer_takes_the_lowest_threshold_that_every_species_meets() {
        // With four attacks per species, at most 10 % means none: the threshold must exceed 0.65, so 0.7, where
        // 0.3 and 0.6 of five are rejected.
        for figure in example().bpcer_at_apcer {
            assert_eq!((figure.bpcer.value, figure.threshold), (0.4, Some(0.7)));
            assert!(!figure.sample_resolves_limit);
        }
    }

    #[test]
    fn bpcer_is_one_when_an_attack_has_the_highest_score() {
        let figures = scored(&[("live", &[0.6, 0.7]), ("mask", &[0.99])]);
        assert_eq!((figures.bpcer_at_apcer[0].bpcer.value, figures.bpcer_at_apcer[0].threshold), (1.0, None));
    }

    #[test]
    fn the_limit_applies_to_the_worst_species_and_not_to_the_pool() {
        // 20 prints of which one passes at 0.5 (5 %), 2 masks of which one passes at 0.6 (50 %): pooled 2 of 22.
        let mut prints = [0.1; 20];
        prints[0] = 0.5;
        let figures = scored(&[("live", &[0.4, 0.55, 0.9]), ("print", &prints), ("mask", &[0.1, 0.6])]);
        // At 5 %: no mask may pass, so the threshold is 0.9 (the next score above 0.6): two of three rejected.
        let at_5 = figures.bpcer_at_apcer[1];
        assert_eq!((at_5.apcer_limit, at_5.threshold), (0.05, Some(0.9)));
        assert!((at_5.bpcer.value - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn pictures_that_a_rule_rejected_are_non_responses_and_in_no_classification_rate() {
        let figures = figures(&[
            ("live", Word::Ok, Some(0.9)),
            ("live", Word::FaceTooClose, Some(0.1)),
            ("live", Word::Ok, None),
            ("print", Word::FaceNotFound, None),
            ("print", Word::Ok, Some(0.8)),
        ])
        .expect("labelled");
        assert_eq!(figures.bona_fide.bpnrr.map(|share| (share.count, share.total)), Some((2, 3)));
        assert_eq!(figures.bona_fide.bpcer.map(|share| (share.count, share.total)), Some((0, 1)));
        let print = &figures.species[0];
        assert_eq!(print.apnrr.map(|share| (share.count, share.total)), Some((1, 2)));
        assert_eq!(print.apcer.map(|share| (share.count, share.total)), Some((1, 1)));
        assert_eq!(print.passed.map(|share| (share.count, share.total)), Some((1, 2)));
    }

    #[test]
    fn rates_without_responses_are_absent() {
        let figures = figures(&[("print", Word::FaceNotFound, None)]).expect("labelled");
        assert_eq!(figures.species[0].apcer, None);
        assert_eq!(figures.species[0].apnrr.map(|share| share.ratio), Some(1.0));
        assert_eq!((figures.bona_fide.bpcer, figures.apcer_max, figures.acer), (None, None, None));
        assert_eq!((figures.eer, figures.auc), (None, None));
        assert!(figures.bpcer_at_apcer.is_empty() && figures.det_curves.is_empty());
    }

    #[test]
    fn the_det_curve_runs_from_all_pass_to_none_pass() {
        let figures = scored(&[("live", &[0.4, 0.8]), ("print", &[0.2, 0.6])]);
        let points: Vec<_> =
            figures.det_curves[0].points.iter().map(|point| (point.threshold, point.apcer, point.bpcer)).collect();
        assert_eq!(
            points,
            [
                (Some(0.2), 1.0, 0.0),
                (Some(0.4), 0.5, 0.0),
                (Some(0.6), 0.5, 0.5),
                (Some(0.8), 0.0, 0.5),
                (None, 0.0, 1.0),
            ]
        );
        assert_eq!(figures.det_curves.len(), 1, "one species needs no pooled curve");
    }

    #[test]
    fn the_det_curve_has_its_corners_only() {
        // By rising threshold: three prints drop out, then three live persons, then the last print.
        let figures = scored(&[("live", &[0.4, 0.5, 0.6]), ("print", &[0.1, 0.2, 0.3, 0.9])]);
        let points: Vec<_> = figures.det_curves[0].points.iter().map(|point| (point.apcer, point.bpcer)).collect();
        assert_eq!(points, [(1.0, 0.0), (0.25, 0.0), (0.25, 1.0), (0.0, 1.0)]);
    }

    #[test]
    fn the_last_bin_of_the_histogram_includes_one() {
        let figures = scored(&[("live", &[0.0, 0.04, 0.5, 1.0]), ("print", &[0.05])]);
        let bins = &figures.score_histogram.bona_fide;
        assert_eq!((bins[0], bins[10], bins[19], bins.iter().sum::<u64>()), (2, 1, 1, 4));
        assert_eq!(figures.score_histogram.species[0][1], 1);
    }

    #[test]
    fn a_thinned_curve_keeps_both_ends() {
        let thinned = thin((0..10_000).collect(), 500);
        assert_eq!((thinned.len(), thinned[0], thinned[499]), (500, 0, 9_999));
    }
}
