//! Face detection with YuNet 2023mar (OpenCV Zoo): five keypoints, strides 8, 16 and 32.

use serde::{Deserialize, Serialize};

use crate::alignment::resize;
use crate::inference::{InferenceError, Network};
use crate::report::Extent;
use picture_cell::Picture;
use picture_cell::{Area, Orientation, Pixels};

/// How faces are looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DetectionSettings {
    /// Detections below this score are no faces, 0 to 1.
    pub min_score: f32,
    /// From this score on a detection that is too weak to count is looked at once more, closely. Masks and hands lower
    /// the score of a face; things that merely look like one from afar seldom gain by a closer look.
    pub weak_score: f32,
    /// Longer side in pixels of what the detector sees first: fast, and best for faces that fill the picture.
    pub coarse_size: u32,
    /// Longer side in pixels, at most, of the second look, for small faces and when the first finds none.
    pub fine_size: u32,
    /// Width of the border round the picture in the first look, as a share of the picture's longer side. A face
    /// that leaves the picture is measured up to there.
    pub border: f32,
    /// Faces lower than this share of the picture's shorter side do not matter.
    pub min_face_share: f32,
    /// Look for faces that lie on their side or upside down when the upright picture has no confident one.
    pub try_rotations: bool,
    /// From this score on an upright face is certain enough not to look for turned ones.
    pub confident_score: f32,
}

impl Default for DetectionSettings {
    fn default() -> Self {
        Self {
            min_score: 0.6,
            weak_score: 0.4,
            coarse_size: 320,
            fine_size: 640,
            border: 0.15,
            min_face_share: 0.03,
            try_rotations: true,
            confident_score: CONFIDENT,
        }
    }
}

/// A face in upright picture coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// 0 to 1.
    pub score: f32,
    /// The whole face, which may reach beyond the picture.
    pub extent: Extent,
    /// Right eye, left eye, nose tip, right and left corner of the mouth (the person's right).
    pub keypoints: [[f32; 2]; 5],
}

/// What was found in a picture.
#[derive(Debug, Clone)]
pub struct Found {
    /// Brings the stored pixels into the position in which the heads are upright.
    pub upright: Orientation,
    /// Clockwise degrees from the position in which a person sees the picture to `upright`.
    pub rotation: u16,
    /// Faces, the largest first, in coordinates of the upright picture.
    pub faces: Vec<Detection>,
}

/// The fine look needs no wide border: it serves faces that are small in the picture.
const FINE_BORDER: f32 = 0.05;

/// A main face lower than this in the coarse look (in pixels of the network's input) asks for the fine look: others that
/// are just large enough to count would be too small to be found.
const COARSE_FACE: f32 = 64.0;

/// The fine look is as large as makes the main face of the coarse one this high, and at most `fine_size`.
const FINE_FACE: f32 = 96.0;

/// Beside a main face, what scores at least this much is looked at closely with the face this many pixels high: it may be
/// a face that is too small to be sure of.
const HINT_SCORE: f32 = 0.2;
const HINT_FACE: f32 = 96.0;

/// What is lower than this share of the main face would be one face too many by no profile.
const HINT_SHARE: f32 = 0.25;

/// In a crowd there is nothing left to find out.
const MOST_HINTS: usize = 4;

/// The second look at the main face sees this many times its longer side, and the face at most this many pixels
/// high: YuNet is surest on faces of up to about 300 pixels. 160 and 192 would save 3.0 and 2.1 ms, but move the box
/// further from that of the whole picture, and liveness with it.
const REFINED_SPAN: f32 = 2.0;
const REFINED_FACE: f32 = 256.0;

/// A weak detection is looked at with the face this high in pixels, until it counts: which size suits a covered face
/// is not known beforehand.
const WEAK_FACES: [f32; 2] = [256.0, 128.0];

/// YuNet also takes heads that lie on their side for upright ones, with a wrong box and scores of up to 0.89, while
/// upright heads mostly score above 0.9 (see docs/accuracy.md).
const CONFIDENT: f32 = 0.9;

/// By how much a turned picture must score better than the upright one: people hold their heads upright more often.
const TURN_GAIN: f32 = 0.03;

/// Small pictures are enlarged by at most this factor.
const MAX_ENLARGEMENT: f32 = 3.0;

/// Sides of the network's input are multiples of its largest stride.
const STRIDE: usize = 32;

/// Two boxes that overlap by more than this (intersection over union) are the same face; OpenCV's sample uses the
/// same value.
const SAME_FACE: f32 = 0.3;

/// The detector.
#[derive(Debug)]
pub(crate) struct Detector {
    network: Network,
    settings: DetectionSettings,
    input: Vec<f32>,
}

/// A part of the upright picture, reduced, on the grey canvas that the network sees.
struct Window {
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

impl Detector {
    pub(crate) fn new(network: Network, settings: DetectionSettings) -> Self {
        Self { network, settings, input: Vec::new() }
    }

    /// Finds faces, upright ones first; only a picture without a confident one is turned.
    pub(crate) fn detect(&mut self, picture: &Picture) -> Result<Found, InferenceError> {
        let upright = picture.orientation;
        let coarse = self.reduce(picture);
        let mut found = Found { upright, rotation: 0, faces: self.look(picture, &coarse, upright)? };
        let mut weak = self.take_weak(&mut found.faces);
        let fine = self.finer(picture, &coarse, found.faces.first());
        if let Some(fine) = &fine {
            let mut again = self.look(picture, fine, upright)?;
            weak.extend(self.take_weak(&mut again));
            if !again.is_empty() {
                found.faces = again;
            }
        }
        let weak = distinct(weak);
        match found.faces.first().copied() {
            Some(main) => self.follow_hints(picture, &mut found, main, weak)?,
            None => found.faces.extend(self.strengthen(picture, weak.first())?),
        }
        // The surer of both looks: a covered face often scores less in the closer one, and must not be turned for that.
        let first = best_score(&found.faces);
        self.refine(picture, &mut found)?;
        let score = first.max(best_score(&found.faces));
        if score < self.settings.confident_score && self.settings.try_rotations {
            for reduced in [Some(&coarse), fine.as_ref()].into_iter().flatten() {
                let mut turned = self.look_turned(picture, reduced)?;
                if best_score(&turned.faces) > score + TURN_GAIN {
                    self.refine(picture, &mut turned)?;
                    found = turned;
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The picture as the fine look sees it, when the coarse one found no face or a low one.
    fn finer(&self, picture: &Picture, coarse: &Reduced, main: Option<&Detection>) -> Option<Reduced> {
        let size = match main {
            None => self.settings.fine_size as f32,
            Some(face) => {
                let scale = coarse.pixels.width() as f32 / picture.pixels.width() as f32;
                let height = face.extent.height * scale;
                if height >= COARSE_FACE {
                    return None;
                }
                let long = picture.pixels.width().max(picture.pixels.height()) as f32 * (1.0 + 2.0 * FINE_BORDER);
                (long * FINE_FACE / face.extent.height).min(self.settings.fine_size as f32)
            }
        };
        Some(Reduced::new(picture, size as u32, FINE_BORDER))
    }

    /// Looks closely at what might be further faces, and adds those that are.
    fn follow_hints(
        &mut self,
        picture: &Picture,
        found: &mut Found,
        main: Detection,
        hints: Vec<Detection>,
    ) -> Result<(), InferenceError> {
        let lowest = HINT_SHARE * main.extent.height;
        // Not a face again, nor a part of one.
        let is_new = |faces: &[Detection], other: &Detection| {
            let apart = |face: &Detection| {
                overlap(&face.extent, &other.extent) <= SAME_FACE && !contains(&face.extent, center(&other.extent))
            };
            other.extent.height >= lowest && faces.iter().all(apart)
        };
        let hints: Vec<_> = hints.into_iter().filter(|hint| is_new(&found.faces, hint)).take(MOST_HINTS).collect();
        for hint in hints {
            let scale = (HINT_FACE / hint.longer_side()).min(MAX_ENLARGEMENT);
            let closer = self.look_closer(picture, found.upright, hint, scale)?;
            let counts = |face: &Detection| face.score >= self.settings.min_score && is_new(&found.faces, face);
            found.faces.extend(closer.filter(counts));
        }
        largest_first(&mut found.faces);
        Ok(())
    }

    /// Looks closely at the surest detection of a picture in which none counts.
    fn strengthen(&mut self, picture: &Picture, weak: Option<&Detection>) -> Result<Option<Detection>, InferenceError> {
        let Some(weak) = weak.filter(|weak| weak.score >= self.settings.weak_score) else { return Ok(None) };
        for height in WEAK_FACES {
            let scale = (height / weak.longer_side()).min(MAX_ENLARGEMENT);
            let closer = self.look_closer(picture, picture.orientation, *weak, scale)?;
            if let Some(face) = closer.filter(|face| face.score >= self.settings.min_score) {
                return Ok(Some(face));
            }
        }
        Ok(None)
    }

    /// The picture as the first look sees it.
    pub(crate) fn reduce(&self, picture: &Picture) -> Reduced {
        Reduced::new(picture, self.settings.coarse_size, self.settings.border)
    }

    /// Replaces the main face by what a closer look at it says.
    fn refine(&mut self, picture: &Picture, found: &mut Found) -> Result<(), InferenceError> {
        if let Some(main) = found.faces.first_mut() {
            let scale = (REFINED_FACE / main.longer_side()).min(1.0);
            *main = self.look_closer(picture, found.upright, *main, scale)?.unwrap_or(*main);
        }
        Ok(())
    }

    /// Looks for faces that lie on their side or upside down; the turn with the surest face wins.
    fn look_turned(&mut self, picture: &Picture, reduced: &Reduced) -> Result<Found, InferenceError> {
        let mut best = Found { upright: picture.orientation, rotation: 0, faces: Vec::new() };
        let turns = [(90, Orientation::QUARTER), (270, Orientation::THREE_QUARTERS), (180, Orientation::HALF)];
        for (rotation, turn) in turns {
            let upright = picture.orientation.then(turn);
            let mut faces = self.look(picture, reduced, upright)?;
            self.take_weak(&mut faces);
            if best_score(&faces) > best_score(&best.faces) {
                best = Found { upright, rotation, faces };
            }
        }
        Ok(best)
    }

    /// Takes the detections out that are too weak to count.
    fn take_weak(&self, faces: &mut Vec<Detection>) -> Vec<Detection> {
        let (counting, weak) = std::mem::take(faces).into_iter().partition(|f| f.score >= self.settings.min_score);
        *faces = counting;
        weak
    }

    /// One look at the whole picture: faces that matter, the weak ones too, the largest first, in coordinates of the
    /// upright picture.
    fn look(
        &mut self,
        picture: &Picture,
        reduced: &Reduced,
        upright: Orientation,
    ) -> Result<Vec<Detection>, InferenceError> {
        let (width, height) = upright.size((picture.pixels.width(), picture.pixels.height()));
        let pixels = upright.apply(reduced.pixels.clone());
        let side = |length: usize| (length + 2 * reduced.border).next_multiple_of(STRIDE);
        let window = Window {
            offset: [reduced.border; 2],
            canvas: [side(pixels.width()), side(pixels.height())],
            origin: [0.0; 2],
            scale: [width as f32 / pixels.width() as f32, height as f32 / pixels.height() as f32],
            pixels,
        };
        let smallest = self.settings.min_face_share * width.min(height) as f32;
        let mut faces = self.run(&window)?;
        faces.retain(|face| face.extent.height >= smallest && face.reaches_into(width, height));
        largest_first(&mut faces);
        Ok(faces)
    }

    /// Looks once more at one face alone, the weak ones included, with `scale` pixels of the network's input per pixel of
    /// the picture.
    ///
    /// The first look sees the picture at about a third of its size and its box jitters by several per cent, which
    /// moves the liveness crops. The window starts at a multiple of the detector's largest stride, so that the
    /// answer is the one that the detector would give on the whole picture.
    fn look_closer(
        &mut self,
        picture: &Picture,
        upright: Orientation,
        face: Detection,
        scale: f32,
    ) -> Result<Option<Detection>, InferenceError> {
        let stored = (picture.pixels.width(), picture.pixels.height());
        let size = upright.size(stored);
        let e = face.extent;
        let long = face.longer_side();
        let cell = STRIDE as f32 / scale;
        let cells = (long * REFINED_SPAN / cell).ceil() + 1.0;
        let side = cells as usize * STRIDE;
        // Per axis: begin of the window, then begin and length of its part inside the picture, all in picture pixels.
        let span = |begin: f32, length: f32, limit: usize| {
            let from = ((begin + length / 2.0 - long * REFINED_SPAN / 2.0) / cell).floor() * cell;
            let inside = (from.round().max(0.0) as usize).min(limit - 1);
            let end = ((from + cells * cell).round().max(0.0) as usize).clamp(inside + 1, limit);
            (from, inside, end - inside)
        };
        let (from_x, left, width) = span(e.left, e.width, size.0);
        let (from_y, top, height) = span(e.top, e.height, size.1);
        let reduced = |length: usize| ((length as f32 * scale).round() as usize).clamp(1, side);
        let (small_width, small_height) = (reduced(width), reduced(height));
        let part = upright.inverse().area(Area { left, top, width, height }, size);
        let (raw_width, raw_height) = upright.inverse().size((small_width, small_height));
        let pixels = upright.apply(resize(&picture.pixels, part, raw_width, raw_height));
        let offset = |inside: usize, from: f32, length: usize| {
            (((inside as f32 - from) * scale).round().max(0.0) as usize).min(side - length)
        };
        let window = Window {
            offset: [offset(left, from_x, small_width), offset(top, from_y, small_height)],
            canvas: [side; 2],
            origin: [left as f32, top as f32],
            scale: [width as f32 / small_width as f32, height as f32 / small_height as f32],
            pixels,
        };
        let again = self.run(&window)?;
        // Hints are good for looking closer, not for moving a face.
        let least = self.settings.weak_score.min(self.settings.min_score);
        let same = again.into_iter().filter(|other| other.score >= least && overlap(&other.extent, &e) > SAME_FACE);
        Ok(same.max_by(|a, b| overlap(&a.extent, &e).total_cmp(&overlap(&b.extent, &e))))
    }

    /// One run of the network: all faces of a window, in coordinates of the upright picture.
    fn run(&mut self, window: &Window) -> Result<Vec<Detection>, InferenceError> {
        let [width, height] = window.canvas;
        window.planar_bgr(&mut self.input);
        let outputs = self.network.run([1, 3, height, width], &self.input)?;
        let mut candidates = Vec::new();
        for stride in [8, 16, 32] {
            let output = |name: &str| outputs.get(&format!("{name}_{stride}"));
            let level =
                Level { class: output("cls")?, object: output("obj")?, boxes: output("bbox")?, points: output("kps")? };
            let least = self.settings.weak_score.min(self.settings.min_score).min(HINT_SCORE);
            level.collect(stride, width / stride, least, &mut candidates);
        }
        Ok(distinct(candidates).into_iter().map(|face| window.to_picture(face)).collect())
    }
}

/// The whole stored picture, reduced for one size of the network's input.
pub(crate) struct Reduced {
    pixels: Pixels,
    /// Width of the border in reduced pixels.
    border: usize,
}

impl Reduced {
    fn new(picture: &Picture, size: u32, border: f32) -> Self {
        let (width, height) = (picture.pixels.width(), picture.pixels.height());
        let long = width.max(height) as f32;
        let scale = (size as f32 / (long * (1.0 + 2.0 * border))).min(MAX_ENLARGEMENT);
        let side = |length: usize| ((length as f32 * scale).round() as usize).max(1);
        let whole = Area { left: 0, top: 0, width, height };
        let pixels = resize(&picture.pixels, whole, side(width), side(height));
        Self { pixels, border: (long * scale * border).round() as usize }
    }
}

/// Brightness of the border. On portraits cut through the face, grey leaves the detector surer than black does (a
/// score of 0.87 against 0.84 where 45 % of the face's width is gone, mean of four portraits), and repeated edges are taken for more face
/// than there is.
const BORDER: f32 = 127.0;

impl Window {
    /// The canvas as YuNet takes it: planar, blue first, 0 to 255.
    fn planar_bgr(&self, input: &mut Vec<f32>) {
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
    fn to_picture(&self, face: Detection) -> Detection {
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

/// The network's answer at one stride; one row per cell of the grid, cells in row-major order.
struct Level<'o> {
    /// `[cells]`: probability that the cell's face is a face.
    class: &'o [f32],
    /// `[cells]`: probability that the cell has a face.
    object: &'o [f32],
    /// `[cells, 4]`: centre offset in cells, logarithm of the size in cells.
    boxes: &'o [f32],
    /// `[cells, 10]`: five points, offset in cells.
    points: &'o [f32],
}

impl Level<'_> {
    fn collect(&self, stride: usize, columns: usize, min_score: f32, faces: &mut Vec<Detection>) {
        let stride = stride as f32;
        let rows = self.boxes.chunks_exact(4).zip(self.points.chunks_exact(10));
        for (cell, ((&class, &object), (b, p))) in self.class.iter().zip(self.object).zip(rows).enumerate() {
            let score = (class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0)).sqrt();
            if score.is_nan() || score < min_score {
                continue;
            }
            let (column, row) = ((cell % columns) as f32, (cell / columns) as f32);
            let (width, height) = (b[2].exp() * stride, b[3].exp() * stride);
            let (x, y) = ((column + b[0]) * stride, (row + b[1]) * stride);
            if ![x, y, width, height].iter().chain(p).all(|v| v.is_finite()) {
                continue;
            }
            let point = |i: usize| [(column + p[2 * i]) * stride, (row + p[2 * i + 1]) * stride];
            faces.push(Detection {
                score,
                extent: Extent { left: x - width / 2.0, top: y - height / 2.0, width, height },
                keypoints: [point(0), point(1), point(2), point(3), point(4)],
            });
        }
    }
}

impl Detection {
    /// The longer side of the box in pixels of the picture.
    fn longer_side(&self) -> f32 {
        self.extent.width.max(self.extent.height)
    }

    /// Whether any of it lies inside a picture of this size.
    fn reaches_into(&self, width: usize, height: usize) -> bool {
        let e = &self.extent;
        e.left + e.width > 1.0 && e.top + e.height > 1.0 && e.left < width as f32 - 1.0 && e.top < height as f32 - 1.0
    }
}

/// The score of the surest face; 0 without faces.
fn best_score(faces: &[Detection]) -> f32 {
    faces.iter().map(|face| face.score).fold(0.0, f32::max)
}

fn area(extent: &Extent) -> f32 {
    extent.width * extent.height
}

fn largest_first(faces: &mut [Detection]) {
    faces.sort_by(|a, b| area(&b.extent).total_cmp(&area(&a.extent)));
}

fn center(extent: &Extent) -> [f32; 2] {
    [extent.left + extent.width / 2.0, extent.top + extent.height / 2.0]
}

fn contains(extent: &Extent, [x, y]: [f32; 2]) -> bool {
    (extent.left..extent.left + extent.width).contains(&x) && (extent.top..extent.top + extent.height).contains(&y)
}

/// Intersection over union, 0 to 1.
fn overlap(a: &Extent, b: &Extent) -> f32 {
    let width = (a.left + a.width).min(b.left + b.width) - a.left.max(b.left);
    let height = (a.top + a.height).min(b.top + b.height) - a.top.max(b.top);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let both = width * height;
    both / (area(a) + area(b) - both)
}

/// Non-maximum suppression: of boxes that overlap, the one with the best score stays.
fn distinct(mut candidates: Vec<Detection>) -> Vec<Detection> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for candidate in candidates {
        if kept.iter().all(|k| overlap(&k.extent, &candidate.extent) <= SAME_FACE) {
            kept.push(candidate);
        }
    }
    kept
}
