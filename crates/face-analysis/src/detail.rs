//! Whether a face was blurred until nobody could be told by it: fine detail is then missing at the scale of its features.

use std::ops::Range;

use crate::light;

/// Side of the chip that is judged: the occlusion network's, with the eyes 32 pixels over the mouth.
const SIDE: usize = 112;

/// What is judged of it: the inside of the face.
const COLUMNS: Range<usize> = 27..85;
const ROWS: Range<usize> = 41..99;

/// Sides of the squares whose means are compared, in pixels: fine detail lies between the first two, the coarse forms of a
/// face between the others.
const FINE: [usize; 2] = [3, 9];
const COARSE: [usize; 2] = [17, 37];

/// Added to the coarse forms, in levels: a face that shows nothing has no detail to miss.
const LEAST: f32 = 0.5;

/// Faces with less detail than this are blurred away. Of 850 faces of six sets, 20 pixels and more between eyes and mouth, one has
/// less, and a dim one of 674 others; of those 850 blurred by a twentieth of the face's width (standard deviation) 85 %, by three
/// fiftieths 99.6 %, by a twenty-fifth, where features can be told, 39 %.
pub(crate) const BLURRED: f32 = 0.31;

/// Fine detail for each part of coarse form. `chip` is `[3, SIDE, SIDE]`, RGB from 0 to 255.
pub(crate) fn of(chip: &[f32]) -> f32 {
    let sums = Sums::of(chip);
    let difference = |[small, large]: [usize; 2]| {
        let squares = ROWS.flat_map(|y| COLUMNS.map(move |x| (x, y)));
        let total: f64 = squares.map(|(x, y)| (sums.mean(x, y, small) - sums.mean(x, y, large)).powi(2)).sum();
        (total / (ROWS.len() * COLUMNS.len()) as f64).sqrt() as f32
    };
    difference(FINE) / (difference(COARSE) + LEAST)
}

/// Brightness, added up over all pixels above and to the left.
struct Sums(Vec<f64>);

impl Sums {
    const STRIDE: usize = SIDE + 1;

    fn of(chip: &[f32]) -> Self {
        let [red, green, blue] =
            [0, 1, 2].map(|c| chip.get(c * SIDE * SIDE..(c + 1) * SIDE * SIDE).unwrap_or_default());
        let mut sums = vec![0.0; Self::STRIDE * Self::STRIDE];
        for (index, ((&r, &g), &b)) in red.iter().zip(green).zip(blue).enumerate() {
            let at = (index / SIDE + 1) * Self::STRIDE + index % SIDE + 1;
            let around = sums[at - 1] + sums[at - Self::STRIDE] - sums[at - Self::STRIDE - 1];
            sums[at] = around + f64::from(light::luma([r, g, b]));
        }
        Self(sums)
    }

    /// The mean over a square about a pixel, as far as it lies in the chip.
    fn mean(&self, x: usize, y: usize, side: usize) -> f64 {
        let part = |middle: usize| (middle.saturating_sub(side / 2), (middle + side / 2 + 1).min(SIDE));
        let ((left, right), (top, bottom)) = (part(x), part(y));
        let at = |x: usize, y: usize| self.0[y * Self::STRIDE + x];
        let sum = at(right, bottom) - at(left, bottom) - at(right, top) + at(left, top);
        sum / ((right - left) * (bottom - top)) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chip(value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        let plane: Vec<f32> = (0..SIDE * SIDE).map(|i| value(i % SIDE, i / SIDE)).collect();
        [plane.clone(), plane.clone(), plane].concat()
    }

    #[test]
    fn means_of_squares_are_those_of_their_pixels() {
        // Of a slope of 1 level a pixel, by hand: the middle, and at the left edge the mean of columns 0, 1.
        let sums = Sums::of(&chip(|x, _| x as f32));
        assert!((sums.mean(50, 60, 9) - 50.0).abs() < 1e-2, "{}", sums.mean(50, 60, 9));
        assert!((sums.mean(0, 0, 3) - 0.5).abs() < 1e-2, "{}", sums.mean(0, 0, 3));
    }

    #[test]
    fn narrow_stripes_are_detail_and_wide_ones_are_form() {
        let stripes = |period: usize| of(&chip(|x, _| if x % period < period / 2 { 90.0 } else { 150.0 }));
        assert!(stripes(8) > 3.0, "{}", stripes(8));
        assert!(stripes(40) < stripes(8) / 3.0, "{}", stripes(40));
        assert_eq!(of(&chip(|_, _| 77.0)), 0.0);
    }
}
