//! Light on the face: what counts as too dark and too bright, and whether both cheeks have the same light.

use super::capture::{Capture, MOUTH_CORNERS, NOSE, distance, middle, point};
use super::histogram::{Histogram, LINEAR, luminance};
use crate::alignment::Similarity;

/// Bins of the histogram that count as too dark and as too bright (UnderExposurePrevention.cpp,
/// OverExposurePrevention.cpp).
pub(super) const DARK: [usize; 2] = [0, 25];
pub(super) const BRIGHT: [usize; 2] = [247, 255];

/// Where OFIQ's alignment puts the eyes, the tip of the nose and the corners of the mouth (utils.cpp).
const ALIGNED: [[f32; 2]; 5] = [[251.0, 272.0], [364.0, 272.0], [308.0, 336.0], [262.0, 402.0], [355.0, 402.0]];

/// Side of the squares on the cheeks in eye distances (image_utils.cpp).
const CHEEK: f64 = 0.3;

/// The largest such side in pixels of the aligned face, where the eyes should be 113 apart.
const MAX_CHEEK: usize = 100;

/// What the distributions of the light on both cheeks have in common, 0 to 1 (IlluminationUniformity.cpp).
///
/// The cheeks are two squares below the eyes, half way to the mouth, that reach from the line down from each eye
/// towards the nose. How much two histograms of 256 steps have in common depends on the number of pixels in them, so
/// that the squares are sampled in the scale of OFIQ's alignment.
pub(super) fn illumination_uniformity(c: &Capture<'_>) -> Option<f64> {
    let seen = |p: [f64; 2]| p.map(|v| v as f32);
    let corners = MOUTH_CORNERS.map(|i| point(c.landmarks, i));
    let points = [c.eyes[0], c.eyes[1], point(c.landmarks, NOSE), corners[0], corners[1]].map(seen);
    let to_aligned = Similarity::fit(&points, &ALIGNED);
    let from_aligned = to_aligned.inverse();
    let aligned = |p: [f64; 2]| to_aligned.apply(seen(p)).map(f64::from);
    let eyes = c.eyes.map(aligned);
    let side = CHEEK * distance(eyes[0], eyes[1]);
    let down = distance(middle(eyes), aligned(c.mouth())) / 2.0;
    if !(1.0..=MAX_CHEEK as f64).contains(&side) || !down.is_finite() {
        return None;
    }
    let side = side.floor();
    let light = |left: f64, top: f64| {
        let linear = &*LINEAR;
        let mut counts = [0; 256];
        for y in 0..side as usize {
            for x in 0..side as usize {
                let at = from_aligned.apply([(left + x as f64 + 0.5) as f32, (top + y as f64 + 0.5) as f32]);
                counts[luminance(linear, c.view.at(at).map(|v| v.round() as u8))] += 1;
            }
        }
        Histogram::new(&counts)
    };
    let on_left = light(eyes[0][0], eyes[0][1] + down)?;
    let on_right = light(eyes[1][0] - side, eyes[1][1] + down)?;
    Some(on_left.intersection(&on_right))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{drawn, landmarks, near, with};
    use super::*;

    #[test]
    fn light_is_uniform_when_both_cheeks_have_the_same() {
        with(&drawn(|_, _| 180), 1, &landmarks(), None, |c| near(illumination_uniformity(c), 1.0));
        let half = drawn(|x, _| if x < 200 { 30 } else { 220 });
        with(&half, 1, &landmarks(), None, |c| near(illumination_uniformity(c), 0.0));
    }
}
