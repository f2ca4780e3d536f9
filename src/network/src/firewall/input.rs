//! What is for the gateway itself: from each side its own short list.
//!
//! In:  the house. Out: the rules of the chain `input` and of those that it asks.
//!
//! Source: RFC 4890 §4.4 (ICMPv6 to a node), RFC 4861 §11.2 (its own hop limit), RFC 8415 §7.2, RFC 6887 §19.1.

use contract::manifest::Protocol::{Tcp, Udp};
use contract::prefix::Prefix;
use contract::wanted::{Access, LanIpv6, SERVICE_LINK, WanIpv4, WanIpv6};

use super::pass::refuse;
use super::{
    DHCP_CLIENT, DHCP_SERVER, DHCP6_CLIENT, DHCP6_SERVER, DNS, House, INPUT, MDNS, NEIGHBOURS, PCP,
    PROXY_MEDIA, SIP, SSDP, US_GUEST, US_HOME, US_INTERNET, US_SERVICES, US_TV, US_VOICE,
};
use crate::expression::{ESTABLISHED, INVALID, Load, RELATED, Rule};
use crate::target::{gateway_address, service_link};

/// ICMP echo requests that we answer, a second; and at once.
const PINGS: (u64, u32) = (10, 20);
/// Connections that one service has to us at a time: name servers are asked by few at once, and each port that asks is a connection.
const CONNECTIONS: u32 = 256;
/// ICMP, echo request. Source: RFC 792.
const ECHO: u8 = 8;
/// ICMPv6, echo request. Source: RFC 4443 §4.1.
const ECHO6: u8 = 128;
/// ICMPv6: unreachable, too big, time exceeded, parameter problem. Source: RFC 4890 §4.4.1.
const ERRORS6: (u8, u8) = (1, 4);
/// ICMPv6: multicast listener query, report, done. Source: RFC 4890 §4.4.1, RFC 2710.
const LISTENERS6: (u8, u8) = (130, 132);
/// ICMPv6: multicast listener report, version 2. Source: RFC 3810.
const LISTENERS6_V2: u8 = 143;
/// ICMPv6: a host asks for routers; a router says that it is one. Source: RFC 4861 §4.1, §4.2.
const SOLICITATION6: u8 = 133;
const ADVERTISEMENT6: u8 = 134;
/// ICMPv6: neighbour solicitation and advertisement. Source: RFC 4861 §4.3, §4.4.
const NEIGHBOURS6: (u8, u8) = (135, 136);

/// Addresses of one link. Source: RFC 4291 §2.5.6.
pub(super) fn of_the_link() -> Prefix {
    Prefix::new([0xfe80, 0, 0, 0, 0, 0, 0, 0].into(), 10)
}

pub(super) fn rules(house: &House<'_>) -> Vec<Rule> {
    let rule = || Rule::of(INPUT);
    let mut rules = neighbours().to_vec();
    rules.extend(internet(house));
    rules.extend(home(house));
    rules.extend(guests(house));
    rules.extend(services(house));
    rules.extend(voice(house));
    rules.extend(tv(house));
    rules.extend([
        rule().comes_by("lo").accept(),
        rule().state(ESTABLISHED | RELATED).accept(),
        rule().state(INVALID).throw_away(),
        rule().comes_by(&house.internet).goes_to(US_INTERNET),
        rule().comes_by(&house.wanted.lan.bridge).goes_to(US_HOME),
        rule().comes_by_any(SERVICE_LINK).goes_to(US_SERVICES),
    ]);
    rules.extend(house.guests().map(|(_, link)| rule().comes_by(link).goes_to(US_GUEST)));
    rules.extend(house.voice.iter().map(|(_, link)| rule().comes_by(link).goes_to(US_VOICE)));
    rules.extend(house.tv.iter().map(|(_, link)| rule().comes_by(link).goes_to(US_TV)));
    rules
}

/// Without these IPv6 does not work on any link.
fn neighbours() -> [Rule; 4] {
    let rule = || Rule::of(NEIGHBOURS);
    [
        rule().icmpv6(ERRORS6.0, ERRORS6.1).accept(),
        rule().from_the_link().icmpv6(NEIGHBOURS6.0, NEIGHBOURS6.1).accept(),
        rule().icmpv6(LISTENERS6.0, LISTENERS6.1).accept(),
        rule().icmpv6(LISTENERS6_V2, LISTENERS6_V2).accept(),
    ]
}

/// Each side has its own measure, so that no stranger's pings use up those of the home.
fn pings(chain: &'static str) -> [Rule; 2] {
    let rule = || Rule::of(chain);
    [
        rule().icmp(ECHO).at_most(PINGS.0, PINGS.1).accept(),
        rule().icmpv6(ECHO6, ECHO6).at_most(PINGS.0, PINGS.1).accept(),
    ]
}

/// What a play's own address needs.
fn access(chain: &'static str, access: &Access) -> Vec<Rule> {
    let rule = || Rule::of(chain);
    let mut rules = vec![rule().asks(NEIGHBOURS)];
    match access.ipv4 {
        WanIpv4::Dhcp => rules.push(rule().udp_ports(DHCP_SERVER, DHCP_CLIENT).accept()),
        WanIpv4::Pppoe | WanIpv4::Static | WanIpv4::None => {}
    }
    let router =
        || rule().from(of_the_link()).from_the_link().icmpv6(ADVERTISEMENT6, ADVERTISEMENT6).accept();
    match access.ipv6 {
        WanIpv6::Dhcp => {
            rules.extend([router(), rule().from(of_the_link()).port(Udp, DHCP6_CLIENT).accept()])
        }
        WanIpv6::Slaac => rules.push(router()),
        WanIpv6::None => {}
    }
    rules
}

fn internet(house: &House<'_>) -> Vec<Rule> {
    let mut rules = access(US_INTERNET, &house.wanted.internet);
    rules.extend(pings(US_INTERNET));
    rules.extend(managed(house, US_INTERNET));
    rules
}

/// Who may call the agent on this side: the home is its own prefix, whoever else is told comes by the Internet play.
fn managed(house: &House<'_>, chain: &'static str) -> Vec<Rule> {
    let lan = &house.wanted.lan;
    let lan = Prefix::new(lan.address.into(), lan.prefix_length);
    let all = house.wanted.management.iter().filter(|one| one.enable);
    let ours = all.filter(|one| {
        (lan.length() <= one.from.length() && lan.holds(one.from.first())) == (chain == US_HOME)
    });
    ours.map(|one| Rule::of(chain).from(one.from).port(Tcp, one.port).accept()).collect()
}

/// What every network of hosts asks of its gateway: addresses and names.
fn hosts(house: &House<'_>, chain: &'static str) -> Vec<Rule> {
    let rule = || Rule::of(chain);
    let mut rules = vec![
        rule().asks(NEIGHBOURS),
        rule().udp_ports(DHCP_CLIENT, DHCP_SERVER).accept(),
        rule().port(Udp, DNS).accept(),
        rule().port(Tcp, DNS).accept(),
    ];
    match house.wanted.lan.ipv6 {
        LanIpv6::Stateless | LanIpv6::Stateful => rules.extend([
            rule().from_the_link().icmpv6(SOLICITATION6, SOLICITATION6).accept(),
            rule().from(of_the_link()).port(Udp, DHCP6_SERVER).accept(),
        ]),
        LanIpv6::None => {}
    }
    rules
}

fn home(house: &House<'_>) -> Vec<Rule> {
    let rule = || Rule::of(US_HOME);
    let mut rules = hosts(house, US_HOME);
    rules.extend(pings(US_HOME));
    rules.push(rule().igmp().accept());
    rules.extend(managed(house, US_HOME));
    if house.wanted.lan.pcp {
        rules.push(rule().port(Udp, PCP).accept());
    }
    if house.proxies() {
        rules.extend([
            rule().ports(Udp, SIP.0, SIP.1).accept(),
            rule().ports(Tcp, SIP.0, SIP.1).accept(),
            rule().ports(Udp, PROXY_MEDIA.0, PROXY_MEDIA.1).accept(),
        ]);
    }
    if house.services.iter().any(|service| service.reaches.mdns) {
        rules.push(rule().port(Udp, MDNS).accept());
    }
    if house.services.iter().any(|service| service.reaches.ssdp) {
        rules.push(rule().port(Udp, SSDP).accept());
        // Who answers a search answers to where it came from, and the search went to everybody: no connection is known of it.
        rules.push(rule().from_port(SSDP).ports(Udp, 1024, u16::MAX).accept());
    }
    rules.extend(refuse(US_HOME));
    rules
}

fn guests(house: &House<'_>) -> Vec<Rule> {
    let mut rules = hosts(house, US_GUEST);
    rules.extend(refuse(US_GUEST));
    rules
}

fn services(house: &House<'_>) -> Vec<Rule> {
    let rule = || Rule::of(US_SERVICES);
    let mut rules = vec![rule().asks(NEIGHBOURS)];
    for service in house.services {
        let by = rule().comes_by(&service_link(service.slot));
        rules.push(by.connections_beyond(CONNECTIONS).throw_away().says(&service.service));
    }
    rules.extend(pings(US_SERVICES));
    let ours = [gateway_address(house.wanted).into()].into_iter();
    for address in ours.chain(house.facts.gateway6.iter().map(|address| (*address).into())) {
        let to = || rule().to(Prefix::host(address));
        rules.extend([to().port(Udp, DNS).accept(), to().port(Tcp, DNS).accept()]);
    }
    for service in house.services {
        let by = || rule().comes_by(&service_link(service.slot));
        if service.reaches.mdns {
            rules.push(by().port(Udp, MDNS).accept().says(&service.service));
        }
        if service.reaches.ssdp {
            rules.push(by().port(Udp, SSDP).accept().says(&service.service));
            // Its answers to searches from home, as above.
            rules.push(by().from_port(SSDP).ports(Udp, 1024, u16::MAX).accept().says(&service.service));
        }
    }
    rules.extend(refuse(US_SERVICES));
    rules
}

fn voice(house: &House<'_>) -> Vec<Rule> {
    let Some((voice, _)) = &house.voice else { return Vec::new() };
    let mut rules = access(US_VOICE, &voice.access);
    if house.proxies() {
        for (set, load) in [("phones", Load::From4), ("phones6", Load::From6)] {
            let from = || Rule::of(US_VOICE).is_in(set, &[load]);
            rules.extend([
                from().ports(Udp, SIP.0, SIP.1).accept(),
                from().ports(Tcp, SIP.0, SIP.1).accept(),
                from().ports(Udp, PROXY_MEDIA.0, PROXY_MEDIA.1).accept(),
            ]);
        }
    }
    rules
}

fn tv(house: &House<'_>) -> Vec<Rule> {
    let Some((tv, _)) = &house.tv else { return Vec::new() };
    let mut rules = access(US_TV, &tv.access);
    rules.push(Rule::of(US_TV).igmp().accept());
    rules
}
