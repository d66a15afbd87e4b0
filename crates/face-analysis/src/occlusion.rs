//! Whether something covers the face: our own network (training/occlusion).

use crate::alignment::{FaceView, Similarity};
use crate::detection::Detection;
use crate::inference::{InferenceError, Network};

/// Side of the network's square input in pixels.
const INPUT: usize = 112;

/// Where the chip has the eyes, the nose and the corners of the mouth, in pixels.
const CHIP_POINTS: [[f32; 2]; 5] = [[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]];

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
