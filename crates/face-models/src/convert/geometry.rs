//! MediaPipe's canonical face: the reference for a head's pose.

use super::{ConvertError, task};
use prost::Message;
use serde::Serialize;

const FORMAT: &str = "face geometry";

/// Points of the canonical face; the landmark network adds ten for the irises.
const VERTICES: usize = 468;

/// Where positions lie in a vertex (x, y, z, u, v).
const FLOATS_PER_VERTEX: usize = 5;

// Field numbers of mediapipe/tasks/cc/vision/face_geometry/proto/{geometry_pipeline_metadata,mesh_3d}.proto.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    mesh: Option<Mesh>,
    #[prost(message, repeated, tag = "2")]
    basis: Vec<Landmark>,
}

#[derive(Clone, PartialEq, Message)]
struct Mesh {
    /// 0: position and texture coordinate.
    #[prost(int32, tag = "1")]
    vertex_type: i32,
    #[prost(float, repeated, tag = "3")]
    vertex_buffer: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct Landmark {
    #[prost(uint32, tag = "1")]
    index: u32,
    #[prost(float, tag = "2")]
    weight: f32,
}

/// The JSON document.
#[derive(Serialize)]
struct CanonicalFace<'a> {
    vertices: &'a [[f32; 3]],
    basis: &'a [(u32, f32)],
}

/// Extracts the canonical face of `face_landmarker.task` as JSON.
///
/// `vertices` are 468 points `[x, y, z]` in centimetres, in the order of the first 468 landmarks: x to the
/// right of the picture, y up, z towards the camera. `basis` are pairs `[index, weight]`: the 33 landmarks, and their
/// weights, that MediaPipe fits a similarity transform (weighted Procrustes) through.
///
/// # Errors
///
/// When the bytes are not a task bundle with that metadata.
pub fn canonical_face(task_zip_bytes: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let metadata = task::entry(task_zip_bytes, "geometry_pipeline_metadata_landmarks.binarypb")?;
    to_json(&metadata)
}

fn to_json(metadata: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let metadata = Metadata::decode(metadata)?;
    let mesh = metadata.mesh.ok_or_else(|| ConvertError::malformed(FORMAT, "it holds no mesh"))?;
    if mesh.vertex_type != 0 || mesh.vertex_buffer.len() != VERTICES * FLOATS_PER_VERTEX {
        return Err(ConvertError::malformed(FORMAT, format!("its mesh has not {VERTICES} textured points")));
    }
    let (vertices, _) = mesh.vertex_buffer.as_chunks::<FLOATS_PER_VERTEX>();
    let vertices: Vec<[f32; 3]> = vertices.iter().map(|&[x, y, z, _, _]| [x, y, z]).collect();
    let basis: Vec<(u32, f32)> = metadata.basis.iter().map(|l| (l.index, l.weight)).collect();
    let numbers = vertices.iter().flatten().chain(basis.iter().map(|(_, weight)| weight));
    if !numbers.copied().all(f32::is_finite) || basis.iter().any(|&(index, _)| index as usize >= VERTICES) {
        return Err(ConvertError::malformed(FORMAT, "a coordinate, a weight or an index is out of range"));
    }
    let face = CanonicalFace { vertices: &vertices, basis: &basis };
    serde_json::to_vec(&face).map_err(|e| ConvertError::malformed(FORMAT, e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::hostile::survives_damage;
    use crate::convert::task::tests::bundle;

    const ENTRY: &str = "geometry_pipeline_metadata_landmarks.binarypb";

    fn metadata() -> Metadata {
        let vertex_buffer = (0..VERTICES * FLOATS_PER_VERTEX).map(|i| i as f32).collect();
        let basis = vec![Landmark { index: 4, weight: 0.5 }, Landmark { index: 467, weight: 0.25 }];
        Metadata { mesh: Some(Mesh { vertex_type: 0, vertex_buffer }), basis }
    }

    #[test]
    fn keeps_positions_and_drops_texture_coordinates() {
        let json = canonical_face(&bundle(ENTRY, &metadata().encode_to_vec())).unwrap();
        let face: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(face["vertices"].as_array().unwrap().len(), VERTICES);
        assert_eq!(face["vertices"][1], serde_json::json!([5.0, 6.0, 7.0]));
        assert_eq!(face["basis"], serde_json::json!([[4, 0.5], [467, 0.25]]));
    }

    #[test]
    fn refuses_meshes_of_another_size_and_values_out_of_range() {
        let mut short = metadata();
        short.mesh.as_mut().unwrap().vertex_buffer.pop();
        let mut infinite = metadata();
        infinite.mesh.as_mut().unwrap().vertex_buffer[0] = f32::INFINITY;
        let mut outside = metadata();
        outside.basis[0].index = 468;
        let empty = Metadata { mesh: None, basis: Vec::new() };
        for metadata in [short, infinite, outside, empty] {
            assert!(matches!(to_json(&metadata.encode_to_vec()), Err(ConvertError::Malformed { .. })));
        }
    }

    #[test]
    fn survives_damaged_metadata() {
        survives_damage(&metadata().encode_to_vec(), to_json);
    }
}
