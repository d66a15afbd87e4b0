//! Heads that are judged by pictures of groups that they never saw, and the choices that follow from it.

use liveness_head::{GeneralShare, Linear, PairShare, Sample, Trust, fit};

use super::grouping::Grouping;
use super::{AdaptOptions, Chosen, Fitted, Observation, kinds, quantile, sorted};

/// Ridge penalties that are tried; of equally good ones the first is taken. On real attacks the first two were best by a little; the
/// last are for collections whose classes overlap, and stay near to what the program has without a head.
const RIDGES: [f64; 4] = [3e-5, 1e-4, 1e-3, 1e-2];

/// Beyond these log-odds what the program has without a head says nothing more: surer than that it is of worn prints as well.
const GENERAL_LIMIT: f64 = 4.0;

/// Shares of the networks' own answer that are tried. Less is not among them: how little a head of another session can be relied
/// on for what the networks see through is not to be learned within one. Fitted on quarters and halves of the series of attacks-dev
/// and tested on the others, three times as many replays pass with 0 as with 0.5 (docs/accuracy.md).
const PAIR_WEIGHTS: [f64; 3] = [0.5, 1.0, 2.0];

/// The pair counts where its log-odds lie below this quantile of the live pictures: next to no live person is refused for it.
const PAIR_FROM: f64 = 0.02;

/// So many standard deviations below the mean lies the same quantile of a normal distribution. With few pictures the lowest of them
/// says too little of the next person.
const PAIR_FROM_DEVIATES: f64 = 2.054;

/// Rates of refused live pictures over which the errors of a choice are averaged: where operating points lie.
const BPCERS: [f64; 8] = [0.01, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15, 0.20];

/// Heads are trusted from this quantile of the collection's surroundings on.
const TRUSTED: f64 = 0.05;

/// Below this part of that surrounding they are not trusted at all. On attacks-dev, fitted with 1.55 and more and tested on the
/// same pictures cut tighter, heads refuse 3 % of live faces at 1.8, 9 % at 1.5, 20 % at 1.4 and 40 % at 1.3.
const UNTRUSTED: f64 = 0.85;

/// How many fits [`CrossValidation::run`] and [`CrossValidation::fit_all`] make, at most.
pub(super) fn fits() -> usize {
    5 * RIDGES.len() + 1
}

/// Values out of fold.
#[derive(Debug)]
pub(super) struct CrossValidation {
    /// Log-odds of each picture, 0 at the operating point, all chosen without its fold.
    pub(super) log_odds: Vec<f64>,
    /// What all folds together chose.
    pub(super) chosen: Chosen,
    /// Slope and operating point that all folds together ask for.
    slope: f64,
    operating_point: f64,
    from: f64,
}

/// The values of each picture out of fold before the pair counts, for one ridge penalty, and where the pair counts in its fold.
struct Values {
    linear: Vec<f64>,
    from: Vec<f64>,
}

impl CrossValidation {
    pub(super) fn run(
        observations: &[Observation],
        grouping: &Grouping,
        options: &AdaptOptions,
        tick: &mut dyn FnMut(),
    ) -> Self {
        let values: Vec<Values> =
            RIDGES.iter().map(|&ridge| out_of_fold(observations, grouping, ridge, &|_| true, tick)).collect();
        let choices: Vec<(Chosen, Vec<f64>)> = RIDGES
            .iter()
            .zip(&values)
            .flat_map(|(&ridge, values)| {
                PAIR_WEIGHTS.map(|pair_weight| {
                    let fused = |i: usize| fused(values.linear[i], observations[i].pair, values.from[i], pair_weight);
                    (Chosen { ridge, pair_weight }, (0..observations.len()).map(fused).collect())
                })
            })
            .collect();
        let choose = |members: &[usize]| {
            let loss = |values: &[f64]| loss(observations, members, values);
            choices.iter().min_by(|a, b| loss(&a.1).total_cmp(&loss(&b.1)))
        };
        let mut log_odds = vec![0.0; observations.len()];
        for fold in 0..grouping.folds() {
            let others: Vec<usize> = (0..observations.len()).filter(|&i| grouping.fold(i) != fold).collect();
            let Some((_, values)) = choose(&others) else { continue };
            let (slope, point) = calibrate(observations, &others, values, options.bpcer);
            for i in (0..observations.len()).filter(|&i| grouping.fold(i) == fold) {
                log_odds[i] = slope * (values[i] - point);
            }
        }
        let all: Vec<usize> = (0..observations.len()).collect();
        let from = pair_from(observations, &all);
        let none = Chosen { ridge: RIDGES[0], pair_weight: PAIR_WEIGHTS[0] };
        let (chosen, slope, operating_point) = choose(&all).map_or((none, 1.0, 0.0), |(chosen, values)| {
            let (slope, point) = calibrate(observations, &all, values, options.bpcer);
            (*chosen, slope, point)
        });
        Self { log_odds, chosen, slope, operating_point, from }
    }

    /// The head of all pictures.
    pub(super) fn fit_all(&self, observations: &[Observation]) -> Fitted {
        let all: Vec<usize> = (0..observations.len()).collect();
        let linear = fit_on(observations, &all, self.chosen.ridge);
        let full = quantile(&sorted(observations.iter().map(|o| o.surrounding)), TRUSTED);
        Fitted {
            general: GeneralShare { weight: linear.known as f32, limit: GENERAL_LIMIT as f32 },
            linear,
            pair: PairShare { weight: self.chosen.pair_weight as f32, from: self.from as f32 },
            slope: self.slope,
            operating_point: self.operating_point,
            trust: Trust { none: (UNTRUSTED * full) as f32, full: full as f32 },
        }
    }

    /// The fused values out of fold of heads that were fitted on some of the pictures of the other folds only.
    pub(super) fn fused_of_some(
        &self,
        observations: &[Observation],
        grouping: &Grouping,
        some: &dyn Fn(usize) -> bool,
        tick: &mut dyn FnMut(),
    ) -> Vec<f64> {
        let values = out_of_fold(observations, grouping, self.chosen.ridge, some, tick);
        (0..observations.len())
            .map(|i| fused(values.linear[i], observations[i].pair, values.from[i], self.chosen.pair_weight))
            .collect()
    }
}

/// What a head makes of one picture.
fn fused(linear: f64, pair: f64, from: f64, pair_weight: f64) -> f64 {
    linear + pair_weight * (pair - from).min(0.0)
}

fn out_of_fold(
    observations: &[Observation],
    grouping: &Grouping,
    ridge: f64,
    some: &dyn Fn(usize) -> bool,
    tick: &mut dyn FnMut(),
) -> Values {
    let mut values = Values { linear: vec![0.0; observations.len()], from: vec![0.0; observations.len()] };
    for fold in 0..grouping.folds() {
        let members: Vec<usize> = (0..observations.len()).filter(|&i| grouping.fold(i) != fold && some(i)).collect();
        let linear = fit_on(observations, &members, ridge);
        let from = pair_from(observations, &members);
        for i in (0..observations.len()).filter(|&i| grouping.fold(i) == fold) {
            values.linear[i] = linear.value(&observations[i].features, known(&observations[i]));
            values.from[i] = from;
        }
        tick();
    }
    values
}

/// What is known of a picture before its features are looked at.
fn known(observation: &Observation) -> f64 {
    observation.general.clamp(-GENERAL_LIMIT, GENERAL_LIMIT)
}

/// Fits what is missing of that on some pictures: live ones count as much as attacks, and every kind of attack as much as another.
fn fit_on(observations: &[Observation], members: &[usize], ridge: f64) -> Linear {
    let names = kinds(observations);
    let count = |kind: Option<&str>| members.iter().filter(|&&i| observations[i].kind() == kind).count().max(1) as f64;
    let present = names.iter().filter(|name| members.iter().any(|&i| observations[i].kind() == Some(name))).count();
    let samples: Vec<Sample<'_>> = members
        .iter()
        .map(|&i| {
            let observation = &observations[i];
            let classes = if observation.live() { 1.0 } else { present.max(1) as f64 };
            let weight = 0.5 / classes / count(observation.kind());
            Sample { features: &observation.features, live: observation.live(), weight, offset: known(observation) }
        })
        .collect();
    fit(&samples, ridge)
}

fn pair_from(observations: &[Observation], members: &[usize]) -> f64 {
    let live = sorted(members.iter().filter(|&&i| observations[i].live()).map(|&i| observations[i].pair));
    let count = live.len().max(1) as f64;
    let mean = live.iter().sum::<f64>() / count;
    let variance = live.iter().map(|pair| (pair - mean) * (pair - mean)).sum::<f64>() / count;
    refusing(&live, PAIR_FROM).min(mean - PAIR_FROM_DEVIATES * variance.sqrt())
}

/// Mean error over the kinds of attack and over operating points, and by how much the worst kind is worse than without a
/// head.
fn loss(observations: &[Observation], members: &[usize], values: &[f64]) -> f64 {
    let errors = |value: &dyn Fn(usize) -> f64| -> Vec<f64> {
        let live = sorted(members.iter().filter(|&&i| observations[i].live()).map(|&i| value(i)));
        kinds(observations)
            .iter()
            .filter_map(|kind| {
                let attacks: Vec<f64> =
                    members.iter().filter(|&&i| observations[i].kind() == Some(kind)).map(|&i| value(i)).collect();
                let passing = |bpcer: &f64| {
                    let threshold = quantile(&live, *bpcer);
                    attacks.iter().filter(|&&v| v >= threshold).count() as f64 / attacks.len() as f64
                };
                (!attacks.is_empty()).then(|| BPCERS.iter().map(passing).sum::<f64>() / BPCERS.len() as f64)
            })
            .collect()
    };
    let (with, without) = (errors(&|i| values[i]), errors(&|i| observations[i].general));
    let mean = with.iter().sum::<f64>() / with.len().max(1) as f64;
    let harm = with.iter().zip(&without).map(|(with, without)| with - without).fold(0.0, f64::max);
    mean + harm
}

/// The value below which so large a share of *other* live pictures is expected: the mean rank of order statistics (Weibull 1939,
/// Hyndman and Fan's type 6), since with few pictures the plain quantile refuses more of others than of these. The least value
/// where there are too few pictures for the share.
fn refusing(live: &[f64], share: f64) -> f64 {
    let n = live.len() as f64;
    quantile(live, ((share * (n + 1.0) - 1.0) / (n - 1.0).max(1.0)).clamp(0.0, 1.0))
}

/// Log-odds per unit, by logistic regression on one number with both classes weighing the same, and the value at which so many
/// live pictures are refused.
fn calibrate(observations: &[Observation], members: &[usize], values: &[f64], bpcer: f64) -> (f64, f64) {
    let live = sorted(members.iter().filter(|&&i| observations[i].live()).map(|&i| values[i]));
    let point = refusing(&live, bpcer);
    let count = |wanted: bool| members.iter().filter(|&&i| observations[i].live() == wanted).count().max(1) as f64;
    let weights = [count(false), count(true)].map(|n| 0.5 / n);
    // The least loss over slopes in steps of 5 %, between a score that hardly moves and one that only says yes or no.
    let loss = |slope: f64| {
        let each = |&i: &usize| {
            let live = observations[i].live();
            let margin = slope * (values[i] - point) * if live { 1.0 } else { -1.0 };
            weights[usize::from(live)] * ((-margin.abs()).exp().ln_1p() + (-margin).max(0.0))
        };
        members.iter().map(each).sum::<f64>()
    };
    let slopes = (0..80).map(|step| 0.25 * 1.05_f64.powi(step));
    let slope = slopes.min_by(|&a, &b| loss(a).total_cmp(&loss(b))).unwrap_or(1.0);
    (slope, point)
}
