//! From the model folder to the analyzer.

use std::path::PathBuf;

use face_analysis::ModelFiles;
use face_models::{ModelStore, StoreError};

/// Opens the configured model folder, or the default one.
pub fn store(folder: Option<&PathBuf>) -> Result<ModelStore, StoreError> {
    match folder {
        Some(folder) => ModelStore::open(folder.clone()),
        None => ModelStore::open(ModelStore::default_dir()?),
    }
}

/// Where the analyzer finds its networks.
pub fn files(store: &ModelStore) -> Result<ModelFiles, StoreError> {
    let paths = store.paths()?;
    Ok(ModelFiles {
        onnx_runtime: paths.onnx_runtime,
        detector: paths.detector,
        liveness_v2: paths.liveness_v2,
        liveness_v1se: paths.liveness_v1se,
        age: paths.age,
        gender: paths.gender,
        age_gender: paths.age_gender,
        landmarks: paths.landmarks,
        face_geometry: paths.face_geometry,
        occlusion: paths.occlusion,
    })
}
