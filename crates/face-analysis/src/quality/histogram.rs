//! Luminance of pixels, and how it is distributed over a region of them.

use std::sync::LazyLock;

use picture_cell::Pixels;

use super::region::span;

/// Each sRGB sample as linear light, 0 to 1 (image_utils.cpp; IEC 61966-2-1).
pub(super) static LINEAR: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|sample| {
        let x = sample as f32 / 255.0;
        if x > 0.04045 { ((x + 0.055) / 1.055).powf(2.4) } else { x / 12.92 }
    })
});

/// Luminance of a pixel in 256 steps (image_utils.cpp; weights of ITU-R BT.709).
pub(super) fn luminance(linear: &[f32; 256], [r, g, b]: [u8; 3]) -> usize {
    let y = 0.2126 * linear[usize::from(r)] + 0.7152 * linear[usize::from(g)] + 0.0722 * linear[usize::from(b)];
    ((y * 255.0 + 0.5) as usize).min(255)
}

/// How the luminance is distributed: the share of each of its 256 steps.
pub(super) struct Histogram {
    shares: [f64; 256],
}

impl Histogram {
    /// `None` when nothing was counted.
    pub(super) fn new(counts: &[u32; 256]) -> Option<Self> {
        let sum = counts.iter().map(|&n| f64::from(n)).sum::<f64>();
        (sum > 0.0).then(|| Self { shares: counts.map(|n| f64::from(n) / sum) })
    }

    /// The pixels whose centres lie in a convex polygon.
    pub(super) fn of_region(pixels: &Pixels, hull: &[[f32; 2]]) -> Option<Self> {
        let linear = &*LINEAR;
        let mut counts = [0; 256];
        let (low, high) = hull.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |s, p| (s.0.min(p[1]), s.1.max(p[1])));
        // Casts take negative numbers to zero and large ones to the largest.
        for y in (low as usize)..(high.max(0.0).ceil() as usize).min(pixels.height()) {
            let (left, right) = span(hull, y as f32 + 0.5);
            let from = (left - 0.5).ceil().max(0.0) as usize;
            let to = ((right + 0.5).floor().max(0.0) as usize).min(pixels.width());
            if from < to {
                for pixel in pixels.row(y)[from * 3..to * 3].as_chunks::<3>().0 {
                    counts[luminance(linear, *pixel)] += 1;
                }
            }
        }
        Self::new(&counts)
    }

    /// 0 to 1 (Luminance.cpp).
    pub(super) fn mean(&self) -> f64 {
        self.shares.iter().enumerate().map(|(step, share)| share * step as f64 / 255.0).sum()
    }

    /// Of luminances from 0 to 1 (Luminance.cpp).
    pub(super) fn variance(&self) -> f64 {
        let mean = self.mean();
        self.shares.iter().enumerate().map(|(step, share)| share * (step as f64 / 255.0 - mean).powi(2)).sum()
    }

    /// Share of the pixels from one step up to another.
    pub(super) fn share(&self, [from, to]: [usize; 2]) -> f64 {
        self.shares[from..=to].iter().sum()
    }

    /// Bits (DynamicRange.cpp).
    pub(super) fn entropy(&self) -> f64 {
        // Adding 0 turns the -0 of a single step into 0.
        self.shares.iter().filter(|s| **s > 0.0).map(|s| -s * s.log2()).sum::<f64>() + 0.0
    }

    /// What two distributions have in common, 0 to 1.
    pub(super) fn intersection(&self, other: &Self) -> f64 {
        self.shares.iter().zip(&other.shares).map(|(a, b)| a.min(*b)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::light::{BRIGHT, DARK};
    use super::super::region::convex_hull;
    use super::super::samples::{drawn, near};
    use super::*;

    #[test]
    fn luminance_is_linear_light() {
        let of = |pixel: [u8; 3]| luminance(&LINEAR, pixel);
        assert_eq!([of([0; 3]), of([255; 3])], [0, 255]);
        assert_eq!(of([128; 3]), 55); // ((128 / 255 + 0.055) / 1.055) ^ 2.4 = 0.21586
        assert_eq!([of([255, 0, 0]), of([0, 255, 0]), of([0, 0, 255])], [54, 182, 18]);
    }

    #[test]
    fn a_histogram_tells_mean_variance_share_entropy_and_intersection() {
        let histogram = |steps: &[usize]| {
            let mut counts = [0; 256];
            for &step in steps {
                counts[step] += 1;
            }
            Histogram::new(&counts)
        };
        let halves = histogram(&[0, 255]).expect("two");
        near(Some(halves.mean()), 0.5);
        near(Some(halves.variance()), 0.25);
        near(Some(halves.entropy()), 1.0);
        near(Some(halves.share(DARK)), 0.5);
        near(Some(halves.share(BRIGHT)), 0.5);
        let quarters = histogram(&[0, 25, 26, 246]).expect("four");
        near(Some(quarters.entropy()), 2.0);
        near(Some(quarters.share(DARK)), 0.5);
        near(Some(quarters.share(BRIGHT)), 0.0);
        near(Some(quarters.intersection(&halves)), 0.25);
        let one = histogram(&[7, 7]).expect("two");
        assert!(one.entropy().is_sign_positive() && one.entropy() == 0.0);
        assert!(histogram(&[]).is_none());
    }

    #[test]
    fn a_region_holds_the_pixels_whose_centres_lie_in_it() {
        let inside = |x: usize, y: usize| (20..60).contains(&x) && (30..80).contains(&y);
        let pixels = drawn(|x, y| if inside(x, y) { 255 } else { 0 });
        let square = |margin: f32| {
            let (l, t, r, b) = (20.0 - margin, 30.0 - margin, 60.0 + margin, 80.0 + margin);
            // With a point inside, which the hull must leave out.
            let hull = convex_hull([[r, t], [l, b], [40.0, 40.0], [l, t], [r, b]]);
            assert_eq!(hull.len(), 4);
            Histogram::of_region(&pixels, &hull)
        };
        near(square(0.0).map(|h| h.mean()), 1.0);
        near(square(0.4).map(|h| h.mean()), 1.0);
        near(square(1.0).map(|h| h.mean()), 2000.0 / (42.0 * 52.0));
        assert!(Histogram::of_region(&pixels, &convex_hull([[-9.0, -9.0], [-5.0, -9.0], [-5.0, -2.0]])).is_none());
        assert!(Histogram::of_region(&pixels, &convex_hull([[5.0, 5.0]; 3])).is_none());
    }
}
