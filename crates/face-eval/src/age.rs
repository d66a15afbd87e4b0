//! Age estimation: errors in years, estimate minus label.

use serde::Serialize;

use crate::basis::{Options, Pair};
use crate::labels::Gender;
use crate::statistics::{ErrorFigures, Estimate, Proportion};
use crate::word::Word;

/// Errors up to this are within the headline share, in years.
const HEADLINE_YEARS: f64 = 5.0;

/// Errors at which the cumulative share is given, in years.
const CUMULATIVE_YEARS: [u32; 8] = [1, 2, 3, 5, 7, 10, 15, 20];

/// All figures of age estimation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Age {
    /// Pictures with a label and without an estimate, because the service rejected them. They are in no figure.
    pub pictures_without_estimate: u64,
    /// Figures of all pictures with an estimate.
    pub overall: AgeErrors,
    /// Share of pictures whose absolute error is at most so many years.
    pub cumulative: Vec<ShareWithin>,
    /// By labelled age: 0 to 9 years, 10 to 19 and so on, without empty decades.
    pub by_decade: Vec<AgeDecade>,
    /// By labelled gender, of the pictures that have one.
    pub by_gender: Vec<AgeOfGender>,
}

/// Errors of one group of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AgeErrors {
    /// Pictures in the group, at least 1.
    pub pictures: u64,
    /// Mean of the absolute errors.
    pub mean_absolute_error_years: Estimate,
    /// Root of the mean of the squared errors.
    pub root_mean_square_error_years: Estimate,
    /// Mean of the errors: positive when ages are overestimated.
    pub bias_years: Estimate,
    /// Share of pictures with an absolute error of at most 5 years.
    pub share_within_5_years: Proportion,
}

/// Share of pictures within an absolute error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ShareWithin {
    /// The error, inclusive.
    pub years: u32,
    /// The share.
    pub share: Proportion,
}

/// Errors of the pictures of one decade of labelled age.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AgeDecade {
    /// First year of the decade; the last is 9 years on.
    pub from_years: u32,
    /// The errors.
    #[serde(flatten)]
    pub errors: AgeErrors,
}

/// Errors of the pictures of one labelled gender.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AgeOfGender {
    /// The gender.
    pub gender: Gender,
    /// The errors.
    #[serde(flatten)]
    pub errors: AgeErrors,
}

/// First year of the decade of an age.
pub(crate) fn decade(age_years: f64) -> u32 {
    (age_years / 10.0).floor() as u32 * 10
}

impl Age {
    /// `None` without a picture that has both a labelled and an estimated age.
    pub(crate) fn compute(pairs: &[Pair<'_>], options: &Options) -> Option<Self> {
        let labelled: Vec<(&Pair<'_>, f64)> = pairs.iter().filter_map(|pair| Some((pair, pair.label.age?))).collect();
        let errors: Vec<(&Pair<'_>, f64, f64)> =
            labelled.iter().filter_map(|&(pair, age)| Some((pair, age, answered(pair)? - age))).collect();
        let group = |member: &dyn Fn(&Pair<'_>, f64) -> bool| {
            let errors: Vec<f64> =
                errors.iter().filter(|(pair, age, _)| member(pair, *age)).map(|&(_, _, error)| error).collect();
            AgeErrors::of(&errors, options)
        };
        let mut decades: Vec<u32> = errors.iter().map(|&(_, age, _)| decade(age)).collect();
        decades.sort_unstable();
        decades.dedup();
        Some(Self {
            pictures_without_estimate: (labelled.len() - errors.len()) as u64,
            overall: group(&|_, _| true)?,
            cumulative: CUMULATIVE_YEARS
                .into_iter()
                .filter_map(|years| {
                    let share = Proportion::of(&errors, |(_, _, error)| error.abs() <= f64::from(years))?;
                    Some(ShareWithin { years, share })
                })
                .collect(),
            by_decade: decades
                .into_iter()
                .filter_map(|from_years| {
                    let errors = group(&|_, age| decade(age) == from_years)?;
                    Some(AgeDecade { from_years, errors })
                })
                .collect(),
            by_gender: [Gender::Female, Gender::Male]
                .into_iter()
                .filter_map(|gender| {
                    let errors = group(&|pair, _| pair.label.gender == Some(gender))?;
                    Some(AgeOfGender { gender, errors })
                })
                .collect(),
        })
    }
}

/// The estimate of an accepted picture: of a rejected one the service answers none, whatever was measured.
fn answered(pair: &Pair<'_>) -> Option<f64> {
    pair.outcome.age.filter(|_| pair.outcome.word == Word::Ok)
}

impl AgeErrors {
    fn of(errors: &[f64], options: &Options) -> Option<Self> {
        let figures = ErrorFigures::of(errors, options.bootstrap)?;
        Some(Self {
            pictures: errors.len() as u64,
            mean_absolute_error_years: figures.mean_absolute,
            root_mean_square_error_years: figures.root_mean_square,
            bias_years: figures.bias,
            share_within_5_years: Proportion::of(errors, |error| error.abs() <= HEADLINE_YEARS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelledPicture;
    use crate::outcomes::Outcome;

    fn figures(pictures: &[(f64, Option<f64>, Option<Gender>)]) -> Option<Age> {
        let labels: Vec<LabelledPicture> = pictures
            .iter()
            .map(|&(age, _, gender)| LabelledPicture { age: Some(age), gender, ..LabelledPicture::default() })
            .collect();
        let outcomes: Vec<Outcome> =
            pictures.iter().map(|&(_, age, _)| Outcome { age, ..Outcome::new("p", Word::Ok) }).collect();
        let pairs: Vec<Pair<'_>> =
            labels.iter().zip(&outcomes).map(|(label, outcome)| Pair { label, outcome }).collect();
        Age::compute(&pairs, &Options::default())
    }

    #[test]
    fn errors_are_averaged_overall_by_decade_and_by_gender() {
        // Errors +4, -6, +5, and one picture without an estimate.
        let figures = figures(&[
            (29.0, Some(33.0), Some(Gender::Female)),
            (30.0, Some(24.0), Some(Gender::Male)),
            (39.9, Some(44.9), None),
            (50.0, None, Some(Gender::Male)),
        ])
        .expect("three errors");
        assert_eq!(figures.pictures_without_estimate, 1);
        assert_eq!(figures.overall.pictures, 3);
        assert_eq!(figures.overall.mean_absolute_error_years.value, 5.0);
        // sqrt((16 + 36 + 25) / 3)
        assert!((figures.overall.root_mean_square_error_years.value - (77.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(figures.overall.bias_years.value, 1.0);
        assert_eq!(figures.overall.share_within_5_years.count, 2, "an error of exactly 5 years is within");

        let decades: Vec<_> = figures
            .by_decade
            .iter()
            .map(|decade| (decade.from_years, decade.errors.pictures, decade.errors.bias_years.value))
            .collect();
        assert_eq!(decades, [(20, 1, 4.0), (30, 2, -0.5)]);
        let genders: Vec<_> =
            figures.by_gender.iter().map(|group| (group.gender, group.errors.bias_years.value)).collect();
        assert_eq!(genders, [(Gender::Female, 4.0), (Gender::Male, -6.0)]);
        let within: Vec<_> = figures.cumulative.iter().map(|within| (within.years, within.share.count)).collect();
        assert_eq!(within, [(1, 0), (2, 0), (3, 0), (5, 2), (7, 3), (10, 3), (15, 3), (20, 3)]);
    }

    #[test]
    fn a_rejected_picture_is_in_no_figure_whatever_was_measured() {
        let label = LabelledPicture { age: Some(30.0), ..LabelledPicture::default() };
        let outcomes = [(Word::Ok, 33.0), (Word::FaceTooSmall, 70.0)]
            .map(|(word, age)| Outcome { age: Some(age), ..Outcome::new("p", word) });
        let pairs = outcomes.each_ref().map(|outcome| Pair { label: &label, outcome });
        let figures = Age::compute(&pairs, &Options::default()).expect("one error");
        assert_eq!((figures.overall.pictures, figures.pictures_without_estimate), (1, 1));
        assert_eq!(figures.overall.mean_absolute_error_years.value, 3.0);
    }

    #[test]
    fn figures_without_an_estimate_are_absent() {
        assert_eq!(figures(&[(30.0, None, None)]), None);
        assert_eq!(figures(&[]), None);
    }
}
