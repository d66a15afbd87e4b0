//! How sharp the edges at the eyes and the mouth are.

use super::brightness::{Kernel, Plane};
use super::capture::{Capture, stored_area};
use crate::alignment::resize;

/// Squares round the eyes and the mouth are looked at for edges; their side in eye distances and in pixels.
const EDGE_SQUARE: f64 = 0.6;
const EDGE_PIXELS: [f64; 2] = [24.0, 288.0];

/// Beyond this eye distance in pixels the squares are reduced: finer blur does not matter to a face.
const FINEST: f64 = 180.0;

/// Standard deviation of the blur that is added, in eye distances and at least in pixels.
const ADDED_BLUR: f64 = 0.02;
const LEAST_ADDED_BLUR: f64 = 1.0;

/// The share of the pixels, those where the blurred picture is steepest, that counts as edges.
const EDGES: f64 = 0.1;

/// The largest blur that is told, in eye distances: no feature of a face would be left.
pub(super) const MAX_BLUR: f64 = 0.25;

/// Ours: how blurred the edges at the eyes and the mouth are: the standard deviation of the Gaussian that would blur
/// an ideal step so, in eye distances.
///
/// Blurring a step once more weakens its gradient by a factor that tells how blurred it was before, whatever its
/// contrast (Zhuo and Sim, Defocus map estimation from a single image, 2011). Their formula holds for the crest of a
/// step; here it is applied to the steepest tenth of the pixels, for which a blur of 1 to 3 pixels, added to a
/// portrait with 83 pixels between the eyes, is found again within an eighth (lone wide steps are read up to half too
/// wide). Noise looks sharp. The pixels are those of the picture itself up to an eye distance of 180.
pub(super) fn edge_blur(c: &Capture<'_>) -> Option<f64> {
    let eye_distance = c.eye_distance()?;
    let reduction = (eye_distance / FINEST).ceil().max(1.0);
    let added = (ADDED_BLUR * eye_distance / reduction).max(LEAST_ADDED_BLUR);
    let side = (EDGE_SQUARE * eye_distance).clamp(EDGE_PIXELS[0], EDGE_PIXELS[1]);
    let mut energy = [0.0; 2];
    for center in [c.eyes[0], c.eyes[1], c.mouth()] {
        let Some(area) = stored_area(c, [center[0] - side / 2.0, center[1] - side / 2.0], [side, side]) else {
            continue;
        };
        let reduced = |length: usize| (length as f64 / reduction) as usize;
        let (columns, rows) = (reduced(area.width), reduced(area.height));
        if columns == 0 || rows == 0 {
            continue;
        }
        let square =
            if reduction > 1.0 { resize(&c.picture.pixels, area, columns, rows) } else { c.picture.pixels.crop(area) };
        let [before, after] = edge_energy(&Plane::of(&square), added);
        energy = [energy[0] + before, energy[1] + after];
    }
    Some((blur_before(energy, added)? * reduction / eye_distance).min(MAX_BLUR))
}

/// The blur of steps whose gradient has these energies before and after a blur by `added` more; infinite when that
/// changed nothing. `None` without any step.
fn blur_before([before, after]: [f64; 2], added: f64) -> Option<f64> {
    if after <= 0.0 {
        return None;
    }
    let excess = before / after - 1.0;
    Some(if excess > 0.0 { added / excess.sqrt() } else { f64::INFINITY })
}

/// Energies of the gradient at the edges of a picture before and after a Gaussian blur.
fn edge_energy(plane: &Plane, blur: f64) -> [f64; 2] {
    let kernel = Kernel::gaussian(blur);
    let blurred = plane.blurred(&kernel);
    // Near the border the blur sees repeated pixels, and the gradient needs the next pixel.
    let within = |length: usize| kernel.reach..length.saturating_sub(kernel.reach + 1);
    let mut energies = Vec::with_capacity(plane.data.len());
    for y in within(plane.height) {
        for x in within(plane.width) {
            energies.push([plane.gradient_energy(x, y), blurred.gradient_energy(x, y)]);
        }
    }
    let flat = (energies.len() as f64 * (1.0 - EDGES)) as usize;
    if flat >= energies.len() {
        return [0.0; 2];
    }
    energies.select_nth_unstable_by(flat, |a, b| a[1].total_cmp(&b[1]));
    energies[flat..].iter().fold([0.0; 2], |s, e| [s[0] + f64::from(e[0]), s[1] + f64::from(e[1])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blur_of_a_step_is_told_whatever_its_contrast() {
        let found = [15.0, 150.0].map(|contrast| {
            let data = (0..80 * 80).map(|i| if i % 80 < 40 { 20.0 } else { 20.0 + contrast }).collect();
            let step = Plane { width: 80, height: 80, data };
            [1.5, 2.0, 3.0, 4.0].map(|blur| {
                let blurred = step.blurred(&Kernel::gaussian(blur));
                let found = blur_before(edge_energy(&blurred, 2.0), 2.0).expect("a step");
                assert!((0.8..1.6).contains(&(found / blur)), "{found} for {blur}");
                found
            })
        });
        assert!(found[0].is_sorted_by(|a, b| a < b), "{found:?}");
        assert!(found[0].iter().zip(&found[1]).all(|(a, b)| (a / b - 1.0).abs() < 0.01), "{found:?}");
        assert_eq!(blur_before([0.0, 0.0], 1.0), None);
        assert_eq!(blur_before([1.0, 1.0], 1.0), Some(f64::INFINITY));
    }
}
