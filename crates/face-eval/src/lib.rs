//! Error rates of a face check on labelled pictures: figures and a report.
//!
//! This crate knows nothing of pictures, networks or HTTP. It reads labels ([`Labels`]), takes what the service
//! answered for each picture ([`Outcome`]), and yields figures with sample sizes and 95 % confidence intervals
//! ([`Evaluation`]), as JSON and as one self-contained HTML page.
//!
//! ```
//! use face_eval::{Evaluation, Labels, Meta, Options, Outcome, Word};
//!
//! let labels = Labels::from_reader("path,liveness\na.jpg,live\nb.jpg,print\n".as_bytes(), "pictures")?;
//! let outcomes: Vec<Outcome> = labels
//!     .pictures()
//!     .iter()
//!     .map(|picture| Outcome { liveness_score: Some(0.9), ..Outcome::new(&picture.path, Word::Ok) })
//!     .collect();
//! let evaluation = Evaluation::compute(&labels, &outcomes, &Options::default())?;
//! let page = evaluation.to_html(&Meta::default());
//! assert!(page.starts_with("<!doctype html>"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A figure without data is absent (`None`), never a NaN. Rates and shares are ratios from 0 to 1.

pub mod adaptation;
pub mod age;
mod basis;
pub mod detection;
mod evaluation;
pub mod gender;
pub mod labels;
pub mod outcomes;
pub mod pose;
pub mod presentation_attack;
mod report;
pub mod rules;
pub mod statistics;
mod word;

pub use basis::{EvaluationError, Options, answered_score};
pub use evaluation::{Evaluation, Sample, UnreadablePicture};
pub use labels::{Gender, LabelledPicture, Labels, LabelsError, Presentation};
pub use outcomes::{DetectedFace, LivenessReasons, Outcome, OutcomeLog, OutcomesError, Pose, Unreadable};
pub use report::{Meta, ModelUsed};
pub use word::{UnknownWord, Word};
