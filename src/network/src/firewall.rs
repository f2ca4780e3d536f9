//! The firewall: who may open a connection to whom.
//!
//! In:  the wanted network, attached services. Out: a `Table`. Pure. docs/network.md shows it as a table for people.
//!
//! What no rule lets through is thrown away, in IPv4 and IPv6 alike. Names of links are compared, not numbers, so a link that is
//! plugged in later, or made anew, is under the same rules from its first packet on.
//!
//! No helper follows any protocol into its data: what a helper opens, a stranger can open.
//!
//! Source: RFC 6092 (simple security in a home gateway), RFC 4890 (ICMPv6 that must pass), RFC 2979.

use std::net::Ipv4Addr;

use contract::manifest::{Audience, Serve};
use contract::wanted::{SERVICE_LINK, WanIpv4, Wanted};

use crate::expression::{ESTABLISHED, INVALID, RELATED, Rule};
use crate::ruleset::{Chain, Hook, Table};
use crate::target::{Attachment, Prefix, home_prefix, service_address, service_link, services_prefix};

/// The chains; no name is a word of nft's own language. Priorities are nft's words `raw`, `dstnat`, `filter`, `mangle`, `srcnat`.
const CHAINS: [Chain; 6] = [
    Chain { name: GUARD, hook: Hook::Prerouting, translates: false, priority: -300, accepts: true },
    Chain { name: INWARD, hook: Hook::Prerouting, translates: true, priority: -100, accepts: true },
    Chain { name: INPUT, hook: Hook::Input, translates: false, priority: 0, accepts: false },
    Chain { name: CLAMP, hook: Hook::Forward, translates: false, priority: -150, accepts: true },
    Chain { name: FORWARD, hook: Hook::Forward, translates: false, priority: 0, accepts: false },
    Chain { name: OUTWARD, hook: Hook::Postrouting, translates: true, priority: 100, accepts: true },
];
const GUARD: &str = "guard";
const INWARD: &str = "inward";
const INPUT: &str = "input";
const CLAMP: &str = "clamp";
const FORWARD: &str = "forward";
const OUTWARD: &str = "outward";

/// ICMP echo requests that we answer, a second; and at once.
const PINGS: (u64, u32) = (10, 20);

/// ICMP, echo request. Source: RFC 792.
const ECHO: u8 = 8;
/// ICMPv6: unreachable, too big, time exceeded, parameter problem. Source: RFC 4890 §4.4.1.
const ERRORS6: (u8, u8) = (1, 4);
/// ICMPv6, echo request.
const ECHO6: u8 = 128;
/// ICMPv6: multicast listener query, report, done. Source: RFC 4890 §4.4.1, RFC 2710.
const LISTENERS6: (u8, u8) = (130, 132);
/// ICMPv6: neighbour solicitation and advertisement. Not those of routers: we believe none, at home or outside, until IPv6 comes here.
/// Source: RFC 4861.
const NEIGHBOURS6: (u8, u8) = (135, 136);
/// ICMPv6: multicast listener report, version 2. Source: RFC 3810.
const LISTENERS6_V2: u8 = 143;

/// DHCP: the server's port and the client's. Source: RFC 2131 §4.1.
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
/// DNS. Source: RFC 1035 §4.2.
const DNS: u16 = 53;

/// Addresses of one link only: they are never passed on. Source: RFC 3927 §7.
const LINK_LOCAL: (Ipv4Addr, u8) = (Ipv4Addr::new(169, 254, 0, 0), 16);

/// Ports of the gateway's own LAN address that no service gets.
pub const OWN_PORTS: [u16; 2] = [DNS, DHCP_SERVER];

/// The whole firewall.
#[must_use]
pub fn table(wanted: &Wanted, services: &[Attachment]) -> Table {
    let mut rules = guard(wanted, services);
    rules.extend(inward(wanted, services));
    rules.extend(input(wanted));
    rules.extend(clamp(wanted));
    rules.extend(forward(wanted, services));
    rules.extend(outward(wanted));
    Table { chains: CHAINS.to_vec(), rules }
}

/// Nobody speaks in another one's name.
fn guard(wanted: &Wanted, services: &[Attachment]) -> Vec<Rule> {
    let (home, all_services) = (home_prefix(wanted), services_prefix(wanted));
    let outside = || Rule::of(GUARD).comes_by(&wanted.wan.link);
    let mut rules = vec![
        outside().from(home).throw_away().says("the home's addresses are not out there"),
        outside().from(all_services).throw_away().says("nor are the services'"),
        outside().to(home).throw_away().says("nobody out there knows them"),
        outside().to(all_services).throw_away(),
        // Not even 0.0.0.0: `lease` hears those who have no address before the firewall does.
        Rule::of(GUARD)
            .comes_by(&wanted.lan.bridge)
            .not_from(home)
            .throw_away()
            .says("nobody else is at home"),
    ];
    for service in services {
        let own = Prefix::host(service_address(wanted, service.slot));
        rules.push(
            Rule::of(GUARD).comes_by(&service_link(service.slot)).from(own).accept().says(&service.service),
        );
    }
    rules.push(
        Rule::of(GUARD)
            .comes_by_any(SERVICE_LINK)
            .throw_away()
            .says("a service has one address, and no IPv6 yet"),
    );
    rules
}

/// Ports of the gateway's LAN address that lead to services.
fn inward(wanted: &Wanted, services: &[Attachment]) -> Vec<Rule> {
    let ours = Prefix::host(wanted.lan.address);
    let mapped = services.iter().flat_map(|service| {
        let address = service_address(wanted, service.slot);
        offered(service).filter(|serve| serve.at != 0).map(move |serve| {
            let rule = Rule::of(INWARD).comes_by(&wanted.lan.bridge).to(ours).port(serve.protocol, serve.at);
            rule.send_to(address, serve.port).says(&says(service, serve))
        })
    });
    mapped.collect()
}

/// What is for the gateway itself.
fn input(wanted: &Wanted) -> Vec<Rule> {
    let (wan, lan, rule) = (&wanted.wan.link, &wanted.lan.bridge, || Rule::of(INPUT));
    let mut rules = vec![
        rule().comes_by("lo").accept(),
        rule().state(ESTABLISHED | RELATED).accept(),
        rule().state(INVALID).throw_away(),
        rule().icmpv6(ERRORS6.0, ERRORS6.1).accept(),
        rule().icmpv6(LISTENERS6.0, LISTENERS6.1).accept(),
        rule().icmpv6(NEIGHBOURS6.0, NEIGHBOURS6.1).accept(),
        rule().icmpv6(LISTENERS6_V2, LISTENERS6_V2).accept(),
    ];
    // Each side has its own measure, so that no stranger's pings use up those of the home.
    for side in [rule().comes_by(wan), rule().comes_by(lan), rule().comes_by_any(SERVICE_LINK)] {
        rules.push(side.clone().icmp(ECHO).at_most(PINGS.0, PINGS.1).accept());
        rules.push(side.icmpv6(ECHO6, ECHO6).at_most(PINGS.0, PINGS.1).accept());
    }
    match wanted.internet.ipv4 {
        WanIpv4::Dhcp => rules.push(rule().comes_by(wan).udp_ports(DHCP_SERVER, DHCP_CLIENT).accept()),
        WanIpv4::Pppoe | WanIpv4::Static | WanIpv4::None => {}
    }
    rules.extend([
        rule().comes_by(lan).udp_ports(DHCP_CLIENT, DHCP_SERVER).accept(),
        rule().comes_by(lan).port(contract::manifest::Protocol::Udp, DNS).accept(),
        rule().comes_by(lan).port(contract::manifest::Protocol::Tcp, DNS).accept(),
    ]);
    rules.extend(refuse(wanted, INPUT));
    rules
}

/// A path that is narrower than its ends: segments are cut to what it carries. Source: RFC 4459 §3.2.
fn clamp(wanted: &Wanted) -> Vec<Rule> {
    let wan = &wanted.wan.link;
    vec![Rule::of(CLAMP).goes_by(wan).clamp(), Rule::of(CLAMP).comes_by(wan).clamp()]
}

/// What passes through.
fn forward(wanted: &Wanted, services: &[Attachment]) -> Vec<Rule> {
    let (wan, lan, rule) = (&wanted.wan.link, &wanted.lan.bridge, || Rule::of(FORWARD));
    let mut rules = vec![
        rule().state(ESTABLISHED | RELATED).accept(),
        rule().state(INVALID).throw_away(),
        rule().to(Prefix::new(LINK_LOCAL.0, LINK_LOCAL.1)).throw_away().says("of one link only"),
        rule().comes_by(lan).goes_by(wan).from(home_prefix(wanted)).accept(),
        rule().comes_by_any(SERVICE_LINK).goes_by(wan).accept(),
    ];
    for service in services {
        let (link, own) = (service_link(service.slot), Prefix::host(service_address(wanted, service.slot)));
        for serve in offered(service) {
            let rule = rule().comes_by(lan).goes_by(&link).to(own).port(serve.protocol, serve.port);
            rules.push(rule.accept().says(&says(service, serve)));
        }
    }
    rules.extend(refuse(wanted, FORWARD));
    rules
}

/// Inside, a refusal is said; to the outside it is kept silent.
fn refuse(wanted: &Wanted, chain: &'static str) -> [Rule; 4] {
    let home = || Rule::of(chain).comes_by(&wanted.lan.bridge);
    let service = || Rule::of(chain).comes_by_any(SERVICE_LINK);
    [home().reset(), home().refuse(), service().reset(), service().refuse()]
}

/// What leaves by the WAN has the WAN's address.
fn outward(wanted: &Wanted) -> Vec<Rule> {
    let inside = [home_prefix(wanted), services_prefix(wanted)];
    inside.map(|prefix| Rule::of(OUTWARD).goes_by(&wanted.wan.link).from(prefix).masquerade()).to_vec()
}

/// What a service offers to the home. What it offers to others has its rules once there are such others.
fn offered(service: &Attachment) -> impl Iterator<Item = &Serve> {
    service.serves.iter().filter(|serve| match serve.to {
        Audience::Home => true,
        Audience::Slice | Audience::Internet | Audience::Portal => false,
    })
}

fn says(service: &Attachment, serve: &Serve) -> String {
    format!("{}: {}", service.service, serve.name)
}
