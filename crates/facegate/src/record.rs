//! The record of what results were made with.

use face_analysis::report::{MODELS, ModelInfo};
use face_analysis::{FEATURES_REVISION, HeadError, HeadName};
use serde_json::{Value, json};

use crate::config::Config;

/// What results depend on beside the pictures: they compare only when this is equal.
///
/// # Errors
///
/// When a liveness head is configured and cannot be read.
pub fn record(config: &Config, format: &str, details: bool, face_image: bool) -> Result<Value, HeadError> {
    let head = config.analysis.liveness.head.as_deref().map(HeadName::of_file).transpose()?;
    let models: Vec<ModelInfo> = MODELS.into_iter().chain(head.as_ref().map(ModelInfo::head)).collect();
    Ok(json!({
        "program": concat!("facegate ", env!("CARGO_PKG_VERSION")),
        "features_revision": FEATURES_REVISION,
        "format": format,
        "details": details,
        "face_image": face_image.then_some(config.response.face_image),
        "models": models,
        "max_image_bytes": config.server.max_image_bytes,
        "analysis": config.analysis,
    }))
}
