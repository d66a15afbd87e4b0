//! The record of what results were made with.

use face_analysis::report::MODELS;
use serde_json::{Value, json};

use crate::config::Config;

/// What results depend on beside the pictures: they compare only when this is equal.
pub fn record(config: &Config, format: &str, details: bool, face_image: bool) -> Value {
    json!({
        "program": concat!("facegate ", env!("CARGO_PKG_VERSION")),
        "format": format,
        "details": details,
        "face_image": face_image.then_some(config.response.face_image),
        "models": MODELS,
        "max_image_bytes": config.server.max_image_bytes,
        "analysis": config.analysis,
    })
}
