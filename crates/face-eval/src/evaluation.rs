//! Labels and outcomes in, figures out.

use std::collections::HashMap;

use serde::Serialize;

use crate::age::Age;
use crate::basis::{EvaluationError, Options, Pair};
use crate::detection::Detection;
use crate::gender::GenderFigures;
use crate::labels::Labels;
use crate::outcomes::{Outcome, Unreadable};
use crate::pose::PoseFigures;
use crate::presentation_attack::PresentationAttackDetection;
use crate::rules::Rules;

/// All figures. Those that the labels or outcomes give no data for are absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// What the figures were computed with.
    pub options: Options,
    /// How many pictures there are.
    pub sample: Sample,
    /// Presentation attack detection.
    pub presentation_attack_detection: Option<PresentationAttackDetection>,
    /// Age estimation.
    pub age: Option<Age>,
    /// Gender classification.
    pub gender: Option<GenderFigures>,
    /// Face detection.
    pub detection: Option<Detection>,
    /// Expected and given words.
    pub rules: Option<Rules>,
    /// Head pose.
    pub pose: Option<PoseFigures>,
    /// Pictures that could not be analysed, in the order of the labels.
    pub unreadable: Vec<UnreadablePicture>,
}

/// How many pictures an evaluation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Pictures in the labels.
    pub pictures_labelled: u64,
    /// Of these, pictures that were analysed.
    pub pictures_analysed: u64,
    /// Of these, pictures that could not be read or decoded.
    pub pictures_unreadable: u64,
    /// Of these, pictures without an outcome: the run has not come to them.
    pub pictures_without_outcome: u64,
}

/// A picture that could not be analysed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadablePicture {
    /// As in the labels.
    pub path: String,
    /// Why, as a sentence.
    pub reason: String,
}

impl Evaluation {
    /// Computes every figure that the labels and outcomes give data for.
    ///
    /// Outcomes belong to pictures by their path; of several the last counts, and those of pictures without a label
    /// are passed over. The same input gives the same figures, to the last bit.
    pub fn compute(labels: &Labels, outcomes: &[Outcome], options: &Options) -> Result<Self, EvaluationError> {
        options.validate()?;
        let mut by_path = HashMap::with_capacity(outcomes.len());
        for outcome in outcomes {
            outcome.validate()?;
            by_path.insert(outcome.path.as_str(), outcome);
        }
        let found: Vec<Pair<'_>> = labels
            .pictures()
            .iter()
            .filter_map(|label| Some(Pair { label, outcome: by_path.get(label.path.as_str())? }))
            .collect();
        let answered: Vec<Pair<'_>> = found
            .iter()
            .copied()
            .filter(|pair| !matches!(pair.outcome.unreadable, Some(Unreadable::File(_))))
            .collect();
        let analysed: Vec<Pair<'_>> =
            answered.iter().copied().filter(|pair| pair.outcome.unreadable.is_none()).collect();
        let unreadable: Vec<UnreadablePicture> = found
            .iter()
            .filter_map(|pair| {
                let reason = pair.outcome.unreadable.as_ref()?.reason().to_owned();
                Some(UnreadablePicture { path: pair.label.path.clone(), reason })
            })
            .collect();
        Ok(Self {
            options: *options,
            sample: Sample {
                pictures_labelled: labels.pictures().len() as u64,
                pictures_analysed: analysed.len() as u64,
                pictures_unreadable: unreadable.len() as u64,
                pictures_without_outcome: (labels.pictures().len() - found.len()) as u64,
            },
            presentation_attack_detection: PresentationAttackDetection::compute(&analysed, options),
            age: Age::compute(&analysed, options),
            gender: GenderFigures::compute(&analysed, options),
            detection: Detection::compute(&analysed, options),
            rules: Rules::compute(&answered),
            pose: PoseFigures::compute(&analysed, options),
            unreadable,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::Word;

    fn labels(text: &str) -> Labels {
        Labels::from_reader(text.as_bytes(), "").expect("usable labels")
    }

    #[test]
    fn unreadable_files_are_listed_and_left_out() {
        let labels = labels("path,age,expected\na.jpg,30,OK\nb.jpg,30,OK\nc.jpg,30,INTERNAL_ERROR\nd.jpg,30,OK\n");
        let outcomes = [
            Outcome { age: Some(33.0), ..Outcome::new("a.jpg", Word::Ok) },
            Outcome::unreadable("b.jpg", Unreadable::File("no such file".into())),
            Outcome::unreadable("c.jpg", Unreadable::Picture("no image format".into())),
        ];
        let evaluation = Evaluation::compute(&labels, &outcomes, &Options::default()).expect("figures");
        assert_eq!(
            evaluation.sample,
            Sample { pictures_labelled: 4, pictures_analysed: 1, pictures_unreadable: 2, pictures_without_outcome: 1 }
        );
        let listed: Vec<_> = evaluation.unreadable.iter().map(|picture| picture.path.as_str()).collect();
        assert_eq!(listed, ["b.jpg", "c.jpg"]);
        let age = evaluation.age.expect("one picture");
        assert_eq!((age.overall.pictures, age.pictures_without_estimate), (1, 0));
        // The service never saw b.jpg, and answered c.jpg with the expected word.
        assert_eq!(evaluation.rules.map(|rules| (rules.agreement.count, rules.agreement.total)), Some((2, 2)));
    }

    #[test]
    fn of_several_outcomes_of_a_picture_the_last_counts() {
        let labels = labels("path,age\na.jpg,30\n");
        let outcomes = [40.0, 31.0].map(|age| Outcome { age: Some(age), ..Outcome::new("a.jpg", Word::Ok) });
        let evaluation = Evaluation::compute(&labels, &outcomes, &Options::default()).expect("figures");
        assert_eq!(evaluation.age.map(|age| age.overall.mean_absolute_error_years.value), Some(1.0));
    }

    #[test]
    fn a_nan_among_the_scores_is_refused() {
        let labels = labels("path,liveness\na.jpg,live\n");
        let outcomes = [Outcome { liveness_score: Some(f64::NAN), ..Outcome::new("a.jpg", Word::Ok) }];
        let error = Evaluation::compute(&labels, &outcomes, &Options::default()).expect_err("NaN");
        assert_eq!(error.to_string(), "outcome of `a.jpg`: `liveness_score` is NaN, which is not between 0 and 1");
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let labels = labels("path,liveness\na.jpg,live\n");
        for options in [
            Options { liveness_threshold: f64::NAN, ..Options::default() },
            Options { iou_threshold: 0.0, ..Options::default() },
        ] {
            assert!(matches!(Evaluation::compute(&labels, &[], &options), Err(EvaluationError::Option { .. })));
        }
    }

    #[test]
    fn without_outcomes_every_figure_is_absent() {
        let labels = labels("path,liveness,age\na.jpg,live,30\n");
        let evaluation = Evaluation::compute(&labels, &[], &Options::default()).expect("figures");
        assert_eq!((evaluation.presentation_attack_detection, evaluation.age), (None, None));
        assert_eq!((evaluation.gender, evaluation.detection), (None, None));
        assert_eq!((evaluation.rules, evaluation.pose), (None, None));
    }
}
