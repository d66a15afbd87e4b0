//! The words of an answer: why a picture cannot be used, and what a rule found. Below the rules and the report.

use serde::{Deserialize, Serialize};

/// The contract's words for a picture that cannot be used, in the order in which they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RejectionWord {
    /// No face that was confirmed.
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

impl Action {
    /// The action's name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }
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
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub measured: Option<f32>,
    /// The configured limit.
    pub threshold: f32,
    /// `px`, `degrees`, `levels` (of 255), `ratio`, `score` or `faces`.
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
