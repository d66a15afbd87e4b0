//! What a service is made of: every value that it can be given, with its default and its meaning.
//!
//! The types can be read and written as parts of a configuration file; which file, and whether there is one, is the
//! caller's business.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::contract::FaceImagePlace;
use super::link::LinkSettings;
use super::proxies::Network;
use super::traces::TraceSettings;

/// Everything about a service but its users and its networks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceSettings {
    /// Sizes, times and numbers.
    pub server: ServerSettings,
    /// Requests that each user may send in a minute, and in one burst; 0 is no limit.
    pub requests_per_minute: u32,
    /// Who asked when.
    pub audit: AuditSettings,
    /// What answers look like.
    pub response: ResponseSettings,
    /// Pictures behind links.
    pub links: LinkSettings,
    /// Spans for an OpenTelemetry collector.
    pub traces: TraceSettings,
}

/// The HTTP service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port.
    #[schema(value_type = String)]
    pub listen: SocketAddr,
    /// Whether the playground is served at `/`, and the documentation of the API at `/docs`.
    pub playground: bool,
    /// Analyses at work at the same time; 0 is one per core.
    pub workers: usize,
    /// Requests that may wait for a worker; more are answered 503 at once. 0 is half as many as
    /// workers: then those who are let in get their answer in about 1.5 times the usual time, however many others come.
    pub queue: usize,
    /// Addresses and networks of the proxies in front: what they say in `X-Forwarded-For` is the caller's address, for
    /// which wrong passwords are counted. Nobody else's is read.
    #[schema(value_type = Vec<String>)]
    pub trusted_proxies: Vec<Network>,
    /// Open connections; more wait to be accepted.
    pub max_connections: usize,
    /// Largest request body in bytes.
    pub max_body_bytes: usize,
    /// Largest picture in bytes, after Base64 or from a link.
    pub max_image_bytes: usize,
    /// Bytes of bodies and fetched pictures held at the same time; a request that would exceed them is answered 503.
    pub max_buffered_bytes: usize,
    /// Milliseconds in which the header of a request must arrive, and that a connection may be idle.
    pub header_timeout_ms: u64,
    /// Milliseconds in which the body of a request must arrive.
    pub body_timeout_ms: u64,
    /// Milliseconds in which the caller must take an answer.
    pub answer_timeout_ms: u64,
    /// Milliseconds after which a request that still waits for a worker is answered 503.
    pub queue_timeout_ms: u64,
    /// Milliseconds after which a request is answered 503 wherever it stands, links and waiting included.
    pub deadline_ms: u64,
    /// PEM certificate chain, for HTTPS; read again when it changes. Belongs to `server.tls_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tls_certificate: Option<PathBuf>,
    /// PEM private key of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tls_key: Option<PathBuf>,
    /// Seconds that requests may take to finish after SIGTERM.
    pub shutdown_timeout_s: u64,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            playground: true,
            workers: 0,
            queue: 0,
            trusted_proxies: Vec::new(),
            max_connections: 512,
            max_body_bytes: 16 << 20,
            max_image_bytes: 12 << 20,
            max_buffered_bytes: 256 << 20,
            header_timeout_ms: 10_000,
            body_timeout_ms: 20_000,
            answer_timeout_ms: 30_000,
            queue_timeout_ms: 10_000,
            deadline_ms: 30_000,
            tls_certificate: None,
            tls_key: None,
            shutdown_timeout_s: 30,
        }
    }
}

/// The audit log: time, user, session and outcome of each request, nothing about the face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSettings {
    /// Where it is written; without it there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub file: Option<PathBuf>,
    /// Size in bytes at which the file is moved aside.
    pub max_bytes: u64,
    /// Files that are kept beside the current one.
    pub keep: usize,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { file: None, max_bytes: 64 << 20, keep: 5 }
    }
}

/// What answers look like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseSettings {
    /// `both`, `face` or `top_level`: where the cropped face stands.
    pub face_image: FaceImagePlace,
}
