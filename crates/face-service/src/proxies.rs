//! Whose word about a caller's address counts: that of the proxies which the operator has named.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue};
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// An address, or a network such as `10.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

/// What was written is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network: write 10.0.0.7, 10.0.0.0/8 or fd00::/8")]
pub struct NetworkError(String);

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        let network = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>());
        network.map(|network| Self(canonical(network))).map_err(|_| NetworkError(text))
    }
}

/// A network of IPv4 written as one of IPv6 (`::ffff:10.0.0.0/104`) in its own form, as addresses are compared.
pub(crate) fn canonical(network: IpNet) -> IpNet {
    let v4 = || {
        let IpAddr::V4(address) = network.addr().to_canonical() else { return None };
        Ipv4Net::new(address, network.prefix_len().checked_sub(96)?).ok().map(IpNet::V4)
    };
    if matches!(network, IpNet::V6(_)) { v4().unwrap_or(network) } else { network }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        if network.0.prefix_len() == network.0.max_prefix_len() {
            network.0.addr().to_string()
        } else {
            network.0.to_string()
        }
    }
}

impl Network {
    /// Whether an address, IPv4 in its own form, belongs to it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

/// The address that a request came from: `peer`, unless that is one of `proxies`. Then each proxy has added the address
/// that it was called from to `X-Forwarded-For`, and the last one that is no proxy of ours is the caller's; what stands
/// before it anybody can have written.
pub fn caller(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let trusted = |address: &IpAddr| proxies.iter().any(|proxy| proxy.contains(*address));
    let mut caller = peer.to_canonical();
    // Bytes, since what a stranger has written before our proxy's word may be of any kind and must not hide it.
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
    let mut hops = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')).map(address);
    while trusted(&caller) {
        // Nothing more to read, or nothing that can be: the proxy itself has to stand for its caller.
        let Some(Some(before)) = hops.next() else { break };
        caller = before;
    }
    caller
}

/// An address, with or without a port.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|at| at.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(written: &[&str]) -> Vec<Network> {
        written.iter().map(|&text| Network::try_from(text.to_owned()).expect("a network")).collect()
    }

    fn seen(peer: &str, lines: &[&str], proxies: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).expect("a header"));
        }
        caller(peer.parse().expect("an address"), &headers, &networks(proxies)).to_string()
    }

    #[test]
    fn only_a_named_proxy_is_believed() {
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], &["10.0.0.0/8"]), "203.0.113.9");
        assert_eq!(seen("10.1.2.3", &["198.51.100.1"], &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(seen("::ffff:10.1.2.3", &["198.51.100.1"], &["10.1.2.3"]), "198.51.100.1");
        assert_eq!(seen("10.1.2.3", &["198.51.100.1"], &["::ffff:10.1.2.3"]), "198.51.100.1");
        assert_eq!(seen("10.1.2.3", &["198.51.100.1"], &["::ffff:10.0.0.0/104"]), "198.51.100.1");
        assert_eq!(seen("fd00::5", &["2001:db8::1"], &["fd00::/8"]), "2001:db8::1");
    }

    #[test]
    fn what_a_caller_wrote_himself_does_not_count() {
        let proxies = ["10.0.0.0/8", "127.0.0.1"];
        assert_eq!(seen("127.0.0.1", &["192.0.2.7, 198.51.100.1, 10.0.0.4"], &proxies), "198.51.100.1");
        assert_eq!(seen("127.0.0.1", &["192.0.2.7", "198.51.100.1", "10.0.0.4"], &proxies), "198.51.100.1");
        assert_eq!(seen("127.0.0.1", &["127.0.0.1,198.51.100.1"], &proxies), "198.51.100.1");
    }

    #[test]
    fn bytes_beyond_ascii_hide_nothing() {
        let proxies = ["10.0.0.0/8"];
        assert_eq!(seen("10.0.0.1", &["\u{e9}, 198.51.100.1"], &proxies), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["192.0.2.7", "\u{e9}, 198.51.100.1"], &proxies), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["192.0.2.7", "198.51.100.1\u{e9}"], &proxies), "10.0.0.1");
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_bytes(b"\xff\xfe, 198.51.100.1").expect("a header"));
        let caller = caller([10, 0, 0, 1].into(), &headers, &networks(&proxies));
        assert_eq!(caller.to_string(), "198.51.100.1");
    }

    #[test]
    fn without_a_readable_address_the_proxy_stands_for_its_caller() {
        let proxies = ["10.0.0.0/8"];
        assert_eq!(seen("10.0.0.1", &[], &proxies), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1, unknown"], &proxies), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["unknown, 10.0.0.2"], &proxies), "10.0.0.2");
        assert_eq!(seen("10.0.0.1", &["10.0.0.3, 10.0.0.2"], &proxies), "10.0.0.3");
    }

    #[test]
    fn ports_and_brackets_are_understood() {
        let proxies = ["10.0.0.1"];
        assert_eq!(seen("10.0.0.1", &["198.51.100.1:4711"], &proxies), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]:443"], &proxies), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]"], &proxies), "2001:db8::1");
    }

    #[test]
    fn a_network_is_written_as_it_was_read() {
        for text in ["10.0.0.7", "10.0.0.0/8", "fd00::/8", "::1"] {
            assert_eq!(String::from(networks(&[text])[0].clone()), text);
        }
        for text in ["", "proxy.example", "10.0.0.0/33", "10.0.0"] {
            assert!(Network::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
