//! Logistic regression with a ridge penalty: few samples, many features, in time linear in both. It begins with log-odds that
//! are known beforehand (an offset), so that the fewer the samples and the stronger the penalty, the nearer it stays to these.
//!
//! Newton's method whose steps are solved by conjugate gradients (Lin, Weng and Keerthi 2008, "Trust region Newton method
//! for large-scale logistic regression", here with plain step halving). Features are centred and scaled by their spread
//! over the samples first, and the solution is folded back, so that nothing of the samples but the solution leaves here.

/// One labelled picture.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// What the networks say of it; as many numbers for every sample.
    pub features: &'a [f32],
    /// Whether it shows a live person.
    pub live: bool,
    /// How much it counts, above 0.
    pub weight: f64,
    /// Log-odds of a live person that are known without the features; the fit finds what they lack. 0 where nothing is known.
    pub offset: f64,
}

/// `weights * features + bias + known * offset`, above 0 for live. Scaled so that the samples lie 1 from 0 on average.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// One for each feature.
    pub weights: Vec<f64>,
    /// What is added.
    pub bias: f64,
    /// How much a unit of the offset counts.
    pub known: f64,
}

impl Linear {
    /// The value for one picture.
    pub fn value(&self, features: &[f32], offset: f64) -> f64 {
        dot(&self.weights, features) + self.bias + self.known * offset
    }
}

/// A feature that hardly varies is not blown up by more than this.
const LEAST_SPREAD: f64 = 1e-3;

/// Newton steps, and conjugate gradient steps in each: more than any fit has needed (measured: at most 14 and 200).
const NEWTON_STEPS: usize = 40;
const GRADIENT_STEPS: usize = 400;

/// Where the gradient counts as zero, relative to the first.
const TOLERANCE: f64 = 1e-5;

/// Fits a separating direction: the weighted mean of the logistic loss plus `ridge` / 2 times the squared length of the
/// weights, on features whose squares add up to 1 on average, those of each part to as much as those of another. `parts` are the
/// numbers of features of one kind that lie one after the other, all of them together. Samples of one class only give all zeros.
pub fn fit(samples: &[Sample<'_>], parts: &[usize], ridge: f64) -> Linear {
    let width = parts.iter().sum();
    let nothing = Linear { weights: vec![0.0; width], bias: 0.0, known: 0.0 };
    let total: f64 = samples.iter().map(|s| s.weight).sum();
    let both = samples.iter().any(|s| s.live) && samples.iter().any(|s| !s.live);
    if !both || width == 0 || total.is_nan() || total <= 0.0 {
        return nothing;
    }
    let table = Table::new(samples, parts, total);
    let (solution, bias) = table.solve(ridge.max(1e-9));
    // Back to the features as they come, and to a mean distance of 1.
    let values = table.rows().zip(&table.offsets).map(|(row, offset)| product(row, &solution) + bias + offset);
    let distance: f64 = values.zip(&table.shares).map(|(value, share)| share * value.abs()).sum();
    if !(distance.is_finite() && distance > 0.0) {
        return nothing;
    }
    let weights: Vec<f64> = solution.iter().zip(&table.scale).map(|(w, s)| w * s / distance).collect();
    let shift: f64 = weights.iter().zip(&table.mean).map(|(w, m)| w * m).sum();
    Linear { weights, bias: bias / distance - shift, known: 1.0 / distance }
}

/// The samples as the solver sees them.
struct Table {
    width: usize,
    /// Centred and scaled, one row for each sample.
    values: Vec<f64>,
    /// 1 for live, -1 for attacks.
    signs: Vec<f64>,
    /// Weights that add up to 1.
    shares: Vec<f64>,
    offsets: Vec<f64>,
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl Table {
    fn new(samples: &[Sample<'_>], parts: &[usize], total: f64) -> Self {
        // What each feature's square is divided by, so that all of a part add up to as much as those of another.
        let counts: Vec<usize> =
            parts.iter().flat_map(|&length| std::iter::repeat_n(length * parts.len(), length)).collect();
        let width = counts.len();
        let mut mean = vec![0.0; width];
        for sample in samples {
            let share = sample.weight / total;
            mean.iter_mut().zip(sample.features).for_each(|(m, &f)| *m += share * f64::from(f));
        }
        let mut spread = vec![0.0; width];
        for sample in samples {
            let share = sample.weight / total;
            let away = sample.features.iter().zip(&mean).map(|(&f, m)| f64::from(f) - m);
            spread.iter_mut().zip(away).for_each(|(s, a)| *s += share * a * a);
        }
        let scale: Vec<f64> = spread
            .iter()
            .zip(&counts)
            .map(|(s, &count)| 1.0 / (s.sqrt().max(LEAST_SPREAD) * (count as f64).sqrt()))
            .collect();
        let values = samples
            .iter()
            .flat_map(|s| s.features.iter().zip(&mean).zip(&scale).map(|((&f, m), scale)| (f64::from(f) - m) * scale))
            .collect();
        Self {
            width,
            values,
            signs: samples.iter().map(|s| if s.live { 1.0 } else { -1.0 }).collect(),
            shares: samples.iter().map(|s| s.weight / total).collect(),
            offsets: samples.iter().map(|s| s.offset).collect(),
            mean,
            scale,
        }
    }

    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }

    /// The weights and the bias. The bias is carried as one more weight, without penalty.
    fn solve(&self, ridge: f64) -> (Vec<f64>, f64) {
        let mut x = vec![0.0; self.width + 1];
        let (mut loss, mut gradient, mut curvature) = self.look(&x, ridge);
        let first = norm(&gradient);
        for _ in 0..NEWTON_STEPS {
            if norm(&gradient) <= TOLERANCE * first {
                break;
            }
            let step = self.newton_step(&gradient, &curvature, ridge);
            let slope: f64 = product(&step, &gradient);
            let mut length = 1.0;
            loop {
                let candidate: Vec<f64> = x.iter().zip(&step).map(|(x, s)| x + length * s).collect();
                let (new_loss, new_gradient, new_curvature) = self.look(&candidate, ridge);
                if new_loss <= loss + 1e-4 * length * slope {
                    (x, loss, gradient, curvature) = (candidate, new_loss, new_gradient, new_curvature);
                    break;
                }
                length /= 2.0;
                if length < 1e-6 {
                    let bias = x.pop().unwrap_or(0.0);
                    return (x, bias);
                }
            }
        }
        let bias = x.pop().unwrap_or(0.0);
        (x, bias)
    }

    /// Loss, its gradient, and each sample's share of the curvature.
    fn look(&self, x: &[f64], ridge: f64) -> (f64, Vec<f64>, Vec<f64>) {
        let (weights, bias) = (&x[..self.width], x[self.width]);
        let mut loss = 0.5 * ridge * product(weights, weights);
        let mut gradient: Vec<f64> = weights.iter().map(|w| ridge * w).chain([0.0]).collect();
        let mut curvature = Vec::with_capacity(self.shares.len());
        for (((row, &sign), &share), offset) in self.rows().zip(&self.signs).zip(&self.shares).zip(&self.offsets) {
            let margin = sign * (product(row, weights) + bias + offset);
            // ln(1 + e^-m) without overflow.
            loss += share * ((-margin.abs()).exp().ln_1p() + (-margin).max(0.0));
            let wrong = 1.0 / (1.0 + margin.exp());
            let pull = -share * sign * wrong;
            gradient.iter_mut().zip(row).for_each(|(g, r)| *g += pull * r);
            gradient[self.width] += pull;
            curvature.push(share * wrong * (1.0 - wrong));
        }
        (loss, gradient, curvature)
    }

    /// Solves `hessian * step = -gradient` by conjugate gradients.
    fn newton_step(&self, gradient: &[f64], curvature: &[f64], ridge: f64) -> Vec<f64> {
        let mut step = vec![0.0; gradient.len()];
        let mut rest: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut direction = rest.clone();
        let mut left = product(&rest, &rest);
        let enough = left * 1e-4;
        for _ in 0..GRADIENT_STEPS {
            let along = self.hessian_times(&direction, curvature, ridge);
            let bend = product(&direction, &along);
            if bend <= 0.0 {
                break;
            }
            let length = left / bend;
            step.iter_mut().zip(&direction).for_each(|(s, d)| *s += length * d);
            rest.iter_mut().zip(&along).for_each(|(r, a)| *r -= length * a);
            let now = product(&rest, &rest);
            if now <= enough {
                break;
            }
            let keep = now / left;
            direction.iter_mut().zip(&rest).for_each(|(d, r)| *d = r + keep * *d);
            left = now;
        }
        step
    }

    fn hessian_times(&self, v: &[f64], curvature: &[f64], ridge: f64) -> Vec<f64> {
        let (weights, bias) = (&v[..self.width], v[self.width]);
        // The bias is held by next to nothing, so that separable samples have a solution too.
        let mut out: Vec<f64> = weights.iter().map(|w| ridge * w).chain([1e-9 * bias]).collect();
        for (row, &bent) in self.rows().zip(curvature) {
            let pull = bent * (product(row, weights) + bias);
            out.iter_mut().zip(row).for_each(|(o, r)| *o += pull * r);
            out[self.width] += pull;
        }
        out
    }
}

fn norm(v: &[f64]) -> f64 {
    product(v, v).sqrt()
}

/// Sums in eight lanes, which the compiler turns into vector instructions.
fn product(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in left.zip(right) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

fn dot(weights: &[f64], features: &[f32]) -> f64 {
    weights.iter().zip(features).map(|(w, &f)| w * f64::from(f)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples<const N: usize>(rows: &[([f32; N], bool)]) -> Vec<Sample<'_>> {
        rows.iter().map(|(features, live)| Sample { features, live: *live, weight: 1.0, offset: 0.0 }).collect()
    }

    /// scikit-learn 1.9's LogisticRegression(C = 1 / (ridge * n), tol 1e-12) on the same standardised rows, divided by sqrt 2
    /// each: the direction and the place of the boundary.
    #[test]
    fn the_boundary_is_that_of_an_independent_implementation() {
        let rows = [
            ([1.0, 2.0], true),
            ([2.0, 1.5], true),
            ([3.0, 4.0], true),
            ([2.5, 0.5], true),
            ([0.0, 1.0], false),
            ([0.5, 3.0], false),
            ([1.5, 3.5], false),
            ([-1.0, 0.0], false),
        ];
        let linear = fit(&samples(&rows), &[2], 0.01);
        let expected = [-0.407_578, -0.289_811];
        let found = [linear.weights[1] / linear.weights[0], linear.bias / linear.weights[0]];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
        }
    }

    #[test]
    fn samples_lie_one_from_the_boundary_on_average() {
        let rows = [([5.0, 0.0], true), ([7.0, 1.0], true), ([-5.0, 0.0], false), ([-6.0, 1.0], false)];
        let linear = fit(&samples(&rows), &[2], 1e-3);
        let mean: f64 = rows.iter().map(|(features, _)| linear.value(features, 0.0).abs()).sum::<f64>() / 4.0;
        assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        for (features, live) in &rows {
            assert_eq!(linear.value(features, 0.0) > 0.0, *live);
        }
    }

    #[test]
    fn one_class_alone_gives_nothing() {
        let rows = [([5.0, 0.0], true), ([7.0, 1.0], true)];
        assert_eq!(fit(&samples(&rows), &[2], 1e-3), Linear { weights: vec![0.0; 2], bias: 0.0, known: 0.0 });
        assert_eq!(fit(&[], &[], 1e-3).weights.len(), 0);
    }

    #[test]
    fn weights_of_samples_count_like_repetitions() {
        let rows = [([1.0, 0.3], true), ([0.2, 1.0], false), ([0.9, 0.8], false), ([0.1, -0.4], true)];
        let mut repeated = samples(&rows);
        repeated.push(repeated[2]);
        let mut weighted = samples(&rows);
        weighted[2].weight = 2.0;
        let (a, b) = (fit(&repeated, &[2], 0.1), fit(&weighted, &[2], 0.1));
        for (a, b) in a.weights.iter().zip(&b.weights).chain([(&a.bias, &b.bias)]) {
            assert!((a - b).abs() < 1e-6, "{a} is not {b}");
        }
    }

    #[test]
    fn a_part_counts_as_much_as_another_whatever_its_length() {
        // One feature, and the same for other pictures three times over: alone each tells as much.
        let rows = [([1.0, 0.0], true), ([0.0, 1.0], true), ([-1.0, 0.0], false), ([0.0, -1.0], false)];
        let wide = rows.map(|([a, b], live)| ([a, b, b, b], live));
        let shares = |parts: &[usize]| {
            let linear = fit(&samples(&wide), parts, 0.1);
            (linear.weights[0], linear.weights[1..].iter().sum::<f64>())
        };
        let (one, three) = shares(&[1, 3]);
        assert!((one / three - 1.0).abs() < 1e-6, "{one}, {three}");
        let (one, three) = shares(&[4]);
        assert!(three > 1.5 * one, "{one}, {three}");
    }

    #[test]
    fn what_is_known_beforehand_is_not_learned_again() {
        // The offset tells the classes apart but for one sample of each, which the first feature tells apart.
        let rows = [([0.0, 0.4], true), ([1.0, -0.3], true), ([0.0, 0.2], false), ([-1.0, -0.3], false)];
        let mut known = samples(&rows);
        for (sample, offset) in known.iter_mut().zip([9.0, 0.0, -9.0, 0.0]) {
            sample.offset = offset;
        }
        let (with, without) = (fit(&known, &[2], 0.1), fit(&samples(&rows), &[2], 0.1));
        for (sample, (features, live)) in known.iter().zip(&rows) {
            assert_eq!(with.value(features, sample.offset) > 0.0, *live);
        }
        let reliance = |linear: &Linear| (linear.weights[1] / linear.weights[0]).abs();
        assert!(reliance(&with) < 0.5 * reliance(&without), "{with:?} {without:?}");
        // The stronger the penalty, the nearer to what was known.
        let held = fit(&known, &[2], 1e6);
        assert!(held.weights.iter().all(|w| w.abs() < 1e-4) && held.known > 0.0, "{held:?}");
    }
}
