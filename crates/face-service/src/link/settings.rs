//! What links may do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::host::HostRule;

/// What links may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// Whether links are taken at all.
    pub enabled: bool,
    /// Let links reach private addresses: for tests and for networks where every caller is trusted.
    pub allow_private: bool,
    /// The ports that links may name.
    pub ports: Vec<u16>,
    /// The longest link in bytes; signed links of object stores carry long tokens. Redirects are held to it too.
    pub max_length: usize,
    /// The only hosts that links may name: names with their subdomains, addresses or networks; empty for any.
    #[schema(value_type = Vec<String>)]
    pub allow_hosts: Vec<HostRule>,
    /// Hosts that links may not name: names with their subdomains, addresses or networks such as `203.0.113.0/24`, which
    /// are not reached through a name either.
    #[schema(value_type = Vec<String>)]
    pub deny_hosts: Vec<HostRule>,
    /// Redirects that are followed.
    pub max_redirects: usize,
    /// Milliseconds for one connection, encryption included.
    pub connect_timeout_ms: u64,
    /// Milliseconds for everything, names and redirects included.
    pub timeout_ms: u64,
    /// Bytes a second that an answer must bring on average after its first 5 seconds, without a longer pause.
    pub min_rate: u64,
    /// Links that are followed at the same time; a request with one more is answered 503.
    pub max_in_flight: usize,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            allow_private: false,
            ports: vec![80, 443],
            max_length: 8_192,
            allow_hosts: Vec::new(),
            deny_hosts: Vec::new(),
            max_redirects: 3,
            connect_timeout_ms: 3_000,
            timeout_ms: 10_000,
            min_rate: 8_192,
            max_in_flight: 64,
        }
    }
}
