//! How much light and colour there is in a face: what the networks cannot do without, measured on a grid of samples.

use picture_cell::{Orientation, Pixels};

use crate::report::Extent;

/// Samples along each side of the face box.
const GRID: usize = 64;

/// Brightness is told apart in so many steps of 256, in each of which the colours are compared.
const STEPS: usize = 64;

/// A step with fewer samples says nothing about how colours differ at one brightness.
const FEWEST: usize = 4;

/// With less colour than this a picture has none (docs/accuracy.md, "Light and colour"), and liveness, which is judged by colour,
/// says nothing.
pub(crate) const COLOURLESS: f32 = 2.5;

/// Light and colour of a face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Light {
    /// Difference between the bright and the dark parts of the face (95th and 5th percentile of luma), 0 to 255.
    pub(crate) contrast: f32,
    /// How much colours differ at the same brightness (standard deviation of both colour differences together, 0 to about
    /// 180). 0 in a picture without colour, and near to it in a tinted one, where brightness tells the colour.
    pub(crate) colour: f32,
}

/// Brightness of a pixel as it is stored (not linear light) and as JPEG codes it (ITU-R BT.601), in the unit of its channels.
pub(crate) fn luma([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// Measures the part of `face` (in upright coordinates) that lies inside the picture.
pub(crate) fn measure(stored: &Pixels, upright: Orientation, face: Extent) -> Light {
    let size = upright.size((stored.width(), stored.height()));
    let pixels = stored.upright(upright);
    let place = |begin: f32, length: f32, limit: usize, i: usize| {
        // Casts take negative numbers and NaN to zero.
        let from = begin.max(0.0);
        let to = (begin + length).min(limit as f32).max(from);
        ((from + (to - from) * (i as f32 + 0.5) / GRID as f32) as usize).min(limit - 1)
    };
    let mut histogram = [0_usize; 256];
    // By brightness: number, sums and sums of squares of both colour differences.
    let mut steps = [[0.0_f32; 4]; STEPS];
    for row in 0..GRID {
        let y = place(face.top, face.height, size.1, row);
        for column in 0..GRID {
            let [red, green, blue] = pixels.at(place(face.left, face.width, size.0, column), y).map(f32::from);
            let luma = luma([red, green, blue]);
            let (to_blue, to_red) = (blue - luma, red - luma);
            histogram[luma as usize] += 1;
            let step = &mut steps[luma as usize * STEPS / 256];
            for (sum, value) in step.iter_mut().zip([1.0, to_blue, to_red, to_blue * to_blue + to_red * to_red]) {
                *sum += value;
            }
        }
    }
    let (spread, samples) = steps.iter().filter(|step| step[0] >= FEWEST as f32).fold((0.0, 0.0), |sum, step| {
        let [count, to_blue, to_red, squares] = *step;
        (sum.0 + (squares - (to_blue * to_blue + to_red * to_red) / count).max(0.0), sum.1 + count)
    });
    let colour = if samples > 0.0 { (spread / samples).sqrt() } else { 0.0 };
    let percentile = |share: f32| {
        let wanted = (share * (GRID * GRID) as f32) as usize;
        let mut below = 0;
        histogram.iter().position(|count| {
            below += count;
            below > wanted
        })
    };
    let contrast = percentile(0.95).zip(percentile(0.05)).map_or(0, |(bright, dark)| bright - dark);
    Light { contrast: contrast as f32, colour }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACE: Extent = Extent { left: 10.0, top: 20.0, width: 40.0, height: 50.0 };

    fn of(colour: impl Fn(usize, usize) -> [u8; 3]) -> Light {
        let data = (0..80 * 100).flat_map(|i| colour(i % 80, i / 80)).collect();
        measure(&Pixels::new(80, 100, data).expect("sizes fit"), Orientation::UPRIGHT, FACE)
    }

    #[test]
    fn contrast_is_what_lies_between_dark_and_bright() {
        // 40 columns from 10 on: a ramp of 100 to 178 in steps of 2, whose outer twentieths are 2 columns each.
        let light = of(|x, _| [(80 + 2 * x) as u8; 3]);
        assert!((68.0..=74.0).contains(&light.contrast), "{light:?}");
        assert_eq!(of(|_, _| [7; 3]).contrast, 0.0);
    }

    #[test]
    fn grey_and_tinted_pictures_have_no_colour_and_two_colours_of_one_brightness_do() {
        let ramp = |x: usize, y: usize| (3 * x % 120 + y) as f32;
        assert!(of(|x, y| [ramp(x, y) as u8; 3]).colour < 0.1);
        let sepia = of(|x, y| [1.0, 0.9, 0.7].map(|tint| (ramp(x, y) * tint) as u8));
        assert!(sepia.colour < 1.0, "{sepia:?}");
        // 0.299 * 100 + 0.114 * 50 against 0.587 * 60: both 35, so red and green of the same brightness.
        let mixed = of(|x, _| if x % 2 == 0 { [100, 0, 50] } else { [0, 60, 0] });
        assert!(mixed.colour > 30.0, "{mixed:?}");
    }

    #[test]
    fn a_face_outside_the_picture_and_one_without_sense_are_measured_without_panic() {
        let data = vec![90; 30 * 20 * 3];
        let pixels = Pixels::new(30, 20, data).expect("sizes fit");
        for value in [-1e30, 1e30, f32::NAN, f32::INFINITY, 29.9] {
            for exif in 1..=8 {
                let face = Extent { left: value, top: value, width: value, height: value };
                let light = measure(&pixels, Orientation::from_exif(exif), face);
                assert_eq!((light.contrast, light.colour), (0.0, 0.0), "{value}");
            }
        }
    }
}
