//! Responses in the order of their scores, and every rate that follows from them.

use crate::basis::Options;
use crate::statistics::Estimate;

/// A response; class 0 is bona fide, class `i + 1` is species `i`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Response {
    pub(super) score: f64,
    pub(super) class: usize,
}

/// Responses by rising score. Every figure is a function of how often each response counts, so that the bootstrap
/// and the plain figure share their code.
pub(super) struct Sample {
    pub(super) responses: Vec<Response>,
    pub(super) classes: usize,
}

/// Counts at one threshold.
pub(super) struct Operating<'a> {
    /// Absent above every score.
    pub(super) threshold: Option<f64>,
    /// Bona fide responses below the threshold.
    pub(super) bona_fide_rejected: u64,
    /// Responses of each class at or above the threshold.
    pub(super) passing: &'a [u64],
}

impl Sample {
    /// Responses in any order.
    pub(super) fn new(mut responses: Vec<Response>, classes: usize) -> Self {
        responses.sort_by(|a, b| a.score.total_cmp(&b.score));
        Self { responses, classes }
    }

    pub(super) fn ones(&self) -> Vec<u32> {
        vec![1; self.responses.len()]
    }

    /// The bona fide responses and those of one species, which becomes class 1.
    pub(super) fn against_bona_fide(&self, class: usize) -> Self {
        let of_interest = self.responses.iter().filter(|response| response.class == 0 || response.class == class);
        let responses = of_interest.map(|response| Response { class: response.class.min(1), ..*response }).collect();
        Self { responses, classes: 2 }
    }

    pub(super) fn estimates<const K: usize>(
        &self,
        options: &Options,
        figures: impl Fn(&[u32]) -> [Option<f64>; K],
    ) -> [Option<Estimate>; K] {
        let values = figures(&self.ones());
        if values.iter().all(Option::is_none) {
            return [None; K];
        }
        let strata: Vec<usize> = self.responses.iter().map(|response| response.class).collect();
        let intervals = options.bootstrap.intervals(&strata, figures);
        std::array::from_fn(|k| values[k].map(|value| Estimate { value, ci95: intervals[k] }))
    }

    pub(super) fn class_sizes(&self, weights: &[u32]) -> Vec<u64> {
        let mut sizes = vec![0; self.classes];
        for (response, &weight) in self.responses.iter().zip(weights) {
            sizes[response.class] += u64::from(weight);
        }
        sizes
    }

    pub(super) fn at_or_above(&self, threshold: f64, weights: &[u32]) -> Vec<u64> {
        let mut passing = vec![0; self.classes];
        for (response, &weight) in self.responses.iter().zip(weights) {
            if response.score >= threshold {
                passing[response.class] += u64::from(weight);
            }
        }
        passing
    }

    /// Visits every operating point by rising threshold: each score that occurs, then above all. Stops when told.
    pub(super) fn sweep(&self, weights: &[u32], mut visit: impl FnMut(Operating<'_>) -> bool) {
        let mut passing = self.class_sizes(weights);
        let mut bona_fide_rejected = 0;
        let mut first = 0;
        while first < self.responses.len() {
            let score = self.responses[first].score;
            if visit(Operating { threshold: Some(score), bona_fide_rejected, passing: &passing }) {
                return;
            }
            while let Some(response) = self.responses.get(first).filter(|response| response.score == score) {
                let weight = u64::from(weights[first]);
                passing[response.class] -= weight;
                bona_fide_rejected += if response.class == 0 { weight } else { 0 };
                first += 1;
            }
        }
        visit(Operating { threshold: None, bona_fide_rejected, passing: &passing });
    }

    /// Bona fide and attack responses, unless one of them is missing.
    pub(super) fn both_classes(&self, weights: &[u32]) -> Option<(f64, f64)> {
        let sizes = self.class_sizes(weights);
        let (bona_fide, attacks) = (sizes[0], sizes[1..].iter().sum::<u64>());
        (bona_fide > 0 && attacks > 0).then_some((bona_fide as f64, attacks as f64))
    }

    pub(super) fn acer(&self, threshold: f64, weights: &[u32]) -> Option<f64> {
        self.both_classes(weights)?;
        let sizes = self.class_sizes(weights);
        let passing = self.at_or_above(threshold, weights);
        let bpcer = 1.0 - passing[0] as f64 / sizes[0] as f64;
        Some(0.5 * (highest_apcer(&passing, &sizes) + bpcer))
    }

    pub(super) fn eer(&self, weights: &[u32]) -> Option<f64> {
        let (bona_fide, attacks) = self.both_classes(weights)?;
        // The lowest threshold lets everything pass: APCER 1, BPCER 0.
        let mut before = (1.0, 0.0);
        let mut eer = None;
        self.sweep(weights, |point| {
            let apcer = point.passing[1..].iter().sum::<u64>() as f64 / attacks;
            let bpcer = point.bona_fide_rejected as f64 / bona_fide;
            if apcer <= bpcer {
                let (gap_before, gap) = (before.0 - before.1, apcer - bpcer);
                let share = gap_before / (gap_before - gap);
                eer = Some(before.0 + share * (apcer - before.0));
            }
            before = (apcer, bpcer);
            eer.is_some()
        });
        eer
    }

    pub(super) fn nearest_to_equal_errors(&self) -> Option<f64> {
        let weights = self.ones();
        let (bona_fide, attacks) = self.both_classes(&weights)?;
        let mut nearest: Option<(f64, f64)> = None;
        self.sweep(&weights, |point| {
            let apcer = point.passing[1..].iter().sum::<u64>() as f64 / attacks;
            let gap = (apcer - point.bona_fide_rejected as f64 / bona_fide).abs();
            if let Some(threshold) = point.threshold.filter(|_| nearest.is_none_or(|(least, _)| gap < least)) {
                nearest = Some((gap, threshold));
            }
            false
        });
        nearest.map(|(_, threshold)| threshold)
    }

    pub(super) fn auc(&self, weights: &[u32]) -> Option<f64> {
        let (bona_fide, attacks) = self.both_classes(weights)?;
        let mut area = 0.0;
        let mut before = (attacks, 0.0);
        self.sweep(weights, |point| {
            let passing = point.passing[1..].iter().sum::<u64>() as f64;
            let rejected = point.bona_fide_rejected as f64;
            // Between two thresholds, the bona fide responses tie with the attacks that drop out and score above
            // those that dropped out before.
            area += (rejected - before.1) * (attacks - 0.5 * (before.0 + passing));
            before = (passing, rejected);
            false
        });
        Some(area / (attacks * bona_fide))
    }

    /// BPCER at the lowest threshold at which no species has an APCER above `limit`, and that threshold.
    pub(super) fn bpcer_at(&self, limit: f64, weights: &[u32]) -> Option<(f64, Option<f64>)> {
        let (bona_fide, _) = self.both_classes(weights)?;
        let sizes = self.class_sizes(weights);
        let mut found = None;
        self.sweep(weights, |point| {
            if highest_apcer(point.passing, &sizes) <= limit {
                found = Some((point.bona_fide_rejected as f64 / bona_fide, point.threshold));
            }
            found.is_some()
        });
        found
    }
}

/// The highest APCER of the species that responded at all; 0 when none did.
fn highest_apcer(passing: &[u64], sizes: &[u64]) -> f64 {
    let rates = passing.iter().zip(sizes).skip(1).filter(|(_, size)| **size > 0);
    rates.map(|(&passing, &size)| passing as f64 / size as f64).fold(0.0, f64::max)
}
