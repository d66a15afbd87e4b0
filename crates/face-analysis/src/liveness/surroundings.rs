//! What the liveness networks see of a picture: crops round the face, reduced by averaging.

use picture_cell::{Area, Orientation, Pixels};

use crate::report::Extent;

/// The picture is reduced by whole factors first as long as a network still gets this many pixels along an axis for each
/// of its own: the averages of its crops then hardly differ from those of the full picture.
const OVERSAMPLING: f32 = 2.0;

/// Blocks are at most so wide; larger ones are blocks of blocks. Known to the compiler, a factor costs a quarter of what any does.
const WIDEST: usize = 6;

/// The factor by which pixels may be reduced for a network that gets `finest` of them for each of its own: never more than the
/// longest side that a picture can have.
fn factor(finest: f32) -> usize {
    let most = ((finest / OVERSAMPLING) as usize).min(u16::MAX.into());
    if most > WIDEST { WIDEST * factor((most / WIDEST) as f32 * OVERSAMPLING) } else { most.max(1) }
}

/// The part of a picture that all crops of one face lie in, upright.
#[derive(Debug)]
pub(super) struct Surroundings {
    pixels: Pixels,
    /// Upper left corner in the upright picture.
    left: f32,
    top: f32,
    /// Pixels of the picture per pixel here, along each axis.
    reduction: f32,
}

impl Surroundings {
    /// Cuts the smallest part that holds `crops` (in upright coordinates, inside the picture) out of `stored`, which
    /// `upright` brings upright. `finest` is the smallest number of picture pixels that any network gets for one of its own.
    pub(super) fn cut(stored: &Pixels, upright: Orientation, crops: &[Extent], finest: f32) -> Self {
        let (width, height) = upright.size((stored.width(), stored.height()));
        let factor = factor(finest);
        let span = |begin: fn(&Extent) -> f32, length: fn(&Extent) -> f32, limit: usize| {
            let from = crops.iter().map(begin).fold(f32::INFINITY, f32::min).floor().max(0.0) as usize;
            let to = crops.iter().map(|e| begin(e) + length(e)).fold(0.0, f32::max).ceil() as usize;
            let from = from.min(limit - 1);
            let length = to.clamp(from + 1, limit) - from;
            // Whole blocks only, where there is one; up to the picture's edge if need be.
            let blocks = length.div_ceil(factor).min((limit - from) / factor);
            (from, if blocks > 0 { blocks * factor } else { length })
        };
        let (left, width_seen) = span(|e| e.left, |e| e.width, width);
        let (top, height_seen) = span(|e| e.top, |e| e.height, height);
        let factor = if width_seen < factor || height_seen < factor { 1 } else { factor };
        let seen = Area { left, top, width: width_seen, height: height_seen };
        let area = upright.inverse().area(seen, (width, height));
        let pixels = if factor > 1 { averaged(stored, area, factor) } else { stored.crop(area) };
        Self { pixels: upright.apply(pixels), left: left as f32, top: top as f32, reduction: factor as f32 }
    }

    /// The same in larger blocks, for a network that gets `finest` pixels of the picture for each of its own; `None` where it needs
    /// these.
    pub(super) fn coarser(&self, finest: f32) -> Option<Self> {
        let factor = factor(finest / self.reduction);
        let area = Area { left: 0, top: 0, width: self.pixels.width(), height: self.pixels.height() };
        let reduction = self.reduction * factor as f32;
        (factor > 1).then(|| Self { pixels: averaged(&self.pixels, area, factor), reduction, ..*self })
    }

    /// Reduces `crop` to `side` x `side`, each value the mean of the picture over its square, partly covered pixels counted by
    /// their part; where the crop has fewer pixels than that, by a straight line between their centres.
    ///
    /// Appends planar values, blue first, 0 to 255.
    pub(super) fn sample(&self, crop: Extent, side: usize, out: &mut Vec<f32>) {
        let (width, height) = (self.pixels.width(), self.pixels.height());
        let axis = |begin: f32, origin: f32, length: f32, limit: usize| {
            windows((begin - origin) / self.reduction, length / self.reduction, side, limit)
        };
        let columns = axis(crop.left, self.left, crop.width, width);
        let rows = axis(crop.top, self.top, crop.height, height);
        let start = out.len();
        out.resize(start + 3 * side * side, 0.0);
        let first = columns.first().map_or(0, |w| w.first);
        let last = columns.last().map_or(1, |w| w.first + w.weights.len());
        let mut line = vec![0.0_f32; 3 * (last - first)];
        for (y, row) in rows.iter().enumerate() {
            line.fill(0.0);
            for (i, &weight) in row.weights.iter().enumerate() {
                let source = &self.pixels.row(row.first + i)[3 * first..3 * last];
                line.iter_mut().zip(source).for_each(|(sum, &value)| *sum += weight * f32::from(value));
            }
            for (x, column) in columns.iter().enumerate() {
                let from = 3 * (column.first - first);
                let mut sum = [0.0_f32; 3];
                for (rgb, &weight) in line[from..].chunks_exact(3).zip(&column.weights) {
                    (0..3).for_each(|channel| sum[channel] += weight * rgb[channel]);
                }
                for (plane, channel) in [2, 1, 0].into_iter().enumerate() {
                    out[start + (plane * side + y) * side + x] = sum[channel];
                }
            }
        }
    }
}

/// The source samples of one target sample, and their weights, of 1 together.
struct Window {
    first: usize,
    weights: Vec<f32>,
}

/// The windows of `count` target samples over `length` source samples from `begin`, of `limit` that there are.
fn windows(begin: f32, length: f32, count: usize, limit: usize) -> Vec<Window> {
    let step = length / count as f32;
    // A window of one pixel between two pixel centres weighs them as a straight line between them does.
    let half = step.max(1.0) / 2.0;
    let window = |i: usize| {
        let centre = begin + (i as f32 + 0.5) * step;
        let (low, high) = ((centre - half).max(0.0), (centre + half).min(limit as f32));
        if high - low < 1e-3 {
            let nearest = if centre > 0.0 { limit - 1 } else { 0 };
            return Window { first: nearest, weights: vec![1.0] };
        }
        let first = (low as usize).min(limit - 1);
        let end = (high.ceil() as usize).clamp(first + 1, limit);
        let part = |p: usize| ((high.min(p as f32 + 1.0) - low.max(p as f32)) / (high - low)).max(0.0);
        Window { first, weights: (first..end).map(part).collect() }
    };
    (0..count).map(window).collect()
}

/// `area` of `pixels` in blocks of `factor` x `factor` from its upper left corner on, each averaged and rounded; the last of a row
/// or column may be smaller.
fn averaged(pixels: &Pixels, area: Area, factor: usize) -> Pixels {
    match factor {
        2 => averaged_by(pixels, area, 2),
        3 => averaged_by(pixels, area, 3),
        4 => averaged_by(pixels, area, 4),
        5 => averaged_by(pixels, area, 5),
        WIDEST => averaged_by(pixels, area, WIDEST),
        _ => {
            let blocks = averaged_by(pixels, area, WIDEST);
            let whole = Area { left: 0, top: 0, width: blocks.width(), height: blocks.height() };
            averaged(&blocks, whole, factor / WIDEST)
        }
    }
}

#[inline(always)]
fn averaged_by(pixels: &Pixels, area: Area, factor: usize) -> Pixels {
    let mut out = Pixels::black(area.width.div_ceil(factor), area.height.div_ceil(factor));
    let mut sums = vec![0_u16; 3 * area.width];
    let whole = 3 * factor * (area.width / factor);
    let row_length = 3 * out.width();
    for (y, row) in out.data_mut().chunks_exact_mut(row_length).enumerate() {
        let lines = factor.min(area.height - y * factor);
        let source = |line: usize| &pixels.row(area.top + y * factor + line)[3 * area.left..];
        sums.iter_mut().zip(source(0)).for_each(|(sum, &value)| *sum = u16::from(value));
        for line in 1..lines {
            sums.iter_mut().zip(source(line)).for_each(|(sum, &value)| *sum += u16::from(value));
        }
        let (blocks, rest) = sums.split_at(whole);
        let means = row.as_chunks_mut().0.iter_mut();
        let blocks = blocks.chunks_exact(3 * factor);
        if lines == factor {
            means.zip(blocks).for_each(|(rgb, block)| *rgb = mean(block, factor * factor));
        } else {
            means.zip(blocks).for_each(|(rgb, block)| *rgb = mean(block, factor * lines));
        }
        if let (false, Some(last)) = (rest.is_empty(), row.as_chunks_mut().0.last_mut()) {
            *last = mean(rest, rest.len() / 3 * lines);
        }
    }
    out
}

/// The mean colour of a block of `pixels` pixels, from the sums of its columns.
#[inline(always)]
fn mean(columns: &[u16], pixels: usize) -> [u8; 3] {
    let pixels = pixels as u32;
    let half = [pixels / 2; 3];
    let sum = columns
        .as_chunks::<3>()
        .0
        .iter()
        .fold(half, |sum, column| [0, 1, 2].map(|channel: usize| sum[channel] + u32::from(column[channel])));
    sum.map(|sum| (sum / pixels) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(left: f32, top: f32, width: f32, height: f32) -> Extent {
        Extent { left, top, width, height }
    }

    /// A picture whose three channels differ at every pixel.
    fn motley(width: usize, height: usize) -> Pixels {
        let data = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
        Pixels::new(width, height, data).expect("sizes fit")
    }

    fn sample(pixels: &Pixels, crop: Extent, side: usize) -> Vec<f32> {
        let mut out = Vec::new();
        Surroundings::cut(pixels, Orientation::UPRIGHT, &[crop], crop.width.min(crop.height) / side as f32)
            .sample(crop, side, &mut out);
        out
    }

    #[test]
    fn whole_blocks_are_averaged() {
        // Red is 0 1 2 3 over 4 5 6 7, blue 100 more: two columns make one, rows stay.
        let data = (0..8_u8).flat_map(|v| [v, 0, 100 + v]).collect();
        let pixels = Pixels::new(4, 2, data).expect("sizes fit");
        let seen = sample(&pixels, extent(0.0, 0.0, 4.0, 2.0), 2);
        assert_eq!(seen[8..], [0.5, 2.5, 4.5, 6.5]);
        assert_eq!(seen[..4], [100.5, 102.5, 104.5, 106.5]);
    }

    #[test]
    fn the_last_blocks_are_means_of_what_there_is_of_them() {
        // Columns 1 to 4 of 5, rows 0 to 3 of 4: blocks of three columns and one, three rows and one.
        let value = |x: u8, y: u8| [2 * x, 2 * y, x + y];
        let data = (0..4).flat_map(|y| (0..5).flat_map(move |x| value(x, y))).collect();
        let pixels = Pixels::new(5, 4, data).expect("sizes fit");
        let seen = averaged(&pixels, Area { left: 1, top: 0, width: 4, height: 4 }, 3);
        assert_eq!((seen.width(), seen.height()), (2, 2));
        assert_eq!(seen.data(), [4, 2, 3, 8, 2, 5, 4, 6, 5, 8, 6, 7]);
    }

    #[test]
    fn parts_of_pixels_count_by_their_part() {
        let data = [0_u8, 90, 180].iter().flat_map(|&v| [v, v, v]).collect::<Vec<_>>().repeat(3);
        let pixels = Pixels::new(3, 3, data).expect("sizes fit");
        // One value over 1.5 pixels from 0.5: half of the first, all of the second.
        let seen = sample(&pixels, extent(0.5, 0.0, 1.5, 3.0), 1);
        assert!((seen[0] - 60.0).abs() < 1e-4, "{seen:?}");
    }

    #[test]
    fn a_turned_picture_gives_the_same_crop() {
        let seen = motley(90, 70);
        for (crop, side) in [(extent(3.2, 5.0, 61.0, 47.5), 80), (extent(0.0, 0.5, 88.0, 68.0), 10)] {
            let expected = sample(&seen, crop, side);
            for number in 2..=8 {
                let upright = Orientation::from_exif(number);
                let stored = upright.inverse().apply(seen.clone());
                let mut out = Vec::new();
                Surroundings::cut(&stored, upright, &[crop], crop.width.min(crop.height) / side as f32)
                    .sample(crop, side, &mut out);
                assert_eq!(out, expected, "orientation {number}");
            }
        }
    }

    #[test]
    fn reducing_by_whole_factors_first_changes_next_to_nothing() {
        let pixels = motley(640, 480);
        let crop = extent(11.3, 7.7, 600.5, 450.25);
        let once = sample(&pixels, crop, 40);
        let mut directly = Vec::new();
        Surroundings::cut(&pixels, Orientation::UPRIGHT, &[crop], 1.0).sample(crop, 40, &mut directly);
        let worst = once.iter().zip(&directly).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 6.0, "{worst}");
        let mean = once.iter().zip(&directly).map(|(a, b)| (a - b).abs()).sum::<f32>() / once.len() as f32;
        assert!(mean < 1.5, "{mean}");
        // In blocks of 2 and then of 2 it is what it is in blocks of 4, but for one more rounding.
        let finest = crop.height / 40.0;
        let mut twice = Vec::new();
        let cut = Surroundings::cut(&pixels, Orientation::UPRIGHT, &[crop], finest / 2.0);
        let coarser = cut.coarser(finest).expect("larger blocks");
        assert!(cut.reduction == 2.0 && coarser.reduction == 4.0 && coarser.coarser(finest).is_none());
        coarser.sample(crop, 40, &mut twice);
        let mut four = Vec::new();
        Surroundings::cut(&pixels, Orientation::UPRIGHT, &[crop], 8.0).sample(crop, 40, &mut four);
        let worst = twice.iter().zip(&four).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2.0, "{worst}");
    }

    #[test]
    fn the_smallest_pictures_and_crops_give_all_values() {
        for (width, height) in [(1, 1), (1, 9), (7, 2)] {
            let pixels = motley(width, height);
            let whole = extent(0.0, 0.0, width as f32, height as f32);
            for crop in [whole, extent(0.0, 0.0, 1e-3, 1e-3), extent(width as f32, height as f32, 0.0, 0.0)] {
                let seen = sample(&pixels, crop, 80);
                assert!(seen.len() == 3 * 80 * 80 && seen.iter().all(|v| (0.0..=255.01).contains(v)));
            }
        }
    }
}
