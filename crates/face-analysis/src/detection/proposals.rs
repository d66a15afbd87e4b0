//! Proposals: what YuNet takes for faces in one window.

use super::Detection;
use super::scales::Window;
use super::suppression::suppressed;
use crate::inference::{InferenceError, Network};
use crate::report::Extent;

/// The strides of the network's three grids. Sides of its input are multiples of the largest.
const STRIDES: [usize; 3] = [8, 16, 32];

/// The detection network.
#[derive(Debug)]
pub(super) struct ProposalNetwork {
    network: Network,
    input: Vec<f32>,
}

impl ProposalNetwork {
    pub(super) fn new(network: Network) -> Self {
        Self { network, input: Vec::new() }
    }

    /// One run: what scores at least `least`, without overlaps, the surest first, in coordinates of the upright picture.
    pub(super) fn run(&mut self, window: &Window, least: f32) -> Result<Vec<Detection>, InferenceError> {
        let [width, height] = window.canvas();
        window.planar_bgr(&mut self.input);
        let outputs = self.network.run([1, 3, height, width], &self.input)?;
        let mut proposals = Vec::new();
        for stride in STRIDES {
            let output = |name: &str| outputs.get(&format!("{name}_{stride}"));
            let grid =
                Grid { class: output("cls")?, object: output("obj")?, boxes: output("bbox")?, points: output("kps")? };
            grid.collect(stride, width / stride, least, &mut proposals);
        }
        Ok(suppressed(proposals).into_iter().map(|face| window.to_picture(face)).collect())
    }
}

/// The network's answer at one stride; one row per cell of the grid, cells in row-major order.
struct Grid<'o> {
    /// `[cells]`: probability that the cell's face is a face.
    class: &'o [f32],
    /// `[cells]`: probability that the cell has a face.
    object: &'o [f32],
    /// `[cells, 4]`: centre offset in cells, logarithm of the size in cells.
    boxes: &'o [f32],
    /// `[cells, 10]`: five points, offset in cells.
    points: &'o [f32],
}

impl Grid<'_> {
    fn collect(&self, stride: usize, columns: usize, least: f32, faces: &mut Vec<Detection>) {
        let stride = stride as f32;
        let rows = self.boxes.chunks_exact(4).zip(self.points.chunks_exact(10));
        for (cell, ((&class, &object), (b, p))) in self.class.iter().zip(self.object).zip(rows).enumerate() {
            let score = (class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0)).sqrt();
            if score.is_nan() || score < least {
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
