//! What tests of this room share: wanted networks, and what `lease` may say. Only in tests.

use contract::Name;
use contract::attach::Rates;
use contract::learn::{Ipv6, Lease, OnLink};
use contract::wanted::{self, Wanted};

use crate::target::Attachment;

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

/// What we ship, with a line of 20 Mbit/s each way, and what `more` says of it.
pub(crate) fn with_queues(more: &str) -> Wanted {
    let shipped = include_str!("../../../rootfs/etc/shg/network.toml");
    let queues = "[qos]\nup_kbit_s = 20000\ndown_kbit_s = 20000\nservices_kbit_s = 4000";
    wanted::parse(&format!("{shipped}\n{queues}\n{more}\n")).unwrap()
}

/// A service with rates: floor and ceiling, the same in both directions.
pub(crate) fn rated(slot: u8, floor: u32, ceiling: u32) -> Attachment {
    let rates = Rates {
        floor_up_kbit_s: floor,
        floor_down_kbit_s: floor,
        ceiling_up_kbit_s: ceiling,
        ceiling_down_kbit_s: ceiling,
    };
    let service = Name::new(&format!("service-{slot}")).unwrap();
    let slice = Name::new("demo").unwrap();
    let (reaches, slice_rates) = Default::default();
    Attachment { service, slice, slot, serves: Vec::new(), reaches, rates, slice_rates }
}

/// The same in this slice, which has floor and ceiling on the line, the same in both directions.
pub(crate) fn sharing(service: Attachment, (slice, floor, ceiling): (&str, u32, u32)) -> Attachment {
    let slice_rates = rated(0, floor, ceiling).rates;
    Attachment { slice: Name::new(slice).unwrap(), slice_rates, ..service }
}
