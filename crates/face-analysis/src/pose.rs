//! Head pose: the rotation that carries MediaPipe's canonical face onto the landmarks.

use std::path::{Path, PathBuf};

use nalgebra::{Matrix3, Vector3};
use serde::Deserialize;

use crate::report::Pose;

/// The canonical face could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the face geometry {path}: {reason}")]
pub struct GeometryError {
    path: PathBuf,
    reason: String,
}

/// MediaPipe's canonical face: vertices in centimetres (x to the person's left, y up, z to the camera) and the
/// weighted landmarks that hold still when a face moves its mouth and eyes. Turned so that a face at zero holds its
/// Frankfurt plane level.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FaceGeometry {
    vertices: Vec<[f32; 3]>,
    basis: Vec<(usize, f32)>,
}

/// Vertices nearest to the notches above the tragi, where the mesh ends in front of the ears.
const TRAGION: [usize; 2] = [234, 454];

/// Vertices on the lower rims of the eye sockets.
const ORBITALE: [usize; 2] = [230, 450];

/// A vertex, the landmark that belongs to it, and its weight.
type Pair = (Vector3<f32>, Vector3<f32>, f32);

impl FaceGeometry {
    pub(crate) fn load(path: &Path) -> Result<Self, GeometryError> {
        let failed = |reason: String| GeometryError { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let mut geometry: Self = serde_json::from_str(&text).map_err(|e| failed(e.to_string()))?;
        if geometry.basis.len() < 4 || geometry.basis.iter().any(|&(index, _)| index >= geometry.vertices.len()) {
            return Err(failed("its basis names vertices that it does not have".into()));
        }
        geometry.level().ok_or_else(|| failed("it has no cheekbones".into()))?;
        Ok(geometry)
    }

    /// Turns the face about x until its Frankfurt plane (tragion and orbitale, the anatomical zero of pitch) is level.
    ///
    /// As it is stored, the face looks up by 7.4 degrees: portraits of people who look into the camera then have a
    /// median pitch of -10 degrees (474 pictures of the development set with a yaw under 8 degrees).
    fn level(&mut self) -> Option<()> {
        let middle = |pair: [usize; 2]| -> Option<Vector3<f32>> {
            let [a, b] = pair.map(|index| self.vertices.get(index).map(|v| Vector3::from(*v)));
            Some((a? + b?) / 2.0)
        };
        let up = middle(ORBITALE)? - middle(TRAGION)?;
        let length = up.y.hypot(up.z);
        if length < f32::EPSILON {
            return None;
        }
        let (sine, cosine) = (up.y / length, up.z / length);
        for [_, y, z] in &mut self.vertices {
            (*y, *z) = (*y * cosine - *z * sine, *y * sine + *z * cosine);
        }
        Some(())
    }

    /// The head's rotation from landmarks in the picture (x right, y down, z away from the camera, one scale).
    ///
    /// Weighted orthogonal Procrustes (Kabsch 1976) under weak perspective. `None` when there are too few or
    /// degenerate landmarks.
    pub(crate) fn pose(&self, landmarks: &[[f32; 3]]) -> Option<Pose> {
        let pairs: Vec<Pair> = self
            .basis
            .iter()
            .filter_map(|&(index, weight)| {
                let [x, y, z] = *landmarks.get(index)?;
                Some((Vector3::from(self.vertices[index]), Vector3::new(x, -y, -z), weight))
            })
            .collect();
        let total: f32 = pairs.iter().map(|p| p.2).sum();
        if pairs.len() < 4 || total <= 0.0 {
            return None;
        }
        let mean = |pick: fn(&Pair) -> Vector3<f32>| {
            pairs.iter().fold(Vector3::zeros(), |s: Vector3<f32>, p| s + pick(p) * p.2) / total
        };
        let (model_mean, seen_mean) = (mean(|p| p.0), mean(|p| p.1));
        let covariance = pairs.iter().fold(Matrix3::zeros(), |s, (model, seen, w)| {
            s + (seen - seen_mean) * (model - model_mean).transpose() * *w
        });
        if !covariance.iter().all(|v| v.is_finite()) {
            return None;
        }
        let svd = covariance.svd(true, true);
        let (u, v_t) = (svd.u?, svd.v_t?);
        let handedness = Matrix3::from_diagonal(&Vector3::new(1.0, 1.0, (u * v_t).determinant().signum()));
        Some(angles(&(u * handedness * v_t)))
    }
}

/// Yaw, pitch and roll of `R = Ry(yaw) * Rx(-pitch) * Rz(-roll)` with x right, y up, z to the camera: yaw is positive to
/// the right side of the picture, pitch upwards, and roll clockwise as the picture is seen.
fn angles(r: &Matrix3<f32>) -> Pose {
    let pitch = r[(1, 2)].clamp(-1.0, 1.0).asin();
    let yaw = r[(0, 2)].atan2(r[(2, 2)]);
    let roll = -r[(1, 0)].atan2(r[(1, 1)]);
    Pose { yaw: yaw.to_degrees(), pitch: pitch.to_degrees(), roll: roll.to_degrees() }
}
