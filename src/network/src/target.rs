//! What one network namespace should hold: the gateway's, or a service's.
//!
//! In:  a `View`. Out: a `Target`. Pure.
//!
//! Plays have tables of routes of their own, but for the Internet, whose is the main one. What may take a play's way is said by rules; below
//! its routes lies an unreachable one, so what is meant for it never leaves by another (docs/network.md, Plays).
//!
//! Not here: how to get there (`plan.rs`), what the kernel says (`observed.rs`).

use std::net::{IpAddr, Ipv4Addr};

use contract::Name;
use contract::attach::Rates;
use contract::manifest::{Reaches, Serve};
use contract::prefix;
use contract::wanted::{SERVICE_LINK, Wanted};

mod gateway;
mod home;
mod play;
mod settings;

pub use gateway::{gateway, inside, neighbour};
pub use home::GUEST_BRIDGE;
pub(crate) use play::ETHERNET_MTU;
pub use play::{TV_BRIDGE, table};
pub use settings::Setting;

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
    /// What its slice is of the line.
    pub slice_rates: Rates,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

/// How long an address holds, in seconds from now; `u32::MAX`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// New connections may use it; 0: it is given up.
    pub preferred_s: u32,
    /// It is there.
    pub valid_s: u32,
}

impl Life {
    /// It has no end.
    pub const FOREVER: Self = Self { preferred_s: u32::MAX, valid_s: u32::MAX };
    /// Clocks are read one after the other, and whole seconds are rounded.
    const CLOSE_S: u32 = 3;

    /// What is left of it so many seconds later.
    #[must_use]
    pub fn after(self, passed_s: u32) -> Self {
        let left = |s: u32| if s == u32::MAX { s } else { s.saturating_sub(passed_s) };
        Self { preferred_s: left(self.preferred_s), valid_s: left(self.valid_s) }
    }

    /// Is it the same, but for what passes between two looks?
    #[must_use]
    pub fn is_close_to(self, other: Self) -> bool {
        let ends = |s: u32| s == u32::MAX;
        let close = |a: u32, b: u32| a.abs_diff(b) <= Self::CLOSE_S && ends(a) == ends(b);
        let given_up = |life: Self| life.preferred_s == 0;
        close(self.preferred_s, other.preferred_s)
            && close(self.valid_s, other.valid_s)
            && given_up(self) == given_up(other)
    }
}

/// An address on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The link.
    pub link: String,
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix, in bits.
    pub length: u8,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// The kernel makes the route to its prefix, in the main table.
    pub routed: bool,
    /// How long it holds.
    pub life: Life,
}

impl Address {
    /// An address without an end, whose prefix is on the link.
    #[must_use]
    pub fn new(link: &str, address: impl Into<IpAddr>, length: u8) -> Self {
        let (address, link) = (address.into(), link.to_owned());
        Self { link, address, length, peer: None, routed: true, life: Life::FOREVER }
    }

    /// Is it the same address, set in the same way, whatever its time?
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Self { life: self.life, ..other.clone() } == *self
    }

    /// Is it the kernel's own matter: an address of one link only, which every link makes for itself?
    #[must_use]
    pub fn is_kernels(&self) -> bool {
        match self.address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => address.is_unicast_link_local() || address.is_loopback(),
        }
    }
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// By this link, to this neighbour; `None`: it is on the link.
    By(String, Option<IpAddr>),
    /// It says "unreachable".
    Unreachable,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// In which table.
    pub table: u32,
    /// Where to.
    pub to: prefix::Prefix,
    /// How.
    pub way: Way,
    /// Of two to the same prefix the smaller one counts.
    pub metric: u32,
}

/// The main table.
pub const MAIN: u32 = 254;
/// The metric of IPv6 routes that name none. Source: linux/ipv6_route.h, `IP6_RT_PRIO_USER`.
pub const METRIC6: u32 = 1024;
/// That of an unreachable route which lies below others.
pub const BELOW: u32 = 0x7fff_ffff;

impl Route {
    /// A route of the main table by a link.
    #[must_use]
    pub fn new(to: prefix::Prefix, link: &str, via: Option<IpAddr>) -> Self {
        let metric = if to.is_ipv4() { 0 } else { METRIC6 };
        Self { table: MAIN, to, way: Way::By(link.to_owned(), via), metric }
    }

    /// An unreachable one below others.
    #[must_use]
    pub fn unreachable(to: prefix::Prefix, table: u32) -> Self {
        Self { table, to, way: Way::Unreachable, metric: BELOW }
    }

    /// The same, in another table.
    #[must_use]
    pub fn within(self, table: u32) -> Self {
        Self { table, ..self }
    }

    /// Its link.
    #[must_use]
    pub fn link(&self) -> Option<&String> {
        match &self.way {
            Way::By(link, _) => Some(link),
            Way::Unreachable => None,
        }
    }

    /// Its neighbour.
    #[must_use]
    pub fn via(&self) -> Option<IpAddr> {
        match &self.way {
            Way::By(_, via) => *via,
            Way::Unreachable => None,
        }
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.to.first())
    }

    /// Of two with the same key the kernel keeps the later one.
    #[must_use]
    pub fn key(&self) -> (u32, prefix::Prefix, u32) {
        (self.table, self.to, self.metric)
    }
}

/// A rule: which table is asked for whom. Smaller numbers first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Its number.
    pub priority: u32,
    /// From whom.
    pub from: Option<prefix::Prefix>,
    /// To whom.
    pub to: Option<prefix::Prefix>,
    /// The table.
    pub table: u32,
}

impl Rule {
    /// Its family: that of what it names.
    #[must_use]
    pub fn family(&self) -> Family {
        self.from.or(self.to).map_or(Family::Ipv4, |prefix| Family::of(prefix.first()))
    }
}

/// How a link comes to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Make {
    /// It is there, or comes: hardware, a session, a pair.
    Found,
    /// A bridge that we make.
    Bridge(Bridge),
    /// A VLAN on another link, which we make.
    Vlan(Vlan),
}

/// What a bridge does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bridge {
    /// Multicast goes where somebody listens (RFC 4541).
    pub snoops: bool,
    /// Frames with a tag of a VLAN are thrown away: all is VLAN 1, untagged. Not compared where the kernel knows none.
    pub filters: Option<bool>,
}

/// A VLAN on another link. Source: IEEE 802.1Q.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vlan {
    /// That link.
    pub parent: String,
    /// Its number.
    pub id: u16,
    /// The 802.1p priority of all that leaves by it.
    pub priority: u8,
}

/// A link as a bridge's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Port {
    /// Who leaves a group leaves it at once: there is one host behind it, or one that speaks for all.
    pub fast_leave: bool,
    /// It reaches no other port of this kind.
    pub isolated: bool,
}

/// A link that is wanted. It is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// How it comes to be.
    pub make: Make,
    /// The bridge whose port it is, and as what.
    pub bridge: Option<(String, Port)>,
    /// The largest packet, in bytes; `None`: not our matter.
    pub mtu: Option<u32>,
    /// It is taken down, or away, once nobody wants it any more.
    pub ours: bool,
}

impl Link {
    /// A link that is there, and is not ours.
    #[must_use]
    pub fn found(name: &str) -> Self {
        Self { name: name.to_owned(), make: Make::Found, bridge: None, mtu: None, ours: false }
    }
}

/// What is ours alone: what else is there goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owned {
    /// Addresses of links, and routes of the main table by them.
    pub links: Vec<(String, Family)>,
    /// Tables.
    pub tables: Vec<u32>,
    /// Numbers of rules.
    pub rules: Vec<u32>,
    /// Unreachable IPv6 routes of the main table.
    pub unreachable: bool,
    /// Links that bear our mark.
    pub marked: bool,
}

/// What a namespace should hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Links, in the order in which they are made.
    pub links: Vec<Link>,
    /// Addresses that should be there.
    pub addresses: Vec<Address>,
    /// Routes that should be there.
    pub routes: Vec<Route>,
    /// Rules that should be there.
    pub rules: Vec<Rule>,
    /// Settings of links.
    pub settings: Vec<Setting>,
    /// What is ours alone.
    pub owned: Owned,
}

impl Target {
    /// The link of this name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    fn own(&mut self, link: &str, family: Family) {
        self.owned.links.push((link.to_owned(), family));
    }
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

/// The name of a VLAN's link.
#[must_use]
pub fn vlan_link(parent: &str, id: u16) -> String {
    format!("{parent}.{id}")
}

/// The home's addresses.
#[must_use]
pub fn home_prefix(wanted: &Wanted) -> Prefix {
    Prefix::new(wanted.lan.address, wanted.lan.prefix_length)
}
