//! Dense landmarks: MediaPipe's face landmarker, 478 points with depth.

use crate::alignment::{FaceView, Similarity};
use crate::detection::Detection;
use crate::inference::{InferenceError, Network};

/// Side of the network's square input in pixels.
const INPUT: usize = 256;

/// The input spans this many times the longer side of the face box (MediaPipe's face landmarker graph).
const SPAN: f32 = 1.5;

/// Points per face: 468 of the mesh, then five for each iris.
pub(crate) const POINTS: usize = 478;

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
        let [right, left] = PUPILS.map(|i| self.points[i]);
        (left[0] - right[0]).hypot(left[1] - right[1])
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
        Self { network, input: Vec::new() }
    }

    pub(crate) fn run(&mut self, view: &FaceView, face: &Detection) -> Result<Landmarks, InferenceError> {
        let e = face.extent;
        let center = [e.left + e.width / 2.0, e.top + e.height / 2.0];
        let [right, left, ..] = face.keypoints;
        let roll = (left[1] - right[1]).atan2(left[0] - right[0]);
        let scale = e.width.max(e.height) * SPAN / INPUT as f32;
        let middle = INPUT as f32 / 2.0;
        let from_chip = Similarity::around([middle, middle], center, scale, roll);
        self.input.clear();
        view.sample(&from_chip, INPUT, INPUT, &mut self.input);
        for value in &mut self.input {
            *value /= 255.0;
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
}
