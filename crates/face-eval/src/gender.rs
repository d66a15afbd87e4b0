//! Gender classification. The service's number is `10000 * (2p - 1)` of the probability `p` of female: its sign
//! decides, and 0 is undecided, which counts as wrong.

use serde::Serialize;

use crate::age::decade;
use crate::basis::{Options, Pair};
use crate::labels::Gender;
use crate::statistics::{ErrorFigures, Estimate, Proportion};
use crate::word::Word;

/// All figures of gender classification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GenderFigures {
    /// Pictures with a label and without an estimate, because the service rejected them. They are in no figure.
    pub pictures_without_estimate: u64,
    /// Share of right decisions.
    pub accuracy: Proportion,
    /// Mean of `(p - truth)^2` with the probability `p` of female and a truth of 0 or 1 (Brier 1950). 0 is best,
    /// 0.25 is what a constant `p` of one half gives.
    pub brier_score: Estimate,
    /// Decisions on pictures labelled female.
    pub labelled_female: Decisions,
    /// Decisions on pictures labelled male.
    pub labelled_male: Decisions,
    /// Accuracy by labelled age: 0 to 9 years, 10 to 19 and so on, of the pictures that have one.
    pub by_decade: Vec<GenderDecade>,
}

/// One row of the confusion table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Decisions {
    /// Decided female.
    pub female: u64,
    /// Decided male.
    pub male: u64,
    /// Not decided.
    pub undecided: u64,
    /// Share of right decisions.
    pub accuracy: Option<Proportion>,
}

/// Accuracy in one decade of labelled age.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GenderDecade {
    /// First year of the decade; the last is 9 years on.
    pub from_years: u32,
    /// Share of right decisions.
    pub accuracy: Proportion,
}

struct Decided {
    truth: Gender,
    estimate: i32,
    age: Option<f64>,
}

impl Decided {
    fn decision(&self) -> Option<Gender> {
        match self.estimate {
            0 => None,
            estimate if estimate > 0 => Some(Gender::Female),
            _ => Some(Gender::Male),
        }
    }

    fn right(&self) -> bool {
        self.decision() == Some(self.truth)
    }

    /// Probability of female minus truth.
    fn error(&self) -> f64 {
        let female_probability = 0.5 * (f64::from(self.estimate) / 10_000.0 + 1.0);
        female_probability - if self.truth == Gender::Female { 1.0 } else { 0.0 }
    }
}

impl GenderFigures {
    /// `None` without a picture that has both a labelled and an estimated gender.
    pub(crate) fn compute(pairs: &[Pair<'_>], options: &Options) -> Option<Self> {
        let labelled: Vec<(&Pair<'_>, Gender)> =
            pairs.iter().filter_map(|pair| Some((pair, pair.label.gender?))).collect();
        let decided: Vec<Decided> = labelled
            .iter()
            .filter(|(pair, _)| pair.outcome.word == Word::Ok)
            .filter_map(|&(pair, truth)| Some(Decided { truth, estimate: pair.outcome.gender?, age: pair.label.age }))
            .collect();
        let decisions = |truth| {
            let of_truth = || decided.iter().filter(move |picture| picture.truth == truth);
            let count = |decision| of_truth().filter(|picture| picture.decision() == decision).count() as u64;
            Decisions {
                female: count(Some(Gender::Female)),
                male: count(Some(Gender::Male)),
                undecided: count(None),
                accuracy: Proportion::of(of_truth(), Decided::right),
            }
        };
        let mut decades: Vec<u32> = decided.iter().filter_map(|picture| picture.age.map(decade)).collect();
        decades.sort_unstable();
        decades.dedup();
        let squares: Vec<f64> = decided.iter().map(|picture| picture.error().powi(2)).collect();
        Some(Self {
            pictures_without_estimate: (labelled.len() - decided.len()) as u64,
            accuracy: Proportion::of(&decided, Decided::right)?,
            brier_score: ErrorFigures::of(&squares, options.bootstrap)?.bias,
            labelled_female: decisions(Gender::Female),
            labelled_male: decisions(Gender::Male),
            by_decade: decades
                .into_iter()
                .filter_map(|from_years| {
                    let members = decided.iter().filter(|picture| picture.age.map(decade) == Some(from_years));
                    Some(GenderDecade { from_years, accuracy: Proportion::of(members, Decided::right)? })
                })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelledPicture;
    use crate::outcomes::Outcome;

    fn figures(pictures: &[(Gender, Option<f64>, Option<i32>)]) -> Option<GenderFigures> {
        let labels: Vec<LabelledPicture> = pictures
            .iter()
            .map(|&(gender, age, _)| LabelledPicture { gender: Some(gender), age, ..LabelledPicture::default() })
            .collect();
        let outcomes: Vec<Outcome> =
            pictures.iter().map(|&(_, _, gender)| Outcome { gender, ..Outcome::new("p", Word::Ok) }).collect();
        let pairs: Vec<Pair<'_>> =
            labels.iter().zip(&outcomes).map(|(label, outcome)| Pair { label, outcome }).collect();
        GenderFigures::compute(&pairs, &Options::default())
    }

    #[test]
    fn the_sign_decides_and_undecided_is_wrong() {
        let figures = figures(&[
            (Gender::Female, Some(25.0), Some(9000)),
            (Gender::Female, Some(31.0), Some(0)),
            (Gender::Female, None, Some(-2000)),
            (Gender::Male, Some(39.0), Some(-10_000)),
            (Gender::Male, None, Some(1)),
            (Gender::Male, None, None),
        ])
        .expect("five estimates");
        assert_eq!(figures.pictures_without_estimate, 1);
        assert_eq!((figures.accuracy.count, figures.accuracy.total), (2, 5));
        let female = figures.labelled_female;
        assert_eq!((female.female, female.male, female.undecided), (1, 1, 1));
        let male = figures.labelled_male;
        assert_eq!((male.female, male.male, male.undecided), (1, 1, 0));
        let decades: Vec<_> = figures
            .by_decade
            .iter()
            .map(|group| (group.from_years, group.accuracy.count, group.accuracy.total))
            .collect();
        assert_eq!(decades, [(20, 1, 1), (30, 1, 2)]);
    }

    #[test]
    fn the_brier_score_is_the_mean_square_of_the_probabilitys_error() {
        // p of female: 0.95 (truth 1) and 0.4 (truth 0): (0.0025 + 0.16) / 2.
        let figures = figures(&[(Gender::Female, None, Some(9000)), (Gender::Male, None, Some(-2000))]).expect("two");
        assert!((figures.brier_score.value - 0.081_25).abs() < 1e-12);
    }

    #[test]
    fn a_rejected_picture_is_in_no_figure_whatever_was_measured() {
        let label = LabelledPicture { gender: Some(Gender::Female), ..LabelledPicture::default() };
        let outcomes = [(Word::Ok, 9000), (Word::FaceTooSmall, -9000)]
            .map(|(word, gender)| Outcome { gender: Some(gender), ..Outcome::new("p", word) });
        let pairs = outcomes.each_ref().map(|outcome| Pair { label: &label, outcome });
        let figures = GenderFigures::compute(&pairs, &Options::default()).expect("one estimate");
        assert_eq!((figures.accuracy.count, figures.accuracy.total, figures.pictures_without_estimate), (1, 1, 1));
    }

    #[test]
    fn figures_without_an_estimate_are_absent() {
        assert_eq!(figures(&[(Gender::Male, None, None)]), None);
    }
}
