//! Pictures whose luminance has fewer samples than their colour. Nobody writes them on purpose, and the decoder does not
//! bring their planes to one size: done here, plainly, as libjpeg does it.

use libjpeg_turbo_rs::RawImage;

use super::markers::Frame;

/// Draws the planes of `raw` as interleaved RGB into `canvas`, which holds the frame's width times its height times 3.
pub(super) fn draw(frame: &Frame, raw: &RawImage, is_rgb: bool, canvas: &mut [u8]) {
    let planes: Vec<_> = (0..raw.num_components).map(|index| Plane::new(frame, raw, index)).collect();
    let width = frame.width as usize;
    for (y, row) in canvas.chunks_exact_mut(width * 3).enumerate() {
        for (x, seen) in row.as_chunks_mut().0.iter_mut().enumerate() {
            *seen = match planes.as_slice() {
                [a, b, c] if is_rgb => [a.at(x, y), b.at(x, y), c.at(x, y)],
                [luma, blue, red] => rgb(luma.at(x, y), blue.at(x, y), red.at(x, y)),
                [luma, ..] => [luma.at(x, y); 3],
                [] => [0; 3],
            };
        }
    }
}

/// The samples of one component, and how many pixels one of them stands for.
struct Plane<'r> {
    samples: &'r [u8],
    stride: usize,
    /// The last column and row that belong to the picture.
    last: (usize, usize),
    across: usize,
    down: usize,
}

impl<'r> Plane<'r> {
    fn new(frame: &Frame, raw: &'r RawImage, index: usize) -> Self {
        let (most_across, most_down) = frame.sampling();
        let component = frame.components[index];
        let last = |pixels: u32, factor: u32, most: u32| ((pixels * factor).div_ceil(most) - 1) as usize;
        Self {
            samples: &raw.planes[index],
            stride: raw.plane_widths[index],
            last: (last(frame.width, component.across, most_across), last(frame.height, component.down, most_down)),
            across: (most_across / component.across) as usize,
            down: (most_down / component.down) as usize,
        }
    }

    /// The value at a pixel: between samples where a side is halved, the sample itself otherwise.
    fn at(&self, x: usize, y: usize) -> u8 {
        let smooth = matches!((self.across, self.down), (2, 1 | 2) | (1, 2));
        let (columns, rows) = (near(x, self.across, self.last.0, smooth), near(y, self.down, self.last.1, smooth));
        let sample = |column: usize, row: usize| u32::from(self.samples[row * self.stride + column]);
        let line = |row| 3 * sample(columns.0, row) + sample(columns.1, row);
        ((3 * line(rows.0) + line(rows.1) + 8) / 16) as u8
    }
}

/// The sample that a pixel lies in, and the next one on its side, which counts a third of that.
fn near(pixel: usize, factor: usize, last: usize, smooth: bool) -> (usize, usize) {
    let own = (pixel / factor).min(last);
    match (smooth && factor == 2, pixel % 2) {
        (true, 0) => (own, own.saturating_sub(1)),
        (true, _) => (own, (own + 1).min(last)),
        _ => (own, own),
    }
}

/// ITU-R BT.601 of full range, as JFIF has it.
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (y, b, r) = (f32::from(luma), f32::from(blue) - 128.0, f32::from(red) - 128.0);
    [y + 1.402 * r, y - 0.344_136 * b - 0.714_136 * r, y + 1.772 * b].map(|value| value.round() as u8)
}
