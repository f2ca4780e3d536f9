//! The firewall: who may open a connection to whom.
//!
//! In:  the wanted network, attached services, a few facts. Out: a `Table`. Pure. docs/firewall.md shows it as a table for people.
//!
//! What no rule lets through is thrown away, in IPv4 and IPv6 alike. Names of links are compared, not numbers, so a link that is
//! plugged in later, or made anew, is under the same rules from its first packet on. What changes often (services, mapped ports) lies in
//! sets, so that its coming and going replaces no rule.
//!
//! No helper follows any protocol into its data: what a helper opens, a stranger can open.
//!
//! Source: RFC 6092 (simple security in a home gateway), RFC 4890 (ICMPv6 that must pass), RFC 2979, RFC 6890 and RFC 8190 (addresses
//! that are nobody's), RFC 2827 and RFC 3704 (whose address may come from where), RFC 4787 and RFC 5382 (hairpin).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::learn::Mapping;
use contract::manifest::{Audience, Serve};
use contract::prefix::Prefix;
use contract::wanted::{LinkName, Profile, Tv, Voice, Wanted};

use crate::observed::Observed;
use crate::ruleset::{Base, Chain, Family, Flowtable, Hook, Listed, Table};
use crate::target::{Attachment, GUEST_BRIDGE};
use crate::view::View;

mod frames;
mod sets;

mod guard;
mod input;
mod pass;

mod classify;
mod lead;
mod output;

pub use frames::frames;

/// Ports of the gateway's own LAN address that no service gets: names, addresses, mapped ports, calls.
pub const OWN_PORTS: [u16; 5] = [DNS, DHCP_SERVER, PCP, SIP.0, SIP.1];

/// DHCP: the server's port and the client's. Source: RFC 2131 §4.1.
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
/// DHCPv6: the same. Source: RFC 8415 §7.2.
const DHCP6_SERVER: u16 = 547;
const DHCP6_CLIENT: u16 = 546;
/// DNS. Source: RFC 1035 §4.2.
const DNS: u16 = 53;
/// Ports that hosts ask for. Source: RFC 6887 §19.1.
const PCP: u16 = 5351;
/// What sets calls up, plain and by TLS. Source: RFC 3261 §19.1.2.
const SIP: (u16, u16) = (5060, 5061);
/// Where media may come from and go to.
const MEDIA: (u16, u16) = (1024, u16::MAX);
/// Where the gateway's own voice daemon takes media of the home and of the operator.
pub const PROXY_MEDIA: (u16, u16) = (20_000, 20_511);
/// Announcements. Source: RFC 6762 §5.
const MDNS: u16 = 5353;
/// Searches. Source: UPnP Device Architecture 2.0 §1.1.2.
const SSDP: u16 = 1900;

/// The flowtable.
const FLOWS: &str = "short";

/// What is known beside the wanted network and the attachments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The guests' bridge.
    pub guest: LinkName,
    /// IPv6 addresses of services, by slot.
    pub services6: Vec<(u8, Ipv6Addr)>,
    /// Our IPv6 address on every service's link.
    pub gateway6: Vec<Ipv6Addr>,
    /// Ports that hosts of the home have asked for.
    pub mappings: Vec<Mapping>,
    /// Our address of the Internet play.
    pub outside: Option<Ipv4Addr>,
    /// An address of the prefix that was delegated to us.
    pub outside6: Option<Ipv6Addr>,
    /// Sets of which only `lease` can know what is in them, while it has not spoken.
    pub unknown: Vec<&'static str>,
    /// Links of the short way, where the kernel has one: the WAN and the home's ports that are there. Empty: none.
    pub short: Vec<String>,
}

impl Facts {
    /// What a view says; and links of the short way, which only the kernel knows.
    #[must_use]
    pub fn of(view: &View<'_>, short: Vec<String>) -> Self {
        let slots = view.services.iter().map(|service| service.slot);
        let of_slot = |slot| view.service6(slot).into_iter().map(move |one| (slot, one.address));
        let first = |prefix: Prefix| match prefix.first() {
            IpAddr::V4(_) => None,
            IpAddr::V6(first) => Some(first),
        };
        Self {
            guest: LinkName::from(GUEST_BRIDGE),
            services6: slots.flat_map(of_slot).collect(),
            gateway6: view.gateway6().iter().map(|one| one.address).collect(),
            mappings: view.mappings.clone(),
            outside: view.outside(),
            outside6: view.prefixes().find_map(|one| first(one.prefix)),
            unknown: sets::unknown(view),
            short,
        }
    }

    /// What only `lease` can know stays as a former life has set it, until `lease` has spoken.
    pub fn keep(&self, table: &mut Table, listed: &Listed) {
        for set in table.sets.iter_mut().filter(|set| self.unknown.contains(&set.name)) {
            if let Some(elements) = listed.elements.get(set.name) {
                set.elements.clone_from(elements);
            }
        }
    }
}

/// Links at whose way in the kernel looks for connections that go the short way: the WAN's own and the home's ports, where they are
/// there, never what stands on them: it finds VLANs, PPPoE and bridges itself (`ndo_fill_forward_path`).
#[must_use]
pub fn short_links(wanted: &Wanted, observed: &Observed) -> Vec<String> {
    let links = [&wanted.wan.link].into_iter().chain(&wanted.lan.ports).map(ToString::to_string);
    links.filter(|link| observed.link(link).is_some()).collect()
}

/// All that the rules follow from.
struct House<'h> {
    wanted: &'h Wanted,
    services: &'h [Attachment],
    facts: &'h Facts,
    internet: LinkName,
    voice: Option<(&'h Voice, LinkName)>,
    /// TV that is routed; where it is bridged nothing of it comes here.
    tv: Option<(&'h Tv, LinkName)>,
}

/// The chains; no name is a word of nft's own language. Priorities are nft's words `raw`, `dstnat`, `filter`, `mangle`, `srcnat`.
const CHAINS: [Chain; 24] = [
    part(ZONES),
    part(CALLS),
    part(PICTURES),
    part(LEADS),
    part(NEIGHBOURS),
    part(US_INTERNET),
    part(US_HOME),
    part(US_GUEST),
    part(US_SERVICES),
    part(US_VOICE),
    part(US_TV),
    part(BY_INTERNET),
    part(BY_HOME),
    part(BY_GUEST),
    part(BY_SERVICES),
    base(GUARD, Hook::Prerouting, -300, true),
    Chain {
        name: INWARD,
        base: Some(Base { hook: Hook::Prerouting, translates: true, priority: -100, accepts: true }),
    },
    base(INPUT, Hook::Input, 0, false),
    base(CLAMP, Hook::Forward, -150, true),
    base(FORWARD, Hook::Forward, 0, false),
    base(OWN, Hook::Output, -150, true),
    part(TO_VOICE),
    base(OUTPUT, Hook::Output, 0, true),
    Chain {
        name: OUTWARD,
        base: Some(Base { hook: Hook::Postrouting, translates: true, priority: 100, accepts: true }),
    },
];
const CALLS: &str = "calls";
const PICTURES: &str = "pictures";
const LEADS: &str = "leads";
const NEIGHBOURS: &str = "neighbours";
const US_INTERNET: &str = "us-from-internet";
const US_HOME: &str = "us-from-home";
const US_GUEST: &str = "us-from-guest";
const US_SERVICES: &str = "us-from-services";
const US_VOICE: &str = "us-from-voice";
const US_TV: &str = "us-from-tv";
const BY_INTERNET: &str = "from-internet";
const BY_HOME: &str = "from-home";
const BY_GUEST: &str = "from-guest";
const BY_SERVICES: &str = "from-services";
const ZONES: &str = "zones";
const GUARD: &str = "guard";
const INWARD: &str = "inward";
const INPUT: &str = "input";
const CLAMP: &str = "clamp";
const FORWARD: &str = "forward";
const OWN: &str = "own";
const TO_VOICE: &str = "to-voice";
const OUTPUT: &str = "output";
const OUTWARD: &str = "outward";

const fn part(name: &'static str) -> Chain {
    Chain { name, base: None }
}

const fn base(name: &'static str, hook: Hook, priority: i32, accepts: bool) -> Chain {
    Chain { name, base: Some(Base { hook, translates: false, priority, accepts }) }
}

/// The whole firewall.
#[must_use]
pub fn table(wanted: &Wanted, services: &[Attachment], facts: &Facts) -> Table {
    let house = House::of(wanted, services, facts);
    let mut rules = guard::rules(&house);
    rules.extend(lead::rules(&house));
    rules.extend(input::rules(&house));
    rules.extend(classify::rules(&house));
    rules.extend(pass::rules(&house));
    rules.extend(output::rules(&house));
    let flowtable = house.goes_short().then(|| Flowtable { name: FLOWS, links: facts.short.clone() });
    Table { family: Family::Packets, sets: sets::all(&house), flowtable, chains: CHAINS.to_vec(), rules }
}

impl<'h> House<'h> {
    fn of(wanted: &'h Wanted, services: &'h [Attachment], facts: &'h Facts) -> Self {
        let routed = wanted.tv.as_ref().filter(|tv| match tv.profile {
            Profile::Routed => true,
            Profile::Bridged => false,
        });
        Self {
            wanted,
            services,
            facts,
            internet: wanted.address_link(&wanted.internet),
            voice: wanted.voice.as_ref().map(|voice| (voice, wanted.address_link(&voice.access))),
            tv: routed.map(|tv| (tv, wanted.address_link(&tv.access))),
        }
    }

    fn home(&self) -> Prefix {
        Prefix::new(self.wanted.lan.address.into(), self.wanted.lan.prefix_length)
    }

    fn all_services(&self) -> Prefix {
        Prefix::new(self.wanted.services.prefix.into(), self.wanted.services.prefix_length)
    }

    /// The guests' prefix, and their bridge.
    fn guests(&self) -> Option<(Prefix, &LinkName)> {
        let guest = self.wanted.guest.as_ref()?;
        Some((Prefix::new(guest.address.into(), guest.prefix_length), &self.facts.guest))
    }

    /// Every network inside, in IPv4.
    fn inside(&self) -> impl Iterator<Item = Prefix> {
        [self.home(), self.all_services()].into_iter().chain(self.guests().map(|(prefix, _)| prefix))
    }

    /// The links of all plays.
    fn outside(&self) -> impl Iterator<Item = &LinkName> {
        let others = self.voice.iter().map(|(_, link)| link).chain(self.tv.iter().map(|(_, link)| link));
        [&self.internet].into_iter().chain(others)
    }

    /// Do connections between home and Internet take the short way? Not where a VLAN's priority is wanted: the short way does not
    /// write it (net/netfilter/nf_flow_table_ip.c, `nf_flow_encap_push`).
    fn goes_short(&self) -> bool {
        let access = &self.wanted.internet;
        !self.facts.short.is_empty() && (access.vlan == 0 || access.priority == 0)
    }

    /// Does the gateway's own voice daemon speak for the home's phones?
    fn proxies(&self) -> bool {
        self.voice.as_ref().is_some_and(|(voice, _)| voice.proxy.is_some())
    }

    /// What services offer to `audience`.
    fn offered(&self, audience: Audience) -> impl Iterator<Item = (&Attachment, &Serve)> {
        let all =
            self.services.iter().flat_map(|service| service.serves.iter().map(move |serve| (service, serve)));
        all.filter(move |(_, serve)| serve.to == audience)
    }

    /// The IPv6 addresses of the service in `slot`.
    fn service6(&self, slot: u8) -> impl Iterator<Item = Ipv6Addr> {
        self.facts.services6.iter().filter(move |(of, _)| *of == slot).map(|(_, address)| *address)
    }
}
