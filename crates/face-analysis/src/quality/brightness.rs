//! Brightness as JPEG codes it, its Gaussian blur and its gradient.

use picture_cell::Pixels;

use crate::light::luma;

/// Weights of a blur along a line, from `reach` pixels before to `reach` pixels after.
pub(super) struct Kernel {
    pub(super) reach: usize,
    weights: Vec<f32>,
}

impl Kernel {
    pub(super) fn gaussian(deviation: f64) -> Self {
        let reach = (3.0 * deviation).ceil() as usize;
        let weight = |i: usize| (-0.5 * ((i as f64 - reach as f64) / deviation).powi(2)).exp();
        let sum: f64 = (0..=2 * reach).map(weight).sum();
        Self { reach, weights: (0..=2 * reach).map(|i| (weight(i) / sum) as f32).collect() }
    }
}

/// Brightness as it is stored (not linear light), 0 to 255.
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<f32>,
}

/// Brightness of a pixel, 0 to 255.
pub(super) fn brightness(rgb: [u8; 3]) -> f32 {
    luma(rgb.map(f32::from))
}

impl Plane {
    pub(super) fn of(pixels: &Pixels) -> Self {
        let data = pixels.data().as_chunks::<3>().0.iter().map(|p| brightness(*p)).collect();
        Self { width: pixels.width(), height: pixels.height(), data }
    }

    /// Pixels at the border repeat.
    pub(super) fn blurred(&self, kernel: &Kernel) -> Self {
        let rows = blurred_rows(&self.data, self.width, kernel);
        let columns = blurred_rows(&transposed(&rows, self.width), self.height, kernel);
        Self { width: self.width, height: self.height, data: transposed(&columns, self.height) }
    }

    /// Squared length of the difference to the next pixels. Panics in the last row and column.
    pub(super) fn gradient_energy(&self, x: usize, y: usize) -> f32 {
        let at = y * self.width + x;
        let here = self.data[at];
        (self.data[at + 1] - here).powi(2) + (self.data[at + self.width] - here).powi(2)
    }
}

fn transposed(data: &[f32], width: usize) -> Vec<f32> {
    let height = data.len() / width;
    let mut out = Vec::with_capacity(data.len());
    for x in 0..width {
        out.extend((0..height).map(|y| data[y * width + x]));
    }
    out
}

fn blurred_rows(data: &[f32], width: usize, kernel: &Kernel) -> Vec<f32> {
    let mut out = vec![0.0; data.len()];
    let mut padded = vec![0.0; width + 2 * kernel.reach];
    for (row, out) in data.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        for (i, value) in padded.iter_mut().enumerate() {
            *value = row[i.saturating_sub(kernel.reach).min(width - 1)];
        }
        for (shift, weight) in kernel.weights.iter().enumerate() {
            for (sum, value) in out.iter_mut().zip(&padded[shift..]) {
                *sum += weight * value;
            }
        }
    }
    out
}
