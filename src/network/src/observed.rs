//! What the kernel says: links, addresses, routes, rules of one network namespace, in both families.
//!
//! In:  bodies of dumped messages. Out: an `Observed`. Pure.
//!
//! Read are the addresses of links, and of routes those that we could have set (protocol `static` or `dhcp`); the kernel's own routes
//! come and go with addresses. Of rules those that ask a table, whoever set them.
//!
//! Not here: what a link is beside its name and state (`observed/link.rs`).
//!
//! Source: rtnetlink(7); linux/if_addr.h, linux/rtnetlink.h, linux/fib_rules.h.

use std::net::IpAddr;

use contract::prefix::Prefix;

use crate::bytes::{attribute, u32_at};
use crate::target::{Address, Life, Route, Rule, Way};

mod link;

pub use link::{Kind, Link};
pub(crate) use link::{MARK, PRIORITIES};

/// `AF_INET`.
pub(crate) const INET: u8 = 2;
/// `AF_INET6`.
pub(crate) const INET6: u8 = 10;
/// Routes and rules that somebody has set: `RTPROT_STATIC`.
pub(crate) const STATIC: u8 = 4;
/// Routes that a lease brought: `RTPROT_DHCP`.
pub(crate) const DHCP: u8 = 16;
/// `RTN_UNICAST`.
pub(crate) const UNICAST: u8 = 1;
/// `RTN_UNREACHABLE`.
pub(crate) const UNREACHABLE: u8 = 7;
/// `IFA_F_NOPREFIXROUTE`.
pub(crate) const NO_ROUTE: u32 = 0x200;
/// `FR_ACT_TO_TBL`.
pub(crate) const TO_TABLE: u8 = 1;

/// What a namespace holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Its links.
    pub links: Vec<Link>,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// Its routes.
    pub routes: Vec<Route>,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// Settings that were looked at: where, below /proc/sys/net, and what they say.
    pub settings: Vec<(String, String)>,
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(value).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

fn number(attributes: &[u8], kind: u16) -> Option<u32> {
    attribute(attributes, kind).and_then(|value| u32_at(value, 0))
}

/// The prefix in an attribute; without one all of the family.
fn prefix(attributes: &[u8], kind: u16, family: u8, length: u8) -> Option<Prefix> {
    let all = if family == INET { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let first = attribute(attributes, kind).map_or(Some(all), ip)?;
    Some(Prefix::new(first, length))
}

impl Observed {
    /// The link of this name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// All but these links and what is on them.
    #[must_use]
    pub fn without(&self, links: &[&str]) -> Self {
        let stays = |name: &str| !links.contains(&name);
        Self {
            links: self.links.iter().filter(|link| stays(&link.name)).cloned().collect(),
            addresses: self.addresses.iter().filter(|one| stays(&one.link)).cloned().collect(),
            routes: self
                .routes
                .iter()
                .filter(|route| route.link().is_none_or(|link| stays(link)))
                .cloned()
                .collect(),
            rules: self.rules.clone(),
            settings: self.settings.clone(),
        }
    }

    fn name_of(&self, index: u32) -> Option<String> {
        self.links.iter().find(|link| link.index == index).map(|link| link.name.clone())
    }

    /// Takes in the body of one `RTM_NEWLINK`: `struct ifinfomsg` and attributes.
    pub fn take_link(&mut self, body: &[u8]) {
        self.links.extend(Link::read(body));
    }

    /// Takes in the body of one `RTM_NEWADDR`: `struct ifaddrmsg` and attributes. Its link was taken in before.
    pub fn take_address(&mut self, body: &[u8]) {
        const IFADDRMSG: usize = 8;
        const IFA_ADDRESS: u16 = 1;
        const IFA_LOCAL: u16 = 2;
        const IFA_CACHEINFO: u16 = 6;
        const IFA_FLAGS: u16 = 8;
        let attributes = body.get(IFADDRMSG..).unwrap_or_default();
        let (Some([family, length, ..]), Some(index)) = (body.get(..4), u32_at(body, 4)) else { return };
        let other = attribute(attributes, IFA_ADDRESS).and_then(ip);
        // IPv6 names our own address twice only where there is another end.
        let address = attribute(attributes, IFA_LOCAL).and_then(ip).or(other);
        let known = [INET, INET6].contains(family);
        let (true, Some(address), Some(link)) = (known, address, self.name_of(index)) else { return };
        let times = attribute(attributes, IFA_CACHEINFO)
            .and_then(|value| Some(Life { preferred_s: u32_at(value, 0)?, valid_s: u32_at(value, 4)? }));
        let flags = number(attributes, IFA_FLAGS).unwrap_or(0);
        self.addresses.push(Address {
            link,
            address,
            length: *length,
            peer: other.filter(|other| *other != address),
            routed: flags & NO_ROUTE == 0,
            life: times.unwrap_or(Life::FOREVER),
        });
    }

    /// Takes in the body of one `RTM_NEWROUTE`: `struct rtmsg` and attributes. Its link was taken in before.
    pub fn take_route(&mut self, body: &[u8]) {
        const RTMSG: usize = 12;
        const RTA_DST: u16 = 1;
        const RTA_OIF: u16 = 4;
        const RTA_GATEWAY: u16 = 5;
        const RTA_PRIORITY: u16 = 6;
        const RTA_TABLE: u16 = 15;
        /// `RTM_F_CLONED`: made for one destination.
        const CLONED: u32 = 0x200;
        let Some([family, length, _, _, table, protocol, _, kind]) = body.get(..8) else { return };
        let known = [INET, INET6].contains(family) && [STATIC, DHCP].contains(protocol);
        if !known || u32_at(body, 8).is_none_or(|flags| flags & CLONED != 0) {
            return;
        }
        let attributes = body.get(RTMSG..).unwrap_or_default();
        let link = number(attributes, RTA_OIF).and_then(|index| self.name_of(index));
        let via = attribute(attributes, RTA_GATEWAY).and_then(ip);
        let way = match (*kind, link) {
            (UNREACHABLE, _) => Way::Unreachable,
            (UNICAST, Some(link)) => Way::By(link, via),
            _ => return,
        };
        let table = number(attributes, RTA_TABLE).unwrap_or_else(|| u32::from(*table));
        let metric = number(attributes, RTA_PRIORITY).unwrap_or(0);
        if let Some(to) = prefix(attributes, RTA_DST, *family, *length) {
            self.routes.push(Route { table, to, way, metric });
        }
    }

    /// Takes in the body of one `RTM_NEWRULE`: `struct fib_rule_hdr` and attributes.
    pub fn take_rule(&mut self, body: &[u8]) {
        const HEADER: usize = 12;
        const FRA_DST: u16 = 1;
        const FRA_SRC: u16 = 2;
        const FRA_PRIORITY: u16 = 6;
        const FRA_TABLE: u16 = 15;
        let Some([family, to_length, from_length, _, table, _, _, TO_TABLE]) = body.get(..8) else { return };
        let attributes = body.get(HEADER..).unwrap_or_default();
        let some = |kind: u16, length: u8| {
            attribute(attributes, kind).and_then(|_| prefix(attributes, kind, *family, length))
        };
        let (from, to) = (some(FRA_SRC, *from_length), some(FRA_DST, *to_length));
        let table = number(attributes, FRA_TABLE).unwrap_or_else(|| u32::from(*table));
        if [INET, INET6].contains(family) && (from.is_some() || to.is_some()) {
            let priority = number(attributes, FRA_PRIORITY).unwrap_or(0);
            self.rules.push(Rule { priority, from, to, table });
        }
    }
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
        let address = Address::new("wan0", [203, 0, 113, 7], 24);
        assert!(observed.addresses.contains(&address), "{:?}", observed.addresses);
        let via = Some([203, 0, 113, 1].into());
        let default = Route::new("0.0.0.0/0".parse().unwrap(), "wan0", via);
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
