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

mod curves;
mod figures;
mod reasons;
mod sample;

pub(crate) use self::curves::thin;
pub use self::figures::{
    BonaFide, BpcerAtApcer, DetCurve, DetPoint, EqualErrorRate, Misclassified, NetworkAlone,
    PresentationAttackDetection, ScoreHistogram, Species, WorstSpecies,
};
use self::reasons::{Scored, misclassified, networks};
use self::sample::{Response, Sample};
use crate::basis::{Options, Pair};
use crate::labels::Presentation;
use crate::statistics::Proportion;
use crate::word::Word;

/// Limits of APCER at which BPCER is given.
const APCER_LIMITS: [f64; 3] = [0.01, 0.05, 0.10];

impl PresentationAttackDetection {
    /// `None` when no analysed picture has a liveness label.
    pub(crate) fn compute(pairs: &[Pair<'_>], options: &Options) -> Option<Self> {
        let labelled: Vec<(Pair<'_>, &Presentation)> =
            pairs.iter().filter_map(|pair| Some((*pair, pair.label.liveness.as_ref()?))).collect();
        if labelled.is_empty() {
            return None;
        }
        let mut names: Vec<&str> = labelled
            .iter()
            .filter_map(|(_, presentation)| match presentation {
                Presentation::BonaFide => None,
                Presentation::Attack(species) => Some(species.as_str()),
            })
            .collect();
        names.sort_unstable();
        names.dedup();

        let mut presentations = vec![0_u64; names.len() + 1];
        let mut scored = Vec::new();
        for (pair, presentation) in labelled {
            let class = match presentation {
                Presentation::BonaFide => 0,
                Presentation::Attack(species) => 1 + names.binary_search(&species.as_str()).ok()?,
            };
            presentations[class] += 1;
            let score = pair.outcome.liveness_score.filter(|_| pair.outcome.word == Word::Ok);
            scored.extend(score.map(|score| Scored { pair, class, score }));
        }
        let responses = scored.iter().map(|scored| Response { score: scored.score, class: scored.class }).collect();
        let sample = Sample::new(responses, presentations.len());
        let threshold = options.liveness_threshold;
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
            networks: networks(&scored, presentations.len(), options),
            misclassified: misclassified(&scored, threshold),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelledPicture;
    use crate::outcomes::Outcome;

    /// Figures of (presentation, word, score) triples.
    fn figures(pictures: &[(&str, Word, Option<f64>)]) -> Option<PresentationAttackDetection> {
        let labels: Vec<LabelledPicture> =
            pictures.iter().map(|(name, _, _)| LabelledPicture::shown("p", name)).collect();
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
}
