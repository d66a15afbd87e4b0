//! Light and colour of a coded picture in planes of up to 16 bits, drawn as RGB.

use re_rav1d::dav1d::{Picture, PixelLayout, PlanarImageComponent};

/// What the numbers of a pixel mean (ITU-T H.273), from the container; `None` leaves it to the coded picture.
pub(super) struct Colour {
    /// Matrix coefficients and whether the range is full.
    pub(super) named: Option<(u8, bool)>,
}

/// The planes of one coded picture.
pub(super) struct Planes {
    width: usize,
    height: usize,
    /// The largest sample.
    largest: f32,
    light: Plane,
    /// Blue and red differences; `None` in a grey picture.
    colours: Option<[Plane; 2]>,
    matrix: u8,
    full_range: bool,
}

struct Plane {
    samples: Vec<u16>,
    width: usize,
    height: usize,
    /// Pixels that one sample stands for, across and down.
    across: usize,
    down: usize,
}

impl Planes {
    /// `None` when a plane is shorter than the picture's size says.
    pub(super) fn of(picture: &Picture) -> Option<Self> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let (across, down) = match picture.pixel_layout() {
            PixelLayout::I400 | PixelLayout::I444 => (1, 1),
            PixelLayout::I420 => (2, 2),
            PixelLayout::I422 => (2, 1),
        };
        let plane = |component: PlanarImageComponent, across, down| {
            let bytes = picture.plane(component);
            let (width, height) = (width.div_ceil(across), height.div_ceil(down));
            let stride = picture.stride(component) as usize;
            let mut samples = Vec::with_capacity(width * height);
            for y in 0..height {
                let row = bytes.get(y * stride..)?;
                if picture.bit_depth() == 8 {
                    samples.extend(row.get(..width)?.iter().map(|&byte| u16::from(byte)));
                } else {
                    let pairs = row.get(..width * 2)?.as_chunks().0;
                    samples.extend(pairs.iter().map(|&pair| u16::from_ne_bytes(pair)));
                }
            }
            Some(Plane { samples, width, height, across, down })
        };
        let light = plane(PlanarImageComponent::Y, 1, 1)?;
        let colours = if picture.pixel_layout() == PixelLayout::I400 {
            None
        } else {
            Some([plane(PlanarImageComponent::U, across, down)?, plane(PlanarImageComponent::V, across, down)?])
        };
        let bits = picture.bits_per_component()?.0;
        Some(Self {
            width,
            height,
            largest: ((1_u32 << bits) - 1) as f32,
            light,
            colours,
            matrix: picture.matrix_coefficients() as u8,
            full_range: picture.color_range() as u8 == FULL,
        })
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    /// Draws the pixels that lie in the picture, whose first one is at `place` in a canvas of `width`.
    /// The number of a matrix that is not read is an error.
    pub(super) fn draw(&self, place: (usize, usize), width: u32, canvas: &mut [u8], colour: &Colour) -> Result<(), u8> {
        let (matrix, full) = match colour.named {
            Some((UNSPECIFIED, full)) => (self.matrix, full),
            Some(named) => named,
            None => (self.matrix, self.full_range),
        };
        if !matches!(matrix, 0..=2 | 4..=7 | 9 | 10) {
            return Err(matrix);
        }
        let range = Range::new(full, self.largest);
        self.over(place, width, canvas, |x, y, seen| {
            let light = self.light.at(x, y);
            *seen = match &self.colours {
                None => [range.light(light); 3],
                Some([blue, red]) => range.rgb(matrix, light, blue.at(x, y), red.at(x, y)),
            }
            .map(|value| (value * 255.0).round() as u8);
        });
        Ok(())
    }

    /// Lets white through where the samples, how much of a pixel is seen, are low.
    pub(super) fn fade(&self, place: (usize, usize), width: u32, canvas: &mut [u8], premultiplied: bool) {
        let range = Range::new(self.full_range, self.largest);
        self.over(place, width, canvas, |x, y, seen| {
            let alpha = range.light(self.light.at(x, y)).clamp(0.0, 1.0);
            let share = if premultiplied { 1.0 } else { alpha };
            *seen = seen.map(|value| (f32::from(value) * share + 255.0 * (1.0 - alpha)).round() as u8);
        });
    }

    fn over(
        &self,
        place: (usize, usize),
        width: u32,
        canvas: &mut [u8],
        mut pixel: impl FnMut(usize, usize, &mut [u8; 3]),
    ) {
        let rows = canvas.chunks_exact_mut(width as usize * 3).skip(place.1).take(self.height);
        for (y, row) in rows.enumerate() {
            for (x, seen) in row.as_chunks_mut().0.iter_mut().skip(place.0).take(self.width).enumerate() {
                pixel(x, y, seen);
            }
        }
    }
}

/// `Full` of `av_data`'s range, which the decoder does not export.
const FULL: u8 = 1;
const UNSPECIFIED: u8 = 2;

impl Plane {
    /// The value at a pixel: between samples where a side is halved.
    fn at(&self, x: usize, y: usize) -> f32 {
        let near = |pixel: usize, factor: usize, length: usize| {
            let own = (pixel / factor).min(length - 1);
            match (factor, pixel % 2) {
                (1, _) => (own, own),
                (_, 0) => (own, own.saturating_sub(1)),
                _ => (own, (own + 1).min(length - 1)),
            }
        };
        let sample = |column: usize, row: usize| u32::from(self.samples[row * self.width + column]);
        if self.across == 1 && self.down == 1 {
            return sample(x, y) as f32;
        }
        let (columns, rows) = (near(x, self.across, self.width), near(y, self.down, self.height));
        let line = |row| 3 * sample(columns.0, row) + sample(columns.1, row);
        (3 * line(rows.0) + line(rows.1)) as f32 / 16.0
    }
}

/// How samples stand for light (0 to 1) and colour (-0.5 to 0.5).
struct Range {
    black: f32,
    light: f32,
    grey: f32,
    colour: f32,
}

impl Range {
    fn new(full: bool, largest: f32) -> Self {
        let (step, grey) = ((largest + 1.0) / 256.0, (largest + 1.0) / 2.0);
        if full {
            Self { black: 0.0, light: largest, grey, colour: largest }
        } else {
            Self { black: 16.0 * step, light: 219.0 * step, grey, colour: 224.0 * step }
        }
    }

    fn light(&self, sample: f32) -> f32 {
        (sample - self.black) / self.light
    }

    fn rgb(&self, matrix: u8, light: f32, blue: f32, red: f32) -> [f32; 3] {
        // ITU-T H.273, table 4: the weights of red and blue in light. Unspecified is read as BT.601, as libavif does.
        let (kr, kb) = match matrix {
            // The planes are green, blue and red themselves.
            0 => return [self.light(red), self.light(light), self.light(blue)],
            1 => (0.2126, 0.0722),
            4 => (0.30, 0.11),
            7 => (0.212, 0.087),
            9 | 10 => (0.2627, 0.0593),
            _ => (0.299, 0.114),
        };
        let (y, b, r) = (self.light(light), (blue - self.grey) / self.colour, (red - self.grey) / self.colour);
        let (red, blue) = (y + 2.0 * (1.0 - kr) * r, y + 2.0 * (1.0 - kb) * b);
        [red, (y - kr * red - kb * blue) / (1.0 - kr - kb), blue]
    }
}
