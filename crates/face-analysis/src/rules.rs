//! The eight rejections: measured value, threshold, verdict.

use serde::{Deserialize, Serialize};

/// The contract's words for a picture that cannot be used, in the order in which they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RejectionWord {
    /// No face at or above the score threshold.
    FaceNotFound,
    /// A second face of comparable size.
    TooManyFaces,
    /// Too few pixels on the face.
    FaceTooSmall,
    /// The face reaches beyond the picture.
    FaceCropped,
    /// The face fills the picture.
    FaceTooClose,
    /// The face is too near to a border of the picture.
    FaceCloseToBorder,
    /// The head is turned or tilted away.
    FaceAngleTooLarge,
    /// Something covers the face.
    FaceIsOccluded,
}

impl RejectionWord {
    /// All words in the order in which they are sent.
    pub const ALL: [Self; 8] = [
        Self::FaceNotFound,
        Self::TooManyFaces,
        Self::FaceTooSmall,
        Self::FaceCropped,
        Self::FaceTooClose,
        Self::FaceCloseToBorder,
        Self::FaceAngleTooLarge,
        Self::FaceIsOccluded,
    ];

    /// The word as it stands in an answer, such as `FACE_NOT_FOUND`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FaceNotFound => "FACE_NOT_FOUND",
            Self::TooManyFaces => "TOO_MANY_FACES",
            Self::FaceTooSmall => "FACE_TOO_SMALL",
            Self::FaceCropped => "FACE_CROPPED",
            Self::FaceTooClose => "FACE_TOO_CLOSE",
            Self::FaceCloseToBorder => "FACE_CLOSE_TO_BORDER",
            Self::FaceAngleTooLarge => "FACE_ANGLE_TOO_LARGE",
            Self::FaceIsOccluded => "FACE_IS_OCCLUDED",
        }
    }
}

/// What happens when a rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Action {
    /// The picture is rejected with the rule's word.
    Reject,
    /// Reported in `details` only.
    Warn,
    /// Neither judged nor reported as broken.
    Off,
}

/// A named set of thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The commercial engine's current image requirements: 50 px, 150 px, 15 px, 30 degrees.
    #[default]
    Default,
    /// Its older, stricter ones: 80 px, 224 px, 25 px.
    Strict,
    /// For pictures that were not taken for the purpose.
    Lenient,
}

/// One rule of a finished analysis.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RuleReport {
    /// The contract's word that the rule belongs to.
    pub word: RejectionWord,
    /// The rule's name, which is also its key in the configuration, such as `min_interpupillary_distance`.
    pub rule: &'static str,
    /// The measured value; absent when the pipeline stopped before it could be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<f32>,
    /// The configured limit.
    pub threshold: f32,
    /// `px`, `degrees`, `ratio`, `score` or `faces`.
    pub unit: &'static str,
    /// What is configured to happen when the rule is broken.
    pub action: Action,
    /// Whether the picture meets the rule.
    pub verdict: RuleVerdict,
}

/// Whether a picture meets a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RuleVerdict {
    /// It does.
    Pass,
    /// It does not.
    Fail,
    /// Not measured, or the rule is off.
    Skipped,
}
