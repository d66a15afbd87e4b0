//! Geometry between a picture and what a network sees of it: resizing, similarity transforms, face chips.

use std::cell::RefCell;
use std::ops::Range;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::report::Extent;
use picture_cell::{Area, Orientation, Pixels};

/// `x' = a*x - b*y + c`, `y' = b*x + a*y + d`: scale, turn and shift, no mirroring, no shear.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Similarity {
    a: f32,
    b: f32,
    c: f32,
    d: f32,
}

impl Similarity {
    /// The transform that moves `from` to `to` with the least sum of squared distances (Umeyama 1991, in the plane
    /// a linear least-squares problem in a, b, c, d). Points that all coincide give a pure shift.
    pub(crate) fn fit(from: &[[f32; 2]], to: &[[f32; 2]]) -> Self {
        let n = from.len().min(to.len()).max(1) as f32;
        let mean = |points: &[[f32; 2]]| {
            let sum = points.iter().fold([0.0; 2], |s, p| [s[0] + p[0], s[1] + p[1]]);
            [sum[0] / n, sum[1] / n]
        };
        let (from_mean, to_mean) = (mean(from), mean(to));
        let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
        for (p, q) in from.iter().zip(to) {
            let (px, py) = (p[0] - from_mean[0], p[1] - from_mean[1]);
            let (qx, qy) = (q[0] - to_mean[0], q[1] - to_mean[1]);
            along += px * qx + py * qy;
            across += px * qy - py * qx;
            spread += px * px + py * py;
        }
        let (a, b) = if spread > f32::EPSILON { (along / spread, across / spread) } else { (1.0, 0.0) };
        Self {
            a,
            b,
            c: to_mean[0] - a * from_mean[0] + b * from_mean[1],
            d: to_mean[1] - b * from_mean[0] - a * from_mean[1],
        }
    }

    /// Scales by `scale`, turns by `angle` (radians, clockwise in a picture) and moves the point `from` to `to`.
    pub(crate) fn around(from: [f32; 2], to: [f32; 2], scale: f32, angle: f32) -> Self {
        let (a, b) = (scale * angle.cos(), scale * angle.sin());
        Self { a, b, c: to[0] - a * from[0] + b * from[1], d: to[1] - b * from[0] - a * from[1] }
    }

    /// Moves a point.
    pub(crate) fn apply(&self, p: [f32; 2]) -> [f32; 2] {
        [self.a * p[0] - self.b * p[1] + self.c, self.b * p[0] + self.a * p[1] + self.d]
    }

    /// The transform that undoes this one; without meaning when all points become one.
    pub(crate) fn inverse(&self) -> Self {
        let square = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / square, -self.b / square);
        Self { a, b, c: b * self.d - a * self.c, d: -b * self.c - a * self.d }
    }

    /// Factor by which lengths change.
    pub(crate) fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }
}

thread_local! {
    /// With the memory of its last picture, since new memory is filled with zeros first.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Bytes that it keeps: what reducing 1920 x 1080 for the detector takes is 1.3 MB.
const KEPT: usize = 2 << 20;

/// Reduces (or enlarges) `area` of `pixels` to `width` x `height`. Every source pixel counts: a triangle filter as
/// wide as the reduction, so that nothing aliases.
pub(crate) fn resize(pixels: &Pixels, area: Area, width: usize, height: usize) -> Pixels {
    let mut out = Pixels::black(width, height);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(area.left as f64, area.top as f64, area.width as f64, area.height as f64)
        .use_alpha(false);
    let source = TypedImageRef::<U8x3>::from_buffer(pixels.width() as u32, pixels.height() as u32, pixels.data());
    let target = TypedImage::<U8x3>::from_buffer(width as u32, height as u32, out.data_mut());
    if let (Ok(source), Ok(mut target)) = (source, target) {
        // Cannot fail: both buffers have the stated sizes and the area lies inside the source.
        RESIZER.with_borrow_mut(|resizer| {
            // The untyped call would be compiled for all thirteen kinds of pixel: a minute of every build.
            let done = resizer.resize_typed(&source, &mut target, &options);
            debug_assert!(done.is_ok(), "{done:?}");
            if resizer.size_of_internal_buffers() > KEPT {
                resizer.reset_internal_buffers();
            }
        });
    }
    out
}

/// The surroundings of a face, upright and reduced: all chips of a request are cut from this one small picture.
#[derive(Debug)]
pub(crate) struct FaceView {
    /// Upper left corner in the upright picture.
    left: f32,
    top: f32,
    full: Level,
    /// Further reductions of `full`, made when a chip needs them, by the logarithm of their reduction.
    reduced: RefCell<Vec<(i32, Level)>>,
}

/// The view in one size.
#[derive(Debug)]
struct Level {
    pixels: Pixels,
    /// View pixels per pixel of the upright picture.
    scale: [f32; 2],
}

/// Bits of a sample's place between two pixels: so many that weights of both axes and a pixel fit into 31 together.
const PART_BITS: u32 = 11;

/// Reductions are made in steps of this power of two, so that slightly different chips share one.
const LEVELS_PER_OCTAVE: f32 = 4.0;

/// Every chip of an upright face lies within this many times the longer side of its box: the landmark network's spans 1.5
/// (`landmarks::SPAN`), those that are cut by its points up to 1.2, which need not be in the middle.
const VIEW_SPAN: f32 = 1.65;

/// Longer side of the face box in the view, in pixels: what the landmark network sees of it, 256 / 1.5. Its chip is sampled from
/// the view as it is; every other one shows the face smaller.
const VIEW_FACE: f32 = 256.0 / 1.5;

impl FaceView {
    /// Cuts the surroundings of `face` (in upright coordinates) out of `stored`, which `upright` brings upright: what the chips of a
    /// head that is turned by `roll` (radians) in the plane may show.
    pub(crate) fn cut(stored: &Pixels, upright: Orientation, face: Extent, roll: f32) -> Self {
        let stored_size = (stored.width(), stored.height());
        let (width, height) = upright.size(stored_size);
        let side = face.width.max(face.height).max(1.0);
        let half = side * VIEW_SPAN * (roll.cos().abs() + roll.sin().abs()) / 2.0;
        let center = [face.left + face.width / 2.0, face.top + face.height / 2.0];
        let begin = |c: f32, limit: usize| ((c - half).floor().max(0.0) as usize).min(limit - 1);
        let end = |c: f32, from: usize, limit: usize| ((c + half).ceil().max(0.0) as usize).clamp(from + 1, limit);
        let (left, top) = (begin(center[0], width), begin(center[1], height));
        let (right, bottom) = (end(center[0], left, width), end(center[1], top, height));
        let seen = Area { left, top, width: right - left, height: bottom - top };
        let reduction = (VIEW_FACE / side).min(1.0);
        let size = |length: usize| ((length as f32 * reduction).round() as usize).max(1);
        let (view_width, view_height) = (size(seen.width), size(seen.height));
        let area = upright.inverse().area(seen, (width, height));
        let (raw_width, raw_height) = upright.inverse().size((view_width, view_height));
        let reduced = if (raw_width, raw_height) == (area.width, area.height) {
            stored.crop(area)
        } else {
            resize(stored, area, raw_width, raw_height)
        };
        let scale = [view_width as f32 / seen.width as f32, view_height as f32 / seen.height as f32];
        let full = Level { pixels: upright.apply(reduced), scale };
        Self { left: left as f32, top: top as f32, full, reduced: RefCell::default() }
    }

    /// Samples a chip as wide as this into planar RGB floats 0 to 255: `out` is `[3, height, width]`.
    ///
    /// `from_chip` maps chip coordinates to upright picture coordinates. A chip that is smaller than the view is sampled
    /// from the view reduced to about its scale, so that it does not alias. Outside the picture its edge pixels repeat.
    pub(crate) fn sample(&self, from_chip: &Similarity, width: usize, out: &mut [f32]) {
        let reduction = from_chip.scale() * self.full.scale[0].max(self.full.scale[1]);
        // NaN and what is no reduction become zero.
        let step = (reduction.log2() * LEVELS_PER_OCTAVE).round().max(0.0) as i32;
        if step < 2 {
            return self.sample_level(&self.full, from_chip, width, out);
        }
        let mut levels = self.reduced.borrow_mut();
        let index = levels.iter().position(|(made, _)| *made == step).unwrap_or_else(|| {
            levels.push((step, self.full.reduced((step as f32 / LEVELS_PER_OCTAVE).exp2())));
            levels.len() - 1
        });
        self.sample_level(&levels[index].1, from_chip, width, out);
    }

    fn sample_level(&self, level: &Level, from_chip: &Similarity, width: usize, out: &mut [f32]) {
        let plane = out.len() / 3;
        let (red, rest) = out.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let rows = red.chunks_exact_mut(width).zip(green.chunks_exact_mut(width)).zip(blue.chunks_exact_mut(width));
        let step = [from_chip.a * level.scale[0], from_chip.b * level.scale[1]];
        for (y, ((red, green), blue)) in rows.enumerate() {
            let p = from_chip.apply([0.5, y as f32 + 0.5]);
            let begin = [(p[0] - self.left) * level.scale[0], (p[1] - self.top) * level.scale[1]];
            let inside = level.inside(begin, step, width);
            let mut put = |x: usize, value: [f32; 3]| (red[x], green[x], blue[x]) = (value[0], value[1], value[2]);
            let place = |x: usize| [begin[0] + step[0] * x as f32, begin[1] + step[1] * x as f32];
            (0..inside.start).chain(inside.end..width).for_each(|x| put(x, level.at(place(x))));
            level.between(place(inside.start), step, inside, put);
        }
    }

    /// The part of the upright picture that the view shows; where it ends short of the face, the picture does.
    pub(crate) fn seen(&self) -> Extent {
        let length = |pixels: usize, scale: f32| pixels as f32 / scale;
        Extent {
            left: self.left,
            top: self.top,
            width: length(self.full.pixels.width(), self.full.scale[0]),
            height: length(self.full.pixels.height(), self.full.scale[1]),
        }
    }

    /// The view itself.
    pub(crate) fn pixels(&self) -> &Pixels {
        &self.full.pixels
    }

    /// Moves a point of the upright picture into the view.
    pub(crate) fn point(&self, p: [f32; 2]) -> [f32; 2] {
        [(p[0] - self.left) * self.full.scale[0], (p[1] - self.top) * self.full.scale[1]]
    }

    /// Bilinear sample at upright picture coordinates.
    pub(crate) fn at(&self, p: [f32; 2]) -> [f32; 3] {
        self.full.at(self.point(p))
    }
}

impl Level {
    /// The same, smaller by `factor`.
    fn reduced(&self, factor: f32) -> Self {
        let (width, height) = (self.pixels.width(), self.pixels.height());
        let side = |length: usize| ((length as f32 / factor).round() as usize).max(1);
        let (small_width, small_height) = (side(width), side(height));
        let pixels = resize(&self.pixels, Area { left: 0, top: 0, width, height }, small_width, small_height);
        let scale =
            [self.scale[0] * small_width as f32 / width as f32, self.scale[1] * small_height as f32 / height as f32];
        Self { pixels, scale }
    }

    /// Which of `count` samples, the first at `begin` and each next one `step` further (view coordinates), lie between the
    /// centres of the outermost pixels.
    fn inside(&self, begin: [f32; 2], step: [f32; 2], count: usize) -> Range<usize> {
        let sides = [self.pixels.width(), self.pixels.height()];
        let mut range = 0..count;
        for ((begin, step), side) in begin.into_iter().zip(step).zip(sides) {
            let (first, last) = (0.5 - begin, side as f32 - 0.5 - begin);
            if step.abs() < 1e-6 {
                // All samples have this coordinate.
                if !(first <= 0.0 && last > 0.0) {
                    return 0..0;
                }
                continue;
            }
            let (near, far) = if step > 0.0 { (first / step, last / step) } else { (last / step, first / step) };
            // Casts of what is negative or no number give 0.
            range.start = range.start.max(near.ceil() as usize);
            range.end = range.end.min(far.floor().max(0.0) as usize);
        }
        if range.is_empty() { 0..0 } else { range }
    }

    /// Bilinear samples at view coordinates between the centres of the outermost pixels, the first at `begin` and each next one
    /// `step` further: what `at` gives there but for rounding, in whole numbers, which takes less than half of the time.
    fn between(&self, begin: [f32; 2], step: [f32; 2], range: Range<usize>, mut put: impl FnMut(usize, [f32; 3])) {
        let fixed = |v: f32| (f64::from(v) * (1_u64 << 32) as f64) as i64;
        let [mut x, mut y] = begin.map(|v| fixed(v - 0.5));
        let (right, down) = (fixed(step[0]), fixed(step[1]));
        let (data, stride) = (self.pixels.data(), 3 * self.pixels.width());
        let pair = |from: usize| data.get(from..).and_then(|rest| rest.first_chunk::<6>());
        let part = |v: i64| (v as u32) >> (32 - PART_BITS);
        for index in range {
            let from = ((y >> 32) as usize).wrapping_mul(stride).wrapping_add(3 * (x >> 32) as usize);
            let value = match (pair(from), pair(from.wrapping_add(stride))) {
                (Some(upper), Some(lower)) => {
                    let (fx, fy) = (part(x), part(y));
                    let far = fx * fy;
                    let (along, below) = ((fx << PART_BITS) - far, (fy << PART_BITS) - far);
                    let near = (1 << (2 * PART_BITS)) - far - along - below;
                    [0, 1, 2].map(|channel| {
                        let sum = u32::from(upper[channel]) * near
                            + u32::from(upper[channel + 3]) * along
                            + u32::from(lower[channel]) * below
                            + u32::from(lower[channel + 3]) * far;
                        sum as i32 as f32 * (1.0 / (1 << (2 * PART_BITS)) as f32)
                    })
                }
                // Rounding has moved it beyond the last centre.
                _ => self.at([x, y].map(|v| (v as f64 / (1_u64 << 32) as f64) as f32 + 0.5)),
            };
            put(index, value);
            (x, y) = (x.wrapping_add(right), y.wrapping_add(down));
        }
    }

    /// Bilinear sample at view coordinates; outside, and at NaN, the edge repeats.
    fn at(&self, p: [f32; 2]) -> [f32; 3] {
        // Clamped first: then truncation is the floor, and both neighbours exist.
        let place = |at: f32, length: usize| {
            let last = length - 1;
            let at = (at - 0.5).max(0.0).min(last as f32);
            let near = at as u32 as usize;
            (near, (near + 1).min(last), at - near as f32)
        };
        let (x0, x1, fx) = place(p[0], self.pixels.width());
        let (y0, y1, fy) = place(p[1], self.pixels.height());
        let (upper, lower) = (self.pixels.row(y0), self.pixels.row(y1));
        let mut sum = [0.0; 3];
        for (channel, value) in sum.iter_mut().enumerate() {
            let along = |row: &[u8]| {
                let (near, far) = (f32::from(row[3 * x0 + channel]), f32::from(row[3 * x1 + channel]));
                near + (far - near) * fx
            };
            let (above, below) = (along(upper), along(lower));
            *value = above + (below - above) * fy;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: [f32; 2], b: [f32; 2]) -> bool {
        (a[0] - b[0]).abs() < 1e-3 && (a[1] - b[1]).abs() < 1e-3
    }

    #[test]
    fn the_fit_recovers_a_known_similarity() {
        let known = Similarity::around([10.0, 20.0], [3.0, 4.0], 0.5, 0.3);
        let from = [[0.0, 0.0], [40.0, 3.0], [12.0, 50.0], [7.0, 9.0]];
        let to = from.map(|p| known.apply(p));
        let found = Similarity::fit(&from, &to);
        for p in from {
            assert!(close(found.apply(p), known.apply(p)));
        }
        assert!((found.scale() - 0.5).abs() < 1e-5);
        assert!(close(known.inverse().apply(known.apply([7.0, 9.0])), [7.0, 9.0]));
    }

    #[test]
    fn coinciding_points_give_a_shift_and_no_nan() {
        let found = Similarity::fit(&[[5.0, 5.0]; 3], &[[1.0, 2.0]; 3]);
        assert!(close(found.apply([5.0, 5.0]), [1.0, 2.0]));
    }

    #[test]
    fn a_view_shows_the_pixel_that_lies_there_in_every_orientation() {
        // 60 x 40 ramp: red is x, green is y.
        let data = (0..40_u8).flat_map(|y| (0..60_u8).flat_map(move |x| [x * 4, y * 6, 0])).collect();
        let seen = Pixels::new(60, 40, data).expect("sizes fit");
        let face = Extent { left: 20.0, top: 10.0, width: 10.0, height: 14.0 };
        for number in 1..=8 {
            let upright = Orientation::from_exif(number);
            let view = FaceView::cut(&upright.inverse().apply(seen.clone()), upright, face, 0.0);
            let mut chip = [f32::NAN; 3 * 4 * 3];
            view.sample(&Similarity::around([0.0, 0.0], [20.0, 10.0], 1.0, 0.0), 4, &mut chip);
            assert_eq!(&chip[..4], [80.0, 84.0, 88.0, 92.0], "orientation {number}");
            assert_eq!(chip[12], 60.0);
        }
    }

    #[test]
    fn samples_between_the_outermost_pixels_are_those_of_the_careful_way() {
        let data = (0..40_usize * 60 * 3).map(|i| (i * 31 % 253) as u8).collect();
        let level = Level { pixels: Pixels::new(60, 40, data).expect("sizes fit"), scale: [1.0; 2] };
        for (begin, step) in [([-3.0, 7.3], [0.9, 0.2]), ([70.0, 45.0], [-1.1, -0.7]), ([5.0, 5.0], [0.0, 0.5])] {
            let inside = level.inside(begin, step, 100);
            assert!(inside.len() > 20, "{inside:?}");
            let mut sampled = vec![None; 100];
            let first = [0, 1].map(|axis| begin[axis] + step[axis] * inside.start as f32);
            level.between(first, step, inside.clone(), |x, value| sampled[x] = Some(value));
            for (x, sampled) in sampled.into_iter().enumerate() {
                let at = [begin[0] + step[0] * x as f32, begin[1] + step[1] * x as f32];
                let between = at[0] >= 0.5 && at[0] < 59.5 && at[1] >= 0.5 && at[1] < 39.5;
                assert!(between || !inside.contains(&x), "{at:?}");
                assert_eq!(sampled.is_some(), inside.contains(&x));
                // Neighbours differ by up to 252: by an eighth in a 2,048th of a pixel, along two axes.
                let apart = |value: [f32; 3]| value.iter().zip(level.at(at)).all(|(a, b)| (a - b).abs() < 0.26);
                assert!(sampled.is_none_or(apart), "{at:?}: {sampled:?}");
            }
        }
        assert!(level.inside([f32::NAN; 2], [0.5; 2], 100).is_empty());
        assert!(level.inside([5.0; 2], [f32::NAN; 2], 100).is_empty());
    }

    proptest! {
        #[test]
        fn a_fit_there_and_back_is_where_it_began(
            x in -2_000.0_f32..2_000.0, y in -2_000.0_f32..2_000.0, scale in 0.05_f32..20.0, angle in -3.2_f32..3.2,
        ) {
            let there = Similarity::around([0.0, 0.0], [x, y], scale, angle);
            let from = [[0.0, 0.0], [100.0, 0.0], [100.0, 80.0], [20.0, 60.0]];
            let back = Similarity::fit(&from.map(|p| there.apply(p)), &from);
            for p in from {
                let again = back.apply(there.apply(p));
                prop_assert!((again[0] - p[0]).abs() < 0.5 && (again[1] - p[1]).abs() < 0.5, "{p:?}, {again:?}");
            }
        }

        #[test]
        fn views_of_faces_anywhere_can_be_sampled(
            left in -500.0_f32..500.0, top in -500.0_f32..500.0, width in 0.0_f32..900.0, height in 0.0_f32..900.0,
            orientation in 1_u8..=8,
            roll in -4.0_f32..4.0,
        ) {
            let stored = Pixels::black(60, 40);
            let extent = Extent { left, top, width, height };
            let view = FaceView::cut(&stored, Orientation::from_exif(orientation), extent, roll);
            let mut chip = [f32::NAN; 3 * 8 * 8];
            view.sample(&Similarity::around([0.0, 0.0], [left, top], 1.0 + width, 0.7), 8, &mut chip);
            prop_assert!(chip.iter().all(|v| v.is_finite()));
        }
    }
}
