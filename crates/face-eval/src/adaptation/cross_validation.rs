//! Heads that are judged by pictures of groups that they never saw, and the choices that follow from it.

use liveness_head::{GeneralShare, Linear, PairShare, Sample, Trust, fit};

use super::grouping::{FOLDS, Folds, Grouping};
use super::{AdaptOptions, Chosen, Fitted, Observation, kinds, quantile, sorted};

/// Ridge penalties that are tried; of equally good ones the first is taken. On real attacks the first two were best by a little
/// (docs/accuracy.md); the last are for collections whose classes overlap, and stay near to what the program has without a head.
const RIDGES: [f64; 4] = [3e-6, 3e-5, 1e-3, 1e-2];

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

/// How many fits [`log_odds_out_of_fold`] and [`Head::of`] of all pictures make, at most.
pub(super) fn fits() -> usize {
    let of_a_head = FOLDS * RIDGES.len() + 1;
    (FOLDS + 1) * of_a_head
}

/// A head of some of the pictures, with all that they chose by cross-validation among themselves.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) chosen: Chosen,
    pub(super) fitted: Fitted,
}

impl Head {
    /// The head of some pictures, which are dealt into folds for what is chosen.
    pub(super) fn of(
        observations: &[Observation],
        members: &[usize],
        folds: &Folds,
        options: &AdaptOptions,
        tick: &mut dyn FnMut(),
    ) -> Self {
        let choices = RIDGES.iter().flat_map(|&ridge| {
            let values = out_of_fold(observations, members, members, folds, ridge, tick);
            PAIR_WEIGHTS.map(|pair_weight| {
                let chosen = Chosen { ridge, pair_weight };
                (chosen, values.iter().map(|value| value.fused(pair_weight)).collect::<Vec<f64>>())
            })
        });
        let weighed = choices.map(|(chosen, values)| (loss(observations, members, &values), chosen, values));
        let none = (0.0, Chosen { ridge: RIDGES[0], pair_weight: PAIR_WEIGHTS[0] }, vec![0.0; members.len()]);
        let (_, chosen, values) = weighed.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or(none);
        let (slope, operating_point) = calibrate(observations, members, &values, options.bpcer);
        let linear = fit_on(observations, members, chosen.ridge);
        tick();
        let full = quantile(&sorted(members.iter().map(|&i| observations[i].surrounding)), TRUSTED);
        let fitted = Fitted {
            general: GeneralShare { weight: linear.known as f32, limit: GENERAL_LIMIT as f32 },
            linear,
            pair: PairShare { weight: chosen.pair_weight as f32, from: pair_from(observations, members) as f32 },
            slope,
            operating_point,
            trust: Trust { none: (UNTRUSTED * full) as f32, full: full as f32 },
        };
        Self { chosen, fitted }
    }

    /// The log-odds of a picture, as the service has them.
    fn log_odds(&self, observation: &Observation) -> f64 {
        let Fitted { linear, pair, slope, operating_point, trust, .. } = &self.fitted;
        let value = Value::of(linear, f64::from(pair.from), observation).fused(f64::from(pair.weight));
        let share = f64::from(trust.share(observation.surrounding as f32));
        share * slope * (value - operating_point) + (1.0 - share) * observation.general
    }
}

/// The log-odds of each picture, 0 at the operating point, by the head of the other folds' pictures, which alone chose all of it.
pub(super) fn log_odds_out_of_fold(
    observations: &[Observation],
    grouping: &Grouping,
    options: &AdaptOptions,
    tick: &mut dyn FnMut(),
) -> Vec<f64> {
    let mut log_odds = vec![0.0; observations.len()];
    let folds = grouping.folds();
    for fold in 0..folds.count() {
        let (own, others): (Vec<usize>, Vec<usize>) = (0..observations.len()).partition(|&i| folds.of(i) == fold);
        let head = Head::of(observations, &others, &grouping.folds_of(observations, &others), options, tick);
        for i in own {
            log_odds[i] = head.log_odds(&observations[i]);
        }
    }
    log_odds
}

/// The values of all pictures by heads of those of the other folds that are among `some`; `None` where those of a fold lack
/// live pictures or attacks.
pub(super) fn values_of_some(
    observations: &[Observation],
    grouping: &Grouping,
    chosen: Chosen,
    some: &dyn Fn(usize) -> bool,
    tick: &mut dyn FnMut(),
) -> Option<Vec<f64>> {
    let (folds, all) = (grouping.folds(), (0..observations.len()).collect::<Vec<_>>());
    let taken: Vec<usize> = all.iter().copied().filter(|&i| some(i)).collect();
    let has = |fold, live| taken.iter().any(|&i| folds.of(i) != fold && observations[i].live() == live);
    if !(0..folds.count()).all(|fold| has(fold, true) && has(fold, false)) {
        return None;
    }
    let values = out_of_fold(observations, &all, &taken, folds, chosen.ridge, tick);
    Some(values.iter().map(|value| value.fused(chosen.pair_weight)).collect())
}

/// What a head makes of a picture before it is told how much the pair counts.
struct Value {
    linear: f64,
    /// What the pair lacks to the least of live pictures, at most 0.
    lack: f64,
}

impl Value {
    fn of(linear: &Linear, from: f64, observation: &Observation) -> Self {
        let value = linear.value(&observation.features, known(observation));
        Self { linear: value, lack: (observation.pair - from).min(0.0) }
    }

    fn fused(&self, pair_weight: f64) -> f64 {
        self.linear + pair_weight * self.lack
    }
}

/// The values of some pictures, in their order, each by a head of those of `taken` that are in the other folds.
fn out_of_fold(
    observations: &[Observation],
    members: &[usize],
    taken: &[usize],
    folds: &Folds,
    ridge: f64,
    tick: &mut dyn FnMut(),
) -> Vec<Value> {
    let head = |fold: usize| {
        let others: Vec<usize> = taken.iter().copied().filter(|&i| folds.of(i) != fold).collect();
        tick();
        (fit_on(observations, &others, ridge), pair_from(observations, &others))
    };
    let heads: Vec<(Linear, f64)> = (0..folds.count()).map(head).collect();
    let value = |&i: &usize| {
        let (linear, from) = &heads[folds.of(i)];
        Value::of(linear, *from, &observations[i])
    };
    members.iter().map(value).collect()
}

/// What is known of a picture before its features are looked at.
fn known(observation: &Observation) -> f64 {
    observation.general.clamp(-GENERAL_LIMIT, GENERAL_LIMIT)
}

/// Fits what is missing of that on some pictures and their mirror images: live ones count as much as attacks, and every kind of
/// attack as much as another.
fn fit_on(observations: &[Observation], members: &[usize], ridge: f64) -> Linear {
    let names = kinds(observations);
    let count = |kind: Option<&str>| members.iter().filter(|&&i| observations[i].kind() == kind).count().max(1) as f64;
    let present = names.iter().filter(|name| members.iter().any(|&i| observations[i].kind() == Some(name))).count();
    let samples: Vec<Sample<'_>> = members
        .iter()
        .flat_map(|&i| {
            let observation = &observations[i];
            let classes = if observation.live() { 1.0 } else { present.max(1) as f64 };
            let weight = 0.25 / classes / count(observation.kind());
            let both = [&observation.features, &observation.mirrored];
            both.map(|features| Sample { features, live: observation.live(), weight, offset: known(observation) })
        })
        .collect();
    fit(&samples, &observations[0].parts, ridge)
}

fn pair_from(observations: &[Observation], members: &[usize]) -> f64 {
    let live = sorted(members.iter().filter(|&&i| observations[i].live()).map(|&i| observations[i].pair));
    let count = live.len().max(1) as f64;
    let mean = live.iter().sum::<f64>() / count;
    let variance = live.iter().map(|pair| (pair - mean) * (pair - mean)).sum::<f64>() / count;
    refusing(&live, PAIR_FROM).min(mean - PAIR_FROM_DEVIATES * variance.sqrt())
}

/// Mean error of the values of some pictures over the kinds of attack and over operating points, and by how much the worst kind is
/// worse than without a head.
fn loss(observations: &[Observation], members: &[usize], values: &[f64]) -> f64 {
    let errors = |values: &[f64]| -> Vec<f64> {
        let of = |kind: Option<&str>| {
            let pairs = members.iter().zip(values).filter(|&(&i, _)| observations[i].kind() == kind);
            pairs.map(|(_, &value)| value).collect::<Vec<f64>>()
        };
        let live = sorted(of(None));
        kinds(observations)
            .iter()
            .filter_map(|kind| {
                let attacks = of(Some(kind));
                let passing = |bpcer: &f64| {
                    let threshold = quantile(&live, *bpcer);
                    attacks.iter().filter(|&&v| v >= threshold).count() as f64 / attacks.len() as f64
                };
                (!attacks.is_empty()).then(|| BPCERS.iter().map(passing).sum::<f64>() / BPCERS.len() as f64)
            })
            .collect()
    };
    let without: Vec<f64> = members.iter().map(|&i| observations[i].general).collect();
    let (with, without) = (errors(values), errors(&without));
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

/// Log-odds per unit of the values of some pictures, by logistic regression on one number with both classes weighing the same, and the value at which so many
/// live pictures are refused.
fn calibrate(observations: &[Observation], members: &[usize], values: &[f64], bpcer: f64) -> (f64, f64) {
    let pairs = || members.iter().zip(values);
    let live = sorted(pairs().filter(|&(&i, _)| observations[i].live()).map(|(_, &value)| value));
    let point = refusing(&live, bpcer);
    let count = |wanted: bool| members.iter().filter(|&&i| observations[i].live() == wanted).count().max(1) as f64;
    let weights = [count(false), count(true)].map(|n| 0.5 / n);
    // The least loss over slopes in steps of 5 %, between a score that hardly moves and one that only says yes or no.
    let loss = |slope: f64| {
        let each = |(&i, &value): (&usize, &f64)| {
            let live = observations[i].live();
            let margin = slope * (value - point) * if live { 1.0 } else { -1.0 };
            weights[usize::from(live)] * ((-margin.abs()).exp().ln_1p() + (-margin).max(0.0))
        };
        pairs().map(each).sum::<f64>()
    };
    let slopes = (0..80).map(|step| 0.25 * 1.05_f64.powi(step));
    let slope = slopes.min_by(|&a, &b| loss(a).total_cmp(&loss(b))).unwrap_or(1.0);
    (slope, point)
}
