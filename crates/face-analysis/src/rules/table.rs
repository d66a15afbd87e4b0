//! The table of rules: what each measures, in which direction it limits, its limit in each profile.

use super::Measurements;
use crate::light::COLOURLESS;
use crate::words::{Action, RejectionWord};

/// When a measured value breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// Below the limit.
    Under,
    /// Above the limit.
    Over,
    /// At the limit or above.
    AtOrOver,
}

/// One rule.
pub(super) struct Rule {
    pub(super) word: RejectionWord,
    /// Key in the configuration and in `details`.
    pub(super) name: &'static str,
    /// `errorDetail.code` when the rule rejects.
    pub(super) code: &'static str,
    pub(super) unit: &'static str,
    pub(super) broken: Broken,
    /// Limits of the profiles `default`, `strict`, `lenient`.
    pub(super) limits: [f32; 3],
    /// What happens by default in the profiles.
    pub(super) actions: [Action; 3],
    pub(super) measure: fn(&Measurements) -> Option<f32>,
    /// What was measured, as the subject of a sentence.
    pub(super) subject: &'static str,
    /// What the person can do about it.
    pub(super) advice: &'static str,
}

/// The rejection by the distance between the pupils.
pub(super) const PUPILS: &str = "interpupillary_distance_too_small";

pub(super) const REJECT: [Action; 3] = [Action::Reject; 3];

/// All rules, in the order in which their rejections are sent.
///
/// 50 px, 150 px, 15 px and 30 degrees are what the commercial engine whose error words the contract uses publishes
/// as its image requirements, 80 px, 224 px and 25 px what its older profile asks for. The lenient limits are ours:
/// the smallest faces that the networks were trained on, a turn of the head at which both eyes are still seen, and a face that
/// leaves the picture by 10 px, which is a margin of -10. The limits of
/// the surrounding follow from the curve in docs/accuracy.md: down to 1.05 the liveness networks still tell attacks from live
/// faces (AUC 0.91, 0.92 from 1.3 on, 0.97 at 1.8), and `details.liveness.reliability` says what a score is worth there.
///
/// Contrast and colour are ours too, from the faces of docs/accuracy.md, "Light and colour".
pub(super) static RULES: [Rule; 14] = [
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
        limits: [COLOURLESS; 3],
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
        code: PUPILS,
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
        limits: [1.05, 1.3, 0.9],
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
        limits: [15.0, 25.0, -10.0],
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
        limits: [15.0, 25.0, -10.0],
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
