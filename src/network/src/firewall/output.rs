//! What the gateway itself may send where not everything goes: by the voice play, and to services.
//!
//! In:  the house. Out: the rules of the chain `output` and of the one that it asks.
//!
//! Elsewhere what the gateway sends is not filtered.
//!
//! Source: docs/firewall.md.

use contract::manifest::Protocol::{Tcp, Udp};
use contract::wanted::SERVICE_LINK;
use contract::wires::uid;

use super::{DHCP_CLIENT, DHCP_SERVER, House, MDNS, MEDIA, OUTPUT, SIP, SSDP, TO_VOICE};
use crate::expression::{ESTABLISHED, Load, RELATED, Rule};

/// ICMPv6 from router solicitation to neighbour advertisement: what an address needs; and what a listener says. Source: RFC 4861 §4,
/// RFC 3810.
const NEIGHBOURS6: (u8, u8) = (133, 136);
const LISTENERS6: (u8, u8) = (131, 132);
const LISTENERS6_V2: u8 = 143;

pub(super) fn rules(house: &House<'_>) -> Vec<Rule> {
    let mut rules = voice(house);
    rules.extend(house.voice.iter().map(|(_, link)| Rule::of(OUTPUT).goes_by(link).goes_to(TO_VOICE)));
    rules.extend(services());
    rules
}

/// Nothing but what its address needs, and calls of the voice daemon.
fn voice(house: &House<'_>) -> Vec<Rule> {
    if house.voice.is_none() {
        return Vec::new();
    }
    let rule = || Rule::of(TO_VOICE);
    let mut rules = vec![
        rule().state(ESTABLISHED | RELATED).accept(),
        rule().udp_ports(DHCP_CLIENT, DHCP_SERVER).accept(),
        rule().icmpv6(NEIGHBOURS6.0, NEIGHBOURS6.1).accept(),
        rule().icmpv6(LISTENERS6.0, LISTENERS6.1).accept(),
        rule().icmpv6(LISTENERS6_V2, LISTENERS6_V2).accept(),
    ];
    for (set, load) in [("phones", Load::To4), ("phones6", Load::To6)] {
        let to = || rule().sent_by(uid::VOICE).is_in(set, &[load]);
        rules.push(to().ports(Tcp, SIP.0, SIP.1).accept());
        rules.push(to().ports(Udp, MEDIA.0, MEDIA.1).accept());
    }
    rules.push(rule().throw_away().says("nothing else uses the voice play"));
    rules
}

/// What they offer to the gateway's own page, and what is relayed to them; so a daemon that was taken over reaches no more.
fn services() -> Vec<Rule> {
    let to = || Rule::of(OUTPUT).goes_by_any(SERVICE_LINK);
    let mut rules = vec![
        to().state(ESTABLISHED | RELATED).accept(),
        to().is_in("portal", &[Load::Protocol, Load::To4, Load::ToPort]).accept(),
        to().is_in("portal6", &[Load::Protocol, Load::To6, Load::ToPort]).accept(),
        to().port(Udp, MDNS).accept(),
        to().port(Udp, SSDP).accept(),
    ];
    rules.extend([Tcp, Udp].map(|protocol| to().has_ports(protocol).throw_away()));
    rules
}
