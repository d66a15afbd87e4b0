//! Scales: the picture, whole or in part, reduced to what the detector sees.

use super::Detection;
use crate::alignment::resize;
use crate::report::Extent;
use picture_cell::{Area, Orientation, Picture, Pixels};

/// Sides of the network's input are multiples of its largest stride.
const STRIDE: usize = 32;

/// Small pictures are enlarged by at most this factor.
pub(super) const MAX_ENLARGEMENT: f32 = 3.0;

/// The border may be narrower than asked for, down to this part of it, where the canvas then needs no further row or column of cells:
/// pictures of 16 to 9 at the first scale would fill one row of pixels of the last cells.
const BORDER_AT_LEAST: f32 = 0.9;

/// Brightness of the border. On portraits cut through the face, grey leaves the detector surer than black does (a
/// score of 0.87 against 0.84 where 45 % of the face's width is gone, mean of four portraits), and repeated edges are taken for more face
/// than there is.
const BORDER: f32 = 127.0;

/// The whole stored picture, reduced for one size of the network's input.
pub(crate) struct Reduced {
    pixels: Pixels,
    /// Width of the border in reduced pixels.
    border: usize,
}

impl Reduced {
    /// The picture so that its longer side and a border on both ends, `border` times that side each, are `size` together.
    pub(super) fn new(picture: &Picture, size: f32, border: f32) -> Self {
        let (width, height) = (picture.pixels.width(), picture.pixels.height());
        let long = width.max(height) as f32;
        let scale = (size / (long * (1.0 + 2.0 * border))).min(MAX_ENLARGEMENT);
        let side = |length: usize| ((length as f32 * scale).round() as usize).max(1);
        let whole = Area { left: 0, top: 0, width, height };
        let pixels = resize(&picture.pixels, whole, side(width), side(height));
        Self { pixels, border: (long * scale * border).round() as usize }
    }

    /// Pixels of the network's input per pixel of a picture of this width.
    pub(super) fn scale(&self, picture: &Picture) -> f32 {
        self.pixels.width() as f32 / picture.pixels.width() as f32
    }
}

/// A part of the upright picture, reduced, on the grey canvas that the network sees.
pub(super) struct Window {
    /// The reduced part, upright.
    pixels: Pixels,
    /// Where its upper left corner lies on the canvas.
    offset: [usize; 2],
    /// Width and height of the canvas, multiples of `STRIDE`.
    canvas: [usize; 2],
    /// Upper left corner of the part in the upright picture.
    origin: [f32; 2],
    /// Picture pixels per canvas pixel.
    scale: [f32; 2],
}

impl Window {
    /// The whole picture, brought upright by `upright`.
    pub(super) fn whole(picture: &Picture, reduced: &Reduced, upright: Orientation) -> Self {
        let (width, height) = upright.size((picture.pixels.width(), picture.pixels.height()));
        let pixels = upright.apply(reduced.pixels.clone());
        // Along each axis: the border before the picture, and the canvas with it.
        let span = |length: usize| {
            let full = length + 2 * reduced.border;
            let less = full / STRIDE * STRIDE;
            // A few columns of the border are not worth a whole column of the network's cells.
            let narrower = less.checked_sub(length).map(|room| room / 2);
            match narrower.filter(|&border| border as f32 >= BORDER_AT_LEAST * reduced.border as f32) {
                Some(border) => (border, less),
                None => (reduced.border, full.next_multiple_of(STRIDE)),
            }
        };
        let ((left, canvas_width), (top, canvas_height)) = (span(pixels.width()), span(pixels.height()));
        Self {
            offset: [left, top],
            canvas: [canvas_width, canvas_height],
            origin: [0.0; 2],
            scale: [width as f32 / pixels.width() as f32, height as f32 / pixels.height() as f32],
            pixels,
        }
    }

    /// The surroundings of one face, `span` times its longer side, with `scale` pixels of the canvas per pixel of the picture.
    ///
    /// The canvas starts at a multiple of the detector's largest stride, so that the answer is the one that the detector
    /// would give on the whole picture.
    pub(super) fn closer(picture: &Picture, upright: Orientation, face: &Extent, scale: f32, span: f32) -> Self {
        let stored = (picture.pixels.width(), picture.pixels.height());
        let size = upright.size(stored);
        let long = face.width.max(face.height);
        let (seen, cell) = (long * span, STRIDE as f32 / scale);
        // Seen from 96, 128 or 256 pixels of a face this is a whole number, which rounding must not make a cell more.
        let cells = (seen / cell - 1e-3).ceil() + 1.0;
        let side = cells as usize * STRIDE;
        // Per axis: begin of the window, then begin and length of its part inside the picture, all in picture pixels.
        let part = |begin: f32, length: f32, limit: usize| {
            let from = ((begin + length / 2.0 - seen / 2.0) / cell).floor() * cell;
            let inside = (from.round().max(0.0) as usize).min(limit - 1);
            let end = ((from + cells * cell).round().max(0.0) as usize).clamp(inside + 1, limit);
            (from, inside, end - inside)
        };
        let (from_x, left, width) = part(face.left, face.width, size.0);
        let (from_y, top, height) = part(face.top, face.height, size.1);
        let reduced = |length: usize| ((length as f32 * scale).round() as usize).clamp(1, side);
        let (small_width, small_height) = (reduced(width), reduced(height));
        let area = upright.inverse().area(Area { left, top, width, height }, size);
        let (raw_width, raw_height) = upright.inverse().size((small_width, small_height));
        let pixels = upright.apply(resize(&picture.pixels, area, raw_width, raw_height));
        let offset = |inside: usize, from: f32, length: usize| {
            (((inside as f32 - from) * scale).round().max(0.0) as usize).min(side - length)
        };
        Self {
            offset: [offset(left, from_x, small_width), offset(top, from_y, small_height)],
            canvas: [side; 2],
            origin: [left as f32, top as f32],
            scale: [width as f32 / small_width as f32, height as f32 / small_height as f32],
            pixels,
        }
    }

    /// Width and height of the network's input.
    pub(super) fn canvas(&self) -> [usize; 2] {
        self.canvas
    }

    /// The canvas as YuNet takes it: planar, blue first, 0 to 255.
    pub(super) fn planar_bgr(&self, input: &mut Vec<f32>) {
        let [width, height] = self.canvas;
        let plane = width * height;
        let (left, top) = (self.offset[0], self.offset[1]);
        let right = left + self.pixels.width();
        input.resize(3 * plane, BORDER);
        let (blue, rest) = input.split_at_mut(plane);
        let (green, red) = rest.split_at_mut(plane);
        let rows = blue.chunks_exact_mut(width).zip(green.chunks_exact_mut(width)).zip(red.chunks_exact_mut(width));
        for (y, ((blue, green), red)) in rows.enumerate() {
            if y < top || y >= top + self.pixels.height() {
                [blue, green, red].into_iter().for_each(|row| row.fill(BORDER));
                continue;
            }
            for row in [&mut *blue, &mut *green, &mut *red] {
                row[..left].fill(BORDER);
                row[right..].fill(BORDER);
            }
            let inside = blue[left..right].iter_mut().zip(&mut green[left..right]).zip(&mut red[left..right]);
            for (((blue, green), red), rgb) in inside.zip(self.pixels.row(y - top).chunks_exact(3)) {
                (*blue, *green, *red) = (f32::from(rgb[2]), f32::from(rgb[1]), f32::from(rgb[0]));
            }
        }
    }

    /// From canvas to picture coordinates.
    pub(super) fn to_picture(&self, face: Detection) -> Detection {
        let point = |p: [f32; 2]| {
            let axis = |i: usize| (p[i] - self.offset[i] as f32) * self.scale[i] + self.origin[i];
            [axis(0), axis(1)]
        };
        let e = face.extent;
        let [left, top] = point([e.left, e.top]);
        Detection {
            score: face.score,
            extent: Extent { left, top, width: e.width * self.scale[0], height: e.height * self.scale[1] },
            keypoints: face.keypoints.map(point),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also without a border, which is a setting.
    #[test]
    fn a_canvas_holds_the_whole_picture_and_most_of_the_border() {
        for border in [0.0, 0.001, 0.05, 0.15] {
            for (width, height) in
                [(1, 1), (3, 2), (40, 9), (320, 213), (213, 320), (1280, 720), (500, 500), (60, 2_000)]
            {
                let upright = Orientation::UPRIGHT;
                let picture = Picture {
                    pixels: Pixels::black(width, height),
                    orientation: upright,
                    exif_orientation: 1,
                    format: "none",
                };
                let reduced = Reduced::new(&picture, 320.0, border);
                let window = Window::whole(&picture, &reduced, upright);
                let sides = [window.pixels.width(), window.pixels.height()];
                for (axis, side) in sides.into_iter().enumerate() {
                    let (before, canvas) = (window.offset[axis], window.canvas[axis]);
                    let after = canvas.checked_sub(before + side).expect("the picture lies on the canvas");
                    let least = BORDER_AT_LEAST * reduced.border as f32;
                    assert!(before as f32 >= least && after as f32 >= least, "{width} x {height}, border {border}");
                    assert!(canvas > 0 && canvas.is_multiple_of(STRIDE));
                }
                let mut input = Vec::new();
                window.planar_bgr(&mut input);
                assert_eq!(input.iter().filter(|&&v| v == 0.0).count(), 3 * sides[0] * sides[1], "all of it is drawn");
            }
        }
    }
}
