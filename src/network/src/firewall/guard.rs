//! Nobody speaks in another one's name: what comes in from a side where its sender cannot be.
//!
//! In:  the house. Out: the rules of the chain `guard`, before anything else has looked at a packet; and of `zones`, which says in which
//! table a service's connections are known: nobody's tuples are in another one's way.
//!
//! IPv6 prefixes come and go, so of IPv6 the routes are asked, not a list. What the home sends is judged where it is passed on
//! (`pass.rs`): there the sender is told.
//!
//! Source: RFC 2827 (BCP 38), RFC 3704 (BCP 84), RFC 4861 §4.3 (`::` asks for its neighbours), RFC 3376 §4.2.13 (0.0.0.0 says its groups).

use std::net::Ipv4Addr;

use contract::manifest::Protocol::Udp;
use contract::prefix::Prefix;
use contract::wanted::SERVICE_LINK;

use super::input::of_the_link;
use super::{GUARD, House, MDNS, SSDP, ZONES};
use crate::expression::{Load, Rule};
use crate::target::{Attachment, service_link};

/// ICMPv6: neighbour solicitation and advertisement. Source: RFC 4861 §4.3, §4.4.
const NEIGHBOURS6: (u8, u8) = (135, 136);

pub(super) fn rules(house: &House<'_>) -> Vec<Rule> {
    let rule = || Rule::of(GUARD);
    let mut rules = vec![rule().comes_by_any(SERVICE_LINK).asks(ZONES)];
    for service in house.services {
        // Zone 0 is everybody else's.
        let zone = u16::from(service.slot) + 1;
        rules.push(Rule::of(ZONES).comes_by(&service_link(service.slot)).zone(zone).leaves());
    }
    for link in house.outside() {
        let outside = || rule().comes_by(link);
        for prefix in house.inside() {
            rules.push(outside().from(prefix).throw_away().says("ours are not out there"));
            rules.push(outside().to(prefix).throw_away().says("nobody out there knows them"));
        }
        rules.push(outside().is_in("martians", &[Load::From4]).throw_away());
        rules.push(outside().is_in("martians6", &[Load::From6]).throw_away());
        rules.push(outside().ipv6().source_is_behind(&house.wanted.lan.bridge).throw_away());
        if let Some((_, guests)) = house.guests() {
            rules.push(outside().ipv6().source_is_behind(guests).throw_away());
        }
        rules.push(outside().ipv6().source_is_behind_any(SERVICE_LINK).throw_away());
    }
    let homes = [(house.home(), &house.wanted.lan.bridge)].into_iter().chain(house.guests());
    let nobody = Prefix::host(Ipv4Addr::UNSPECIFIED.into());
    for (prefix, link) in homes {
        let home = || rule().comes_by(link);
        // DHCP has no need of it: `lease` hears those who have no address before the firewall does.
        rules.push(home().igmp().from(nobody).accept().says("it has no address yet"));
        rules.push(home().not_from(prefix).throw_away().says("nobody else is there"));
        rules.push(home().is_in("martians6", &[Load::From6]).throw_away());
    }
    for service in house.services {
        rules.extend(announcers(service));
    }
    rules.extend([
        rule().is_in("senders", &[Load::LinkIn, Load::From4]).accept(),
        rule().is_in("senders6", &[Load::LinkIn, Load::From6]).accept(),
        rule().comes_by_any(SERVICE_LINK).from_the_link().icmpv6(NEIGHBOURS6.0, NEIGHBOURS6.1).accept(),
        rule().comes_by_any(SERVICE_LINK).throw_away().says("a service has its own addresses only"),
    ]);
    rules
}

/// What a service says by IPv6 where announcements are relayed comes from an address of its link (RFC 6762 §11), and goes no further.
fn announcers(service: &Attachment) -> Vec<Rule> {
    let by = || Rule::of(GUARD).comes_by(&service_link(service.slot)).from(of_the_link());
    let mut rules = Vec::new();
    if service.reaches.mdns {
        rules.push(by().port(Udp, MDNS).accept().says(&service.service));
    }
    if service.reaches.ssdp {
        rules.push(by().port(Udp, SSDP).accept().says(&service.service));
        rules.push(by().from_port(SSDP).ports(Udp, 1024, u16::MAX).accept().says(&service.service));
    }
    rules
}
