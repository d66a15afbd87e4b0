//! Proportions, intervals, and the bootstrap.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::Serialize;

/// The 97.5 % quantile of the standard normal distribution: two-sided 95 % intervals.
const Z_95: f64 = 1.959_963_984_540_054;

/// Below this share of usable replicates a bootstrap interval is left out.
const USABLE_REPLICATES: f64 = 0.9;

/// A 95 % confidence interval, in the unit of its estimate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub lower: f64,
    /// Upper end, at least `lower`.
    pub upper: f64,
}

/// A share of counted things with its Wilson score interval.
///
/// The interval is that of Wilson (1927), without continuity correction. Unlike the normal approximation it stays
/// within 0 to 1 and keeps a width when none or all were counted, which are the usual results of a good detector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Proportion {
    /// How many had the property.
    pub count: u64,
    /// Out of how many, at least 1.
    pub total: u64,
    /// `count / total`, 0 to 1.
    pub ratio: f64,
    /// Wilson score interval, 0 to 1.
    pub ci95: Interval,
}

impl Proportion {
    /// The share `count` of `total`; `None` when nothing was counted or `count` exceeds `total`.
    pub fn new(count: u64, total: u64) -> Option<Self> {
        if total == 0 || count > total {
            return None;
        }
        let n = total as f64;
        let ratio = count as f64 / n;
        let z2 = Z_95 * Z_95;
        let centre = (ratio + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half_width = Z_95 / (1.0 + z2 / n) * (ratio * (1.0 - ratio) / n + z2 / (4.0 * n * n)).sqrt();
        // The exact ends touch 0 and 1 there; rounding may miss them by a few units of the last place.
        let lower = if count == 0 { 0.0 } else { (centre - half_width).clamp(0.0, ratio) };
        let upper = if count == total { 1.0 } else { (centre + half_width).clamp(ratio, 1.0) };
        Some(Self { count, total, ratio, ci95: Interval { lower, upper } })
    }

    /// The share of `items` for which `property` holds; `None` without items.
    pub fn of<T>(items: impl IntoIterator<Item = T>, mut property: impl FnMut(T) -> bool) -> Option<Self> {
        let (mut count, mut total) = (0, 0);
        for item in items {
            total += 1;
            count += u64::from(property(item));
        }
        Self::new(count, total)
    }
}

/// A figure that is no plain share, with its bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure on the whole sample.
    pub value: f64,
    /// Percentile bootstrap interval. Absent when the sample is too small for one, or when every replicate gives
    /// the same figure: an interval of no width would claim a certainty that resampling cannot give.
    pub ci95: Option<Interval>,
}

/// Percentile bootstrap (Efron 1979) with a fixed seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bootstrap {
    /// Resampled data sets; 0 leaves the intervals out.
    pub replicates: u32,
    /// Seed of the generator. The same data and seed give the same interval on every machine.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 2000 replicates: percentiles at 2.5 % and 97.5 % then rest on 50 replicates each.
    fn default() -> Self {
        Self { replicates: 2000, seed: 30107 }
    }
}

impl Bootstrap {
    /// Intervals of several figures of one sample.
    ///
    /// `strata[i]` is the stratum of item `i`; each stratum keeps its size in every replicate. `figures` is called
    /// with the number of times that each item was drawn.
    pub(crate) fn intervals<const K: usize>(
        &self,
        strata: &[usize],
        figures: impl FnMut(&[u32]) -> [Option<f64>; K],
    ) -> [Option<Interval>; K] {
        if strata.len() < 2 {
            return [None; K];
        }
        self.replicates(strata, figures).map(|values| self.percentile_interval(values))
    }

    /// The value that 97.5 % of the replicates exceed, of those that have one; `None` where none has. For decisions: unlike an
    /// interval it stands where many replicates lack what is measured, and where all of them agree.
    pub(crate) fn lower(&self, items: usize, mut figure: impl FnMut(&[u32]) -> Option<f64>) -> Option<f64> {
        let [mut values] = self.replicates(&vec![0; items], |drawn| [figure(drawn)]);
        values.sort_by(f64::total_cmp);
        quantile(&values, 0.025)
    }

    fn replicates<const K: usize>(
        &self,
        strata: &[usize],
        mut figures: impl FnMut(&[u32]) -> [Option<f64>; K],
    ) -> [Vec<f64>; K] {
        let mut members = vec![Vec::new(); strata.iter().max().map_or(0, |last| last + 1)];
        for (item, &stratum) in strata.iter().enumerate() {
            members[stratum].push(item);
        }
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        let mut replicates: [Vec<f64>; K] = std::array::from_fn(|_| Vec::with_capacity(self.replicates as usize));
        let mut drawn = vec![0_u32; strata.len()];
        for _ in 0..self.replicates {
            drawn.fill(0);
            for stratum in &members {
                for _ in 0..stratum.len() {
                    drawn[stratum[index_below(&mut generator, stratum.len())]] += 1;
                }
            }
            for (values, figure) in replicates.iter_mut().zip(figures(&drawn)) {
                values.extend(figure);
            }
        }
        replicates
    }

    fn percentile_interval(&self, mut values: Vec<f64>) -> Option<Interval> {
        if values.is_empty() || (values.len() as f64) < USABLE_REPLICATES * f64::from(self.replicates) {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let interval = Interval { lower: quantile(&values, 0.025)?, upper: quantile(&values, 0.975)? };
        (interval.lower < interval.upper).then_some(interval)
    }
}

/// A number from 0 to `end - 1`, by the high half of a 64 x 64 bit product. Its bias is `end / 2^64`, far below
/// what any number of replicates could show.
fn index_below(generator: &mut ChaCha8Rng, end: usize) -> usize {
    ((u128::from(generator.next_u64()) * end as u128) >> 64) as usize
}

/// The quantile of sorted values with linear interpolation between order statistics (Hyndman and Fan's type 7).
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let position = share * (sorted.len().checked_sub(1)?) as f64;
    let below = sorted.get(position.floor() as usize)?;
    let above = sorted.get(position.ceil() as usize)?;
    Some(below + (above - below) * position.fract())
}

/// Mean absolute error, root mean square error and bias of signed errors (estimate minus truth).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ErrorFigures {
    pub(crate) mean_absolute: Estimate,
    pub(crate) root_mean_square: Estimate,
    pub(crate) bias: Estimate,
}

impl ErrorFigures {
    /// `None` without errors.
    pub(crate) fn of(errors: &[f64], bootstrap: Bootstrap) -> Option<Self> {
        let weighted = |drawn: &dyn Fn(usize) -> f64| {
            let (mut n, mut absolute, mut square, mut signed) = (0.0, 0.0, 0.0, 0.0);
            for (item, error) in errors.iter().enumerate() {
                let weight = drawn(item);
                n += weight;
                absolute += weight * error.abs();
                square += weight * error * error;
                signed += weight * error;
            }
            (n > 0.0).then(|| [absolute / n, (square / n).sqrt(), signed / n])
        };
        let [absolute, square, signed] = weighted(&|_| 1.0)?;
        let [absolute_ci, square_ci, signed_ci] =
            bootstrap.intervals(&vec![0; errors.len()], |drawn| match weighted(&|item| f64::from(drawn[item])) {
                Some(figures) => figures.map(Some),
                None => [None; 3],
            });
        Some(Self {
            mean_absolute: Estimate { value: absolute, ci95: absolute_ci },
            root_mean_square: Estimate { value: square, ci95: square_ci },
            bias: Estimate { value: signed, ci95: signed_ci },
        })
    }
}

/// The quantile of the standard normal distribution (its "deviate") at a probability strictly between 0 and 1;
/// `None` elsewhere. Found by bisection of the distribution function, to the last bits of an `f64`.
pub fn normal_deviate(probability: f64) -> Option<f64> {
    if !(probability > 0.0 && probability < 1.0) {
        return None;
    }
    let distribution = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
    // The deviates of the smallest positive f64 and of the largest below 1 lie within.
    let (mut below, mut above) = (-40.0, 10.0);
    for _ in 0..80 {
        let middle = 0.5 * (below + above);
        if distribution(middle) < probability {
            below = middle;
        } else {
            above = middle;
        }
    }
    Some(0.5 * (below + above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(actual: f64, expected: f64, tolerance: f64) {
        assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected} (within {tolerance})");
    }

    #[test]
    fn a_share_of_nothing_is_absent() {
        assert_eq!(Proportion::new(0, 0), None);
        assert_eq!(Proportion::new(2, 1), None);
    }

    #[test]
    fn wilson_interval_of_none_in_ten_reaches_up_to_z2_over_n_plus_z2() {
        // With p = 0 the interval is [0, z^2 / (n + z^2)] = [0, 3.841459 / 13.841459] = [0, 0.277533].
        let share = Proportion::new(0, 10).expect("ten were counted");
        assert_eq!(share.ci95.lower, 0.0);
        assert_close(share.ci95.upper, 0.277_533, 1e-6);
    }

    #[test]
    fn wilson_interval_of_half_of_four_is_symmetric() {
        // centre 1/2; half width = z / (1 + z^2/4) * sqrt(1/16 + z^2/64)
        //        = z / (2 sqrt(4 + z^2)) = 1.959964 / (2 * 2.800261) = 0.349961
        let share = Proportion::new(2, 4).expect("four were counted");
        assert_close(share.ci95.lower, 0.150_039, 1e-6);
        assert_close(share.ci95.upper, 0.849_961, 1e-6);
    }

    #[test]
    fn quantiles_are_interpolated_between_order_statistics() {
        // Position 0.25 * 3 = 0.75 between 10 and 20.
        assert_eq!(quantile(&[10.0, 20.0, 30.0, 40.0], 0.25), Some(17.5));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn error_figures_of_three_errors() {
        // |3|, |-4|, |1|: mean 8/3; squares 9 + 16 + 1 = 26, root of 26/3; signed sum 0.
        let figures = ErrorFigures::of(&[3.0, -4.0, 1.0], Bootstrap { replicates: 50, seed: 1 }).expect("three errors");
        assert_close(figures.mean_absolute.value, 8.0 / 3.0, 1e-12);
        assert_close(figures.root_mean_square.value, (26.0_f64 / 3.0).sqrt(), 1e-12);
        assert_close(figures.bias.value, 0.0, 1e-12);
        assert!(figures.mean_absolute.ci95.is_some());
    }

    #[test]
    fn an_interval_without_width_is_left_out() {
        let figures = ErrorFigures::of(&[2.0; 30], Bootstrap::default()).expect("thirty errors");
        assert_eq!(figures.mean_absolute, Estimate { value: 2.0, ci95: None });
    }

    #[test]
    fn a_decision_needs_neither_width_nor_the_figure_in_every_replicate() {
        // Item 0 of ten is drawn in 1 - 0.9^10 = 65 % of the replicates.
        let of_one = |drawn: &[u32]| (drawn[0] > 0).then_some(0.3);
        let bootstrap = Bootstrap::default();
        assert_eq!(bootstrap.intervals(&[0; 10], |drawn| [of_one(drawn)]), [None]);
        assert_eq!(bootstrap.lower(10, of_one), Some(0.3));
        assert_eq!(bootstrap.lower(10, |_| None), None);
    }

    #[test]
    fn the_bootstrap_of_a_mean_agrees_with_the_central_limit_theorem() {
        // 200 zeros and 200 ones: the mean's standard error is 0.5 / 20 = 0.025, its interval 0.5 +- 0.049.
        let errors: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let interval = ErrorFigures::of(&errors, Bootstrap { replicates: 20_000, seed: 7 })
            .and_then(|figures| figures.bias.ci95)
            .expect("an interval");
        assert_close(interval.lower, 0.451, 0.003);
        assert_close(interval.upper, 0.549, 0.003);
    }

    #[test]
    fn each_stratum_keeps_its_size_in_every_replicate() {
        let strata = [0, 0, 0, 1, 1, 1, 1, 1];
        let bootstrap = Bootstrap { replicates: 100, seed: 3 };
        bootstrap.intervals(&strata, |drawn| {
            assert_eq!(drawn[..3].iter().sum::<u32>(), 3);
            assert_eq!(drawn[3..].iter().sum::<u32>(), 5);
            [None]
        });
    }

    #[test]
    fn normal_deviates_match_the_tables() {
        assert_close(normal_deviate(0.5).expect("inside"), 0.0, 1e-12);
        assert_close(normal_deviate(0.975).expect("inside"), Z_95, 1e-12);
        assert_close(normal_deviate(0.001).expect("inside"), -3.090_232_306, 1e-9);
        assert_eq!(normal_deviate(0.0), None);
        assert_eq!(normal_deviate(1.0), None);
        assert_eq!(normal_deviate(f64::NAN), None);
    }
}
