//! Everything that can be configured, with its built-in values.

use std::net::SocketAddr;
use std::path::PathBuf;

use face_analysis::Settings;
use face_service::link::LinkSettings;
use face_service::settings::{AuditSettings, ResponseSettings, ServerSettings, ServiceSettings, ShareSettings};
use face_service::traces::TraceSettings;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP service.
    pub server: ServerSettings,
    /// Who may call it.
    pub auth: AuthConfig,
    /// Who asked when.
    pub audit: AuditSettings,
    /// What answers look like.
    pub response: ResponseSettings,
    /// Pictures behind links.
    pub links: LinkSettings,
    /// How much of what all have one caller may take.
    pub shares: ShareSettings,
    /// Where the networks lie.
    pub models: ModelsConfig,
    /// What is logged.
    pub log: LogConfig,
    /// What Prometheus can read.
    pub metrics: MetricsConfig,
    /// Spans for an OpenTelemetry collector.
    pub traces: TraceSettings,
    /// How pictures are analysed: `analysis.limits`, `.detection`, `.attributes`, `.liveness`, `.rules`.
    pub analysis: Settings,
}

impl Config {
    /// What the service is made of.
    pub fn service(&self) -> ServiceSettings {
        ServiceSettings {
            server: self.server.clone(),
            requests_per_minute: self.auth.requests_per_minute,
            audit: self.audit.clone(),
            response: self.response.clone(),
            links: self.links.clone(),
            shares: self.shares.clone(),
            traces: self.traces.clone(),
        }
    }
}

/// Who may call the service. Without any, a user `facegate` with a password for this run is made up and printed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// File with a line `name:$argon2id$…` for each user; made with `facegate hash-password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub users_file: Option<PathBuf>,
    /// Name of a single user, with `auth.password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The single user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Requests that each user may send in one burst, and that come back evenly over each minute (so up to twice as many in the
    /// first); more are answered 429. 0 is no limit.
    pub requests_per_minute: u32,
}

/// Where the networks lie.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelsConfig {
    /// The model folder; without it a folder in the user's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub dir: Option<PathBuf>,
}

/// What Prometheus can read, on a listener of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Whether there are metrics at `/metrics` of their own listener.
    pub enabled: bool,
    /// Address and port of that listener, without encryption and authentication. When the built-in port is taken,
    /// the service starts without metrics and says so; a port that was set must be free.
    #[schema(value_type = String)]
    pub listen: SocketAddr,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        // The port that exporters of OpenTelemetry use by default; 9090 is Prometheus's own.
        Self { enabled: true, listen: SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}

/// What is logged, on standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
