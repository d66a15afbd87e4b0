//! From the model folder to the analyzer.

use std::path::PathBuf;

use face_analysis::{AnalysisError, CellError, DecodeLimits, Decoder, FaceAnalyzer, LoadError, ModelFiles};
use face_models::{ModelStore, StoreError};

use crate::config::Config;

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
        liveness_fr: paths.liveness_fr,
        liveness_own: paths.liveness_own,
        age: paths.age,
        gender: paths.gender,
        age_gender: paths.age_gender,
        landmarks: paths.landmarks,
        face_geometry: paths.face_geometry,
        occlusion: paths.occlusion,
    })
}

/// The word by which this program becomes a cell.
pub const CELL: &str = "decode-cell";

/// Longest file that an analysis is given, whatever `server.max_image_bytes` says: beyond, no format stores as many pixels as
/// are allowed.
#[cfg(target_os = "linux")]
const LONGEST_FILE: usize = 256 << 20;

/// No analyzer.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzerError {
    /// The networks could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The processes that decode pictures could not be started.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// The networks could not be run.
    #[error(transparent)]
    Run(#[from] AnalysisError),
}

/// The analyzer of every command, for `parallelism` analyses side by side of strangers' pictures. Their decoders start while
/// the networks are loaded.
pub fn analyzer(files: &ModelFiles, config: &Config, parallelism: usize) -> Result<FaceAnalyzer, AnalyzerError> {
    let decoder = decoder(config.analysis.limits.clone(), parallelism, config.server.max_image_bytes)?;
    Ok(FaceAnalyzer::load_with(files, config.analysis.clone(), parallelism, decoder)?)
}

/// Cells of this very program, whatever has become of its file.
#[cfg(target_os = "linux")]
fn decoder(limits: DecodeLimits, number: usize, max_bytes: usize) -> Result<Decoder, CellError> {
    use picture_cell::cell::{Cells, Program};
    let program = Program { path: "/proc/self/exe".into(), words: vec![CELL.to_owned()] };
    Ok(Decoder::in_cells(Cells::start(program, limits, number, max_bytes.min(LONGEST_FILE))?))
}

/// In the calling thread, where there are no cells.
#[cfg(not(target_os = "linux"))]
fn decoder(limits: DecodeLimits, _: usize, _: usize) -> Result<Decoder, CellError> {
    Ok(Decoder::in_process(limits))
}
