//! Head pose: errors in degrees, estimate minus label, the short way round.

use serde::Serialize;

use crate::basis::{Options, Pair};
use crate::labels::LabelledPicture;
use crate::outcomes::Pose;
use crate::statistics::{ErrorFigures, Estimate, Proportion};

/// Errors of the three axes; an axis without a labelled and estimated picture is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PoseFigures {
    /// Pictures with a labelled angle and without an estimate. They are in no figure.
    pub pictures_without_estimate: u64,
    /// Turning left and right.
    pub yaw: Option<AxisErrors>,
    /// Looking up and down.
    pub pitch: Option<AxisErrors>,
    /// Leaning.
    pub roll: Option<AxisErrors>,
}

/// Errors of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AxisErrors {
    /// Pictures, at least 1.
    pub pictures: u64,
    /// Mean of the absolute errors.
    pub mean_absolute_error_degrees: Estimate,
    /// Mean of the errors.
    pub bias_degrees: Estimate,
    /// Share of pictures with an absolute error of at most 5 degrees.
    pub share_within_5_degrees: Proportion,
}

/// `estimate - label` brought to -180 (exclusive) to 180 degrees.
fn angle_between(label: f64, estimate: f64) -> f64 {
    let difference = (estimate - label).rem_euclid(360.0);
    if difference > 180.0 { difference - 360.0 } else { difference }
}

impl PoseFigures {
    /// `None` when no axis has a picture.
    pub(crate) fn compute(pairs: &[Pair<'_>], options: &Options) -> Option<Self> {
        let axis = |label: fn(&LabelledPicture) -> Option<f64>, estimate: fn(&Pose) -> f64| {
            let errors: Vec<f64> = pairs
                .iter()
                .filter_map(|pair| Some(angle_between(label(pair.label)?, estimate(pair.outcome.pose.as_ref()?))))
                .collect();
            let figures = ErrorFigures::of(&errors, options.bootstrap)?;
            Some(AxisErrors {
                pictures: errors.len() as u64,
                mean_absolute_error_degrees: figures.mean_absolute,
                bias_degrees: figures.bias,
                share_within_5_degrees: Proportion::of(&errors, |error| error.abs() <= 5.0)?,
            })
        };
        let labelled = |label: &LabelledPicture| label.yaw.or(label.pitch).or(label.roll).is_some();
        let figures = Self {
            pictures_without_estimate: pairs
                .iter()
                .filter(|pair| labelled(pair.label) && pair.outcome.pose.is_none())
                .count() as u64,
            yaw: axis(|label| label.yaw, |pose| pose.yaw),
            pitch: axis(|label| label.pitch, |pose| pose.pitch),
            roll: axis(|label| label.roll, |pose| pose.roll),
        };
        (figures.yaw.is_some() || figures.pitch.is_some() || figures.roll.is_some()).then_some(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::Outcome;
    use crate::word::Word;

    #[test]
    fn errors_go_the_short_way_round() {
        assert_eq!(angle_between(10.0, 4.0), -6.0);
        assert_eq!(angle_between(175.0, -175.0), 10.0);
        assert_eq!(angle_between(-170.0, 170.0), -20.0);
        assert_eq!(angle_between(0.0, 180.0), 180.0);
    }

    #[test]
    fn each_axis_is_averaged_over_the_pictures_that_have_it() {
        let labels = [
            LabelledPicture { yaw: Some(10.0), pitch: Some(0.0), ..LabelledPicture::default() },
            LabelledPicture { yaw: Some(-20.0), ..LabelledPicture::default() },
            LabelledPicture { yaw: Some(0.0), ..LabelledPicture::default() },
        ];
        let outcomes = [Some((13.0, 2.0)), Some((-25.0, 9.0)), None].map(|pose| Outcome {
            pose: pose.map(|(yaw, pitch)| Pose { yaw, pitch, roll: 0.0 }),
            ..Outcome::new("p", Word::Ok)
        });
        let pairs: Vec<Pair<'_>> =
            labels.iter().zip(&outcomes).map(|(label, outcome)| Pair { label, outcome }).collect();
        let figures = PoseFigures::compute(&pairs, &Options::default()).expect("two axes");
        assert_eq!(figures.pictures_without_estimate, 1);
        // Errors +3 and -5.
        let yaw = figures.yaw.expect("two pictures");
        assert_eq!((yaw.pictures, yaw.mean_absolute_error_degrees.value, yaw.bias_degrees.value), (2, 4.0, -1.0));
        assert_eq!(yaw.share_within_5_degrees.count, 2);
        assert_eq!(figures.pitch.map(|pitch| (pitch.pictures, pitch.bias_degrees.value)), Some((1, 2.0)));
        assert_eq!(figures.roll, None);
    }

    #[test]
    fn figures_without_an_estimate_are_absent() {
        assert_eq!(PoseFigures::compute(&[], &Options::default()), None);
    }
}
