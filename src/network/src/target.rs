//! What one network namespace should hold: the gateway's, or a service's.
//!
//! In:  the wanted network, a lease, attachments. Out: a `Target`. Pure.

use std::net::Ipv4Addr;

use contract::Name;
use contract::attach::Rates;
use contract::learn::Lease;
use contract::manifest::{Reaches, Serve};
use contract::wanted::{SERVICE_LINK, Wanted};

/// The gateway's first host address in the services' prefix is its own, on every service's link.
pub const OURS: u32 = 1;
/// Service number 0 has the next one.
pub const FIRST: u32 = 2;
/// A service's link, on its side.
pub const INSIDE_LINK: &str = "eth0";

/// IPv4 addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    address: Ipv4Addr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits that holds `address`; more than 32 are 32.
    #[must_use]
    pub fn new(address: Ipv4Addr, length: u8) -> Self {
        Self { address, length: length.min(32) }
    }

    /// One address.
    #[must_use]
    pub fn host(address: Ipv4Addr) -> Self {
        Self::new(address, 32)
    }

    /// Its length, in bits.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// The bits that are alike.
    #[must_use]
    pub fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0)
    }

    /// Its first address.
    #[must_use]
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() & self.mask())
    }

    /// Is `address` one of its addresses?
    #[must_use]
    pub fn holds(&self, address: Ipv4Addr) -> bool {
        contract::wanted::contains(self.address, self.length, address)
    }

    /// Its address number `number`.
    #[must_use]
    pub fn nth(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first().to_bits().wrapping_add(number))
    }
}

/// What is known of the WAN's lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Wan {
    /// Nothing yet: we have just started, and touch nothing that a former life has set.
    #[default]
    Unknown,
    /// There is none.
    Lost,
    /// This one.
    Leased(Lease),
}

impl Wan {
    /// The lease's address.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Leased(lease) => Some(lease.address),
            Self::Unknown | Self::Lost => None,
        }
    }

    /// What was left of the lease when it was told, in seconds. `None`: it has no end, or there is none.
    #[must_use]
    pub fn lease_s(&self) -> Option<u32> {
        match self {
            Self::Leased(lease) => Some(lease.lease_s).filter(|lease_s| *lease_s != u32::MAX),
            Self::Unknown | Self::Lost => None,
        }
    }
}

/// A service that is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Who.
    pub service: Name,
    /// Who rents the slice that it runs in.
    pub slice: Name,
    /// Its number.
    pub slot: u8,
    /// What it offers.
    pub serves: Vec<Serve>,
    /// What it may talk to.
    pub reaches: Reaches,
    /// What its link is promised and allowed.
    pub rates: Rates,
}

/// An address on a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The link.
    pub link: String,
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its prefix, in bits.
    pub length: u8,
}

/// A route in the main table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where to.
    pub to: Ipv4Addr,
    /// The length of that prefix, in bits.
    pub length: u8,
    /// By which neighbour; `None`: it is on the link.
    pub via: Option<Ipv4Addr>,
    /// By which link.
    pub link: String,
}

/// What a namespace should hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Bridges, each with its ports.
    pub bridges: Vec<(String, Vec<String>)>,
    /// Links that should be up.
    pub up: Vec<String>,
    /// Addresses that should be there.
    pub addresses: Vec<Address>,
    /// Routes that should be there.
    pub routes: Vec<Route>,
    /// Links whose addresses and routes are ours alone: what else is there goes.
    pub owned: Vec<String>,
}

/// Our own address on every service's link.
#[must_use]
pub fn gateway_address(wanted: &Wanted) -> Ipv4Addr {
    services_prefix(wanted).nth(OURS)
}

/// The address of the service in `slot`.
#[must_use]
pub fn service_address(wanted: &Wanted, slot: u8) -> Ipv4Addr {
    services_prefix(wanted).nth(FIRST + u32::from(slot))
}

/// Where services have their addresses.
#[must_use]
pub fn services_prefix(wanted: &Wanted) -> Prefix {
    Prefix::new(wanted.services.prefix, wanted.services.prefix_length)
}

/// The name of the link of the service in `slot`, on our side.
#[must_use]
pub fn service_link(slot: u8) -> String {
    format!("{SERVICE_LINK}{slot}")
}

/// Is this the name of a service's link? Of which slot?
#[must_use]
pub fn slot_of(link: &str) -> Option<u8> {
    link.strip_prefix(SERVICE_LINK)?.parse().ok()
}

/// The home's addresses.
#[must_use]
pub fn home_prefix(wanted: &Wanted) -> Prefix {
    Prefix::new(wanted.lan.address, wanted.lan.prefix_length)
}

/// Can this lease be taken? One whose address or router lies in the home or among the services would lead both astray; it is what a
/// gateway gets that is plugged in behind another one of its kind.
#[must_use]
pub fn takes(wanted: &Wanted, lease: &Lease) -> bool {
    let ours = [home_prefix(wanted), services_prefix(wanted)];
    let elsewhere = |address: Ipv4Addr| !ours.iter().any(|prefix| prefix.holds(address));
    let somebodys = |address: Ipv4Addr| {
        !(address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || address.is_broadcast())
    };
    let good = |address: Ipv4Addr| elsewhere(address) && somebodys(address);
    (1..=32).contains(&lease.prefix_length) && good(lease.address) && lease.router.is_none_or(good)
}

/// What the gateway's own namespace should hold.
#[must_use]
pub fn gateway(wanted: &Wanted, wan: &Wan, attachments: &[Attachment]) -> Target {
    let (lan, uplink) = (&wanted.lan, wanted.wan.link.to_string());
    let bridge = lan.bridge.to_string();
    let ports: Vec<String> = lan.ports.iter().map(ToString::to_string).collect();
    let mut target = Target {
        up: [uplink.clone(), bridge.clone(), "lo".to_owned()]
            .into_iter()
            .chain(ports.iter().cloned())
            .collect(),
        bridges: vec![(bridge.clone(), ports)],
        addresses: vec![Address { link: bridge.clone(), address: lan.address, length: lan.prefix_length }],
        routes: Vec::new(),
        owned: vec![bridge],
    };
    match wan {
        Wan::Unknown => {}
        Wan::Lost => target.owned.push(uplink),
        Wan::Leased(lease) => {
            target.owned.push(uplink.clone());
            let (address, length) = (lease.address, lease.prefix_length);
            target.addresses.push(Address { link: uplink.clone(), address, length });
            if let Some(router) = lease.router {
                // A router outside of the lease's own prefix is on the link all the same (a lease of one address, /32).
                if !Prefix::new(address, length).holds(router) {
                    target.routes.push(Route { to: router, length: 32, via: None, link: uplink.clone() });
                }
                let to = Ipv4Addr::UNSPECIFIED;
                target.routes.push(Route { to, length: 0, via: Some(router), link: uplink.clone() });
            }
        }
    }
    for attachment in attachments {
        let link = service_link(attachment.slot);
        target.up.push(link.clone());
        target.addresses.push(Address { link: link.clone(), address: gateway_address(wanted), length: 32 });
        let to = service_address(wanted, attachment.slot);
        target.routes.push(Route { to, length: 32, via: None, link: link.clone() });
        target.owned.push(link);
    }
    target
}

/// What the namespace of the service in `slot` should hold.
#[must_use]
pub fn inside(wanted: &Wanted, slot: u8) -> Target {
    let (link, gateway) = (INSIDE_LINK.to_owned(), gateway_address(wanted));
    Target {
        bridges: Vec::new(),
        up: vec!["lo".to_owned(), link.clone()],
        addresses: vec![Address { link: link.clone(), address: service_address(wanted, slot), length: 32 }],
        routes: vec![
            Route { to: gateway, length: 32, via: None, link: link.clone() },
            Route { to: Ipv4Addr::UNSPECIFIED, length: 0, via: Some(gateway), link: link.clone() },
        ],
        owned: vec![link],
    }
}

#[cfg(test)]
mod tests {
    use super::{Wan, gateway, takes};
    use contract::learn::Lease;
    use contract::wanted;

    fn lease(address: [u8; 4], prefix_length: u8, router: Option<[u8; 4]>) -> Lease {
        Lease {
            link: "eth0".into(),
            address: address.into(),
            prefix_length,
            router: router.map(Into::into),
            routes: heapless::Vec::new(),
            name_servers: Default::default(),
            time_servers: heapless::Vec::new(),
            sip_servers: heapless::Vec::new(),
            server: [203, 0, 113, 1].into(),
            lease_s: 600,
        }
    }

    #[test]
    fn a_lease_that_would_lead_the_home_astray_is_not_taken() {
        let wanted = wanted::parse(include_str!("../../../rootfs/etc/shg/network.toml")).unwrap();
        let table = [
            ("plain", lease([203, 0, 113, 7], 24, Some([203, 0, 113, 1])), true),
            ("no router", lease([203, 0, 113, 7], 24, None), true),
            ("one address", lease([203, 0, 113, 7], 32, Some([198, 51, 100, 1])), true),
            ("wider than the home, around it", lease([192, 168, 0, 9], 16, Some([192, 168, 0, 1])), true),
            ("in the home", lease([192, 168, 1, 50], 24, Some([192, 168, 1, 1])), false),
            ("a router in the home", lease([192, 168, 0, 9], 16, Some([192, 168, 1, 254])), false),
            ("among the services", lease([10, 64, 0, 9], 16, Some([10, 64, 7, 1])), false),
            ("nobody's", lease([0, 0, 0, 0], 24, None), false),
            ("our own", lease([127, 0, 0, 1], 8, None), false),
            ("many's", lease([224, 0, 0, 5], 24, None), false),
            ("no prefix", lease([203, 0, 113, 7], 0, None), false),
            ("too long a prefix", lease([203, 0, 113, 7], 33, None), false),
        ];
        for (what, lease, taken) in table {
            assert_eq!(takes(&wanted, &lease), taken, "{what}");
        }
    }

    #[test]
    fn a_router_outside_of_the_prefix_is_on_the_link() {
        let wanted = wanted::parse(include_str!("../../../rootfs/etc/shg/network.toml")).unwrap();
        let target =
            gateway(&wanted, &Wan::Leased(lease([203, 0, 113, 7], 32, Some([198, 51, 100, 1]))), &[]);
        let routes: Vec<String> = target.routes.iter().map(ToString::to_string).collect();
        assert_eq!(routes, ["to 198.51.100.1/32 on eth0", "to 0.0.0.0/0 via 198.51.100.1 on eth0"]);
    }
}
