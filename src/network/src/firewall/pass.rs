//! What passes through: from each side its own list; what is on none is refused inside, and from outside kept silent.
//!
//! In:  the house. Out: the rules of the chain `forward` and of those that it asks.
//!
//! What belongs to a connection that was let in is known first; the rest of the rules meets only what is new. So that nobody fills the
//! table of connections for all, each service has its share of it, and strangers have a measure of new ones.
//!
//! Source: RFC 4890 §4.3 (ICMPv6 that passes), RFC 6092 REC-11 and REC-33, RFC 7084 L-14, RFC 3927 §7.

use std::net::Ipv4Addr;

use contract::manifest::Audience;
use contract::manifest::Protocol::{Tcp, Udp};
use contract::prefix::Prefix;
use contract::wanted::SERVICE_LINK;

use super::{BY_GUEST, BY_HOME, BY_INTERNET, BY_SERVICES, FLOWS, FORWARD, House, MEDIA, SIP};
use crate::expression::{ESTABLISHED, INVALID, Load, RELATED, Rule};
use crate::target::{Attachment, service_link};

/// Connections of one service, each way: what a busy one has ten times over; of all services half the table of a gateway of 1 GiB.
const CONNECTIONS: u32 = 1_024;
/// Connections of all guests.
const GUESTS_CONNECTIONS: u32 = 8_192;
/// Connections that strangers have into the home.
const STRANGERS_CONNECTIONS: u32 = 4_096;
/// New ones of theirs, a second; and at once.
const STRANGERS: (u64, u32) = (200, 400);
/// ICMPv6, echo request: of RFC 4890 §4.3.1, what is no error. So many a second; and at once.
const ECHO6: u8 = 128;
const PINGS: (u64, u32) = (50, 100);

/// New ones from a service into the home by IPv6, a second and at once; and of all services. There are more addresses than anybody can know, and each that
/// nobody has keeps a place in the kernel's only table of neighbours for three seconds (it has 1024): so they are some hundred.
const ASKED6: (u64, u32) = (20, 40);
const ALL_ASKED6: (u64, u32) = (60, 100);

/// Addresses of one link only: they are never passed on. Source: RFC 3927 §7. Those of IPv6 the kernel keeps to their link itself.
const LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 0);

pub(super) fn rules(house: &House<'_>) -> Vec<Rule> {
    let (wan, lan, rule) = (&house.internet, &house.wanted.lan.bridge, || Rule::of(FORWARD));
    let mut rules = internet(house);
    rules.extend(home(house));
    rules.extend(guests(house));
    rules.extend(services(house));
    if house.goes_short() {
        for protocol in [Tcp, Udp] {
            let of = || rule().has_ports(protocol);
            rules.push(of().comes_by(lan).goes_by(wan).offload(FLOWS));
            rules.push(of().comes_by(wan).goes_by(lan).offload(FLOWS));
        }
    }
    rules.extend([
        rule().state(ESTABLISHED | RELATED).accept(),
        rule().state(INVALID).throw_away(),
        rule().to(Prefix::new(LINK_LOCAL.into(), 16)).throw_away().says("of one link only"),
        rule().comes_by(wan).goes_to(BY_INTERNET),
        rule().comes_by(lan).goes_to(BY_HOME),
        rule().comes_by_any(SERVICE_LINK).goes_to(BY_SERVICES),
    ]);
    rules.extend(house.guests().map(|(_, link)| rule().comes_by(link).goes_to(BY_GUEST)));
    if let Some((_, tv)) = &house.tv {
        for (set, load) in [("groups", Load::To4), ("groups6", Load::To6)] {
            let streams = rule().comes_by(tv).goes_by(lan).is_in(set, &[load]);
            rules.push(streams.has_ports(Udp).accept());
        }
    }
    rules
}

/// What may be offered: a protocol, an address, a port.
const OFFER: [Load; 3] = [Load::Protocol, Load::To4, Load::ToPort];
const OFFER6: [Load; 3] = [Load::Protocol, Load::To6, Load::ToPort];

fn internet(house: &House<'_>) -> Vec<Rule> {
    let (lan, rule) = (&house.wanted.lan.bridge, || Rule::of(BY_INTERNET));
    let mut rules = vec![
        rule().first().beyond(STRANGERS.0, STRANGERS.1).throw_away(),
        rule().is_in("nowhere", &[Load::From4]).throw_away(),
        rule().is_in("nowhere6", &[Load::From6]).throw_away(),
        rule().goes_by(lan).icmpv6(ECHO6, ECHO6).at_most(PINGS.0, PINGS.1).accept(),
        rule().goes_by(lan).connections_beyond(STRANGERS_CONNECTIONS).throw_away(),
        rule().goes_by(lan).ipv4().led().accept(),
        rule().goes_by(lan).is_in("mapped6", &OFFER6).accept(),
    ];
    for pinhole in &house.wanted.pinhole {
        let to = rule().goes_by(lan);
        let to = match pinhole.from {
            Some(from) => to.from(from),
            None => to,
        };
        let to = to.to_identifier(pinhole.to).port(pinhole.protocol, pinhole.port);
        rules.push(to.accept().says(&pinhole.name));
    }
    let mut public: Vec<u8> = house.offered(Audience::Internet).map(|(service, _)| service.slot).collect();
    public.dedup();
    rules.extend(
        public
            .into_iter()
            .map(|slot| rule().goes_by(&service_link(slot)).connections_beyond(CONNECTIONS).throw_away()),
    );
    // In IPv4 nobody out there knows a service's own address: it is led there.
    rules.push(rule().goes_by_any(SERVICE_LINK).led().is_in("public", &OFFER).accept());
    rules.push(rule().goes_by_any(SERVICE_LINK).is_in("public6", &OFFER6).accept());
    rules
}

/// Into the Internet: from addresses that are there, to addresses that are somebody's.
fn to_internet(house: &House<'_>, chain: &'static str) -> [Rule; 3] {
    let to = || Rule::of(chain).goes_by(&house.internet);
    [
        to().is_in("nowhere", &[Load::To4]).refuse(),
        to().is_in("nowhere6", &[Load::To6]).refuse(),
        to().accept(),
    ]
}

fn home(house: &House<'_>) -> Vec<Rule> {
    let rule = || Rule::of(BY_HOME);
    let mut rules = vec![rule().ipv6().source_is_elsewhere().refuse_source()];
    rules.extend(to_internet(house, BY_HOME));
    if let Some((_, voice)) = &house.voice {
        for (set, load) in [("phones", Load::To4), ("phones6", Load::To6)] {
            let to = || rule().goes_by(voice).is_in(set, &[load]);
            rules.push(to().ports(Tcp, SIP.0, SIP.1).accept());
            rules.push(to().ports(Udp, MEDIA.0, MEDIA.1).accept());
        }
    }
    if let Some((_, tv)) = &house.tv {
        rules.push(rule().goes_by(tv).is_in("films", &[Load::To4]).accept());
        rules.push(rule().goes_by(tv).is_in("films6", &[Load::To6]).accept());
    }
    rules.extend([
        rule().goes_by_any(SERVICE_LINK).is_in("offered", &OFFER).accept(),
        rule().goes_by_any(SERVICE_LINK).is_in("offered6", &OFFER6).accept(),
        rule().goes_by_any(SERVICE_LINK).led().is_in("public", &OFFER).accept(),
        rule().goes_by(&house.wanted.lan.bridge).ipv4().led().accept().says("by the address outside"),
    ]);
    rules.extend(refuse(BY_HOME));
    rules
}

fn guests(house: &House<'_>) -> Vec<Rule> {
    let rule = || Rule::of(BY_GUEST);
    let mut rules = vec![
        rule().ipv6().source_is_elsewhere().refuse_source(),
        rule().connections_beyond(GUESTS_CONNECTIONS).throw_away(),
    ];
    rules.extend(to_internet(house, BY_GUEST));
    rules.extend(refuse(BY_GUEST));
    rules
}

/// Does it ask every device of the home for something? Those of a class have an IPv4 address that is known.
fn asks_all(service: &Attachment) -> bool {
    service.reaches.home.iter().any(|asked| asked.kind.is_none())
}

fn services(house: &House<'_>) -> Vec<Rule> {
    let (wan, lan, rule) = (&house.internet, &house.wanted.lan.bridge, || Rule::of(BY_SERVICES));
    let mut rules: Vec<Rule> = Vec::new();
    for service in house.services {
        let by = || rule().comes_by(&service_link(service.slot));
        rules.push(by().connections_beyond(CONNECTIONS).throw_away().says(&service.service));
        if asks_all(service) {
            let asks = by().goes_by(lan).ipv6().first().beyond(ASKED6.0, ASKED6.1);
            rules.push(asks.throw_away().says(&service.service));
        }
    }
    if house.services.iter().any(asks_all) {
        rules.push(rule().goes_by(lan).ipv6().first().beyond(ALL_ASKED6.0, ALL_ASKED6.1).throw_away());
    }
    rules.push(rule().goes_by(wan).is_in("nowhere", &[Load::To4]).refuse());
    rules.push(rule().goes_by(wan).is_in("nowhere6", &[Load::To6]).refuse());
    rules.push(rule().goes_by(wan).is_in("online", &[Load::LinkIn]).accept());
    for service in house.services {
        let to = || rule().comes_by(&service_link(service.slot)).goes_by(wan);
        let servers = service.reaches.provider.iter();
        rules.extend(servers.map(|prefix| to().to(*prefix).accept().says(&service.service)));
    }
    let online = || rule().is_in("online", &[Load::LinkIn]);
    rules.extend([
        rule().goes_by(lan).is_in("things", &[Load::LinkIn, Load::Protocol, Load::ToPort]).accept(),
        rule().goes_by(lan).is_in("kinds", &[Load::LinkIn, OFFER[0], OFFER[1], OFFER[2]]).accept(),
        online().goes_by(lan).ipv4().led().accept().says("by the address outside"),
        rule()
            .goes_by_any(SERVICE_LINK)
            .is_in("slices", &[Load::LinkIn, OFFER[0], OFFER[1], OFFER[2]])
            .accept(),
        rule()
            .goes_by_any(SERVICE_LINK)
            .is_in("slices6", &[Load::LinkIn, OFFER6[0], OFFER6[1], OFFER6[2]])
            .accept(),
        online().goes_by_any(SERVICE_LINK).led().is_in("public", &OFFER).accept(),
    ]);
    rules.extend(refuse(BY_SERVICES));
    rules
}

/// Inside, a refusal is said.
pub(super) fn refuse(chain: &'static str) -> [Rule; 2] {
    [Rule::of(chain).reset(), Rule::of(chain).refuse()]
}
