//! The paths that programs call, by the names that the answers and the documents give them.

/// The one call.
pub const DETECT: &str = "/api/v1/face/detect";

/// Where the OpenAPI document is served.
pub const OPENAPI: &str = "/openapi.json";

/// What Prometheus reads, on a listener of its own.
pub const METRICS: &str = "/metrics";
