//! Whether something covers the face: our own network (training/occlusion).

use crate::alignment::{FaceView, Similarity};
use crate::detection::Detection;
use crate::inference::{InferenceError, Network};

/// Side of the network's square input in pixels.
const INPUT: usize = 112;

/// Where the chip has the eyes, the nose and the corners of the mouth, in pixels: as in training/occlusion/geometry.py.
const CHIP_POINTS: [[f32; 2]; 5] = [[41.84, 54.16], [70.00, 54.00], [56.00, 70.16], [44.40, 86.72], [67.76, 86.56]];

/// The network.
#[derive(Debug)]
pub(crate) struct OcclusionDetector {
    network: Network,
    input: Vec<f32>,
}

impl OcclusionDetector {
    pub(crate) fn new(network: Network) -> Self {
        Self { network, input: Vec::new() }
    }

    /// Probability of occlusion, 0 to 1.
    pub(crate) fn run(&mut self, view: &FaceView, face: &Detection) -> Result<f32, InferenceError> {
        let from_chip = Similarity::fit(&CHIP_POINTS, &face.keypoints);
        self.input.clear();
        view.sample(&from_chip, INPUT, INPUT, &mut self.input);
        let outputs = self.network.run([1, 3, INPUT, INPUT], &self.input)?;
        Ok(outputs.get("occlusion")?.first().copied().unwrap_or(f32::NAN))
    }
}
