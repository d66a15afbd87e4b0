//! Pixel buffers and the eight ways in which a picture can lie.
//!
//! Coordinates are continuous: a picture of width `w` spans 0 to `w`, and the centre of its first pixel is 0.5.

#[cfg(target_os = "linux")]
use std::fmt::Debug;
use std::ops::{Deref, DerefMut};

/// Interleaved 8-bit RGB, rows from the top, no padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    width: usize,
    height: usize,
    data: Samples,
}

impl Pixels {
    /// Wraps `data`, which must hold `width * height * 3` bytes; `None` when it does not or when a side is zero.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Option<Self> {
        let wanted = width.checked_mul(height)?.checked_mul(3)?;
        (wanted > 0 && data.len() == wanted).then_some(Self { width, height, data: Samples::Own(data) })
    }

    /// A black picture. Both sides must be positive.
    pub fn black(width: usize, height: usize) -> Self {
        Self { width, height, data: Samples::Own(vec![0; width * height * 3]) }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The samples, `height * width * 3` bytes.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Pixels in somebody else's memory, which holds `width * height * 3` bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn lent(width: usize, height: usize, lease: impl Lease + 'static) -> Option<Self> {
        let wanted = width.checked_mul(height)?.checked_mul(3)?;
        (wanted > 0 && lease.len() == wanted).then_some(Self { width, height, data: Samples::Lent(Box::new(lease)) })
    }

    /// The memory of the samples, for another picture. What belongs to a cell goes back to it.
    pub(crate) fn into_memory(self) -> Option<Vec<u8>> {
        match self.data {
            Samples::Own(data) => Some(data),
            #[cfg(target_os = "linux")]
            Samples::Lent(_) => None,
        }
    }

    /// The samples, to be changed.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// One pixel. Panics outside the picture.
    pub fn at(&self, x: usize, y: usize) -> [u8; 3] {
        let start = (y * self.width + x) * 3;
        [self.data[start], self.data[start + 1], self.data[start + 2]]
    }

    /// One row of samples.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.width * 3..][..self.width * 3]
    }

    /// These pixels as `orientation` shows them.
    pub fn upright(&self, orientation: Orientation) -> Upright<'_> {
        let back = orientation.inverse().matrix;
        let first = |row: [i8; 2], length: usize| if row[0] + row[1] < 0 { length - 1 } else { 0 };
        let step = |axis: usize| (isize::from(back[1][axis]) * self.width as isize + isize::from(back[0][axis])) * 3;
        let origin = (first(back[1], self.height) * self.width + first(back[0], self.width)) * 3;
        Upright { data: &self.data, origin: origin as isize, right: step(0), down: step(1) }
    }

    /// Copies a rectangle that lies inside the picture.
    pub fn crop(&self, area: Area) -> Self {
        let mut data = Vec::with_capacity(area.width * area.height * 3);
        for y in area.top..area.top + area.height {
            data.extend_from_slice(&self.row(y)[area.left * 3..(area.left + area.width) * 3]);
        }
        Self { width: area.width, height: area.height, data: Samples::Own(data) }
    }
}

/// Memory that is lent until it is dropped.
#[cfg(target_os = "linux")]
pub(crate) trait Lease: DerefMut<Target = [u8]> + Debug + Send + Sync {}

/// Whose memory the samples are in.
#[derive(Debug)]
enum Samples {
    Own(Vec<u8>),
    /// A cell's, which decodes nothing else until they are dropped.
    #[cfg(target_os = "linux")]
    Lent(Box<dyn Lease>),
}

impl Deref for Samples {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(data) => data,
            #[cfg(target_os = "linux")]
            Self::Lent(lease) => lease,
        }
    }
}

impl DerefMut for Samples {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Own(data) => data,
            #[cfg(target_os = "linux")]
            Self::Lent(lease) => lease,
        }
    }
}

impl Clone for Samples {
    fn clone(&self) -> Self {
        Self::Own(self.to_vec())
    }
}

impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Samples {}

/// Stored pixels, read in the order in which they are seen.
#[derive(Debug, Clone, Copy)]
pub struct Upright<'p> {
    data: &'p [u8],
    /// Where the first pixel lies, and how far it is to the next one to the right and below.
    origin: isize,
    right: isize,
    down: isize,
}

impl Upright<'_> {
    /// One pixel in upright coordinates. Panics (or gives another pixel) outside the picture.
    pub fn at(&self, x: usize, y: usize) -> [u8; 3] {
        let start = (self.origin + x as isize * self.right + y as isize * self.down) as usize;
        [self.data[start], self.data[start + 1], self.data[start + 2]]
    }
}

/// A rectangle of whole pixels inside a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

/// One of the eight right-angled turns and mirrorings: `turned = matrix * stored + offset`, where the offset
/// follows from the picture's size so that the result starts at 0, 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orientation {
    matrix: [[i8; 2]; 2],
}

impl Orientation {
    /// Stored as it is seen.
    pub const UPRIGHT: Self = Self { matrix: [[1, 0], [0, 1]] };
    /// A quarter turn clockwise brings the stored picture upright.
    pub const QUARTER: Self = Self { matrix: [[0, -1], [1, 0]] };
    /// Half a turn brings it upright.
    pub const HALF: Self = Self { matrix: [[-1, 0], [0, -1]] };
    /// Three quarters of a turn clockwise bring it upright.
    pub const THREE_QUARTERS: Self = Self { matrix: [[0, 1], [-1, 0]] };

    /// The transform that an EXIF orientation (1 to 8) asks for; other numbers count as 1.
    pub fn from_exif(number: u8) -> Self {
        let matrix = match number {
            2 => [[-1, 0], [0, 1]],
            3 => [[-1, 0], [0, -1]],
            4 => [[1, 0], [0, -1]],
            5 => [[0, 1], [1, 0]],
            6 => [[0, -1], [1, 0]],
            7 => [[0, -1], [-1, 0]],
            8 => [[0, 1], [-1, 0]],
            _ => [[1, 0], [0, 1]],
        };
        Self { matrix }
    }

    /// This transform first, `next` after it.
    pub fn then(self, next: Self) -> Self {
        let (a, b) = (next.matrix, self.matrix);
        let cell = |row: usize, column: usize| a[row][0] * b[0][column] + a[row][1] * b[1][column];
        Self { matrix: [[cell(0, 0), cell(0, 1)], [cell(1, 0), cell(1, 1)]] }
    }

    /// The transform that undoes this one.
    pub fn inverse(self) -> Self {
        let m = self.matrix;
        Self { matrix: [[m[0][0], m[1][0]], [m[0][1], m[1][1]]] }
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        self.matrix[0][0] == 0
    }

    /// Size after the transform of a picture of `size` (width, height).
    pub fn size<T: Copy>(self, size: (T, T)) -> (T, T) {
        if self.swaps_sides() { (size.1, size.0) } else { size }
    }

    /// Moves a point of a picture of `size` (width, height, before the transform).
    pub fn point(self, point: [f32; 2], size: (f32, f32)) -> [f32; 2] {
        let row = |r: [i8; 2]| {
            let offset = if r[0] < 0 { size.0 } else { 0.0 } + if r[1] < 0 { size.1 } else { 0.0 };
            f32::from(r[0]) * point[0] + f32::from(r[1]) * point[1] + offset
        };
        [row(self.matrix[0]), row(self.matrix[1])]
    }

    /// Moves a rectangle of whole pixels of a picture of `size` (width, height, before the transform).
    pub fn area(self, area: Area, size: (usize, usize)) -> Area {
        let row = |r: [i8; 2]| match (r[0], r[1]) {
            (1, _) => (area.left, area.width),
            (-1, _) => (size.0 - area.left - area.width, area.width),
            (_, 1) => (area.top, area.height),
            _ => (size.1 - area.top - area.height, area.height),
        };
        let (left, width) = row(self.matrix[0]);
        let (top, height) = row(self.matrix[1]);
        Area { left, top, width, height }
    }

    /// Turns the pixels themselves.
    pub fn apply(self, pixels: Pixels) -> Pixels {
        if self == Self::UPRIGHT {
            return pixels;
        }
        let (width, height) = self.size((pixels.width, pixels.height));
        let mut data = Vec::with_capacity(pixels.data.len());
        let upright = pixels.upright(self);
        for y in 0..height {
            for x in 0..width {
                data.extend_from_slice(&upright.at(x, y));
            }
        }
        Pixels { width, height, data: Samples::Own(data) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 by 2: a b c over d e f.
    fn letters() -> Pixels {
        let data = b"abcdef".iter().flat_map(|&v| [v, v, v]).collect();
        Pixels::new(3, 2, data).expect("six pixels")
    }

    fn text(pixels: &Pixels) -> Vec<String> {
        (0..pixels.height()).map(|y| pixels.row(y).chunks(3).map(|p| p[0] as char).collect()).collect()
    }

    #[test]
    fn turns_pictures_as_the_exif_standard_says() {
        // EXIF 2.32, tag 0x0112: which side of the stored picture is the visual top and left.
        let expected: [&[&str]; 8] = [
            &["abc", "def"],
            &["cba", "fed"],
            &["fed", "cba"],
            &["def", "abc"],
            &["ad", "be", "cf"],
            &["da", "eb", "fc"],
            &["fc", "eb", "da"],
            &["cf", "be", "ad"],
        ];
        for (number, rows) in (1..=8).zip(expected) {
            assert_eq!(text(&Orientation::from_exif(number).apply(letters())), rows, "orientation {number}");
        }
    }

    #[test]
    fn every_orientation_is_undone_by_its_inverse() {
        for number in 1..=8 {
            let there = Orientation::from_exif(number);
            assert_eq!(there.then(there.inverse()), Orientation::UPRIGHT);
            assert_eq!(there.inverse().apply(there.apply(letters())), letters());
        }
    }

    #[test]
    fn points_and_areas_move_with_their_pixels() {
        for number in 1..=8 {
            let turn = Orientation::from_exif(number);
            let turned = turn.apply(letters());
            for (x, y) in [(0, 0), (2, 0), (1, 1), (2, 1)] {
                let p = turn.point([x as f32 + 0.5, y as f32 + 0.5], (3.0, 2.0));
                assert_eq!(turned.at(p[0] as usize, p[1] as usize), letters().at(x, y));
                let a = turn.area(Area { left: x, top: y, width: 1, height: 1 }, (3, 2));
                assert_eq!(turned.at(a.left, a.top), letters().at(x, y));
            }
        }
    }

    #[test]
    fn quarter_turns_add_up() {
        let twice = Orientation::QUARTER.then(Orientation::QUARTER);
        assert_eq!(twice, Orientation::HALF);
        assert_eq!(twice.then(Orientation::QUARTER), Orientation::THREE_QUARTERS);
    }
}
