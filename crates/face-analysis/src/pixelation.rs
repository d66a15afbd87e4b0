//! Whether a face was made unrecognisable by pixelation: its brightness then changes on the lines of a grid only.

use std::f32::consts::TAU;

use crate::alignment::FaceView;
use crate::face::Detection;
use crate::light;

/// Side of the part of the face that is judged, in distances between eyes and mouth: what lies inside the outline.
const SIDE: f32 = 1.6;

/// Width of a usual face box in the same unit.
const BOX: f32 = 2.23;

/// Cells across the face box that make a face unrecognisable: fewer leave no face, of more the features show. In quarters.
const CELLS: std::ops::RangeInclusive<usize> = 6 * 4..=26 * 4;

/// Smaller cells than this, in pixels of the view, are as fine as the pixels themselves.
const FINEST: f32 = 5.0;

/// Differences between neighbours count up to this many levels, so that one strong edge is no grid.
const STRONGEST: f32 = 24.0;

/// From this strength on there is a grid. Of 160 faces of four sets, as they are and as JPEG of quality 40, the
/// strongest has 0.25, of 291 small or masked ones 0.34; of those 160 pixelated in 8, 12, 16 and 22 cells (JPEG 92) 100, 100, 99 and 81 %
/// have 0.5 and more.
pub(crate) const GRID: f32 = 0.45;

/// How far brightness changes on the lines of one grid of square cells only, over all cells that hide a face: 0 not at all, 3 nowhere else.
pub(crate) fn strength(view: &FaceView, face: &Detection) -> f32 {
    let middle = |a: [f32; 2], b: [f32; 2]| [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0];
    let points = face.keypoints.map(|p| view.point(p));
    let (eyes, mouth) = (middle(points[0], points[1]), middle(points[3], points[4]));
    let unit = (mouth[0] - eyes[0]).hypot(mouth[1] - eyes[1]);
    let (centre, half) = (middle(eyes, mouth), SIDE * unit / 2.0);
    let pixels = view.pixels();
    let range = |centre: f32, length: usize| {
        // NaN becomes zero, and what lies outside the picture is cut off.
        let place = |v: f32| (v.max(0.0) as usize).min(length);
        place(centre - half)..place(centre + half)
    };
    let (columns, rows) = (range(centre[0], pixels.width()), range(centre[1], pixels.height()));
    if columns.len() < 24 || rows.len() < 24 {
        return 0.0;
    }
    let luma: Vec<f32> = rows
        .clone()
        .flat_map(|y| pixels.row(y).as_chunks().0[columns.clone()].iter())
        .map(|rgb: &[u8; 3]| light::luma(rgb.map(f32::from)))
        .collect();
    let (width, height) = (columns.len(), rows.len());
    let profile = |count: usize, across: usize, at: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
        let change = |n: usize| {
            let total: f32 = (0..across).map(|m| (at(n + 1, m) - at(n, m)).abs().min(STRONGEST)).sum();
            total / across as f32
        };
        even((0..count - 1).map(change).collect(), (0.31 * unit) as usize)
    };
    let sideways = profile(width, height, &|x, y| luma[y * width + x]);
    let downwards = profile(height, width, &|y, x| luma[y * width + x]);
    let combs: Vec<[f32; 2]> = CELLS
        .map(|quarters| BOX * unit / (quarters as f32 / 4.0))
        .take_while(|period| *period >= FINEST)
        .map(|period| [comb(&sideways, period), comb(&downwards, period)])
        .collect();
    // Cells are square, or nearly so: the other axis may differ by half a cell across the face.
    let both = |n: usize| {
        let near = &combs[n.saturating_sub(2)..(n + 3).min(combs.len())];
        combs[n][0].min(near.iter().map(|c| c[1]).fold(0.0, f32::max))
    };
    (0..combs.len()).map(both).fold(0.0, f32::max)
}

/// Every value relative to the mean of its surroundings, so that a contour does not outweigh the rest.
fn even(values: Vec<f32>, reach: usize) -> Vec<f32> {
    let mean = |n: usize| {
        let near = &values[n.saturating_sub(reach)..(n + reach + 1).min(values.len())];
        near.iter().sum::<f32>() / near.len() as f32
    };
    (0..values.len()).map(|n| values[n] / (mean(n) + 0.2)).collect()
}

/// How far the values lie on every `period`-th place: the first three harmonics, the second and third in step with the first.
fn comb(values: &[f32], period: f32) -> f32 {
    let (sin, cos) = (TAU / period).sin_cos();
    let (mut wave, mut sums, mut total) = ([1.0f32, 0.0], [[0.0f32; 2]; 3], 0.0);
    for value in values {
        wave = turned(wave, [cos, sin]);
        let second = turned(wave, wave);
        for (sum, w) in sums.iter_mut().zip([wave, second, turned(second, wave)]) {
            *sum = [sum[0] + value * w[0], sum[1] + value * w[1]];
        }
        total += value;
    }
    let size = sums[0][0].hypot(sums[0][1]);
    if size <= 0.0 || total <= 0.0 {
        return 0.0;
    }
    let back = [sums[0][0] / size, -sums[0][1] / size];
    let twice = turned(back, back);
    (size + turned(sums[1], twice)[0] + turned(sums[2], turned(twice, back))[0]) / total
}

/// The product of two complex numbers.
fn turned(a: [f32; 2], b: [f32; 2]) -> [f32; 2] {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comb_is_strong_at_its_own_period_whatever_its_phase_and_noise_is_none() {
        for (period, phase) in [(8, 0), (8, 5), (13, 2)] {
            let values: Vec<f32> = (0..104).map(|n| if n % period == phase { 1.0 } else { 0.0 }).collect();
            assert!(comb(&values, period as f32) > 2.9, "{period} {phase}: {}", comb(&values, period as f32));
            assert!(comb(&values, period as f32 * 1.3) < 0.5, "{period} {phase}");
        }
        assert_eq!(comb(&[0.0; 104], 8.0), 0.0);
        let noise: Vec<f32> = (0..104u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0).collect();
        assert!(comb(&noise, 8.0) < 0.3, "{}", comb(&noise, 8.0));
    }
}
