//! How much of the blocks of JPEG is left in the face.

use super::brightness::brightness;
use super::capture::{Capture, FACE_REGION, middle, point, stored_area};

/// At most this many blocks along each side of the face are looked at.
const BLOCKS: usize = 24;

/// Side of the blocks in which JPEG codes brightness.
const BLOCK: usize = 8;

/// A small face is measured together with what is round it, up to this many pixels: too few blocks tell nothing.
const LEAST_SIDE: f64 = 160.0;

/// Ours: how far the steps at every eighth pixel exceed those at all others, relative to the mean step (in each
/// direction, plus one level of noise), as the blocks of JPEG leave them.
///
/// A classical blockiness measure (as Wang, Sheikh and Bovik, No-reference perceptual quality assessment of JPEG
/// compressed images, 2002, but for all eight places of the grid, so that a picture may have been cropped after it
/// was compressed). It does not see compression from before a resizing, nor that of formats which smooth their
/// blocks.
pub(super) fn blocking(c: &Capture<'_>) -> Option<f64> {
    let region = FACE_REGION.map(|i| point(c.landmarks, i));
    let low = region.iter().fold([f64::INFINITY; 2], |s, p| [s[0].min(p[0]), s[1].min(p[1])]);
    let high = region.iter().fold([f64::NEG_INFINITY; 2], |s, p| [s[0].max(p[0]), s[1].max(p[1])]);
    let size = [0, 1].map(|i| (high[i] - low[i]).max(LEAST_SIDE));
    let center = middle([low, high]);
    let area = stored_area(c, [center[0] - size[0] / 2.0, center[1] - size[1] / 2.0], size)?;
    // Each sample is a block and the first pixels after it, so that each place in the grid is looked at equally often.
    let starts = |from: usize, length: usize| {
        let last = length.checked_sub(BLOCK + 1)?;
        let count = BLOCKS.min(last / BLOCK + 1);
        Some((0..count).map(move |i| from + i * last / (count - 1).max(1)))
    };
    let (rows, columns) = (starts(area.top, area.height)?, starts(area.left, area.width)?);
    let (mut across, mut down) = ([0.0; BLOCK], [0.0; BLOCK]);
    let mut blocks = 0;
    let at = |x: usize, y: usize| brightness(c.picture.pixels.at(x, y));
    for top in rows {
        for left in columns.clone() {
            blocks += 1;
            for y in top..top + BLOCK {
                for x in left..left + BLOCK {
                    let here = at(x, y);
                    across[x % BLOCK] += (at(x + 1, y) - here).abs();
                    down[y % BLOCK] += (at(x, y + 1) - here).abs();
                }
            }
        }
    }
    let steps = |sums: [f32; BLOCK]| sums.map(|sum| f64::from(sum) / (blocks * BLOCK) as f64);
    Some((excess(steps(across)) + excess(steps(down))) / 2.0)
}

/// How far the largest mean step exceeds the second largest, relative to the mean of all plus one.
fn excess(mut steps: [f64; BLOCK]) -> f64 {
    steps.sort_by(|a, b| b.total_cmp(a));
    (steps[0] - steps[1]) / (steps.iter().sum::<f64>() / BLOCK as f64 + 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{drawn, landmarks, near, with};
    use super::*;

    #[test]
    fn blocks_are_seen_wherever_their_grid_begins_and_even_steps_are_none() {
        for shift in [0, 3, 7] {
            let blocks = drawn(|x, y| if ((x + shift) / 8 + (y + shift) / 8) % 2 == 0 { 40 } else { 120 });
            // One step of 80 in eight: 80 / (80 / 8 + 1).
            with(&blocks, 1, &landmarks(), None, |c| near(blocking(c), 80.0 / 11.0));
        }
        with(&drawn(|x, y| (x / 2 + y / 4) as u8), 1, &landmarks(), None, |c| near(blocking(c), 0.0));
    }
}
