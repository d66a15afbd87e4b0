//! Who counts as one caller among those that nobody knows by name.

use std::net::{IpAddr, Ipv6Addr};

/// The address, or the /64 network of an IPv6 address, since whoever has one of its addresses has them all.
pub(crate) fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_place() {
        let address = |text: &str| place(text.parse().expect(text));
        let from = |last: u8| IpAddr::from([192, 0, 2, last]);
        assert_eq!(address("2001:db8:1:2:3:4:5:6"), address("2001:db8:1:2::1"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        // A socket that listens on both families shows IPv4 callers so.
        assert_eq!(address("::ffff:192.0.2.1"), from(1));
        assert_ne!(address("::ffff:192.0.2.1"), address("::ffff:192.0.2.2"));
    }
}
