//! Fits a liveness head on labelled pictures, and measures out of fold what it is worth.
//!
//! Pictures are split by group (person, session), never by picture, and near-copies stay together whatever their labels say.
//! Every figure after adaptation comes from heads that never saw a picture of the same group: ridge penalty, share of the
//! networks' own answer, operating point, slope and trust of a fold are chosen by the other folds' pictures among themselves, as the head
//! that is written chooses them among all (by picture where the others are one group). The learning curve alone shares the choices
//! of all.

mod cross_validation;
mod figures;
mod grouping;
mod learning_curve;

use liveness_head::{GeneralShare, Linear, PairShare, Trust};
use serde::Serialize;

use crate::labels::Presentation;
use crate::statistics::Bootstrap;

pub use figures::{Kind, OperatingPoint, Rates};
pub use learning_curve::{Expectation, LearningPoint};

use cross_validation::Head;
use grouping::Grouping;

/// What is known of one labelled picture.
#[derive(Debug, Clone)]
pub struct Observation {
    /// As in the labels.
    pub path: String,
    /// What was presented.
    pub presentation: Presentation,
    /// The person or session, as in the labels.
    pub group: Option<String>,
    /// What the networks see.
    pub features: Vec<f32>,
    /// How many of these, one after the other, are of one kind: each kind weighs the same when a head is fitted.
    pub parts: Vec<usize>,
    /// The same of the mirror image, as many: fitted on as well, and looked at for near-copies.
    pub mirrored: Vec<f32>,
    /// The networks' own log-odds of a live person.
    pub pair: f64,
    /// The program's log-odds of a live person without a head, 0 at its operating point.
    pub general: f64,
    /// Picture size over face size, the smaller of both axes.
    pub surrounding: f64,
}

impl Observation {
    fn live(&self) -> bool {
        self.presentation == Presentation::BonaFide
    }

    /// The kind of attack; `None` for a live person.
    fn kind(&self) -> Option<&str> {
        match &self.presentation {
            Presentation::BonaFide => None,
            Presentation::Attack(kind) => Some(kind),
        }
    }
}

/// How a head is fitted and measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AdaptOptions {
    /// Share of live pictures that may be refused at the operating point, 0 to 0.5.
    pub bpcer: f64,
    /// Resampling of groups behind the decision whether the head is better.
    pub bootstrap: Bootstrap,
}

impl Default for AdaptOptions {
    /// 3 % out of fold, so that other live pictures of the same people and cameras stay below 5 %.
    fn default() -> Self {
        Self { bpcer: 0.03, bootstrap: Bootstrap { replicates: 1000, seed: 30107 } }
    }
}

/// Fewest live pictures, and fewest attacks, that a head is fitted on.
pub const FEWEST: usize = 10;

/// No head can be fitted on these pictures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdaptError {
    /// Too few pictures of one class.
    #[error("there are {live} live pictures and {attacks} attacks with a face; at least {FEWEST} of each are needed")]
    TooFew {
        /// Live pictures.
        live: usize,
        /// Attacks.
        attacks: usize,
    },
    /// All live pictures, or all attacks, belong to one group.
    #[error(
        "all {0} pictures belong to one group (or are near-copies): what a head learned from them could not be told from \
         what it learned of that person or place; take pictures of others, or of other sessions, and name them in the column \
         `group`"
    )]
    OneGroup(&'static str),
    /// Pictures with different numbers of features.
    #[error("the pictures were not all judged by the same networks")]
    Features,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Adaptation {
    /// What it was computed with.
    pub options: AdaptOptions,
    /// Pictures with a label and a face.
    pub pictures: u64,
    /// Of these, live ones.
    pub live: u64,
    /// Groups, near-copies put together.
    pub groups: u64,
    /// How many folds the groups were dealt into.
    pub folds: u64,
    /// Error rates at the operating point, before and after.
    pub rates: Rates,
    /// What other operating points would cost, out of fold.
    pub operating_points: Vec<OperatingPoint>,
    /// The error with fewer pictures.
    pub learning_curve: Vec<LearningPoint>,
    /// What more pictures would bring.
    pub expectation: Option<Expectation>,
    /// What was chosen by cross-validation on all folds.
    pub chosen: Chosen,
    /// What to mind, each a sentence.
    pub warnings: Vec<String>,
    /// Whether out of fold the head is better than the score without one, beyond chance, and no kind of attack is told worse.
    pub better: bool,
    /// The kinds of attack that are told worse than without a head, beyond chance.
    pub harmed: Vec<String>,
    /// The reduction of the mean of BPCER and mean APCER, and its 95 % interval over groups.
    pub reduction: crate::statistics::Estimate,
    /// The head, fitted on all pictures. Not part of the report.
    #[serde(skip)]
    pub fitted: Fitted,
}

/// What cross-validation chose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Chosen {
    /// Ridge penalty.
    pub ridge: f64,
    /// Units of the fused value per unit of log-odds that the pair lacks.
    pub pair_weight: f64,
}

/// The numbers of a head, as [`liveness_head::Head`] takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The linear part.
    pub linear: Linear,
    /// How much what the program has without a head counts.
    pub general: GeneralShare,
    /// How much the networks' own answer counts.
    pub pair: PairShare,
    /// Log-odds per unit of the fused value.
    pub slope: f64,
    /// The fused value at a score of 0.5.
    pub operating_point: f64,
    /// From which surrounding on it counts.
    pub trust: Trust,
}

/// Fits a head and measures it. `progress` is told how many of how many fits are done.
///
/// The same pictures give the same head, to the last bit.
///
/// # Errors
///
/// When there are too few pictures or groups.
pub fn adapt(
    observations: &[Observation],
    options: &AdaptOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Adaptation, AdaptError> {
    let live = observations.iter().filter(|o| o.live()).count();
    let attacks = observations.len() - live;
    if live < FEWEST || attacks < FEWEST {
        return Err(AdaptError::TooFew { live, attacks });
    }
    let width = observations[0].features.len();
    let parts = &observations[0].parts;
    let alike = |o: &Observation| o.features.len() == width && o.mirrored.len() == width && o.parts == *parts;
    if width == 0 || parts.iter().sum::<usize>() != width || !observations.iter().all(alike) {
        return Err(AdaptError::Features);
    }
    let grouping = Grouping::of(observations);
    for (what, wanted) in [("live", true), ("attack", false)] {
        if grouping.groups_of(|i| observations[i].live() == wanted) < 2 {
            return Err(AdaptError::OneGroup(what));
        }
    }
    let mut warnings = grouping.warnings(observations);
    let fits = cross_validation::fits() + learning_curve::fits();
    let mut done = 0;
    let mut tick = || {
        done += 1;
        progress(done, fits);
    };
    let log_odds = cross_validation::log_odds_out_of_fold(observations, &grouping, options, &mut tick);
    let rates = Rates::compute(observations, &log_odds);
    let all: Vec<usize> = (0..observations.len()).collect();
    let Head { chosen, fitted } = Head::of(observations, &all, grouping.folds(), options, &mut tick);
    let (learning_curve, expectation) = learning_curve::measure(observations, &grouping, chosen, &mut tick);
    warnings.extend(figures::warnings(&rates));
    let (reduction, less) = figures::reduction(observations, &grouping, &log_odds, options);
    let harmed = figures::harmed(observations, &grouping, &log_odds, options);
    Ok(Adaptation {
        options: *options,
        pictures: observations.len() as u64,
        live: live as u64,
        groups: grouping.count() as u64,
        folds: grouping.folds().count() as u64,
        operating_points: figures::operating_points(observations, &log_odds),
        rates,
        learning_curve,
        expectation,
        chosen,
        warnings,
        better: less && harmed.is_empty(),
        harmed,
        reduction,
        fitted,
    })
}

/// The linearly interpolated quantile of sorted values; 0 without values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    crate::statistics::quantile(sorted, share).unwrap_or(0.0)
}

/// The values in rising order.
fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The names of the kinds of attack, in alphabetical order.
fn kinds(observations: &[Observation]) -> Vec<&str> {
    let mut names: Vec<&str> = observations.iter().filter_map(Observation::kind).collect();
    names.sort_unstable();
    names.dedup();
    names
}
