//! A face that somebody has drawn.

use image::{Rgb, RgbImage};

/// A face of plain ellipses, as children's books have them.
pub fn drawn_face(side: u32) -> RgbImage {
    let mut canvas = RgbImage::from_pixel(side, side, Rgb([224, 225, 220]));
    let (hair, skin, dark, white) = ([60, 40, 30], [240, 200, 170], [30, 20, 20], [255; 3]);
    let mut ellipse = |x: f32, y: f32, across: f32, down: f32, colour: [u8; 3]| {
        for (column, row, pixel) in canvas.enumerate_pixels_mut() {
            let at = |place: u32| (place as f32 + 0.5) / side as f32;
            if ((at(column) - x) / across).powi(2) + ((at(row) - y) / down).powi(2) <= 1.0 {
                *pixel = Rgb(colour);
            }
        }
    };
    ellipse(0.5, 0.42, 0.28, 0.36, hair);
    ellipse(0.5, 0.52, 0.21, 0.33, dark);
    ellipse(0.5, 0.52, 0.205, 0.325, skin);
    for eye in [0.41, 0.59] {
        ellipse(eye, 0.39, 0.055, 0.012, hair);
        ellipse(eye, 0.46, 0.05, 0.03, dark);
        ellipse(eye, 0.46, 0.044, 0.025, white);
        ellipse(eye, 0.46, 0.02, 0.024, dark);
    }
    ellipse(0.5, 0.55, 0.012, 0.05, dark);
    ellipse(0.504, 0.545, 0.010, 0.05, skin);
    ellipse(0.5, 0.66, 0.085, 0.05, [190, 40, 50]);
    ellipse(0.5, 0.64, 0.09, 0.045, skin);
    canvas
}
