//! A link, as the kernel says it.
//!
//! In:  the body of one `RTM_NEWLINK`. Out: what we compare. Pure.
//!
//! Source: linux/if_link.h (`IFLA_*`), net/8021q/vlan_netlink.c (a priority of 0 is not named).

use crate::bytes::{attribute, attributes, text, u16_at, u32_at};
use crate::target::{Bridge, Port};

/// The group of links that are ours ("SHG"): `ip link show group 5457991`.
pub(crate) const MARK: u32 = 0x53_4847;
/// Priorities inside the kernel that a VLAN's map names: all that classes have (`class.rs`) and senders may ask for (socket(7),
/// `SO_PRIORITY`, and what the kernel makes of a type of service).
pub(crate) const PRIORITIES: u32 = 16;

/// What kind of link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Any other.
    Other,
    /// A bridge.
    Bridge(Bridge),
    /// A VLAN on the link `peer`.
    Vlan {
        /// Its number.
        id: u16,
        /// The 802.1p priority of all that leaves by it; `None`: not all have the same.
        priority: Option<u8>,
    },
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// It is up (administratively; what the cable says is another matter).
    pub up: bool,
    /// The number of the bridge whose port it is.
    pub bridge: Option<u32>,
    /// The number of the link that it is one end of a pair with, in whatever namespace, or stands on; else its own.
    pub peer: u32,
    /// It bears our mark.
    pub marked: bool,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// The most that may be.
    pub mtu_max: u32,
    /// What kind it is.
    pub kind: Kind,
    /// What it does as a port.
    pub port: Option<Port>,
}

const IFINFOMSG: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_GROUP: u16 = 27;
const IFLA_MAX_MTU: u16 = 51;
const IFF_UP: u32 = 1;

impl Link {
    /// Reads `struct ifinfomsg` and attributes.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let attributes = body.get(IFINFOMSG..)?;
        let number = |kind: u16| attribute(attributes, kind).and_then(|value| u32_at(value, 0));
        let (index, flags) = (u32_at(body, 4)?, u32_at(body, 8)?);
        let name = attribute(attributes, IFLA_IFNAME).and_then(text)?;
        let info = attribute(attributes, IFLA_LINKINFO).unwrap_or_default();
        Some(Self {
            index,
            name: name.to_owned(),
            up: flags & IFF_UP != 0,
            bridge: number(IFLA_MASTER),
            peer: number(IFLA_LINK).unwrap_or(index),
            marked: number(IFLA_GROUP) == Some(MARK),
            mtu: number(IFLA_MTU).unwrap_or(0),
            mtu_max: number(IFLA_MAX_MTU).filter(|most| *most != 0).unwrap_or(u32::MAX),
            kind: kind(info),
            port: port(info),
        })
    }
}

fn flag(attributes: &[u8], kind: u16) -> Option<bool> {
    attribute(attributes, kind).and_then(|value| value.first()).map(|byte| *byte != 0)
}

fn kind(info: &[u8]) -> Kind {
    const INFO_KIND: u16 = 1;
    const INFO_DATA: u16 = 2;
    const BR_VLAN_FILTERING: u16 = 7;
    const BR_VLAN_PROTOCOL: u16 = 8; // Said by kernels that can filter.
    const BR_MCAST_SNOOPING: u16 = 23;
    const VLAN_ID: u16 = 1;
    let data = attribute(info, INFO_DATA).unwrap_or_default();
    match attribute(info, INFO_KIND).and_then(text) {
        Some("bridge") => Kind::Bridge(Bridge {
            snoops: flag(data, BR_MCAST_SNOOPING).unwrap_or(false),
            filters: attribute(data, BR_VLAN_PROTOCOL).and_then(|_| flag(data, BR_VLAN_FILTERING)),
        }),
        Some("vlan") => {
            let id = attribute(data, VLAN_ID).and_then(|value| u16_at(value, 0)).unwrap_or(0);
            Kind::Vlan { id, priority: priority(data) }
        }
        Some(_) | None => Kind::Other,
    }
}

/// The priority that all have.
fn priority(data: &[u8]) -> Option<u8> {
    const VLAN_EGRESS_QOS: u16 = 3;
    let map = attribute(data, VLAN_EGRESS_QOS).unwrap_or_default();
    let pairs = || attributes(map).filter_map(|(_, pair)| Some((u32_at(pair, 0)?, u32_at(pair, 4)?)));
    let to = |from: u32| pairs().find(|pair| pair.0 == from).map_or(0, |pair| pair.1);
    let first = to(0);
    (0..PRIORITIES).all(|from| to(from) == first).then(|| u8::try_from(first).ok()).flatten()
}

fn port(info: &[u8]) -> Option<Port> {
    const INFO_SLAVE_KIND: u16 = 4;
    const INFO_SLAVE_DATA: u16 = 5;
    const BRPORT_FAST_LEAVE: u16 = 7;
    const BRPORT_ISOLATED: u16 = 33;
    if attribute(info, INFO_SLAVE_KIND).and_then(text) != Some("bridge") {
        return None;
    }
    let data = attribute(info, INFO_SLAVE_DATA).unwrap_or_default();
    Some(Port {
        fast_leave: flag(data, BRPORT_FAST_LEAVE).unwrap_or(false),
        isolated: flag(data, BRPORT_ISOLATED).unwrap_or(false),
    })
}
