//! TensorFlow Lite models: MediaPipe's face landmarks.
//!
//! A model is a flatbuffer (`flatbuffer.rs`) that holds a list of operators over tensors in the layout
//! `[N, H, W, C]`. The translation keeps one ONNX value per tensor in the layout `[N, C, H, W]`: weights and shapes are
//! permuted once, here, so that no transposition remains in the graph.

mod flatbuffer;
mod graph;

use super::onnx::Extent;
use super::onnx_graph::{GraphBuilder, batch};
use super::{ConvertError, task};
use flatbuffer::FORMAT;
use graph::{Features, Translation};

/// Side of the square input in pixels.
const SIDE: usize = 256;

/// Landmarks: the 468 points of MediaPipe's face mesh and five for each iris.
const LANDMARKS: usize = 478;

/// Converts the landmark network of `face_landmarker.task`, `face_landmarks_detector.tflite`.
///
/// - Input `input` `[N, 3, 256, 256]`: RGB, 0..1, planes one after another.
/// - Output `landmarks` `[N, 478, 3]`: x, y in pixels of the input and z on the same scale, smaller towards the camera.
/// - Output `presence` `[N]`: the probability that the crop shows a face (the file gives a logit, its second
///   output; the sigmoid is added here). The third output of the file is not used by MediaPipe and left out.
///
/// What MediaPipe feeds it (`face_detector_graph.cc`, `face_landmarks_detector_graph.cc`):
/// 1. From its own detector, the box (nearly square, from the brows to the chin) rotated about its centre so that the line
///    through the eyes is horizontal, and scaled by 1.5.
/// 2. In a following frame, the box around the landmarks, rotated so that the line from landmark 33 to landmark 263
///    (outer corners of the eyes) is horizontal, made square on its longer side, and scaled by 1.5.
///
/// Resized bilinearly to 256x256; outside of the picture, its border repeats.
///
/// # Errors
///
/// When the bytes are not a task bundle with that network, or the network uses an operator that is not known here.
pub fn face_landmarks(task_zip_bytes: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let model = task::entry(task_zip_bytes, "face_landmarks_detector.tflite")?;
    let mut builder = GraphBuilder::new("MediaPipe face landmarks");
    let input = builder.picture(3, SIDE);
    let mut translation = Translation::new(&model, &mut builder)?;
    let [landmarks, presence, ..] = translation.run(input, SIDE)?[..] else {
        return Err(ConvertError::malformed(FORMAT, "it has fewer than two outputs"));
    };
    let is_pixel = |f: &Features, channels| f.size == [1, 1] && f.value.channels() == channels;
    if !is_pixel(&landmarks, 3 * LANDMARKS) || !is_pixel(&presence, 1) {
        return Err(ConvertError::malformed(FORMAT, "its outputs are not landmarks and presence"));
    }
    let landmarks = builder.reshape(landmarks.value, &[-1, LANDMARKS as i64, 3]);
    builder.output(landmarks, "landmarks", &[batch(), Extent::Fixed(LANDMARKS as i64), Extent::Fixed(3)]);
    let presence = builder.reshape(presence.value, &[-1]);
    let presence = builder.sigmoid(presence);
    builder.output(presence, "presence", &[batch()]);
    Ok(builder.finish())
}
