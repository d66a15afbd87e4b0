//! The eight rejections: measured value, threshold, verdict.
//!
//! Every rule is one entry of [`RULES`]: what it measures, in which direction it limits, its limit in each profile.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::light::Light;
use crate::report::{Margins, Occlusion, Pose, Rejection, Warning};

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

/// A named set of thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Profile {
    /// The commercial engine's current image requirements: 50 px, 150 px, 15 px, 30 degrees.
    #[default]
    Default,
    /// Its older, stricter ones: 80 px, 224 px, 25 px.
    Strict,
    /// For pictures that were not taken for the purpose.
    Lenient,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 3] = [Self::Default, Self::Strict, Self::Lenient];

    /// The profile's name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Strict => "strict",
            Self::Lenient => "lenient",
        }
    }
}

/// What the rules judge. Values are absent while their stage has not run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measurements {
    /// Number of faces that matter.
    pub(crate) faces: usize,
    /// Height of the second largest face relative to the main face.
    pub(crate) second_face: Option<f32>,
    /// Pixels.
    pub(crate) interpupillary_distance: Option<f32>,
    /// Shorter side of the face box in pixels.
    pub(crate) face_side: Option<f32>,
    /// Area of the face box relative to the picture.
    pub(crate) face_area: Option<f32>,
    /// Distances to the borders in pixels.
    pub(crate) margins: Option<Margins>,
    /// The smaller of picture width / box width and picture height / box height.
    pub(crate) surrounding: Option<f32>,
    /// Degrees.
    pub(crate) pose: Option<Pose>,
    /// Light and colour in the face.
    pub(crate) light: Option<Light>,
    /// Probabilities.
    pub(crate) occlusion: Option<Occlusion>,
}

/// When a measured value breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// Below the limit.
    Under,
    /// Above the limit.
    Over,
    /// At the limit or above.
    AtOrOver,
}

/// One rule.
struct Rule {
    word: RejectionWord,
    /// Key in the configuration and in `details`.
    name: &'static str,
    /// `errorDetail.code` when the rule rejects.
    code: &'static str,
    unit: &'static str,
    broken: Broken,
    /// Limits of the profiles `default`, `strict`, `lenient`.
    limits: [f32; 3],
    /// What happens by default in the profiles.
    actions: [Action; 3],
    measure: fn(&Measurements) -> Option<f32>,
    /// What was measured, as the subject of a sentence.
    subject: &'static str,
    /// What the person can do about it.
    advice: &'static str,
}

const REJECT: [Action; 3] = [Action::Reject; 3];

/// All rules, in the order in which their rejections are sent.
///
/// 50 px, 150 px, 15 px and 30 degrees are what the commercial engine whose error words the contract uses publishes
/// as its image requirements, 80 px, 224 px and 25 px what its older profile asks for. The lenient limits are ours:
/// the smallest faces that the networks were trained on, and a turn of the head at which both eyes are still seen. The limits of
/// the surrounding follow from the curve in docs/accuracy.md: down to 1.05 the liveness networks still tell attacks from live
/// faces (AUC 0.90, 0.95 from 1.3 on), and `details.liveness.reliability` says what a score is worth there.
///
/// Contrast and colour are ours too, from the faces of docs/accuracy.md, "Light and colour".
static RULES: [Rule; 14] = [
    Rule {
        word: RejectionWord::FaceNotFound,
        name: "min_faces",
        code: "no_face",
        unit: "faces",
        broken: Broken::Under,
        limits: [1.0, 1.0, 1.0],
        actions: REJECT,
        measure: |m| Some(m.faces as f32),
        subject: "the number of faces found",
        advice: "send a picture that shows one face, upright, sharp and well lit",
    },
    Rule {
        word: RejectionWord::FaceNotFound,
        name: "min_contrast",
        code: "face_without_contrast",
        unit: "levels",
        broken: Broken::Under,
        limits: [12.0, 12.0, 8.0],
        actions: REJECT,
        measure: |m| m.light.map(|l| l.contrast),
        subject: "the difference between the bright and the dark parts of the face",
        advice: "send a picture that is neither too dark nor too bright",
    },
    Rule {
        word: RejectionWord::FaceNotFound,
        name: "min_colour",
        code: "picture_without_colour",
        unit: "levels",
        broken: Broken::Under,
        limits: [2.5, 2.5, 2.5],
        actions: [Action::Warn; 3],
        measure: |m| m.light.map(|l| l.colour),
        subject: "the difference of colours at the same brightness",
        advice: "send the picture in colour, without a filter: liveness is judged by colour",
    },
    Rule {
        word: RejectionWord::TooManyFaces,
        name: "max_second_face",
        code: "second_face",
        unit: "ratio",
        broken: Broken::AtOrOver,
        limits: [0.35, 0.25, 0.6],
        actions: REJECT,
        measure: |m| m.second_face,
        subject: "the height of the second face relative to the main face",
        advice: "send a picture with one person only",
    },
    Rule {
        word: RejectionWord::FaceTooSmall,
        name: "min_interpupillary_distance",
        code: "interpupillary_distance_too_small",
        unit: "px",
        broken: Broken::Under,
        limits: [50.0, 80.0, 30.0],
        actions: REJECT,
        measure: |m| m.interpupillary_distance,
        subject: "the distance between the pupils",
        advice: "move closer to the camera or send the picture in a higher resolution",
    },
    Rule {
        word: RejectionWord::FaceTooSmall,
        name: "min_face_side",
        code: "face_box_too_small",
        unit: "px",
        broken: Broken::Under,
        limits: [150.0, 224.0, 80.0],
        actions: REJECT,
        measure: |m| m.face_side,
        subject: "the shorter side of the face box",
        advice: "move closer to the camera or send the picture in a higher resolution",
    },
    Rule {
        word: RejectionWord::FaceTooSmall,
        name: "min_face_area",
        code: "face_share_too_small",
        unit: "ratio",
        broken: Broken::Under,
        limits: [0.02, 0.02, 0.005],
        actions: REJECT,
        measure: |m| m.face_area,
        subject: "the share of the picture that the face box fills",
        advice: "move closer to the camera",
    },
    Rule {
        word: RejectionWord::FaceCropped,
        name: "max_outside",
        code: "face_leaves_picture",
        unit: "px",
        broken: Broken::Over,
        limits: [0.0, 0.0, 10.0],
        actions: REJECT,
        measure: |m| m.margins.map(|m| (-m.smallest()).max(0.0)),
        subject: "the length by which the face reaches beyond the picture",
        advice: "show the whole face with some space around it",
    },
    Rule {
        word: RejectionWord::FaceTooClose,
        name: "min_surrounding",
        code: "too_little_surrounding",
        unit: "ratio",
        broken: Broken::Under,
        limits: [1.05, 1.3, 1.0],
        actions: REJECT,
        measure: |m| m.surrounding,
        subject: "the size of the picture relative to the face box",
        advice: "move away from the camera so that the surroundings of the face are seen",
    },
    Rule {
        word: RejectionWord::FaceTooClose,
        name: "min_opposite_margins",
        code: "face_fills_picture",
        unit: "px",
        broken: Broken::Under,
        limits: [15.0, 25.0, 0.0],
        actions: REJECT,
        measure: |m| m.margins.map(|m| m.left.max(m.right).min(m.top.max(m.bottom))),
        subject: "the larger of the two margins on the tighter axis",
        advice: "move away from the camera",
    },
    Rule {
        word: RejectionWord::FaceCloseToBorder,
        name: "min_margin",
        code: "margin_too_small",
        unit: "px",
        broken: Broken::Under,
        limits: [15.0, 25.0, 0.0],
        actions: REJECT,
        measure: |m| m.margins.map(|m| m.smallest()),
        subject: "the smallest margin between the face box and the border of the picture",
        advice: "centre the face in the picture",
    },
    Rule {
        word: RejectionWord::FaceAngleTooLarge,
        name: "max_yaw",
        code: "yaw_too_large",
        unit: "degrees",
        broken: Broken::Over,
        limits: [30.0, 30.0, 45.0],
        actions: REJECT,
        measure: |m| m.pose.map(|p| p.yaw.abs()),
        subject: "the turn of the head to the side",
        advice: "look straight into the camera",
    },
    Rule {
        word: RejectionWord::FaceAngleTooLarge,
        name: "max_pitch",
        code: "pitch_too_large",
        unit: "degrees",
        broken: Broken::Over,
        limits: [30.0, 30.0, 45.0],
        actions: REJECT,
        measure: |m| m.pose.map(|p| p.pitch.abs()),
        subject: "the tilt of the head up or down",
        advice: "hold the camera at eye level and look straight into it",
    },
    Rule {
        word: RejectionWord::FaceIsOccluded,
        name: "max_occlusion",
        code: "face_covered",
        unit: "score",
        broken: Broken::AtOrOver,
        limits: [0.5, 0.5, 0.5],
        actions: [Action::Reject, Action::Reject, Action::Warn],
        measure: |m| m.occlusion.map(|o| o.probability),
        subject: "the probability that something covers the face",
        advice: "take off masks, dark glasses and scarves and keep hands and hair away from the face",
    },
];

/// A limit and what happens when it is broken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RuleSetting {
    /// The limit, in the rule's unit.
    pub limit: f32,
    /// What happens when it is broken.
    pub action: Action,
}

/// A rule and what is configured for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfiguredRule {
    /// Key in the configuration and in `details`.
    pub name: &'static str,
    /// The word that a picture which breaks the rule is answered with.
    pub word: RejectionWord,
    /// What is measured, as the subject of a sentence.
    pub subject: &'static str,
    /// Where a value breaks the rule: `below`, `above` or `at or above` the limit.
    pub broken: &'static str,
    /// `px`, `degrees`, `levels` (of 255), `ratio`, `score` or `faces`.
    pub unit: &'static str,
    /// The limit and the action.
    pub setting: RuleSetting,
}

/// Changes to one rule of a profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RuleOverride {
    /// Another limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f32>,
    /// Another action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
}

/// The configuration of the rules: a profile, and what is different from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RuleConfig {
    /// Where the limits start from.
    pub profile: Profile,
    /// Changes by rule name, such as `min_margin = { limit = 20 }`.
    #[serde(flatten)]
    pub overrides: BTreeMap<String, RuleOverride>,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleConfigError {
    /// No rule has that name.
    #[error("there is no rule {0}; the rules are {names}", names = rule_names().collect::<Vec<_>>().join(", "))]
    UnknownRule(String),
    /// Not a number.
    #[error("the limit of the rule {0} is not a finite number")]
    Limit(String),
    /// Without a face there is nothing to answer about.
    #[error("the rule min_faces cannot be changed: without a face there is nothing to answer about")]
    MinFaces,
}

/// The names of all rules, in the order in which their rejections are sent.
fn rule_names() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.name)
}

/// For documents: the rejection by each rule of the profile `default`, of a picture that misses its limit by a tenth
/// (by 1 where there is no tenth).
pub fn example_rejections() -> impl Iterator<Item = Rejection> {
    RULES.iter().map(|rule| {
        let limit = rule.limits[Profile::Default as usize];
        let missed = match rule.broken {
            Broken::Under if rule.unit == "faces" => limit - 1.0,
            Broken::Under => limit * 0.9,
            Broken::Over | Broken::AtOrOver if limit == 0.0 => 1.0,
            Broken::Over | Broken::AtOrOver => limit * 1.1,
        };
        rule.rejection(missed, limit)
    })
}

/// The limits in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    settings: [RuleSetting; RULES.len()],
}

impl RuleConfig {
    /// The limits that this configuration asks for.
    pub fn resolve(&self) -> Result<Rules, RuleConfigError> {
        let mut rules = Rules::of_profile(self.profile);
        for (name, change) in &self.overrides {
            let index = RULES
                .iter()
                .position(|rule| rule.name == name)
                .ok_or_else(|| RuleConfigError::UnknownRule(name.clone()))?;
            if RULES[index].unit == "faces" {
                return Err(RuleConfigError::MinFaces);
            }
            let setting = &mut rules.settings[index];
            if let Some(limit) = change.limit {
                if !limit.is_finite() {
                    return Err(RuleConfigError::Limit(name.clone()));
                }
                setting.limit = limit;
            }
            setting.action = change.action.unwrap_or(setting.action);
        }
        Ok(rules)
    }
}

impl Rules {
    /// The limits of a profile.
    pub fn of_profile(profile: Profile) -> Self {
        let settings = std::array::from_fn(|i| RuleSetting {
            limit: RULES[i].limits[profile as usize],
            action: RULES[i].actions[profile as usize],
        });
        Self { settings }
    }

    /// Every rule with what is configured for it, in the order in which rejections are sent.
    pub fn iter(&self) -> impl Iterator<Item = ConfiguredRule> {
        RULES.iter().zip(self.settings).map(|(rule, setting)| ConfiguredRule {
            name: rule.name,
            word: rule.word,
            subject: rule.subject,
            broken: match rule.broken {
                Broken::Under => "below",
                Broken::Over => "above",
                Broken::AtOrOver => "at or above",
            },
            unit: rule.unit,
            setting,
        })
    }

    /// Whether the rules of `word` are to be judged at all.
    pub(crate) fn wants(&self, word: RejectionWord) -> bool {
        RULES.iter().zip(&self.settings).any(|(rule, s)| rule.word == word && s.action != Action::Off)
    }

    /// Judges what has been measured so far.
    pub(crate) fn judge(&self, measured: &Measurements) -> Vec<RuleReport> {
        RULES
            .iter()
            .zip(&self.settings)
            .map(|(rule, setting)| {
                let value = (rule.measure)(measured);
                let verdict = match value {
                    _ if setting.action == Action::Off => RuleVerdict::Skipped,
                    None => RuleVerdict::Skipped,
                    Some(value) if rule.breaks(value, setting.limit) => RuleVerdict::Fail,
                    Some(_) => RuleVerdict::Pass,
                };
                RuleReport {
                    word: rule.word,
                    rule: rule.name,
                    measured: value.filter(|v| v.is_finite()),
                    threshold: setting.limit,
                    unit: rule.unit,
                    action: setting.action,
                    verdict,
                }
            })
            .collect()
    }

    /// The first rejection among what has been measured so far.
    pub(crate) fn reject(&self, measured: &Measurements) -> Option<Rejection> {
        RULES.iter().zip(&self.settings).find_map(|(rule, setting)| {
            let value = (rule.measure)(measured)?;
            let rejects = setting.action == Action::Reject && rule.breaks(value, setting.limit);
            rejects.then(|| rule.finding(value, setting.limit, measured))
        })
    }

    /// What breaks a rule that only warns.
    pub(crate) fn warnings(&self, measured: &Measurements) -> Vec<Warning> {
        let broken = RULES.iter().zip(&self.settings).filter_map(|(rule, setting)| {
            let value = (rule.measure)(measured)?;
            let warns = setting.action == Action::Warn && rule.breaks(value, setting.limit);
            warns.then(|| rule.finding(value, setting.limit, measured))
        });
        broken.map(|Rejection { code, message, .. }| Warning { code, message }).collect()
    }
}

impl Rule {
    /// A value that is no number breaks every rule: what could not be measured cannot be trusted.
    fn breaks(&self, value: f32, limit: f32) -> bool {
        match self.broken {
            _ if value.is_nan() => true,
            Broken::Under => value < limit,
            Broken::Over => value > limit,
            Broken::AtOrOver => value >= limit,
        }
    }

    /// The rejection, with what was found beyond the measured value.
    fn finding(&self, value: f32, limit: f32, measured: &Measurements) -> Rejection {
        let mut rejection = self.rejection(value, limit);
        if let Some(occlusion) = measured.occlusion.filter(|_| self.word == RejectionWord::FaceIsOccluded) {
            rejection.message = format!("{}: {}", occlusion.finding(), rejection.message);
        }
        rejection
    }

    fn rejection(&self, value: f32, limit: f32) -> Rejection {
        let bound = match self.broken {
            Broken::Under => "at least",
            Broken::Over => "at most",
            Broken::AtOrOver => "less than",
        };
        let mut message = String::new();
        // Writing to a String cannot fail.
        let _ = match self.unit {
            "ratio" | "score" => write!(message, "{} is {value:.3} and must be {bound} {limit}", self.subject),
            "faces" => write!(message, "{} is {value} and must be {bound} {limit}", self.subject),
            unit => write!(message, "{} is {value:.1} {unit} and must be {bound} {limit} {unit}", self.subject),
        };
        let _ = write!(message, ": {}", self.advice);
        Rejection { word: self.word, code: self.code, message }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture that meets every rule of the default profile.
    fn usable() -> Measurements {
        Measurements {
            faces: 1,
            second_face: None,
            interpupillary_distance: Some(90.0),
            face_side: Some(240.0),
            face_area: Some(0.1),
            margins: Some(Margins { left: 100.0, top: 80.0, right: 100.0, bottom: 80.0 }),
            surrounding: Some(2.0),
            pose: Some(Pose { yaw: 3.0, pitch: -4.0, roll: 20.0 }),
            light: Some(Light { contrast: 90.0, colour: 8.0 }),
            occlusion: covered(0.1),
        }
    }

    /// The mouth is covered with this probability, nothing else.
    fn covered(probability: f32) -> Option<Occlusion> {
        Some(Occlusion { probability, right_eye: 0.0, left_eye: 0.0, nose: 0.0, mouth: probability, lower_face: 0.0 })
    }

    fn rejection(change: impl FnOnce(&mut Measurements)) -> Option<RejectionWord> {
        let mut measured = usable();
        change(&mut measured);
        Rules::of_profile(Profile::Default).reject(&measured).map(|r| r.word)
    }

    #[test]
    fn accepts_a_usable_picture() {
        assert_eq!(rejection(|_| ()), None);
    }

    #[test]
    fn rejects_at_the_limits_of_the_contract() {
        use RejectionWord::*;
        type Change = fn(&mut Measurements);
        let cases: [(Change, Option<RejectionWord>); 23] = [
            (|m| m.faces = 0, Some(FaceNotFound)),
            (|m| m.second_face = Some(0.35), Some(TooManyFaces)),
            (|m| m.second_face = Some(0.349), None),
            (|m| m.interpupillary_distance = Some(49.9), Some(FaceTooSmall)),
            (|m| m.interpupillary_distance = Some(50.0), None),
            (|m| m.face_side = Some(149.9), Some(FaceTooSmall)),
            (|m| m.face_side = Some(150.0), None),
            (|m| m.face_area = Some(0.0199), Some(FaceTooSmall)),
            (|m| m.margins = Some(Margins { left: -0.5, top: 80.0, right: 99.0, bottom: 80.0 }), Some(FaceCropped)),
            (|m| m.surrounding = Some(1.04), Some(FaceTooClose)),
            (|m| m.surrounding = Some(1.05), None),
            (|m| m.margins = Some(Margins { left: 14.0, top: 80.0, right: 14.0, bottom: 80.0 }), Some(FaceTooClose)),
            (
                |m| m.margins = Some(Margins { left: 14.9, top: 80.0, right: 99.0, bottom: 80.0 }),
                Some(FaceCloseToBorder),
            ),
            (|m| m.margins = Some(Margins { left: 15.0, top: 80.0, right: 99.0, bottom: 80.0 }), None),
            (|m| m.pose = Some(Pose { yaw: -30.1, pitch: 0.0, roll: 0.0 }), Some(FaceAngleTooLarge)),
            (|m| m.pose = Some(Pose { yaw: 0.0, pitch: 30.1, roll: 0.0 }), Some(FaceAngleTooLarge)),
            (|m| m.pose = Some(Pose { yaw: 30.0, pitch: -30.0, roll: 80.0 }), None),
            (|m| m.light = Some(Light { contrast: 11.9, colour: 8.0 }), Some(FaceNotFound)),
            (|m| m.light = Some(Light { contrast: 12.0, colour: 8.0 }), None),
            (|m| m.light = Some(Light { contrast: 90.0, colour: 0.0 }), None),
            (|m| m.occlusion = covered(0.5), Some(FaceIsOccluded)),
            (|m| m.occlusion = covered(0.499), None),
            (|m| m.occlusion = None, None),
        ];
        for (index, (change, expected)) in cases.into_iter().enumerate() {
            assert_eq!(rejection(change), expected, "case {index}");
        }
    }

    #[test]
    fn sends_the_first_word_of_the_contract_when_several_apply() {
        let everything_wrong = |m: &mut Measurements| {
            *m = Measurements {
                faces: 2,
                second_face: Some(0.9),
                interpupillary_distance: Some(10.0),
                face_side: Some(10.0),
                face_area: Some(0.0),
                margins: Some(Margins { left: -5.0, top: -5.0, right: -5.0, bottom: -5.0 }),
                surrounding: Some(0.9),
                pose: Some(Pose { yaw: 80.0, pitch: 80.0, roll: 0.0 }),
                light: Some(Light { contrast: 90.0, colour: 0.0 }),
                occlusion: covered(0.99),
            }
        };
        assert_eq!(rejection(everything_wrong), Some(RejectionWord::TooManyFaces));
        // Each rule put right in turn lets the next word through.
        type Change = fn(&mut Measurements);
        let repairs: [(Change, RejectionWord); 6] = [
            (|m| m.second_face = None, RejectionWord::FaceTooSmall),
            (
                |m| (m.interpupillary_distance, m.face_side, m.face_area) = (Some(90.0), Some(240.0), Some(0.1)),
                RejectionWord::FaceCropped,
            ),
            (
                |m| m.margins = Some(Margins { left: 5.0, top: 5.0, right: 5.0, bottom: 5.0 }),
                RejectionWord::FaceTooClose,
            ),
            (
                |m| {
                    m.surrounding = Some(2.0);
                    m.margins = Some(Margins { left: 5.0, top: 50.0, right: 50.0, bottom: 50.0 });
                },
                RejectionWord::FaceCloseToBorder,
            ),
            (|m| m.margins = usable().margins, RejectionWord::FaceAngleTooLarge),
            (|m| m.pose = usable().pose, RejectionWord::FaceIsOccluded),
        ];
        let mut measured = usable();
        everything_wrong(&mut measured);
        for (repair, word) in repairs {
            repair(&mut measured);
            assert_eq!(Rules::of_profile(Profile::Default).reject(&measured).map(|r| r.word), Some(word));
        }
    }

    #[test]
    fn the_rules_stand_in_the_order_of_the_contract() {
        assert!(RULES.windows(2).all(|pair| pair[0].word <= pair[1].word));
        assert!(RejectionWord::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn what_is_no_number_is_rejected() {
        assert_eq!(rejection(|m| m.occlusion = covered(f32::NAN)), Some(RejectionWord::FaceIsOccluded));
        assert_eq!(rejection(|m| m.surrounding = Some(f32::NAN)), Some(RejectionWord::FaceTooClose));
    }

    #[test]
    fn a_rule_can_warn_or_be_off() {
        for (action, verdict) in [(Action::Warn, RuleVerdict::Fail), (Action::Off, RuleVerdict::Skipped)] {
            let change = RuleOverride { action: Some(action), limit: None };
            let config = RuleConfig { overrides: [("max_yaw".to_owned(), change)].into(), ..Default::default() };
            let rules = config.resolve().expect("a known rule");
            let measured = Measurements { pose: Some(Pose { yaw: 60.0, pitch: 0.0, roll: 0.0 }), ..usable() };
            assert_eq!(rules.reject(&measured), None);
            let report = rules.judge(&measured).into_iter().find(|r| r.rule == "max_yaw").expect("reported");
            assert_eq!(report.verdict, verdict);
        }
    }

    #[test]
    fn an_unknown_rule_and_a_limit_that_is_no_number_are_refused() {
        let with = |name: &str, limit: f32| RuleConfig {
            overrides: [(name.to_owned(), RuleOverride { limit: Some(limit), action: None })].into(),
            ..Default::default()
        };
        assert!(matches!(with("max_jaw", 1.0).resolve(), Err(RuleConfigError::UnknownRule(_))));
        assert!(matches!(with("max_yaw", f32::NAN).resolve(), Err(RuleConfigError::Limit(_))));
        assert!(matches!(with("min_faces", 0.0).resolve(), Err(RuleConfigError::MinFaces)));
    }

    #[test]
    fn a_rejection_says_what_was_measured_and_what_is_required() {
        let measured = Measurements { interpupillary_distance: Some(31.26), ..usable() };
        let rejection = Rules::of_profile(Profile::Default).reject(&measured).expect("too small");
        assert_eq!(rejection.code, "interpupillary_distance_too_small");
        assert!(rejection.message.contains("31.3 px") && rejection.message.contains("at least 50 px"));
    }

    #[test]
    fn a_rejection_for_a_covering_names_the_part_and_a_warning_has_the_code_of_its_rule() {
        let measured = Measurements { occlusion: covered(0.93), ..usable() };
        let rejection = Rules::of_profile(Profile::Default).reject(&measured).expect("covered");
        assert!(rejection.message.starts_with("the mouth is covered: "), "{}", rejection.message);
        let warned = |measured: &Measurements, profile| {
            Rules::of_profile(profile).warnings(measured).iter().map(|w| w.code).collect::<Vec<_>>()
        };
        assert!(warned(&usable(), Profile::Lenient).is_empty());
        assert!(warned(&measured, Profile::Default).is_empty(), "what rejects does not warn");
        let grey = Measurements { light: Some(Light { contrast: 90.0, colour: 0.1 }), ..measured };
        assert_eq!(warned(&grey, Profile::Default), ["picture_without_colour"]);
        assert_eq!(warned(&grey, Profile::Lenient), ["picture_without_colour", "face_covered"]);
    }

    proptest! {
        #[test]
        fn no_measured_value_makes_the_rules_panic(
            values in proptest::collection::vec(
                prop_oneof![any::<f32>(), Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)], 13,
            ),
            faces in 0_usize..5,
        ) {
            let measured = Measurements {
                faces,
                second_face: Some(values[0]),
                interpupillary_distance: Some(values[1]),
                face_side: Some(values[2]),
                face_area: Some(values[3]),
                margins: Some(Margins { left: values[4], top: values[5], right: values[6], bottom: values[7] }),
                surrounding: Some(values[8]),
                pose: Some(Pose { yaw: values[9], pitch: values[10], roll: values[11] }),
                light: Some(Light { contrast: values[0], colour: values[1] }),
                occlusion: covered(values[12]),
            };
            for profile in Profile::ALL {
                let rules = Rules::of_profile(profile);
                let rejection = rules.reject(&measured);
                prop_assert!(faces > 0 || rejection.is_some_and(|r| r.word == RejectionWord::FaceNotFound));
                let report = rules.judge(&measured);
                // What goes into an answer must be JSON, which has no NaN.
                prop_assert!(serde_json::to_string(&report).is_ok());
            }
        }
    }
}
