//! Pictures behind links that strangers send.
//!
//! The connection is ours from the name to the socket: a name is resolved here, addresses that are not public are
//! dropped, and the socket is opened to one of the addresses that were checked. Nothing resolves the name a second
//! time, so that a name that changes its answer (DNS rebinding) gains nothing. Every redirect goes the same way.

pub mod address;
mod error;
mod exchange;
mod host;
mod network;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

pub use self::error::LinkError;
use self::exchange::{get, read, redirect};
use self::host::Name;
pub use self::host::{HostRule, HostRuleError};
use self::network::{Followed, Network, Target};
pub use self::settings::LinkSettings;
use super::buffer::Buffer;
use super::contract::Problem;

/// Fetches pictures.
#[derive(Clone)]
pub struct LinkFetcher {
    settings: LinkSettings,
    tls: TlsConnector,
    network: Network,
}

impl fmt::Debug for LinkFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkFetcher").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl LinkFetcher {
    /// A fetcher that trusts the certificate authorities that Mozilla trusts. `share` (0 to 1) is how many of the name
    /// lookups that run at the same time may be those of one of several users.
    pub fn new(settings: LinkSettings, share: f64) -> io::Result<Self> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
            .map(|config| TlsConnector::from(Arc::new(config)));
        #[expect(clippy::expect_used, reason = "the ring provider supports the default protocol versions")]
        let tls = tls.expect("default protocol versions");
        Ok(Self { settings, tls, network: Network::new(share)? })
    }

    /// The bytes behind a link, in `buffer`, whose holder may have all name lookups when he is `alone`. What lets this link
    /// be followed is `held` until nothing of it goes on, also not in the system's resolver.
    pub async fn fetch(
        &self,
        link: &str,
        buffer: Buffer,
        alone: bool,
        held: impl Send + Sync + 'static,
    ) -> Result<Buffer, Problem> {
        let timeout = Duration::from_millis(self.settings.timeout_ms);
        let followed = Followed::new(buffer.holder(), alone, timeout, held);
        tokio::time::timeout(timeout, self.follow(link, buffer, &followed))
            .await
            .unwrap_or(Err(LinkError::Timeout(self.settings.timeout_ms).into()))
    }

    async fn follow(&self, link: &str, buffer: Buffer, followed: &Followed) -> Result<Buffer, Problem> {
        if !self.settings.enabled {
            return Err(LinkError::Disabled.into());
        }
        if link.len() > self.settings.max_length {
            return Err(LinkError::TooLong(self.settings.max_length).into());
        }
        let mut url = Url::parse(link).map_err(|_| LinkError::Malformed("it is no valid URL"))?;
        for _ in 0..=self.settings.max_redirects {
            let target = self.check(&url)?;
            let response =
                get(&self.network, &self.tls, &self.settings, &url, &target, followed, buffer.most()).await?;
            if let Some(next) = redirect(&url, &response, self.settings.max_length)? {
                if url.scheme() == "https" && next.scheme() == "http" {
                    return Err(LinkError::Refused("it redirects from https to http").into());
                }
                url = next;
                continue;
            }
            if response.status() != StatusCode::OK {
                return Err(LinkError::Status(response.status().as_u16()).into());
            }
            return read(response, buffer, &self.settings).await;
        }
        Err(LinkError::Redirects(self.settings.max_redirects).into())
    }

    /// Everything that can be judged without the network.
    fn check(&self, url: &Url) -> Result<Target, LinkError> {
        let refused = |why| Err(LinkError::Refused(why));
        let encrypted = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return refused("only http and https are followed"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refused("it carries credentials");
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if !self.settings.ports.contains(&port) {
            return refused("its port is not allowed");
        }
        // The URL parser has turned decimal, octal, hexadecimal and short spellings into addresses already.
        let host = match url.host() {
            Some(Host::Domain(name)) => Name::Domain(name.trim_end_matches('.').to_ascii_lowercase()),
            Some(Host::Ipv4(v4)) => Name::Address(v4.into()),
            Some(Host::Ipv6(v6)) => Name::Address(v6.into()),
            None => return Err(LinkError::Malformed("it names no host")),
        };
        let private = match &host {
            Name::Address(address) => !self.network.is_public(*address),
            // RFC 6761: never anybody else's.
            Name::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        };
        if private && !self.settings.allow_private {
            return refused("it names an address that is not public");
        }
        let listed = |list: &[HostRule]| list.iter().any(|rule| rule.covers(&host));
        if listed(&self.settings.deny_hosts) {
            return refused("its host is not allowed");
        }
        if !self.settings.allow_hosts.is_empty() && !listed(&self.settings.allow_hosts) {
            return refused("its host is not allowed");
        }
        Ok(Target { host, port, encrypted })
    }
}
