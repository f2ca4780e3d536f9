//! Addresses, routes, rules and links as the kernel wants to be told of them.
//!
//! In:  an address, a route, a rule. Out: a message's body. Pure; both families go the same way.
//!
//! Source: rtnetlink(7); linux/if_addr.h, linux/rtnetlink.h, linux/fib_rules.h, linux/if_link.h.

use std::net::IpAddr;

use contract::prefix::Prefix;

use crate::bytes::Writer;
use crate::observed::{INET, INET6, MARK, NO_ROUTE, PRIORITIES, STATIC, TO_TABLE, UNICAST, UNREACHABLE};
use crate::target::{Address, Port, Route, Rule, Vlan, Way};

const IFLA_MTU: u16 = 4;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_GROUP: u16 = 27;
const IFLA_GRO_MAX_SIZE: u16 = 58;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { INET } else { INET6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn put_u32(writer: Writer, kind: u16, value: u32) -> Writer {
    writer.put(kind, &value.to_ne_bytes())
}

/// `struct ifaddrmsg` and attributes, for the link of this number.
pub(super) fn address(address: &Address, link: u32) -> Vec<u8> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_BROADCAST: u16 = 4;
    const IFA_CACHEINFO: u16 = 6;
    const IFA_FLAGS: u16 = 8;
    /// `IFA_F_NODAD`: nobody else can have it.
    const UNIQUE: u32 = 0x02;
    let own = octets(address.address);
    let other = address.peer.map_or_else(|| own.clone(), octets);
    let mut writer = Writer::default().put(IFA_LOCAL, &own).put(IFA_ADDRESS, &other);
    if let (IpAddr::V4(own), None, 1..=30) = (address.address, address.peer, address.length) {
        let hosts = u32::MAX.checked_shr(address.length.into()).unwrap_or(0);
        writer = writer.put(IFA_BROADCAST, &(own.to_bits() | hosts).to_be_bytes());
    }
    let alone = address.address.is_ipv6() && (address.length == 128 || address.is_kernels());
    let flags = if address.routed { 0 } else { NO_ROUTE } | if alone { UNIQUE } else { 0 };
    let times = [address.life.preferred_s, address.life.valid_s, 0, 0].map(u32::to_ne_bytes).concat();
    let writer = put_u32(writer.put(IFA_CACHEINFO, &times), IFA_FLAGS, flags);
    let head = [family(address.address), address.length, 0, 0];
    [&head[..], &link.to_ne_bytes(), &writer.end()].concat()
}

/// `struct rtmsg` and attributes: a route that is made; `link` is the number of its link.
pub(super) fn route(route: &Route, link: Option<u32>) -> Vec<u8> {
    const LINK_SCOPE: u8 = 253; // RT_SCOPE_LINK
    let scope = match (&route.way, route.to.is_ipv4()) {
        (Way::By(_, None), true) => LINK_SCOPE,
        (Way::By(..) | Way::Unreachable, _) => 0,
    };
    any_route(route, link, STATIC, scope)
}

/// The same, of whatever protocol and scope: for a route that goes. Source: net/ipv4/fib_trie.c, `fib_table_delete`.
pub(super) fn stale_route(route: &Route, link: Option<u32>) -> Vec<u8> {
    const NOWHERE: u8 = 255; // RT_SCOPE_NOWHERE
    any_route(route, link, 0, NOWHERE)
}

fn any_route(route: &Route, link: Option<u32>, protocol: u8, scope: u8) -> Vec<u8> {
    const RTA_DST: u16 = 1;
    const RTA_OIF: u16 = 4;
    const RTA_GATEWAY: u16 = 5;
    const RTA_PRIORITY: u16 = 6;
    const RTA_TABLE: u16 = 15;
    let kind = match route.way {
        Way::By(..) => UNICAST,
        Way::Unreachable => UNREACHABLE,
    };
    let mut writer = Writer::default();
    if route.to.length() > 0 {
        writer = writer.put(RTA_DST, &octets(route.to.first()));
    }
    if let Some(link) = link {
        writer = put_u32(writer, RTA_OIF, link);
    }
    if let Some(via) = route.via() {
        writer = writer.put(RTA_GATEWAY, &octets(via));
    }
    if route.metric != 0 {
        writer = put_u32(writer, RTA_PRIORITY, route.metric);
    }
    let short = u8::try_from(route.table).ok();
    if short.is_none() {
        writer = put_u32(writer, RTA_TABLE, route.table);
    }
    let head = [family(route.to.first()), route.to.length(), 0, 0, short.unwrap_or(0), protocol, scope, kind];
    [&head[..], &[0; 4], &writer.end()].concat()
}

/// `struct fib_rule_hdr` and attributes.
pub(super) fn rule(rule: &Rule) -> Vec<u8> {
    const FRA_DST: u16 = 1;
    const FRA_SRC: u16 = 2;
    const FRA_PRIORITY: u16 = 6;
    const FRA_TABLE: u16 = 15;
    const FRA_PROTOCOL: u16 = 21;
    let length = |prefix: Option<Prefix>| prefix.map_or(0, |prefix| prefix.length());
    let first = rule.from.or(rule.to).map_or(INET, |prefix| family(prefix.first()));
    let mut writer = put_u32(Writer::default(), FRA_PRIORITY, rule.priority);
    for (kind, prefix) in [(FRA_DST, rule.to), (FRA_SRC, rule.from)] {
        if let Some(prefix) = prefix {
            writer = writer.put(kind, &octets(prefix.first()));
        }
    }
    let writer = put_u32(writer, FRA_TABLE, rule.table).put(FRA_PROTOCOL, &[STATIC]);
    let head = [first, length(rule.to), length(rule.from), 0, 0, 0, 0, TO_TABLE];
    [&head[..], &[0; 4], &writer.end()].concat()
}

/// `struct ifinfomsg` of the link of this number (0: a new one), with attributes; `flags` are set, `changed` ones are.
fn link(index: u32, flags: u32, changed: u32, writer: Writer) -> Vec<u8> {
    let head = [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), changed.to_ne_bytes()].concat();
    [head, writer.end()].concat()
}

fn info(kind: &str, data: Writer) -> Writer {
    Writer::default().put(INFO_KIND, kind.as_bytes()).nest(INFO_DATA, data)
}

/// A VLAN on the link `parent`; `index` is its own number, 0: it is made.
pub(super) fn vlan(name: &str, vlan: &Vlan, parent: u32, index: u32) -> Vec<u8> {
    const VLAN_ID: u16 = 1;
    const VLAN_EGRESS_QOS: u16 = 3;
    const VLAN_QOS_MAPPING: u16 = 1;
    let priority = u32::from(vlan.priority);
    let map = (0..PRIORITIES).fold(Writer::default(), |map, from| {
        map.put(VLAN_QOS_MAPPING, &[from.to_ne_bytes(), priority.to_ne_bytes()].concat())
    });
    let data = Writer::default().put(VLAN_ID, &vlan.id.to_ne_bytes()).nest(VLAN_EGRESS_QOS, map);
    let writer = Writer::default().nest(IFLA_LINKINFO, info("vlan", data));
    if index != 0 {
        return link(index, 0, 0, writer);
    }
    let writer = put_u32(put_u32(writer.put_text(IFLA_IFNAME, name), IFLA_LINK, parent), IFLA_GROUP, MARK);
    link(0, 0, 0, writer)
}

/// A bridge that is there does this now.
pub(super) fn bridge(index: u32, snoops: bool, filters: Option<bool>) -> Vec<u8> {
    const BR_VLAN_FILTERING: u16 = 7;
    const BR_MCAST_SNOOPING: u16 = 23;
    let mut data = Writer::default().put(BR_MCAST_SNOOPING, &[u8::from(snoops)]);
    if let Some(filters) = filters {
        data = data.put(BR_VLAN_FILTERING, &[u8::from(filters)]);
    }
    link(index, 0, 0, Writer::default().nest(IFLA_LINKINFO, info("bridge", data)))
}

/// What a port does.
pub(super) fn port(index: u32, port: Port) -> Vec<u8> {
    const BRPORT_FAST_LEAVE: u16 = 7;
    const BRPORT_ISOLATED: u16 = 33;
    let data = Writer::default()
        .put(BRPORT_FAST_LEAVE, &[u8::from(port.fast_leave)])
        .put(BRPORT_ISOLATED, &[u8::from(port.isolated)]);
    let info = Writer::default().put(INFO_SLAVE_KIND, b"bridge").nest(INFO_SLAVE_DATA, data);
    link(index, 0, 0, Writer::default().nest(IFLA_LINKINFO, info))
}

/// The bridge whose port it is; 0: nobody's.
pub(super) fn master(index: u32, bridge: u32) -> Vec<u8> {
    link(index, 0, 0, put_u32(Writer::default(), IFLA_MASTER, bridge))
}

/// It bears our mark.
pub(super) fn mark(index: u32) -> Vec<u8> {
    link(index, 0, 0, put_u32(Writer::default(), IFLA_GROUP, MARK))
}

/// Its largest packet.
pub(super) fn mtu(index: u32, mtu: u32) -> Vec<u8> {
    link(index, 0, 0, put_u32(Writer::default(), IFLA_MTU, mtu))
}

/// It is nobody's port, is down, bears no mark, and puts what comes in together to the usual pieces.
pub(super) fn release(index: u32) -> Vec<u8> {
    const IFF_UP: u32 = 1;
    /// Source: linux/netdevice.h, `GRO_LEGACY_MAX_SIZE`.
    const USUAL: u32 = 65_536;
    let writer = [(IFLA_MASTER, 0), (IFLA_GROUP, 0), (IFLA_GRO_MAX_SIZE, USUAL)];
    let writer =
        writer.into_iter().fold(Writer::default(), |writer, (kind, value)| put_u32(writer, kind, value));
    link(index, 0, IFF_UP, writer)
}

#[cfg(test)]
mod tests {
    use super::{address, route, rule};
    use crate::bytes::attribute;
    use crate::target::{Address, Life, Route, Rule};

    // What ip(8) 6.1 sends (strace), behind `struct nlmsghdr`.
    #[test]
    #[cfg(target_endian = "little")]
    fn bodies_are_what_iproute2_sends() {
        let told = address(&Address::new("", [192, 0, 2, 1], 24), 3);
        assert_eq!(told[..8], [2, 24, 0, 0, 3, 0, 0, 0], "ip address add");
        let values = [2, 1, 4].map(|kind| attribute(&told[8..], kind).unwrap().to_vec());
        assert_eq!(values, [[192, 0, 2, 1], [192, 0, 2, 1], [192, 0, 2, 255]]);
        let six: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
        let life = Life { preferred_s: 0, valid_s: 7_200 };
        let told = address(&Address { life, ..Address::new("", six, 64) }, 3);
        assert_eq!(
            told[..8],
            [10, 64, 0, 0, 3, 0, 0, 0],
            "ip -6 address add … preferred_lft 0 valid_lft 7200"
        );
        assert_eq!(attribute(&told[8..], 6).unwrap()[..8], [0, 0, 0, 0, 0x20, 0x1c, 0, 0]);
        let direct = Route::new("192.0.2.9/32".parse().unwrap(), "", None);
        assert_eq!(
            route(&direct, Some(3))[..8],
            [2, 32, 0, 0, 254, 4, 253, 1],
            "ip route add … scope link proto static"
        );
        let default = Route::new("0.0.0.0/0".parse().unwrap(), "", Some([192, 0, 2, 1].into()));
        let default = route(&default, Some(3));
        assert_eq!(default[..8], [2, 0, 0, 0, 254, 4, 0, 1], "ip route add default proto static");
        assert_eq!(attribute(&default[12..], 5), Some([192, 0, 2, 1].as_slice()));
        let below = route(&Route::unreachable("::/0".parse().unwrap(), 20), None);
        assert_eq!(below[..8], [10, 0, 0, 0, 20, 4, 0, 7], "ip -6 route add unreachable default table 20");
        let to = "198.51.100.0/24".parse().ok();
        let asked = rule(&Rule { priority: 1_000, from: None, to, table: 20 });
        assert_eq!(asked[..8], [2, 24, 0, 0, 0, 0, 0, 1], "ip rule add to … table 20 priority 1000");
    }
}
