//! What the kernel says: links, IPv4 addresses, routes of one network namespace.
//!
//! In:  bodies of dumped messages. Out: an `Observed`. Pure.
//!
//! Read are the addresses of links, and of routes those in the main table that we could have set (protocol `static` or `dhcp`); the
//! kernel's own routes come and go with addresses.
//!
//! Source: rtnetlink(7); linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h.

use std::net::Ipv4Addr;

use crate::bytes::{attribute, text, u32_at};
use crate::target::{Address, Route};

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
    /// The number of the link that it is one end of a pair with, in whatever namespace; else its own.
    pub peer: u32,
}

/// What a namespace holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Its links.
    pub links: Vec<Link>,
    /// Its IPv4 addresses.
    pub addresses: Vec<Address>,
    /// Its routes.
    pub routes: Vec<Route>,
}

impl Observed {
    /// The link of this name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    fn name_of(&self, index: u32) -> Option<String> {
        self.links.iter().find(|link| link.index == index).map(|link| link.name.clone())
    }

    /// Takes in the body of one `RTM_NEWLINK`: `struct ifinfomsg` and attributes.
    pub fn take_link(&mut self, body: &[u8]) {
        const IFINFOMSG: usize = 16;
        const IFLA_IFNAME: u16 = 3;
        const IFLA_LINK: u16 = 5;
        const IFLA_MASTER: u16 = 10;
        const IFF_UP: u32 = 1;
        let attributes = body.get(IFINFOMSG..).unwrap_or_default();
        let name = attribute(attributes, IFLA_IFNAME).and_then(text);
        if let (Some(index), Some(flags), Some(name)) = (u32_at(body, 4), u32_at(body, 8), name) {
            let bridge = attribute(attributes, IFLA_MASTER).and_then(|value| u32_at(value, 0));
            let peer = attribute(attributes, IFLA_LINK).and_then(|value| u32_at(value, 0)).unwrap_or(index);
            self.links.push(Link { index, name: name.to_owned(), up: flags & IFF_UP != 0, bridge, peer });
        }
    }

    /// Takes in the body of one `RTM_NEWADDR`: `struct ifaddrmsg` and attributes. Its link was taken in before.
    pub fn take_address(&mut self, body: &[u8]) {
        const IFADDRMSG: usize = 8;
        const IFA_LOCAL: u16 = 2;
        let attributes = body.get(IFADDRMSG..).unwrap_or_default();
        let (Some([family, length, ..]), Some(index)) = (body.get(..4), u32_at(body, 4)) else { return };
        let address = attribute(attributes, IFA_LOCAL).and_then(ipv4);
        if let (AF_INET, Some(address), Some(link)) = (*family, address, self.name_of(index)) {
            self.addresses.push(Address { link, address, length: *length });
        }
    }

    /// Takes in the body of one `RTM_NEWROUTE`: `struct rtmsg` and attributes. Its link was taken in before.
    pub fn take_route(&mut self, body: &[u8]) {
        const RTMSG: usize = 12;
        const RTA_DST: u16 = 1;
        const RTA_OIF: u16 = 4;
        const RTA_GATEWAY: u16 = 5;
        const RT_TABLE_MAIN: u8 = 254;
        const RTN_UNICAST: u8 = 1;
        let Some([family, length, _, _, table, protocol, _, kind]) = body.get(..8) else { return };
        let ours = [STATIC, DHCP].contains(protocol);
        if (*family, *table, *kind, ours) != (AF_INET, RT_TABLE_MAIN, RTN_UNICAST, true) {
            return;
        }
        let attributes = body.get(RTMSG..).unwrap_or_default();
        let link = attribute(attributes, RTA_OIF)
            .and_then(|value| u32_at(value, 0))
            .and_then(|index| self.name_of(index));
        let to = attribute(attributes, RTA_DST).map_or(Some(Ipv4Addr::UNSPECIFIED), ipv4);
        if let (Some(link), Some(to)) = (link, to) {
            let via = attribute(attributes, RTA_GATEWAY).and_then(ipv4);
            self.routes.push(Route { to, length: *length, via, link });
        }
    }
}

const AF_INET: u8 = 2;
/// Routes that somebody has set: `RTPROT_STATIC`.
pub(crate) const STATIC: u8 = 4;
/// Routes that a lease brought: `RTPROT_DHCP`.
pub(crate) const DHCP: u8 = 16;

fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)
}

/// The error number in an `NLMSG_ERROR`'s body; 0: it is an acknowledgement.
#[must_use]
pub fn error_number(body: &[u8]) -> Option<i32> {
    u32_at(body, 0).map(|number| i32::from_ne_bytes(number.to_ne_bytes()).saturating_neg())
}

#[cfg(test)]
mod tests {
    use super::{Link, Observed, error_number};
    use crate::bytes::{self, Writer, attributes, messages};
    use crate::target::{Address, Route};

    /// What the kernel answers to `ip link`, `ip address`, `ip route` in a namespace; see tests/data/README.md.
    fn read(packet: &[u8]) -> Observed {
        let mut observed = Observed::default();
        for message in messages(packet) {
            match message.kind {
                16 => observed.take_link(message.body),
                20 => observed.take_address(message.body),
                24 => observed.take_route(message.body),
                _ => {}
            }
        }
        observed
    }

    const PACKET: &[u8] = include_bytes!("../tests/data/namespace-x86_64");

    #[test]
    fn what_the_kernel_says_is_read() {
        let observed = read(PACKET);
        let link = observed.link("wan0").unwrap();
        assert!(link.up);
        assert_eq!(observed.link("port0").unwrap().bridge, observed.link("br0").map(|bridge| bridge.index));
        let address = Address { link: "wan0".to_owned(), address: [203, 0, 113, 7].into(), length: 24 };
        assert!(observed.addresses.contains(&address), "{:?}", observed.addresses);
        let default = Route {
            to: [0, 0, 0, 0].into(),
            length: 0,
            via: Some([203, 0, 113, 1].into()),
            link: "wan0".to_owned(),
        };
        assert_eq!(observed.routes, [default], "the kernel's own route is not ours");
    }

    /// The same, as an i386 kernel says it: there a link's map (`IFLA_MAP`) has 28 bytes, for a number of 64 bits is aligned to 4.
    fn with_short_maps(packet: &[u8]) -> Vec<u8> {
        const IFLA_MAP: u16 = 14;
        let short = |body: &[u8]| {
            let written = attributes(&body[16..]).fold(Writer::default(), |writer, (kind, value)| {
                writer.put(kind, if kind == IFLA_MAP { &value[..28] } else { value })
            });
            [&body[..16], &written.end()].concat()
        };
        let written = messages(packet).map(|message| match message.kind {
            16 => bytes::message(16, message.flags, message.sequence, &short(message.body)),
            kind => bytes::message(kind, message.flags, message.sequence, message.body),
        });
        written.collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_kernel_of_32_bits_is_understood_as_well() {
        let short = with_short_maps(PACKET);
        assert!(short.len() < PACKET.len(), "there are maps in it");
        assert_eq!(read(&short), read(PACKET));
    }

    #[test]
    fn whatever_is_cut_off_is_left_out() {
        for cut in 0..PACKET.len() {
            let _ = read(&PACKET[..cut]);
        }
        let mut observed = Observed::default();
        for cut in 0..16 {
            observed.take_link(&PACKET[16..16 + cut]);
            observed.take_address(&PACKET[16..16 + cut]);
            observed.take_route(&PACKET[16..16 + cut]);
        }
        assert_eq!(observed.links, Vec::<Link>::new());
        assert_eq!(error_number(&(-19_i32).to_ne_bytes()), Some(19));
        assert_eq!(error_number(&[0]), None);
    }
}
