//! Dense landmarks: MediaPipe's face landmarker, 478 points with depth.

use crate::alignment::{FaceView, Similarity};
use crate::face::Detection;
use crate::inference::{InferenceError, Network};
use crate::light;

/// Side of the network's square input in pixels.
const INPUT: usize = 256;

/// The input spans this many times the longer side of the face box (MediaPipe's face landmarker graph).
const SPAN: f32 = 1.5;

/// Points per face: 468 of the mesh, then five for each iris.
pub(crate) const POINTS: usize = 478;

/// Where the network's input shows the face, from the eyebrows to the mouth: columns and rows of the right eye with its side of
/// the nose, of the left one, and of the cheeks and the mouth. And the side of a cell in which shading is looked for, in
/// pixels.
const ZONES: [[std::ops::Range<usize>; 2]; 3] = [[74..128, 69..141], [128..182, 69..141], [74..182, 141..189]];
const CELL: usize = 12;

/// A cell whose brightness spans less than this, of 255, has no shading. Cells that are black or white show nothing.
const SHADING: f32 = 3.0;
const BLACK: f32 = 8.0;
const WHITE: f32 = 247.0;

/// Centre of the iris on the person's right and left.
const PUPILS: [usize; 2] = [468, 473];

/// The landmarks of one face in upright picture coordinates.
#[derive(Debug, Clone)]
pub(crate) struct Landmarks {
    /// x, y and depth; the depth has the scale of x, smaller values are nearer to the camera.
    pub(crate) points: Vec<[f32; 3]>,
    /// The network's own confidence that it sees a face, 0 to 1.
    pub(crate) presence: f32,
}

impl Landmarks {
    /// Distance between the pupils in pixels of the picture.
    pub(crate) fn interpupillary_distance(&self) -> f32 {
        let [x, y] = self.between_pupils();
        x.hypot(y)
    }

    /// How far the line through the pupils leans, in radians, clockwise in the picture.
    pub(crate) fn roll(&self) -> f32 {
        let [x, y] = self.between_pupils();
        y.atan2(x)
    }

    /// From the right pupil to the left one.
    fn between_pupils(&self) -> [f32; 2] {
        let [right, left] = PUPILS.map(|i| self.points[i]);
        [left[0] - right[0], left[1] - right[1]]
    }
}

/// The landmark network.
#[derive(Debug)]
pub(crate) struct Landmarker {
    network: Network,
    input: Vec<f32>,
}

impl Landmarker {
    pub(crate) fn new(network: Network) -> Self {
        Self { network, input: vec![0.0; 3 * INPUT * INPUT] }
    }

    pub(crate) fn run(&mut self, view: &FaceView, face: &Detection) -> Result<Landmarks, InferenceError> {
        let e = face.extent;
        let center = [e.left + e.width / 2.0, e.top + e.height / 2.0];
        let scale = e.width.max(e.height) * SPAN / INPUT as f32;
        let middle = INPUT as f32 / 2.0;
        let from_chip = Similarity::around([middle, middle], center, scale, face.roll());
        view.sample(&from_chip, INPUT, &mut self.input);
        for value in &mut self.input {
            *value *= 1.0 / 255.0;
        }
        let outputs = self.network.run([1, 3, INPUT, INPUT], &self.input)?;
        let points = outputs
            .get("landmarks")?
            .chunks_exact(3)
            .take(POINTS)
            .map(|p| {
                let [x, y] = from_chip.apply([p[0], p[1]]);
                [x, y, p[2] * scale]
            })
            .collect();
        let presence = outputs.get("presence")?.first().copied().unwrap_or(0.0);
        Ok(Landmarks { points, presence })
    }

    /// The share of the face without any shading, 0 to 1, in what the last run saw: that of the zone that has least of it. Skin
    /// has some shading and a drawing has none anywhere, while a mask, a bar or dark glasses are flat in their own place.
    pub(crate) fn flat_share(&self) -> f32 {
        ZONES.map(|zone| self.flat_share_of(zone)).into_iter().fold(1.0, f32::min)
    }

    fn flat_share_of(&self, [columns, rows]: [std::ops::Range<usize>; 2]) -> f32 {
        let brightness = |at: usize| {
            let channel = |i: usize| self.input.get(i * INPUT * INPUT + at).copied().unwrap_or(0.0);
            255.0 * light::luma([0, 1, 2].map(channel))
        };
        let (mut cells, mut flat) = (0, 0);
        for top in rows.step_by(CELL) {
            for left in columns.clone().step_by(CELL) {
                let inside = (0..CELL * CELL).map(|i| brightness((top + i / CELL) * INPUT + left + i % CELL));
                let (least, most) = inside.fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(v), b.max(v)));
                if most >= BLACK && least <= WHITE {
                    cells += 1;
                    flat += usize::from(most - least <= SHADING);
                }
            }
        }
        flat as f32 / cells.max(1) as f32
    }
}
