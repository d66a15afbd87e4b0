//! Error rates before and after, what other operating points cost, and whether the difference is more than chance.

use serde::Serialize;

use super::grouping::Grouping;
use super::{AdaptOptions, Observation, kinds, quantile, sorted};
use crate::basis::{answered_score, answered_threshold};
use crate::statistics::{Estimate, Proportion};

/// Rates of refused live pictures for which the cost is told.
const BPCERS: [f64; 5] = [0.01, 0.02, 0.03, 0.05, 0.10];

/// The rate at which kinds are compared before and after.
const COMPARED_AT: f64 = 0.05;

/// Error rates at a score of 0.5, before and after, the latter out of fold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rates {
    /// Live pictures refused without a head.
    pub bpcer_before: Option<Proportion>,
    /// Live pictures refused with the head.
    pub bpcer: Option<Proportion>,
    /// Each kind of attack, in alphabetical order.
    pub kinds: Vec<Kind>,
}

/// Error rates of one kind of attack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kind {
    /// The name in the labels.
    pub name: String,
    /// Attacks taken for live at 0.5 without a head.
    pub apcer_before: Option<Proportion>,
    /// Attacks taken for live at 0.5 with the head.
    pub apcer: Option<Proportion>,
    /// Attacks taken for live without a head, where 5 % of the live pictures are refused.
    pub apcer_at_bpcer_5_before: Option<Proportion>,
    /// The same with the head.
    pub apcer_at_bpcer_5: Option<Proportion>,
}

/// What an operating point costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// Share of live pictures that is to be refused, 0 to 1.
    pub bpcer: f64,
    /// Live pictures that are refused there.
    pub refused: Option<Proportion>,
    /// The score below which a picture is refused there, 0 to 1, with the four decimals of the service's answers.
    pub score: f64,
    /// Name and APCER of each kind.
    pub apcer: Vec<(String, Option<Proportion>)>,
}

fn of_kind<'a>(observations: &'a [Observation], kind: &'a str) -> impl Iterator<Item = usize> + 'a {
    (0..observations.len()).filter(move |&i| observations[i].kind() == Some(kind))
}

fn live(observations: &[Observation]) -> impl Iterator<Item = usize> + '_ {
    (0..observations.len()).filter(|&i| observations[i].live())
}

/// The value below which so many live pictures lie that kinds are compared there.
fn compared_at(observations: &[Observation], value: impl Fn(usize) -> f64) -> f64 {
    quantile(&sorted(live(observations).map(value)), COMPARED_AT)
}

impl Rates {
    pub(super) fn compute(observations: &[Observation], log_odds: &[f64]) -> Self {
        let before = |i: usize| observations[i].general;
        let (before_5, after_5) = (compared_at(observations, before), compared_at(observations, |i| log_odds[i]));
        let kind = |name: &str| Kind {
            name: name.to_owned(),
            apcer_before: Proportion::of(of_kind(observations, name), |i| before(i) >= 0.0),
            apcer: Proportion::of(of_kind(observations, name), |i| log_odds[i] >= 0.0),
            apcer_at_bpcer_5_before: Proportion::of(of_kind(observations, name), |i| before(i) >= before_5),
            apcer_at_bpcer_5: Proportion::of(of_kind(observations, name), |i| log_odds[i] >= after_5),
        };
        Self {
            bpcer_before: Proportion::of(live(observations), |i| before(i) < 0.0),
            bpcer: Proportion::of(live(observations), |i| log_odds[i] < 0.0),
            kinds: kinds(observations).into_iter().map(kind).collect(),
        }
    }
}

/// What to mind about the result.
pub(super) fn warnings(rates: &Rates) -> Vec<String> {
    let worse = rates.kinds.iter().filter_map(|kind| {
        let (before, after) = (kind.apcer_at_bpcer_5_before?, kind.apcer_at_bpcer_5?);
        (after.count > before.count).then(|| {
            format!(
                "The kind {} gets through more often than without the head where both refuse 5 % of the live pictures: {} of {} \
                 instead of {}. More pictures of it help.",
                kind.name, after.count, after.total, before.count
            )
        })
    });
    worse.collect()
}

pub(super) fn operating_points(observations: &[Observation], log_odds: &[f64]) -> Vec<OperatingPoint> {
    // What the operator's program will compare.
    let answered = |i: usize| answered_score(1.0 / (1.0 + (-log_odds[i]).exp()));
    let values = sorted(live(observations).map(answered));
    let point = |bpcer: f64| {
        let score = answered_threshold(quantile(&values, bpcer));
        let apcer =
            |name: &&str| ((*name).to_owned(), Proportion::of(of_kind(observations, name), |i| answered(i) >= score));
        OperatingPoint {
            bpcer,
            refused: Proportion::of(live(observations), |i| answered(i) < score),
            score,
            apcer: kinds(observations).iter().map(apcer).collect(),
        }
    };
    BPCERS.map(point).into()
}

/// Mean of BPCER and of the mean APCER over the kinds, each picture counted so many times.
fn error(observations: &[Observation], wrong: &dyn Fn(usize) -> bool, drawn: &[u32], of: &[usize]) -> Option<f64> {
    let rate = |members: &mut dyn Iterator<Item = usize>| {
        let (mut errors, mut all) = (0.0, 0.0);
        for i in members {
            let times = f64::from(drawn[of[i]]);
            all += times;
            errors += if wrong(i) { times } else { 0.0 };
        }
        (all > 0.0).then(|| errors / all)
    };
    let bpcer = rate(&mut live(observations))?;
    let apcers: Vec<f64> = kinds(observations).iter().filter_map(|k| rate(&mut of_kind(observations, k))).collect();
    (!apcers.is_empty()).then(|| f64::midpoint(bpcer, apcers.iter().sum::<f64>() / apcers.len() as f64))
}

/// By how much the mean of BPCER and mean APCER falls, with its interval over groups, and whether that is more than chance.
pub(super) fn reduction(
    observations: &[Observation],
    grouping: &Grouping,
    log_odds: &[f64],
    options: &AdaptOptions,
) -> (Estimate, bool) {
    let groups: Vec<usize> = (0..observations.len()).map(|i| grouping.group(i)).collect();
    let before = |i: usize| (observations[i].general >= 0.0) != observations[i].live();
    let after = |i: usize| (log_odds[i] >= 0.0) != observations[i].live();
    let fall = |drawn: &[u32]| {
        Some(error(observations, &before, drawn, &groups)? - error(observations, &after, drawn, &groups)?)
    };
    let value = fall(&vec![1; grouping.count()]).unwrap_or(0.0);
    let [ci95] = options.bootstrap.intervals(&vec![0; grouping.count()], |drawn| [fall(drawn)]);
    let lower = options.bootstrap.lower(grouping.count(), fall);
    (Estimate { value, ci95 }, lower.is_some_and(|lower| lower > 0.0))
}

/// With fewer groups a draw of them says nothing of how a kind varies.
const FEWEST_DRAWN: usize = 3;

/// The kinds that are told worse than without a head where both refuse as many live pictures, beyond chance: less than 2.5 % of
/// the draws of groups say otherwise, or of the ways in which the pictures that are told otherwise could fall where a kind has too few
/// groups to draw.
pub(super) fn harmed(
    observations: &[Observation],
    grouping: &Grouping,
    log_odds: &[f64],
    options: &AdaptOptions,
) -> Vec<String> {
    let apcer = |value: &dyn Fn(usize) -> f64, kind: &str, drawn: &[u32]| {
        let times = |i: usize| drawn[grouping.group(i)] as usize;
        let all = sorted(live(observations).flat_map(|i| std::iter::repeat_n(value(i), times(i))));
        let threshold = crate::statistics::quantile(&all, COMPARED_AT)?;
        let (mut passed, mut total) = (0, 0);
        for i in of_kind(observations, kind) {
            total += times(i);
            passed += if value(i) >= threshold { times(i) } else { 0 };
        }
        (total > 0).then(|| passed as f64 / total as f64)
    };
    let (before, after) = (|i: usize| observations[i].general, |i: usize| log_odds[i]);
    let (before_5, after_5) = (compared_at(observations, before), compared_at(observations, after));
    let worse = |kind: &&str| {
        if grouping.groups_of(|i| observations[i].kind() == Some(kind)) < FEWEST_DRAWN {
            let turned = |now: bool| {
                let is_turned = |&i: &usize| (after(i) >= after_5) == now && (before(i) >= before_5) != now;
                of_kind(observations, kind).filter(is_turned).count()
            };
            return is_beyond_chance(turned(true), turned(false));
        }
        let lower = options
            .bootstrap
            .lower(grouping.count(), |drawn| Some(apcer(&after, kind, drawn)? - apcer(&before, kind, drawn)?));
        lower.is_some_and(|lower| lower > 0.0)
    };
    kinds(observations).into_iter().filter(worse).map(str::to_owned).collect()
}

/// Whether one side has so many of the pictures that went to either, which would else be as likely, that less than 2.5 % of
/// the ways in which they could fall give it as many (the exact sign test, one-sided).
fn is_beyond_chance(one: usize, other: usize) -> bool {
    let all = one + other;
    // By their logarithms: one way of a thousand pictures is less than the smallest number.
    let (mut share, mut tail) = (all as f64 * 0.5_f64.ln(), 0.0);
    for few in 0..=other {
        tail += share.exp();
        share += ((all - few) as f64 / (few + 1) as f64).ln();
    }
    tail < 0.025
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Presentation;

    #[test]
    fn a_kind_told_worse_beyond_chance_is_named_and_one_a_little_worse_is_not() {
        // Without a head every attack is told. With it half of the prints pass, and one of 20 replays.
        let picture = |n: usize| {
            let kind = ["live", "print", "replay"][n % 3];
            let live = kind == "live";
            let only = |place: usize| (0..120).map(|i| f32::from(u8::from(i == place))).collect::<Vec<f32>>();
            let odds = if live { 2.0 } else { -2.0 } + 0.01 * n as f64;
            Observation {
                path: format!("{n}.jpg"),
                presentation: if live { Presentation::BonaFide } else { Presentation::Attack(kind.into()) },
                group: Some(n.to_string()),
                features: only(n),
                parts: vec![120],
                mirrored: only(60 + n),
                pair: odds,
                general: odds,
                surrounding: 2.0,
            }
        };
        let observations: Vec<Observation> = (0..60).map(picture).collect();
        let passes = |n: usize| n % 6 == 1 || n == 5;
        let with: Vec<f64> = (0..60).map(|n| if passes(n) { 9.0 } else { observations[n].general }).collect();
        let grouping = Grouping::of(&observations);
        assert_eq!(grouping.count(), 60, "the test's pictures are no near-copies");
        let options = AdaptOptions::default();
        assert_eq!(harmed(&observations, &grouping, &with, &options), ["print"]);
        let same: Vec<f64> = observations.iter().map(|o| o.general).collect();
        assert!(harmed(&observations, &grouping, &same, &options).is_empty());
    }

    #[test]
    fn an_operating_point_is_a_score_that_the_service_can_answer_and_its_errors_are_of_such_scores() {
        // Answered 0.9991 and 0.9992, the attack 0.9992 as well, though its score is lower.
        let scores = [0.999_10, 0.999_24, 0.999_16];
        let observations: Vec<Observation> = [true, true, false]
            .map(|live| Observation {
                path: String::new(),
                presentation: if live { Presentation::BonaFide } else { Presentation::Attack("print".into()) },
                group: None,
                features: Vec::new(),
                parts: Vec::new(),
                mirrored: Vec::new(),
                pair: 0.0,
                general: 0.0,
                surrounding: 2.0,
            })
            .into();
        for point in operating_points(&observations, &scores.map(|p: f64| (p / (1.0 - p)).ln())) {
            assert_eq!(point.score, 0.9992);
            assert_eq!(point.refused.map(|share| share.count), Some(1));
            assert_eq!(point.apcer[0].1.map(|share| share.count), Some(1));
        }
    }

    #[test]
    fn the_sign_test_is_exact_and_holds_for_thousands() {
        // (1 + 6) / 2^6 = 10.9 %, 1 / 2^6 = 1.6 %; (1 + 9 + 36) / 2^9 = 9.0 %, (1 + 9) / 2^9 = 1.95 %.
        for (one, other, beyond) in
            [(6, 0, true), (5, 1, false), (8, 1, true), (7, 2, false), (0, 0, false), (0, 9, false)]
        {
            assert_eq!(is_beyond_chance(one, other), beyond, "{one}, {other}");
        }
        // Half of 4,000 and two standard deviations of 31.6 more.
        assert!(!is_beyond_chance(2_000, 2_000) && !is_beyond_chance(2_058, 1_942) && is_beyond_chance(2_066, 1_934));
    }

    #[test]
    fn harm_and_gain_show_in_kinds_of_one_session_and_where_every_draw_agrees() {
        // One in three is live. Eight masks come from one group, and with the head all of them pass.
        let is_mask = |n: usize| n % 3 == 1 && n < 24;
        let picture = |n: usize| Observation {
            path: String::new(),
            presentation: match n {
                _ if n.is_multiple_of(3) => Presentation::BonaFide,
                _ if is_mask(n) => Presentation::Attack("mask".into()),
                _ => Presentation::Attack("print".into()),
            },
            group: Some(if is_mask(n) { "one".into() } else { n.to_string() }),
            features: (0..120).map(|i| f32::from(u8::from(i == n))).collect(),
            parts: vec![120],
            mirrored: (0..120).map(|i| f32::from(u8::from(i == 60 + n))).collect(),
            pair: 0.0,
            general: if n.is_multiple_of(3) { 2.0 } else { -2.0 },
            surrounding: 2.0,
        };
        let observations: Vec<Observation> = (0..60).map(picture).collect();
        let (grouping, options) = (Grouping::of(&observations), AdaptOptions::default());
        let with = |passing: usize| -> Vec<f64> {
            (0..60).map(|n| if is_mask(n) && n < passing { 9.0 } else { observations[n].general }).collect()
        };
        assert_eq!(harmed(&observations, &grouping, &with(24), &options), ["mask"]);
        // One of eight is chance, and five of five that changed would be in 3 %.
        for few in [2, 14] {
            assert!(harmed(&observations, &grouping, &with(few), &options).is_empty(), "{few}");
        }
        // Where all live people were refused before and none is now, no draw says anything else.
        let refused: Vec<Observation> =
            observations.iter().cloned().map(|o| Observation { general: -2.0, ..o }).collect();
        let told: Vec<f64> = observations.iter().map(|o| o.general).collect();
        let (fall, better) = reduction(&refused, &grouping, &told, &options);
        assert_eq!((fall.value, fall.ci95, better), (0.5, None, true));
        assert!(!reduction(&observations, &grouping, &told, &options).1);
    }
}
