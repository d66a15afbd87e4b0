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
    /// Requests that each user may send in one burst, and that come back evenly over each minute; 0 is no limit.
    pub requests_per_minute: u32,
    /// Who asked when.
    pub audit: AuditSettings,
    /// What answers look like.
    pub response: ResponseSettings,
    /// Pictures behind links.
    pub links: LinkSettings,
    /// How much of what all have one caller may take.
    pub shares: ShareSettings,
    /// Spans for an OpenTelemetry collector.
    pub traces: TraceSettings,
}

/// How much of what all have one caller may take, each share above 0 and up to 1; rounded down, and at least one of each.
/// Users are told apart by their names, strangers by their addresses, all of an IPv6 /64 network being one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShareSettings {
    /// Of the workers, and of workers and queue together, that one user may have while another user has asked within
    /// `shares.window_ms`; a user who has none finds one place more. Alone a user may have all.
    pub workers: f64,
    /// Milliseconds for which a user counts as being about after a request.
    pub window_ms: u64,
    /// Of `server.max_buffered_bytes` that one of several users may hold.
    pub memory: f64,
    /// Of `links.max_in_flight`, and of the name lookups that run at the same time, that one of several users may have.
    pub links: f64,
    /// Of `server.max_connections` that one address may have, those of `server.trusted_proxies` excepted. A further
    /// connection ends the one of that address that is idle longest.
    pub connections: f64,
    /// Of the 32 logins that may wait to be checked that one address may have.
    pub logins: f64,
}

impl Default for ShareSettings {
    fn default() -> Self {
        // A half where a caller does with little, so that another finds room whoever came first; three quarters where more
        // than is used is lost; a quarter of what costs nothing to take, so that it needs four to take all.
        Self { workers: 0.75, window_ms: 10_000, memory: 0.5, links: 0.5, connections: 0.25, logins: 0.5 }
    }
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
    /// Requests that may wait for a worker; more are answered 503: at once, or after 0.2 s to a user who has a place already. 0
    /// is half as many as workers, rounded up: then those who are let in get their answer in about 1.5 times the usual time,
    /// however many others come.
    pub queue: usize,
    /// Addresses and networks of the proxies in front: what they say in `X-Forwarded-For` is the caller's address, for
    /// which wrong passwords are counted. Nobody else's is read.
    #[schema(value_type = Vec<String>)]
    pub trusted_proxies: Vec<Network>,
    /// Open connections. When there are as many, the one that is idle longest ends for a new one; when none is idle, more
    /// wait to be accepted.
    pub max_connections: usize,
    /// Largest request body in bytes.
    pub max_body_bytes: usize,
    /// Largest picture in bytes, after Base64 or from a link.
    pub max_image_bytes: usize,
    /// Bytes of bodies, fetched pictures and answers with the face's picture held at the same time, counted as they
    /// arrive; a request that would exceed them is answered 503. The largest body must fit, and the largest picture beside
    /// a body with its link, with a users file in the `shares.memory` of them. Answers with the face's picture need room
    /// too, each about 2.7 times the JPEG of the crop.
    pub max_buffered_bytes: usize,
    /// Milliseconds in which the header of a request must arrive, and that a connection may be idle.
    pub header_timeout_ms: u64,
    /// Milliseconds in which the body of a request must arrive.
    pub body_timeout_ms: u64,
    /// Bytes a second that a body must bring on average after its first 5 seconds, without a longer pause. The built-in
    /// value is 64 kbit/s.
    pub min_body_rate: u64,
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
            min_body_rate: 8_192,
            answer_timeout_ms: 30_000,
            queue_timeout_ms: 10_000,
            deadline_ms: 30_000,
            tls_certificate: None,
            tls_key: None,
            shutdown_timeout_s: 30,
        }
    }
}

/// The audit log: time, user, session and outcome of each request of a user within his rate, nothing about the face.
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
