//! Bytes of a picture in, one analysis out.

pub mod report;
pub mod rules;

use std::path::PathBuf;

pub use report::{Analysis, Verdict};
pub use rules::{Profile, RejectionWord};

/// Where the networks and ONNX Runtime lie.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    /// ONNX Runtime's shared library.
    pub onnx_runtime: PathBuf,
    /// YuNet with symbolic height and width.
    pub detector: PathBuf,
    /// MiniFASNetV2.
    pub liveness_v2: PathBuf,
    /// MiniFASNetV1SE.
    pub liveness_v1se: PathBuf,
    /// dlib age.
    pub age: PathBuf,
    /// dlib gender.
    pub gender: PathBuf,
    /// face-api age and gender.
    pub age_gender: PathBuf,
    /// MediaPipe face landmarks, 478 points.
    pub landmarks: PathBuf,
    /// Canonical face mesh for the pose.
    pub face_geometry: PathBuf,
    /// Our own occlusion network.
    pub occlusion: Option<PathBuf>,
}

/// What the caller wants beside the attributes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The face cropped from the picture, as JPEG.
    pub face_image: bool,
    /// Every measured value.
    pub details: bool,
}

/// How pictures are analysed.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// The whole pipeline with its networks loaded. Shared between threads; each call analyses one picture.
#[derive(Debug)]
pub struct FaceAnalyzer {}

/// The networks could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {}

/// The picture could not be analysed.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {}

impl AnalysisError {
    /// A stable reason in snake_case for `errorDetail.code`.
    pub fn code(&self) -> &'static str {
        match *self {}
    }

    /// Whether the fault is ours (500) rather than the picture's (422).
    pub fn is_fault(&self) -> bool {
        match *self {}
    }
}

impl FaceAnalyzer {
    /// Loads the networks, `parallelism` times side by side.
    pub fn load(_files: &ModelFiles, _settings: Settings, _parallelism: usize) -> Result<Self, LoadError> {
        Ok(Self {})
    }

    /// Analyses one picture on the calling thread.
    pub fn analyze(&self, _picture: &[u8], _wanted: Wanted) -> Result<Analysis, AnalysisError> {
        unimplemented!()
    }
}
