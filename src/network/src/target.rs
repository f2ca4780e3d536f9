//! What one network namespace should hold: the gateway's, or a service's.
//!
//! In:  the wanted network, a lease, attachments. Out: a `Target`. Pure.

use std::net::Ipv4Addr;

use contract::Name;
use contract::learn::Lease;
use contract::manifest::Serve;
use contract::wanted::Wanted;

/// The gateway's first host address in the services' prefix is its own, on every service's link.
const OURS: u32 = 1;
/// Service number 0 has the next one.
const FIRST: u32 = 2;
/// A service's link, on our side; its number follows.
pub const SERVICE_LINK: &str = "svc-";
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
}

/// A service that is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Who.
    pub service: Name,
    /// Its number.
    pub slot: u8,
    /// What it offers.
    pub serves: Vec<Serve>,
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
            target.routes.extend(lease.router.map(|router| Route {
                to: Ipv4Addr::UNSPECIFIED,
                length: 0,
                via: Some(router),
                link: uplink,
            }));
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
