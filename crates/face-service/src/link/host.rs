//! Hosts that links may or may not name.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Host;

use crate::proxies::canonical;

/// A name, which stands for its subdomains too, an address or a network. Spelled as in a link: `bücher.example` is the host that
/// links write as `xn--bcher-kva.example`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostRule(Rule);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Host(Host),
    Network(IpNet),
}

/// What was written is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a host name nor an address nor a network: write example.com, which stands for its subdomains too, or \
     203.0.113.0/24"
)]
pub struct HostRuleError(String);

impl TryFrom<String> for HostRule {
    type Error = HostRuleError;

    fn try_from(text: String) -> Result<Self, HostRuleError> {
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self(Rule::Network(canonical(network.trunc()))));
        }
        if let Ok(v6) = text.parse::<Ipv6Addr>() {
            return Ok(Self(Rule::Host(Host::Ipv6(v6))));
        }
        match Host::parse(text.trim_matches('.')) {
            Ok(host) if !text.contains('*') => Ok(Self(Rule::Host(host))),
            _ => Err(HostRuleError(text)),
        }
    }
}

impl From<HostRule> for String {
    fn from(rule: HostRule) -> Self {
        match rule.0 {
            Rule::Host(host) => host.to_string(),
            Rule::Network(network) => network.to_string(),
        }
    }
}

impl HostRule {
    pub(super) fn covers_name(&self, name: &str) -> bool {
        matches!(&self.0, Rule::Host(Host::Domain(domain))
            if name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    }

    pub(super) fn covers_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match &self.0 {
            Rule::Host(Host::Domain(_)) => false,
            Rule::Host(Host::Ipv4(v4)) => IpAddr::from(*v4) == address,
            Rule::Host(Host::Ipv6(v6)) => IpAddr::from(*v6).to_canonical() == address,
            Rule::Network(network) => network.contains(&address),
        }
    }

    pub(super) fn covers(&self, host: &Name) -> bool {
        match host {
            Name::Domain(name) => self.covers_name(name),
            Name::Address(address) => self.covers_address(*address),
        }
    }
}

/// The host of a link.
#[derive(Debug)]
pub(super) enum Name {
    /// In lower case, without a dot at its end.
    Domain(String),
    Address(IpAddr),
}
