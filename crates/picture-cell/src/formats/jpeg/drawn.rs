//! Sequential pictures in luminance and two chrominances, as nearly every camera writes them: drawn while their blocks are
//! counted, so that their codes are read once, and a strip of the picture at a time. The arithmetic is libjpeg-turbo's, most of
//! it the crate's own; whatever is unusual is left to that.

use libjpeg_turbo_rs::common::quant_table::QuantTable;
use libjpeg_turbo_rs::simd::{self, SimdRoutines};

use super::bits::{Bits, ENDS};
use super::blocks::{Stop, intervals};
use super::markers::{Frame, Layout, Scan};
use super::values::Values;

/// A picture that is drawn here.
pub(super) struct Drawn<'l, 'b> {
    frame: &'l Frame,
    scan: &'l Scan<'b>,
    /// Pixels that a sample of chrominance stands for.
    across: usize,
    down: usize,
    /// Of each component, in natural order.
    steps: [[u16; 64]; 3],
}

impl<'l, 'b> Drawn<'l, 'b> {
    /// `None` for a picture of another kind.
    pub(super) fn new(layout: &'l Layout<'b>) -> Option<Self> {
        let (frame, [scan]) = (&layout.frame, &layout.scans[..]) else { return None };
        let ([luma, blue, red], [a, b, c]) = (&frame.components[..], &scan.components[..]) else { return None };
        let (across, down) = (luma.across as usize, luma.down as usize);
        let usual = matches!((across, down), (1, 1) | (2, 1) | (2, 2))
            && [blue, red].iter().all(|chroma| (chroma.across, chroma.down) == (1, 1))
            && [a, b, c].map(|coded| coded.component) == [0, 1, 2]
            // Narrower ones have a filter of their own.
            && (across == 1 || frame.width > 4);
        if frame.progressive || frame.arithmetic || !usual {
            return None;
        }
        let natural = |zigzag| QuantTable::from_zigzag(&zigzag).values;
        let steps = [natural(a.steps()?), natural(b.steps()?), natural(c.steps()?)];
        Some(Self { frame, scan, across, down, steps })
    }

    /// Draws all of it into `canvas` as interleaved RGB, unless it did not come whole.
    pub(super) fn draw(&self, canvas: &mut [u8]) -> Result<(), Stop> {
        let mut tables: Vec<Values> = Vec::new();
        let mut table_of = [0; 3];
        for (index, coded) in self.scan.components.iter().enumerate() {
            let own = coded.dc.zip(coded.ac).ok_or_else(Stop::damaged_table)?;
            let before = &self.scan.components[..index];
            table_of[index] = match before.iter().position(|earlier| earlier.dc.zip(earlier.ac) == Some(own)) {
                Some(earlier) => table_of[earlier],
                None => {
                    tables.push(Values::new(own.0, own.1).ok_or_else(Stop::damaged_table)?);
                    tables.len() - 1
                }
            };
        }
        let tables = table_of.map(|table| &tables[table]);
        let mut strip = Strip::new(self, canvas);
        intervals(self.scan, self.frame.units(), &mut Bits::default(), |bits, units| {
            let mut dc = [0; 3];
            for unit in units {
                self.unit(&tables, bits, &mut dc, &mut strip).map_err(|reason| (unit, reason))?;
                strip.next_unit();
            }
            Ok(())
        })
    }

    /// Reads and transforms the blocks of one unit.
    #[inline]
    fn unit(
        &self,
        tables: &[&Values; 3],
        bits: &mut Bits,
        dc: &mut [i16; 3],
        strip: &mut Strip<'_>,
    ) -> Result<(), &'static str> {
        for component in 0..3 {
            let (across, down) = if component == 0 { (self.across, self.down) } else { (1, 1) };
            for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
                let mut block = [0; 64];
                bits.at = tables[component].block(&bits.bytes, bits.at, &mut dc[component], &mut block)?;
                if bits.ran_out() {
                    return Err(ENDS);
                }
                strip.put(component, (strip.unit * across + x, y), &block, &self.steps[component]);
            }
        }
        Ok(())
    }
}

/// A row of units, and where its pixels go.
struct Strip<'c> {
    routines: SimdRoutines,
    canvas: &'c mut [u8],
    width: usize,
    height: usize,
    across: usize,
    down: usize,
    /// Units in a row, and rows.
    units: (usize, usize),
    /// Where the next unit lies.
    unit: usize,
    row: usize,
    /// Where chrominance is halved from top to bottom, one row of the strip before comes first: its pixels mix with the
    /// next ones.
    kept: usize,
    planes: [Plane; 3],
    /// Sums of two rows, and rows of chrominance as wide as the picture.
    sums: Vec<u16>,
    wide: [Vec<u8>; 2],
}

/// Samples of a component.
struct Plane {
    samples: Vec<u8>,
    stride: usize,
}

impl Plane {
    fn row(&self, row: usize) -> &[u8] {
        &self.samples[row * self.stride..][..self.stride]
    }
}

impl<'c> Strip<'c> {
    fn new(drawn: &Drawn<'_, '_>, canvas: &'c mut [u8]) -> Self {
        let &Drawn { frame, across, down, .. } = drawn;
        let (units, rows) = frame.units();
        let units = (units as usize, rows as usize);
        let kept = down - 1;
        let plane = |across: usize, down: usize| {
            let stride = units.0 * 8 * across;
            Plane { samples: vec![0; stride * (8 * down + kept)], stride }
        };
        let (width, height) = (frame.width as usize, frame.height as usize);
        let narrow = width.div_ceil(across);
        Self {
            routines: simd::detect(),
            canvas,
            width,
            height,
            across,
            down,
            units,
            unit: 0,
            row: 0,
            kept,
            planes: [plane(across, down), plane(1, 1), plane(1, 1)],
            sums: vec![0; narrow],
            wide: [vec![0; 2 * narrow], vec![0; 2 * narrow]],
        }
    }

    /// Transforms a block of `component` and lays it down `x` blocks from the left and `y` from the strip's top.
    #[inline]
    fn put(&mut self, component: usize, (x, y): (usize, usize), block: &[i16; 64], steps: &[u16; 64]) {
        let mut samples = [0; 64];
        (self.routines.idct_islow)(block, steps, &mut samples);
        let Plane { samples: plane, stride } = &mut self.planes[component];
        let first = (self.kept + y * 8) * *stride + x * 8;
        for (row, samples) in plane[first..].chunks_mut(*stride).zip(samples.as_chunks::<8>().0) {
            row[..8].copy_from_slice(samples);
        }
    }

    fn next_unit(&mut self) {
        self.unit += 1;
        if self.unit == self.units.0 {
            self.draw();
            self.unit = 0;
            self.row += 1;
        }
    }

    /// Draws the rows of the strip whose neighbours have come.
    fn draw(&mut self) {
        let Self { width, height, down, kept, .. } = *self;
        let begin = self.row * 8 * down;
        let end = if self.row + 1 == self.units.1 { height } else { begin + 8 * down - kept };
        let last = height.div_ceil(down) - 1;
        let narrow = width.div_ceil(self.across);
        for y in begin.saturating_sub(kept)..end {
            let near = y / down;
            let far = if y % 2 == 0 { near.saturating_sub(1) } else { last.min(near + 1) };
            let place = |row| row + kept - begin / down;
            let [blue, red] = [1, 2].map(|component| {
                let plane = &self.planes[component];
                (&plane.row(place(near))[..narrow], if kept > 0 { &plane.row(place(far))[..narrow] } else { &[][..] })
            });
            for ((near, far), wide) in [blue, red].into_iter().zip(&mut self.wide) {
                match (self.across, down) {
                    (1, _) => wide[..narrow].copy_from_slice(near),
                    (_, 1) => self.routines.fancy_upsample_h2v1(near, narrow, wide),
                    _ => widen(near, far, &mut self.sums, wide),
                }
            }
            let luma = self.planes[0].row(y + kept - begin);
            let pixels = &mut self.canvas[y * width * 3..][..width * 3];
            let [blue, red] = &self.wide;
            self.routines.ycbcr_to_rgb_row(luma, blue, red, pixels, width);
        }
        if kept > 0 {
            for Plane { samples, stride } in &mut self.planes {
                let last = samples.len() - *stride;
                samples.copy_within(last.., 0);
            }
        }
    }
}

/// A row of samples as wide and near as pixels: each mixed with its neighbour on the pixel's side, 3 to 1, and so are `near` and
/// the row `far` beyond it; rounded by turns, as libjpeg does. They hold three samples or more.
fn widen(near: &[u8], far: &[u8], sums: &mut [u16], wide: &mut [u8]) {
    for ((sum, &near), &far) in sums.iter_mut().zip(near).zip(far) {
        *sum = 3 * u16::from(near) + u16::from(far);
    }
    let (wide, last) = (wide.as_chunks_mut::<2>().0, sums.len() - 1);
    wide[0] = [(sums[0] * 4 + 8) >> 4, (sums[0] * 3 + sums[1] + 7) >> 4].map(|value| value as u8);
    wide[last] = [(sums[last] * 3 + sums[last - 1] + 8) >> 4, (sums[last] * 4 + 7) >> 4].map(|value| value as u8);
    for (((wide, &before), &own), &after) in wide[1..last].iter_mut().zip(&*sums).zip(&sums[1..]).zip(&sums[2..]) {
        let (left, right) = ((own * 3 + before + 8) >> 4, (own * 3 + after + 7) >> 4);
        *wide = (left | right << 8).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use libjpeg_turbo_rs::{Decoder, Encoder, PixelFormat, Subsampling};

    use super::super::{blocks, markers};
    use super::*;

    /// Every numeric choice of the tests below.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, faces: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % faces
        }
    }

    fn encoded(dice: &mut Dice, (width, height): (usize, usize), sampling: Subsampling) -> Vec<u8> {
        let (contrast, tilt) = (1 + dice.roll(256), dice.roll(9));
        let pixels: Vec<u8> =
            (0..width * height * 3).map(|place| (place * tilt / 7 + dice.roll(contrast)) as u8).collect();
        let encoder = Encoder::new(&pixels, width, height, PixelFormat::Rgb).subsampling(sampling);
        let encoder = encoder.quality([1, 30, 60, 90, 100][dice.roll(5)]).force_baseline(dice.roll(2) == 0);
        let encoder = encoder.optimize_huffman(dice.roll(2) == 0);
        let restarts = [0, 0, 1, 2, 5, 9][dice.roll(6)];
        encoder.restart_blocks(restarts).encode().expect("encodes")
    }

    /// What is drawn of `file`; `None` where it is not drawn here.
    fn drawn(file: &[u8]) -> Option<Result<Vec<u8>, String>> {
        let layout = markers::layout(file, 9).ok()?;
        let mut canvas = vec![77; layout.frame.width as usize * layout.frame.height as usize * 3];
        let ended = Drawn::new(&layout)?.draw(&mut canvas).map_err(|stop| stop.told(""));
        Some(ended.map(|()| canvas))
    }

    fn by_libjpeg(file: &[u8]) -> Option<Vec<u8>> {
        let mut decoder = Decoder::new(file).ok()?;
        decoder.set_output_format(PixelFormat::Rgb);
        Some(decoder.decode_image().ok()?.data)
    }

    const SAMPLINGS: [Subsampling; 3] = [Subsampling::S444, Subsampling::S422, Subsampling::S420];

    #[test]
    fn every_pixel_is_the_one_of_libjpeg_turbo() {
        let mut dice = Dice(1);
        for sampling in SAMPLINGS {
            for size in (1..=36).flat_map(|width| [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 50].map(|height| (width, height)))
            {
                let file = encoded(&mut dice, size, sampling);
                match drawn(&file) {
                    Some(pixels) => {
                        assert!(pixels.as_ref() == Ok(&by_libjpeg(&file).expect("whole")), "{sampling:?} {size:?}")
                    }
                    None => assert!(size.0 <= 4 && sampling != Subsampling::S444, "{sampling:?} {size:?} is not drawn"),
                }
            }
        }
    }

    #[test]
    fn what_is_damaged_is_told_as_the_count_tells_it() {
        let mut dice = Dice(2);
        let (mut whole, mut refused) = (0, 0);
        for round in 0..3_000 {
            let mut file = encoded(&mut dice, (40, 50), SAMPLINGS[round % 3]);
            // After the headers, whose damages are another matter.
            let header =
                markers::layout(&file, 9).map(|layout| file.len() - layout.scans[0].data.len()).expect("whole");
            let place = header + dice.roll(file.len() - header);
            match dice.roll(4) {
                0 => file.truncate(place),
                1 => file[place] ^= 1 << dice.roll(8),
                2 => drop(file.drain(place..file.len().min(place + 1 + dice.roll(40)))),
                _ => file.extend_from_within(place..),
            }
            let Ok(layout) = markers::layout(&file, 9) else { continue };
            let (Some(drawn), counted) = (drawn(&file), blocks::all_came(&layout)) else { continue };
            assert_eq!(drawn.as_ref().err(), counted.as_ref().err());
            match drawn {
                Ok(pixels) => {
                    whole += 1;
                    if let Some(expected) = by_libjpeg(&[&file[..], b"\xff\xd9"].concat()) {
                        assert!(pixels == expected, "round {round}");
                    }
                }
                Err(_) => refused += 1,
            }
        }
        assert!(whole > 300 && refused > 1_000, "{whole} and {refused} are too few to mean anything");
    }

    #[test]
    fn scan_headers_of_another_length_or_without_their_tables_are_refused() {
        let mut dice = Dice(3);
        let whole = encoded(&mut dice, (40, 50), Subsampling::S420);
        assert!(drawn(&whole).is_some_and(|pixels| pixels.is_ok()));
        let scan = whole.windows(2).position(|marker| marker == b"\xff\xda").expect("a scan");
        let changed = |place: usize, value: u8| {
            let mut file = whole.clone();
            file[scan + place] = value;
            file
        };
        // What libjpeg calls a bogus marker length; then tables that never came.
        let longer = changed(3, 40);
        assert!(drawn(&longer).is_none());
        let (dc, ac) = (changed(6, 0x30), changed(6, 0x03));
        for file in [dc, ac] {
            assert!(by_libjpeg(&file).is_none());
            assert!(drawn(&file).is_some_and(|pixels| pixels.is_err_and(|message| message.contains("missing"))));
        }
    }
}
