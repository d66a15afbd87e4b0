//! Face detection with YuNet 2023mar (OpenCV Zoo): five keypoints, strides 8, 16 and 32.

use serde::{Deserialize, Serialize};

use crate::alignment::resize;
use crate::decode::Picture;
use crate::inference::{InferenceError, Network};
use crate::pixels::{Area, Orientation, Pixels};
use crate::report::Extent;

/// How faces are looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectionSettings {
    /// Detections below this score are no faces, 0 to 1.
    pub min_score: f32,
    /// Longer side in pixels of what the detector sees first: fast, and best for faces that fill the picture.
    pub coarse_size: u32,
    /// Longer side in pixels of the second look, for small faces and when the first finds none.
    pub fine_size: u32,
    /// Width of the border round the picture in the first look, as a share of the picture's longer side. A face
    /// that leaves the picture is measured up to there.
    pub border: f32,
    /// Faces lower than this share of the picture's shorter side do not matter.
    pub min_face_share: f32,
    /// Look for faces that lie on their side or upside down when the upright picture has none.
    pub try_rotations: bool,
}

impl Default for DetectionSettings {
    fn default() -> Self {
        Self {
            min_score: 0.6,
            coarse_size: 320,
            fine_size: 640,
            border: 0.15,
            min_face_share: 0.03,
            try_rotations: true,
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

/// A face lower than this in the coarse look (in pixels of the network's input) is looked at again, and so is a
/// picture whose other faces might hide below the size at which the detector is sure.
const COARSE_FACE: f32 = 64.0;

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
}

/// The stored picture, reduced for one size of the network's input.
struct Reduced {
    pixels: Pixels,
    border: usize,
}

impl Detector {
    pub(crate) fn new(network: Network, settings: DetectionSettings) -> Self {
        Self { network, settings }
    }

    /// Finds faces, upright ones first; only a picture without any is turned.
    pub(crate) fn detect(&mut self, picture: &Picture) -> Result<Found, InferenceError> {
        let coarse = self.reduce(picture, self.settings.coarse_size, self.settings.border);
        let upright = picture.orientation;
        let mut found = Found { upright, rotation: 0, faces: self.look(picture, &coarse, upright)? };
        let needs_fine = found.faces.first().is_none_or(|face| {
            let scale = coarse.pixels.width() as f32 / picture.pixels.width() as f32;
            face.extent.height * scale < COARSE_FACE
        });
        let fine = needs_fine.then(|| self.reduce(picture, self.settings.fine_size, FINE_BORDER));
        if let Some(fine) = &fine {
            let again = self.look(picture, fine, upright)?;
            if !again.is_empty() {
                found.faces = again;
            }
        }
        if found.faces.is_empty() && self.settings.try_rotations {
            for look in [Some(&coarse), fine.as_ref()].into_iter().flatten() {
                let mut best: Option<Found> = None;
                for (rotation, turn) in
                    [(90, Orientation::QUARTER), (270, Orientation::THREE_QUARTERS), (180, Orientation::HALF)]
                {
                    let upright = picture.orientation.then(turn);
                    let faces = self.look(picture, look, upright)?;
                    let score = |found: &Found| found.faces.iter().map(|f| f.score).fold(0.0, f32::max);
                    let turned = Found { upright, rotation, faces };
                    if !turned.faces.is_empty() && best.as_ref().is_none_or(|b| score(&turned) > score(b)) {
                        best = Some(turned);
                    }
                }
                if let Some(best) = best {
                    return Ok(best);
                }
            }
        }
        Ok(found)
    }

    fn reduce(&self, picture: &Picture, size: u32, border: f32) -> Reduced {
        let (width, height) = (picture.pixels.width(), picture.pixels.height());
        let long = width.max(height) as f32;
        let scale = (size as f32 / (long * (1.0 + 2.0 * border))).min(MAX_ENLARGEMENT);
        let side = |length: usize| ((length as f32 * scale).round() as usize).max(1);
        let whole = Area { left: 0, top: 0, width, height };
        let pixels = resize(&picture.pixels, whole, side(width), side(height));
        Reduced { pixels, border: (long * scale * border).round() as usize }
    }

    /// One run of the network: faces that matter, the largest first, in coordinates of the upright picture.
    fn look(
        &mut self,
        picture: &Picture,
        reduced: &Reduced,
        upright: Orientation,
    ) -> Result<Vec<Detection>, InferenceError> {
        let turned = upright.apply(reduced.pixels.clone());
        let pad = reduced.border;
        let width = (turned.width() + 2 * pad).next_multiple_of(STRIDE);
        let height = (turned.height() + 2 * pad).next_multiple_of(STRIDE);
        let input = bordered_bgr(&turned, pad, width, height);
        let outputs = self.network.run([1, 3, height, width], &input)?;
        let mut candidates = Vec::new();
        for stride in [8, 16, 32] {
            let output = |name: &str| outputs.get(&format!("{name}_{stride}"));
            let level =
                Level { class: output("cls")?, object: output("obj")?, boxes: output("bbox")?, points: output("kps")? };
            level.collect(stride, width / stride, self.settings.min_score, &mut candidates);
        }
        let (seen_width, seen_height) = upright.size((picture.pixels.width(), picture.pixels.height()));
        let scale = [seen_width as f32 / turned.width() as f32, seen_height as f32 / turned.height() as f32];
        let smallest = self.settings.min_face_share * seen_width.min(seen_height) as f32;
        let mut faces: Vec<Detection> = distinct(candidates)
            .into_iter()
            .map(|face| face.moved(pad as f32, scale))
            .filter(|face| face.extent.height >= smallest && face.reaches_into(seen_width, seen_height))
            .collect();
        faces.sort_by(|a, b| area(&b.extent).total_cmp(&area(&a.extent)));
        Ok(faces)
    }
}

/// Brightness of the border. On portraits cut through the face, grey leaves the detector surer than black does (a
/// score of 0.87 against 0.84 where 45 % of the face's width is gone, mean of four portraits), and repeated edges are taken for more face
/// than there is.
const BORDER: f32 = 127.0;

/// The picture in the middle of grey, planar, blue first, 0 to 255: YuNet's input.
fn bordered_bgr(pixels: &Pixels, pad: usize, width: usize, height: usize) -> Vec<f32> {
    let plane = width * height;
    let mut input = vec![BORDER; 3 * plane];
    for y in 0..pixels.height() {
        let start = (y + pad) * width + pad;
        for (x, rgb) in pixels.row(y).chunks_exact(3).enumerate() {
            input[start + x] = f32::from(rgb[2]);
            input[plane + start + x] = f32::from(rgb[1]);
            input[2 * plane + start + x] = f32::from(rgb[0]);
        }
    }
    input
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
    /// From the network's input with a border of `pad` to the picture, `scale` times larger.
    fn moved(self, pad: f32, scale: [f32; 2]) -> Self {
        let point = |p: [f32; 2]| [(p[0] - pad) * scale[0], (p[1] - pad) * scale[1]];
        let [left, top] = point([self.extent.left, self.extent.top]);
        Self {
            score: self.score,
            extent: Extent { left, top, width: self.extent.width * scale[0], height: self.extent.height * scale[1] },
            keypoints: self.keypoints.map(point),
        }
    }

    /// Whether any of it lies inside a picture of this size.
    fn reaches_into(&self, width: usize, height: usize) -> bool {
        let e = &self.extent;
        e.left + e.width > 1.0 && e.top + e.height > 1.0 && e.left < width as f32 - 1.0 && e.top < height as f32 - 1.0
    }
}

fn area(extent: &Extent) -> f32 {
    extent.width * extent.height
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
