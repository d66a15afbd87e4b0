//! What is drawn: detection error trade-off curves and the distribution of the scores.

use super::figures::{DetCurve, DetPoint, ScoreHistogram};
use super::sample::Sample;

/// Bins of the score histograms: 0.05 wide, so that 0.5 is an edge.
const HISTOGRAM_BINS: usize = 20;

/// Most points of a published DET curve; more would not show.
const MAX_DET_POINTS: usize = 500;

impl Sample {
    pub(super) fn det_curves(&self, names: &[&str]) -> Vec<DetCurve> {
        let pooled = (names.len() > 1).then(|| DetCurve { species: None, points: self.det_points() });
        (1..)
            .zip(names)
            .map(|(class, name)| DetCurve {
                species: Some((*name).to_owned()),
                points: self.against_bona_fide(class).det_points(),
            })
            .chain(pooled)
            .filter(|curve| !curve.points.is_empty())
            .collect()
    }

    fn det_points(&self) -> Vec<DetPoint> {
        let weights = self.ones();
        let Some((bona_fide, attacks)) = self.both_classes(&weights) else { return Vec::new() };
        let mut points = Vec::new();
        self.sweep(&weights, |point| {
            points.push(DetPoint {
                threshold: point.threshold,
                apcer: point.passing[1..].iter().sum::<u64>() as f64 / attacks,
                bpcer: point.bona_fide_rejected as f64 / bona_fide,
            });
            false
        });
        thin(corners(points), MAX_DET_POINTS)
    }

    pub(super) fn histogram(&self) -> ScoreHistogram {
        let mut counts = vec![vec![0; HISTOGRAM_BINS]; self.classes];
        for response in &self.responses {
            let bin = (response.score * HISTOGRAM_BINS as f64) as usize;
            counts[response.class][bin.min(HISTOGRAM_BINS - 1)] += 1;
        }
        let bona_fide = counts.remove(0);
        let bin_edges = (0..=HISTOGRAM_BINS).map(|edge| edge as f64 / HISTOGRAM_BINS as f64).collect();
        ScoreHistogram { bin_edges, bona_fide, species: counts }
    }
}

/// The curve without the points on its horizontal and vertical stretches: the same line with far fewer points.
fn corners(points: Vec<DetPoint>) -> Vec<DetPoint> {
    let straight = |before: &DetPoint, here: &DetPoint, after: &DetPoint| {
        (before.apcer == here.apcer && here.apcer == after.apcer)
            || (before.bpcer == here.bpcer && here.bpcer == after.bpcer)
    };
    let inner = points.windows(3).filter(|three| !straight(&three[0], &three[1], &three[2])).map(|three| three[1]);
    let last = points.last().filter(|_| points.len() > 1);
    points.first().copied().into_iter().chain(inner).chain(last.copied()).collect()
}

/// At most `limit` evenly spaced items, the first and the last among them.
pub(crate) fn thin<T: Copy>(items: Vec<T>, limit: usize) -> Vec<T> {
    if items.len() <= limit {
        return items;
    }
    (0..limit).map(|index| items[index * (items.len() - 1) / (limit - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_curve_keeps_both_ends() {
        let thinned = thin((0..10_000).collect(), 500);
        assert_eq!((thinned.len(), thinned[0], thinned[499]), (500, 0, 9_999));
    }
}
