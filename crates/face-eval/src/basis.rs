//! What every figure is computed from: a picture's label with its answer, and the options.

use serde::Serialize;

use crate::labels::LabelledPicture;
use crate::outcomes::{InvalidOutcome, Outcome};
use crate::statistics::Bootstrap;

/// How the figures are computed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Options {
    /// A liveness score at or above it is classified as bona fide, 0 to 1.
    pub liveness_threshold: f64,
    /// Intersection over union from which a detection is right, above 0 and up to 1.
    pub iou_threshold: f64,
    /// Resampling behind the intervals of figures that are no plain shares.
    pub bootstrap: Bootstrap,
}

impl Default for Options {
    /// The contract's operating point of the liveness score (0.5), and the usual overlap for detection (0.5).
    fn default() -> Self {
        Self { liveness_threshold: 0.5, iou_threshold: 0.5, bootstrap: Bootstrap::default() }
    }
}

impl Options {
    pub(crate) fn validate(&self) -> Result<(), EvaluationError> {
        if !(0.0..=1.0).contains(&self.liveness_threshold) {
            let (option, value) = ("liveness_threshold", self.liveness_threshold);
            return Err(EvaluationError::Option { option, value, range: "between 0 and 1" });
        }
        if !(self.iou_threshold > 0.0 && self.iou_threshold <= 1.0) {
            let (option, value) = ("iou_threshold", self.iou_threshold);
            return Err(EvaluationError::Option { option, value, range: "above 0 and at most 1" });
        }
        Ok(())
    }
}

/// No figures can be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvaluationError {
    /// An outcome holds a value that no analysis can give, such as a NaN.
    #[error(transparent)]
    Outcome(#[from] InvalidOutcome),
    /// An option is out of its range.
    #[error("`{option}` is {value}, which is not {range}")]
    Option {
        /// The option.
        option: &'static str,
        /// What it was set to.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

/// A liveness score as the service answers it: with four decimals.
pub fn answered_score(score: f64) -> f64 {
    (score * 1e4).round() / 1e4
}

/// The lowest answered score that is not below a threshold, to be compared with in its place: rounded down, it would let
/// pass what the threshold refuses.
pub(crate) fn answered_threshold(threshold: f64) -> f64 {
    let near = answered_score(threshold);
    if near < threshold { answered_score(near + 1e-4) } else { near }
}

/// A picture with what is known and what was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) label: &'a LabelledPicture,
    pub(crate) outcome: &'a Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_rounded_up_and_only_where_it_has_more_decimals() {
        for (threshold, printed) in
            [(0.999_15, 0.9992), (0.999_11, 0.9992), (0.9992, 0.9992), (0.999_99, 1.0), (0.0, 0.0)]
        {
            assert_eq!(answered_threshold(threshold), printed, "{threshold}");
        }
        for tenthousandths in 0..=10_000 {
            let score = f64::from(tenthousandths) / 1e4;
            assert_eq!(answered_threshold(score), score);
        }
    }
}
