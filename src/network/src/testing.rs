//! What tests of this room share: wanted networks, and what `lease` may say. Only in tests.

use contract::learn::{Ipv6, Lease, OnLink};
use contract::wanted::{self, Wanted};

/// What we ship.
pub(crate) fn wanted() -> Wanted {
    wanted::parse(include_str!("../../../rootfs/etc/shg/network.toml")).unwrap()
}

/// All that can be said.
pub(crate) fn whole() -> Wanted {
    wanted::parse(include_str!("../../contract/tests/data/whole.toml")).unwrap()
}

/// A lease on eth0.
pub(crate) fn lease_of(address: [u8; 4], prefix_length: u8, router: Option<[u8; 4]>) -> Lease {
    Lease {
        link: "eth0".into(),
        address: address.into(),
        prefix_length,
        router: router.map(Into::into),
        routes: heapless::Vec::new(),
        name_servers: heapless::Vec::new(),
        time_servers: heapless::Vec::new(),
        sip_servers: heapless::Vec::new(),
        server: [203, 0, 113, 1].into(),
        lease_s: 600,
    }
}

/// The usual one.
pub(crate) fn lease(last: u8) -> Lease {
    lease_of([203, 0, 113, last], 24, Some([203, 0, 113, 1]))
}

/// IPv6 on eth0, with this prefix for the home: preferred for an hour, valid for two.
pub(crate) fn ipv6(prefix: &str) -> Ipv6 {
    let prefix = OnLink { prefix: prefix.parse().unwrap(), preferred_s: 3_600, valid_s: 7_200 };
    Ipv6 {
        link: "eth0".into(),
        router: Some("fe80::1".parse().unwrap()),
        mtu: 0,
        addresses: heapless::Vec::new(),
        prefixes: heapless::Vec::from_iter([prefix]),
        name_servers: heapless::Vec::new(),
        time_servers: heapless::Vec::new(),
    }
}
