//! The eight rejections: measured value, threshold, verdict.
//!
//! Every rule is one entry of the table in `table`. Profiles and the configuration set limits and actions, [`Rules`] judge.

mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use self::table::{Broken, PUPILS, RULES, Rule};
use crate::light::Light;
use crate::report::{Margins, Occlusion, Pose, Rejection, Warning};

pub use crate::words::{Action, RejectionWord, RuleReport, RuleVerdict};

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
    /// Height of the highest other face relative to the main face.
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
    /// A share that is none: a percentage, most likely, which would switch the rule off or reject everything.
    #[error("the limit of the rule {0} is a share, from 0 to 1; to switch it off set analysis.rules.{0}.action=off")]
    Share(String),
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
                if RULES[index].limits_a_share() && !(0.0..=1.0).contains(&limit) {
                    return Err(RuleConfigError::Share(name.clone()));
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

    /// Whether the rules of `word` can change the answer. What they warn of is told among the details only.
    pub(crate) fn wants(&self, word: RejectionWord, details: bool) -> bool {
        RULES.iter().zip(&self.settings).any(|(rule, setting)| {
            rule.word == word
                && match setting.action {
                    Action::Reject => true,
                    Action::Warn => details,
                    Action::Off => false,
                }
        })
    }

    /// Whether what has been measured so far is a covering that rejects the picture.
    pub(crate) fn reject_as_covered(&self, measured: &Measurements) -> bool {
        self.broken(Action::Reject, measured).any(|rejection| rejection.word == RejectionWord::FaceIsOccluded)
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
        self.broken(Action::Reject, measured).next()
    }

    /// What breaks a rule that only warns.
    pub(crate) fn warnings(&self, measured: &Measurements) -> Vec<Warning> {
        let broken = self.broken(Action::Warn, measured);
        broken.map(|Rejection { code, message, .. }| Warning { code, message }).collect()
    }

    /// What breaks the rules with this action, in their order.
    fn broken(&self, action: Action, measured: &Measurements) -> impl Iterator<Item = Rejection> {
        RULES.iter().zip(&self.settings).filter_map(move |(rule, setting)| {
            let value = (rule.measure)(measured)?;
            let broken = setting.action == action && rule.breaks(value, setting.limit);
            broken.then(|| rule.finding(value, setting.limit, measured))
        })
    }
}

/// Whether it rests on where the pupils are.
pub(crate) fn rests_on_pupils(rejection: &Rejection) -> bool {
    rejection.code == PUPILS
}

impl Rule {
    /// Whether its limit is a share of something: a ratio or a score that lies from 0 to 1 in every profile.
    fn limits_a_share(&self) -> bool {
        matches!(self.unit, "ratio" | "score") && self.limits.iter().all(|&limit| limit <= 1.0)
    }

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

#[cfg(test)]
mod tests;
