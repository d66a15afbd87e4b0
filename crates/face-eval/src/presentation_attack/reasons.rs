//! Why scores are what they are: what each network says alone, and of the pictures that were classified wrongly.

use std::collections::BTreeSet;

use super::figures::{Misclassified, NetworkAlone};
use super::sample::{Response, Sample};
use crate::basis::{Options, Pair};
use crate::labels::Presentation;
use crate::outcomes::LivenessReasons;

/// Wrongly classified pictures that are told: as many as somebody looks at.
const MOST_MISCLASSIFIED: usize = 20;

/// A response with its class (0 is bona fide, `i + 1` is species `i`) and its score.
pub(super) struct Scored<'a> {
    pub(super) pair: Pair<'a>,
    pub(super) class: usize,
    pub(super) score: f64,
}

impl<'a> Scored<'a> {
    fn reasons(&self) -> Option<&'a LivenessReasons> {
        self.pair.outcome.liveness_reasons.as_ref()
    }
}

/// The figures of each network that took part, by name.
pub(super) fn networks(scored: &[Scored<'_>], classes: usize, options: &Options) -> Vec<NetworkAlone> {
    let names: BTreeSet<&String> =
        scored.iter().filter_map(Scored::reasons).flat_map(|reasons| reasons.networks.keys()).collect();
    let figures = |name: &String| {
        let judged = |scored: &Scored<'_>| {
            let score = *scored.reasons()?.networks.get(name)?;
            Some(Response { score, class: scored.class })
        };
        let sample = Sample::new(scored.iter().filter_map(judged).collect(), classes);
        let [eer, auc] = sample.estimates(options, |weights| [sample.eer(weights), sample.auc(weights)]);
        let of_species = |class| {
            let alone = sample.against_bona_fide(class);
            let [auc] = alone.estimates(options, |weights| [alone.auc(weights)]);
            auc
        };
        NetworkAlone {
            name: name.clone(),
            pictures: sample.responses.len() as u64,
            eer,
            auc,
            species: (1..classes).map(of_species).collect(),
        }
    };
    names.into_iter().map(figures).collect()
}

/// What was classified wrongly, the furthest from the threshold first.
pub(super) fn misclassified(scored: &[Scored<'_>], threshold: f64) -> Vec<Misclassified> {
    let mut wrong: Vec<&Scored<'_>> =
        scored.iter().filter(|scored| (scored.score >= threshold) != (scored.class == 0)).collect();
    // The order of the labels among equals.
    wrong.sort_by(|a, b| (b.score - threshold).abs().total_cmp(&(a.score - threshold).abs()));
    let told = |scored: &&Scored<'_>| Misclassified {
        path: scored.pair.label.path.clone(),
        species: match &scored.pair.label.liveness {
            Some(Presentation::Attack(species)) => Some(species.clone()),
            _ => None,
        },
        score: scored.score,
        reasons: scored.reasons().cloned(),
    };
    wrong.iter().take(MOST_MISCLASSIFIED).map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::super::PresentationAttackDetection;
    use super::*;
    use crate::labels::LabelledPicture;
    use crate::outcomes::Outcome;
    use crate::word::Word;

    /// Figures of (presentation, score, what two networks say) triples.
    fn figures(pictures: &[(&str, f64, [f64; 2])]) -> PresentationAttackDetection {
        let labels: Vec<LabelledPicture> = pictures
            .iter()
            .enumerate()
            .map(|(number, (name, _, _))| LabelledPicture::shown(&format!("{number}.jpg"), name))
            .collect();
        let outcomes: Vec<Outcome> = pictures
            .iter()
            .zip(&labels)
            .map(|(&(_, score, [first, second]), label)| Outcome {
                liveness_score: Some(score),
                liveness_reasons: Some(LivenessReasons {
                    networks: [("first".to_owned(), first), ("second".to_owned(), second)].into(),
                    surrounding: 2.0,
                    reliability: 1.0,
                }),
                ..Outcome::new(&label.path, Word::Ok)
            })
            .collect();
        let pairs: Vec<Pair<'_>> =
            labels.iter().zip(&outcomes).map(|(label, outcome)| Pair { label, outcome }).collect();
        PresentationAttackDetection::compute(&pairs, &Options::default()).expect("labelled pictures")
    }

    #[test]
    fn a_network_has_the_figures_of_its_own_answers() {
        // The first tells all apart, the second has one of two attacks (the mask) above every live face.
        let figures = figures(&[
            ("live", 0.9, [0.9, 0.6]),
            ("live", 0.8, [0.8, 0.5]),
            ("print", 0.2, [0.1, 0.4]),
            ("mask", 0.3, [0.2, 0.9]),
        ]);
        let auc = |number: usize| figures.networks[number].auc.map(|auc| auc.value);
        assert_eq!((figures.networks[0].name.as_str(), figures.networks[0].pictures), ("first", 4));
        assert_eq!((auc(0), auc(1)), (Some(1.0), Some(0.5)));
        // Species by name: mask, print.
        let of_species: Vec<_> = figures.networks[1].species.iter().map(|auc| auc.map(|auc| auc.value)).collect();
        assert_eq!(of_species, [Some(0.0), Some(1.0)]);
    }

    #[test]
    fn the_furthest_on_the_wrong_side_comes_first() {
        let figures = figures(&[
            ("live", 0.4, [0.4, 0.4]),
            ("live", 0.5, [0.5, 0.5]),
            ("print", 0.95, [0.9, 1.0]),
            ("print", 0.49, [0.5, 0.5]),
        ]);
        let told: Vec<_> = figures.misclassified.iter().map(|m| (m.path.as_str(), m.species.as_deref())).collect();
        assert_eq!(told, [("2.jpg", Some("print")), ("0.jpg", None)]);
        assert_eq!(figures.misclassified[0].reasons.as_ref().map(|r| r.networks["second"]), Some(1.0));
    }
}
