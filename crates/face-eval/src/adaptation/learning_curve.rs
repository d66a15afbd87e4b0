//! How the error falls with the number of pictures, and what twice as many would bring.

use serde::Serialize;

use super::cross_validation::values_of_some;
use super::grouping::{FOLDS, Grouping};
use super::{Chosen, Observation, kinds, quantile, sorted};
use crate::statistics::Proportion;

/// Parts of the groups that heads are fitted on beside all of them.
const PARTS: [f64; 2] = [0.25, 0.5];

/// With fewer attacks left that pass, the fall says nothing of what comes next.
const FEWEST_PASSING: u64 = 5;

/// Where the error is read: this share of live pictures refused.
const BPCER: f64 = 0.05;

/// How many fits [`measure`] makes, at most.
pub(super) fn fits() -> usize {
    FOLDS * (PARTS.len() + 1)
}

/// The error of heads that were fitted on so many pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearningPoint {
    /// Pictures that each head was fitted on, on average.
    pub pictures: f64,
    /// Share of attacks taken for live, the mean over the kinds, where 5 % of the live pictures are refused.
    pub mean_apcer: f64,
    /// Attacks of all kinds together.
    pub apcer: Proportion,
}

/// What twice the pictures would bring, by the fall from half of them to all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Expectation {
    /// Twice the pictures of the last point.
    pub pictures: f64,
    /// Expected share of attacks taken for live, the mean over the kinds.
    pub mean_apcer: f64,
}

pub(super) fn measure(
    observations: &[Observation],
    grouping: &Grouping,
    chosen: Chosen,
    tick: &mut dyn FnMut(),
) -> (Vec<LearningPoint>, Option<Expectation>) {
    let places = places(observations, grouping);
    let point = |part: f64, tick: &mut dyn FnMut()| {
        let taken = |i: usize| in_part(places[grouping.group(i)], part);
        let values = values_of_some(observations, grouping, chosen, &taken, tick)?;
        let live = sorted((0..values.len()).filter(|&i| observations[i].live()).map(|i| values[i]));
        let threshold = quantile(&live, BPCER);
        let passing = |kind: Option<&str>| {
            let attacks = (0..values.len()).filter(|&i| match kind {
                Some(_) => observations[i].kind() == kind,
                None => !observations[i].live(),
            });
            Proportion::of(attacks, |i| values[i] >= threshold)
        };
        let each: Vec<f64> = kinds(observations).iter().filter_map(|k| passing(Some(k))).map(|p| p.ratio).collect();
        let folds = grouping.folds().count() as f64;
        let in_folds = (0..values.len()).filter(|&i| taken(i)).count() as f64;
        Some(LearningPoint {
            pictures: in_folds * (folds - 1.0) / folds,
            mean_apcer: each.iter().sum::<f64>() / each.len().max(1) as f64,
            apcer: passing(None)?,
        })
    };
    let [quarter, half] = PARTS.map(|part| point(part, tick));
    let all = point(1.0, tick);
    let expectation = match (&half, &all) {
        // Errors fall about by a power of the number of pictures: the next doubling brings the same factor as the last.
        (Some(half), Some(all)) if all.apcer.count >= FEWEST_PASSING && half.mean_apcer > 0.0 => Some(Expectation {
            pictures: 2.0 * all.pictures,
            mean_apcer: all.mean_apcer * (all.mean_apcer / half.mean_apcer).min(1.0),
        }),
        _ => None,
    };
    ([quarter, half, all].into_iter().flatten().collect(), expectation)
}

/// The place of each group among those that hold live pictures, or among those that hold none: a part of either is taken.
fn places(observations: &[Observation], grouping: &Grouping) -> Vec<usize> {
    let mut live = vec![false; grouping.count()];
    (0..observations.len()).filter(|&i| observations[i].live()).for_each(|i| live[grouping.group(i)] = true);
    let mut next = [0, 0];
    let place = |&live: &bool| {
        let place = next[usize::from(live)];
        next[usize::from(live)] += 1;
        place
    };
    live.iter().map(place).collect()
}

/// Whether a place belongs to a part of them, spread evenly and the same in every run (by multiples of the golden ratio).
fn in_part(place: usize, part: f64) -> bool {
    (place as f64 * 0.618_033_988_749_895).fract() < part
}
