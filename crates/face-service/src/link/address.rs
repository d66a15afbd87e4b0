//! Which addresses a stranger's link may reach: those that the whole internet reaches, and no others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is globally routable, by the IANA special-purpose address registries (RFC 6890 and its
/// updates) and none of those that a cloud answers to its own machines only. IPv6 addresses that carry an IPv4 address are refused as a whole: no public server needs them.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    // Public by the registries, and answered by the cloud that a machine runs in, to that machine alone.
    let of_a_cloud = matches!(
        (a, b, c, d),
        (168, 63, 129, 16) // Azure: health, DNS and the guest agent's keys
            | (161, 26, ..) // IBM: service endpoints
            | (166, 8..=11, ..) // IBM: service endpoints
    );
    !of_a_cloud
        && !matches!(
            (a, b, c),
            (0 | 10 | 127, ..) // this network, private (RFC 1918), loopback
            | (100, 64..=127, _) // carrier-grade NAT (RFC 6598)
            | (169, 254, _) // link-local, cloud metadata
            | (172, 16..=31, _) // private
            | (192, 0, 0 | 2) // protocol assignments, documentation
            | (192, 31, 196) // AS112
            | (192, 52, 193) // AMT
            | (192, 88, 99) // 6to4 relay
            | (192, 168, _) // private
            | (192, 175, 48) // AS112
            | (198, 18 | 19, _) // benchmarks
            | (198, 51, 100) // documentation
            | (203, 0, 113) // documentation
            | (224..=255, ..) // multicast, reserved, broadcast
        )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    // Global unicast is 2000::/3; everything else (loopback, mapped, NAT64, ULA, link-local, multicast) is not.
    let global_unicast = s[0] & 0xe000 == 0x2000;
    let special = matches!(
        (s[0], s[1], s[2]),
        (0x2001, 0x0000..=0x01ff, _) // IETF assignments: Teredo, ORCHID, benchmarks
            | (0x2001, 0x0db8, _) // documentation
            | (0x2002, ..) // 6to4
            | (0x2620, 0x004f, 0x8000) // AS112
            | (0x3fff, 0x0000..=0x0fff, _) // documentation (RFC 9637)
    );
    global_unicast && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_every_special_purpose_address() {
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "168.63.129.16",
            "161.26.0.10",
            "166.9.48.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for text in refused {
            assert!(!is_public(text.parse().expect(text)), "{text}");
        }
    }

    #[test]
    fn lets_public_addresses_through() {
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "168.63.129.15",
            "166.12.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860::8888",
        ] {
            assert!(is_public(text.parse().expect(text)), "{text}");
        }
    }
}
