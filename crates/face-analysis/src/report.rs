//! What an analysis says: the face, or the rejection, and on request every measured value.
//!
//! All lengths are pixels of the picture as a person sees it (after EXIF orientation), all angles degrees,
//! all probabilities and scores 0 to 1 unless a field says otherwise.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use picture_cell::Orientation;
use serde::Serialize;

use crate::words::{RejectionWord, RuleReport};

/// The answer for one picture.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// The face, or why the picture was rejected.
    pub verdict: Verdict,
    /// Every measured value, when it was asked for.
    pub details: Option<Box<Details>>,
    /// Time spent in each stage, in the order in which the stages ran.
    pub timings: Vec<StageTime>,
    /// The part of them that the networks themselves took.
    pub inference: Duration,
    /// Pixels that were judged: those of the decoded picture inside uniform bars at its edges.
    pub pixels: u64,
}

/// The outcome of the rules.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Exactly one usable face.
    Accepted(Face),
    /// The picture does not meet a rule whose action is `reject`.
    Rejected(Rejection),
}

/// The attributes of the one usable face.
#[derive(Debug, Clone)]
pub struct Face {
    /// Estimated age in whole years, 0 to 100.
    pub age: u8,
    /// -10000 (certainly male) to 10000 (certainly female), 0 undecided.
    pub gender: i32,
    /// 0 to 1, higher is more alive, 0.5 is the operating threshold.
    pub passive_liveness_score: f32,
    /// The face box, clipped to the picture.
    pub rectangle: Rectangle,
    /// JPEG of exactly `rectangle`, when it was asked for.
    pub image: Option<Vec<u8>>,
}

/// Why a picture was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The word of the API contract.
    pub word: RejectionWord,
    /// A finer, stable reason in snake_case, such as `interpupillary_distance_too_small`.
    pub code: &'static str,
    /// One sentence that says what was measured, what is required and what to do.
    pub message: String,
}

/// A box in whole pixels; `right = left + width` and `bottom = top + height` are exclusive ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rectangle {
    /// Distance of the upper edge from the top of the picture.
    pub top: u32,
    /// Distance of the left edge from the left side of the picture.
    pub left: u32,
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// `left + width`.
    pub right: u32,
    /// `top + height`.
    pub bottom: u32,
}

/// A box in fractions of pixels, which may reach beyond the picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Extent {
    /// Left edge; negative when the face begins outside the picture.
    pub left: f32,
    /// Upper edge; negative when the face begins outside the picture.
    pub top: f32,
    /// Width of the whole face.
    pub width: f32,
    /// Height of the whole face.
    pub height: f32,
}

impl Extent {
    /// The box where `turn` moves it in a picture of `size` (width, height, before the turn).
    pub fn turned(self, turn: Orientation, size: (f32, f32)) -> Self {
        let a = turn.point([self.left, self.top], size);
        let b = turn.point([self.left + self.width, self.top + self.height], size);
        Self { left: a[0].min(b[0]), top: a[1].min(b[1]), width: (a[0] - b[0]).abs(), height: (a[1] - b[1]).abs() }
    }
}

/// Everything that was measured. Fields are absent when the pipeline stopped before their stage.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Details {
    /// The picture itself.
    pub image: ImageDetails,
    /// Every confirmed face, the main face first, the others by size.
    pub faces: Vec<DetectedFace>,
    /// 478 points `[x, y, z]` of the main face, z in the scale of x with smaller values nearer to the camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub landmarks: Option<Vec<[f32; 3]>>,
    /// The landmark network's confidence that it sees a face.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub landmark_confidence: Option<f32>,
    /// Distance of the pupils in pixels; absent where the face is rejected as covered and an eye is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub interpupillary_distance: Option<f32>,
    /// Rotation of the head.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub pose: Option<Pose>,
    /// Distances of the face's extent to the borders of `image.content`; negative where it reaches beyond them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub margins: Option<Margins>,
    /// Each rule with its measured value, threshold and verdict, in the order in which rejections are sent.
    pub rules: Vec<RuleReport>,
    /// What does not reject the picture and still matters to its answer, such as `picture_without_colour`.
    pub warnings: Vec<Warning>,
    /// How the liveness score came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub liveness: Option<LivenessDetails>,
    /// What covers the face, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub occlusion: Option<Occlusion>,
    /// Probability that something covers the face: `occlusion.probability`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub occlusion_probability: Option<f32>,
    /// Age before rounding, in years.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub age: Option<f32>,
    /// Probability that the person is female.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub female_probability: Option<f32>,
    /// Capture-quality components named and scaled (0 to 100, higher is better) as in ISO/IEC 29794-5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub quality: Option<BTreeMap<&'static str, QualityComponent>>,
    /// The networks behind the answer.
    pub models: Vec<ModelInfo>,
    /// Milliseconds per stage.
    pub timings: BTreeMap<&'static str, f64>,
}

/// The decoded picture.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageDetails {
    /// Width after EXIF orientation.
    pub width: u32,
    /// Height after EXIF orientation.
    pub height: u32,
    /// The part that was judged: what lies inside uniform bars at the edges, the whole picture when it has none. Margins
    /// and shares count from here; all coordinates stay those of the whole picture.
    pub content: Rectangle,
    /// `jpeg`, `png`, `webp`, `bmp`, `gif`, `tiff`, `heic` or `avif`: told from the bytes.
    pub format: &'static str,
    /// The EXIF orientation that was applied, 1 to 8 (1 when the file has none).
    pub exif_orientation: u8,
    /// Degrees (0, 90, 180, 270; clockwise) by which the picture must still be turned for the head to be upright.
    pub upright_rotation: u16,
}

/// One detection.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DetectedFace {
    /// Detection score, the best of all scales.
    pub score: f32,
    /// Mean detection score of its refinement, which only a doubtful face or one at the border gets; 0 for a scale that
    /// saw nothing there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub closer_score: Option<f32>,
    /// The landmark network's confidence that it sees a face, 0 to 1.
    pub landmark_confidence: f32,
    /// Probability that something covers it, asked when the landmarks leave doubt whether it is a face.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub covered: Option<f32>,
    /// Mean distance between the five points of the detector and those of the landmarks, relative to the square root of
    /// the box's area.
    pub disagreement: f32,
    /// Probability that it is a face, by all of these together, 0 to 1.
    pub certainty: f32,
    /// The face's whole extent, not clipped.
    pub extent: Extent,
    /// Right eye, left eye, nose tip, right and left corner of the mouth (the person's right).
    pub keypoints: [[f32; 2]; 5],
}

/// A rule that is broken and whose action is `warn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Warning {
    /// A stable reason in snake_case, from the same list as `errorDetail.code`.
    pub code: &'static str,
    /// One sentence that says what was measured, what is required and what to do.
    pub message: String,
}

/// Probabilities that something covers the face, and each of its parts (the person's right and left). A part counts as
/// covered from 0.5 on, which is where about a fifth of an eye or of the mouth, three tenths of the nose or a third of the lower
/// face is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Occlusion {
    /// Anything over an eye, the nose, the mouth or the lower face, never less than for both eyes; 0.5 is the operating point.
    pub probability: f32,
    /// The right eye.
    pub right_eye: f32,
    /// The left eye.
    pub left_eye: f32,
    /// The nose.
    pub nose: f32,
    /// The mouth.
    pub mouth: f32,
    /// Everything below the nose; counts as covered from about a third on, since a hand at the chin is no covering.
    pub lower_face: f32,
}

/// Head rotation in degrees; 0, 0, 0 looks straight into the camera.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pose {
    /// Positive when the person turns to their left (the nose points to the right side of the picture).
    pub yaw: f32,
    /// Positive when the person looks up.
    pub pitch: f32,
    /// Positive when the head leans clockwise in the picture, turned by `upright_rotation`.
    pub roll: f32,
}

/// Distances between the face and the borders.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Margins {
    /// To the left border.
    pub left: f32,
    /// To the upper border.
    pub top: f32,
    /// To the right border.
    pub right: f32,
    /// To the lower border.
    pub bottom: f32,
}

impl Margins {
    /// The smallest of the four.
    pub(crate) fn smallest(&self) -> f32 {
        self.left.min(self.top).min(self.right).min(self.bottom)
    }
}

/// How the liveness score came about.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LivenessDetails {
    /// The score that is sent as `passiveLivenessScore`: what the networks' evidence, or the operator's own head, makes of the
    /// face, with 0.5 at the operating point.
    pub score: f32,
    /// The smaller of picture width / face width and picture height / face height: how much surrounding there is.
    pub surrounding: f32,
    /// 0 (the score says nothing) to 1 (as sure as it gets): how well the networks tell attacks from live faces with this
    /// much surrounding, by measurement. 0 for a picture without colour.
    pub reliability: f32,
    /// Log-odds of a live face before any calibration: those of the networks, each the mean over its crops and limited, added up
    /// with their weights, the built-in heads on drawn attacks with them.
    pub evidence: f32,
    /// Each network's own answer to the crop that is centred on the face.
    pub models: Vec<LivenessModelScore>,
    /// The operator's own head (`analysis.liveness.head`), where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub head: Option<HeadUse>,
}

/// What the operator's own head had to do with the score.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeadUse {
    /// Which head.
    #[serde(flatten)]
    pub name: HeadName,
    /// Its share in the score, 0 to 1: less where there is less surrounding than on the pictures that it was fitted on.
    pub share: f32,
}

/// One liveness network's answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LivenessModelScore {
    /// The network's name.
    pub model: &'static str,
    /// Probability of a live face.
    pub live: f32,
    /// Probability of a flat attack (print, screen).
    pub flat_attack: f32,
    /// Probability of an attack with depth (mask, bent print).
    pub shaped_attack: f32,
    /// The crop's scale relative to the face box that was wanted.
    pub crop_scale: f32,
    /// The scale that fitted into the picture.
    pub actual_scale: f32,
}

/// One component of capture quality.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QualityComponent {
    /// The native measure, in the unit of its definition.
    pub raw: f32,
    /// 0 (worst) to 100 (best).
    pub value: u8,
}

/// A network that took part in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelInfo {
    /// What it does, such as `detector`.
    pub job: &'static str,
    /// Its published name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: Cow<'static, str>,
    /// Its published version, or the release it was taken from.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Cow<'static, str>,
}

impl ModelInfo {
    const fn published(job: &'static str, name: &'static str, version: &'static str) -> Self {
        Self { job, name: Cow::Borrowed(name), version: Cow::Borrowed(version) }
    }

    /// The operator's own head, as it stands beside the networks.
    pub fn head(head: &HeadName) -> Self {
        Self { job: "liveness head", name: Cow::Owned(head.name.clone()), version: Cow::Owned(head.version.clone()) }
    }
}

/// The name of a head in answers, logs and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeadName {
    /// The file's name without its ending.
    pub name: String,
    /// The first twelve digits of its checksum.
    pub version: String,
}

/// The networks behind an answer.
pub const MODELS: [ModelInfo; 9] = [
    ModelInfo::published("detector", "YuNet", "2023mar"),
    ModelInfo::published("landmarks", "MediaPipe face landmarker", "2023-05"),
    ModelInfo::published("liveness", "MiniFASNetV2", "2.7_80x80"),
    ModelInfo::published("liveness", "fr_liveness", "0.0.1"),
    ModelInfo::published("liveness", "facegate liveness", "1"),
    ModelInfo::published("age", "dlib age", "v1"),
    ModelInfo::published("gender", "dlib gender", "v1"),
    ModelInfo::published("age and gender", "face-api age-gender", "1.7.15"),
    ModelInfo::published("occlusion", "facegate occlusion", "6"),
];

/// Time spent in one stage.
#[derive(Debug, Clone, Copy)]
pub struct StageTime {
    /// `decode`, `detect`, `landmarks`, `occlusion`, `liveness`, `attributes`, `quality` or `encode`.
    pub stage: &'static str,
    /// Wall time on the analysing thread.
    pub time: Duration,
}
