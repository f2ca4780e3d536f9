//! Sets and maps that the rules look into: who is attached, what is offered, which ports lead where, whose addresses are nobody's.
//!
//! In:  the house. Out: sets. Pure.
//!
//! Source: RFC 6890 §2.2 and RFC 8190 (special-purpose addresses); RFC 4193 §4.3 (local IPv6 stays inside).

use std::net::{IpAddr, Ipv4Addr};

use contract::manifest::{AtHome, Audience};
use contract::prefix::Prefix;

use super::House;
use crate::class::Class;
use crate::set::{Field, Set, address, key, link, port};
use crate::target::{service_address, service_link};
use crate::view::{self, View, Which};

use Field::{Ipv4, Ipv6, Link, Mark, Port, Protocol};

/// Nobody's address as a sender, anywhere. Source: RFC 6890 §2.2.2, RFC 1112 §7.2.
const MARTIANS: [&str; 4] = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4"];
/// The same in IPv6; not `::`, which asks whether an address is free. Source: RFC 6890 §2.2.3, RFC 4291 §2.7.
const MARTIANS6: [&str; 3] = ["::1/128", "::ffff:0:0/96", "ff00::/8"];
/// Not reachable in the Internet. Source: RFC 6890 §2.2.2, its column "Global".
const NOWHERE: [&str; 10] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
];
/// The same in IPv6, with RFC 9637 and RFC 9602.
const NOWHERE6: [&str; 5] = ["100::/64", "2001:2::/48", "2001:db8::/32", "3fff::/20", "5f00::/16"];
/// Never outside, wherever we are. Source: RFC 4193 §4.3, RFC 3879.
const LOCAL6: [&str; 2] = ["fc00::/7", "fec0::/10"];

/// All of them; one that is empty is there too, so that what comes and goes is elements only.
pub(super) fn all(house: &House<'_>) -> Vec<Set> {
    let mut sets = services(house).to_vec();
    sets.extend(offers(house));
    sets.extend(leads(house));
    sets.extend(plays(house));
    sets.extend(nobody(house));
    sets
}

/// Sets of which nobody knows yet what is in them.
pub(super) fn unknown(view: &View<'_>) -> Vec<&'static str> {
    const OF_IPV4: [&str; 2] = ["mapped", "nowhere"];
    const OF_IPV6: [&str; 7] =
        ["senders6", "offered6", "public6", "portal6", "slices6", "mapped6", "nowhere6"];
    let Some(play) = view.play(Which::Internet) else { return Vec::new() };
    let ipv4 = play.ipv4 == view::Ipv4::Unknown;
    let ipv4 = OF_IPV4.into_iter().filter(move |_| ipv4);
    ipv4.chain(OF_IPV6.into_iter().filter(|_| play.ipv6.is_none())).collect()
}

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().filter_map(|text| text.parse().ok()).collect() // A test holds them all to it.
}

/// Who is attached: names, addresses, classes.
fn services(house: &House<'_>) -> [Set; 4] {
    let mut own = Set::of("senders", &[Link, Ipv4]);
    let mut own6 = Set::of("senders6", &[Link, Ipv6]);
    let mut online = Set::of("online", &[Link]);
    let mut classes = Set::of("classes", &[Link]).saying(&[Mark]);
    for service in house.services {
        let name = link(&service_link(service.slot));
        let at = IpAddr::from(service_address(house.wanted, service.slot));
        own = own.with([name.clone(), address(at)].concat(), Vec::new());
        for at in house.service6(service.slot) {
            own6 = own6.with([name.clone(), address(at.into())].concat(), Vec::new());
        }
        if service.reaches.internet {
            online = online.with(name.clone(), Vec::new());
        }
        classes = classes.with(name, Class::Service(service.slot).mark().to_ne_bytes().to_vec());
    }
    [own, own6, online, classes]
}

/// What services offer, and what they ask of the home.
fn offers(house: &House<'_>) -> Vec<Set> {
    let mut sets = Vec::new();
    let audiences = [
        (Audience::Home, "offered", "offered6"),
        (Audience::Internet, "public", "public6"),
        (Audience::Portal, "portal", "portal6"),
    ];
    for (audience, name, name6) in audiences {
        let mut set = Set::of(name, &[Protocol, Ipv4, Port]);
        let mut set6 = Set::of(name6, &[Protocol, Ipv6, Port]);
        for (service, serve) in house.offered(audience) {
            let at = IpAddr::from(service_address(house.wanted, service.slot));
            let whole = |at| [key(serve.protocol), address(at), port(serve.port).to_vec()].concat();
            set = set.with(whole(at), Vec::new());
            for at in house.service6(service.slot) {
                set6 = set6.with(whole(at.into()), Vec::new());
            }
        }
        sets.extend([set, set6]);
    }
    sets.extend(slices(house));
    sets.extend(devices(house));
    sets
}

/// What services ask of the home's devices: of all of them, and of those of a class, which are where their reservations are.
fn devices(house: &House<'_>) -> [Set; 2] {
    let mut all = Set::of("things", &[Link, Protocol, Port]);
    let mut some = Set::of("kinds", &[Link, Protocol, Ipv4, Port]);
    for service in house.services {
        let name = || link(&service_link(service.slot));
        for AtHome { kind, port: asked } in &service.reaches.home {
            let (protocol, asked) = (|| key(asked.protocol), || port(asked.port).to_vec());
            if kind.is_none() {
                all = all.with([name(), protocol(), asked()].concat(), Vec::new());
                continue;
            }
            let kept = house.wanted.lan.reservation.iter();
            for kept in kept.filter(|kept| kept.enable && kept.class == *kind) {
                let whole = [name(), protocol(), address(kept.address.into()), asked()].concat();
                some = some.with(whole, Vec::new());
            }
        }
    }
    [all, some]
}

/// What services offer to the others of their slice.
fn slices(house: &House<'_>) -> [Set; 2] {
    let mut set = Set::of("slices", &[Link, Protocol, Ipv4, Port]);
    let mut set6 = Set::of("slices6", &[Link, Protocol, Ipv6, Port]);
    for (service, serve) in house.offered(Audience::Slice) {
        let others =
            house.services.iter().filter(|other| other.slice == service.slice && other.slot != service.slot);
        for other in others {
            let at = IpAddr::from(service_address(house.wanted, service.slot));
            let by = link(&service_link(other.slot));
            let whole =
                |at| [by.clone(), key(serve.protocol), address(at), port(serve.port).to_vec()].concat();
            set = set.with(whole(at), Vec::new());
            for at in house.service6(service.slot) {
                set6 = set6.with(whole(at.into()), Vec::new());
            }
        }
    }
    [set, set6]
}

/// Ports that lead elsewhere: of the LAN address to services; of the address outside to services, to hosts that the operator named, to
/// hosts that asked.
fn leads(house: &House<'_>) -> [Set; 4] {
    let map = |name| Set::of(name, &[Protocol, Port]).saying(&[Ipv4, Port]);
    let to = |at: Ipv4Addr, to_port| [address(at.into()), port(to_port).to_vec()].concat();
    let mut doors = map("doors");
    let mut forwards = map("forwards");
    let mut mapped = map("mapped");
    let mut mapped6 = Set::of("mapped6", &[Protocol, Ipv6, Port]);
    let led = |audience| house.offered(audience).filter(|(_, serve)| serve.at != 0);
    for (service, serve) in led(Audience::Home) {
        let at = service_address(house.wanted, service.slot);
        doors = doors.with([key(serve.protocol), port(serve.at).to_vec()].concat(), to(at, serve.port));
    }
    for (service, serve) in led(Audience::Internet) {
        let at = service_address(house.wanted, service.slot);
        forwards = forwards.with([key(serve.protocol), port(serve.at).to_vec()].concat(), to(at, serve.port));
    }
    for forward in house.wanted.forward.iter().filter(|forward| super::lead::is_plain(forward)) {
        let inside = if forward.to_port == 0 { forward.port } else { forward.to_port };
        let whole = [key(forward.protocol), port(forward.port).to_vec()].concat();
        forwards = forwards.with(whole, to(forward.to, inside));
    }
    for mapping in &house.facts.mappings {
        match mapping.host {
            // Only to the home, whoever asked.
            IpAddr::V4(host) if house.home().holds(mapping.host) => {
                let whole = [key(mapping.protocol), port(mapping.external_port).to_vec()].concat();
                mapped = mapped.with(whole, to(host, mapping.port));
            }
            IpAddr::V4(_) => {}
            IpAddr::V6(_) => {
                let host = address(mapping.host);
                let whole = [key(mapping.protocol), host, port(mapping.port).to_vec()].concat();
                mapped6 = mapped6.with(whole, Vec::new());
            }
        }
    }
    [doors, forwards, mapped, mapped6]
}

/// What lies behind voice and TV.
fn plays(house: &House<'_>) -> [Set; 6] {
    let both = |name, name6, prefixes: &[Prefix]| {
        [Set::of(name, &[Ipv4]).with_prefixes(prefixes), Set::of(name6, &[Ipv6]).with_prefixes(prefixes)]
    };
    let voice = house.voice.as_ref().map(|(voice, _)| voice.reaches.as_slice()).unwrap_or_default();
    let tv = house.tv.as_ref().map(|(tv, _)| tv.reaches.as_slice()).unwrap_or_default();
    let groups = house.tv.as_ref().map(|(tv, _)| tv.groups.as_slice()).unwrap_or_default();
    let many = prefixes(&["224.0.0.0/4", "ff00::/8"]);
    let groups: Vec<Prefix> =
        groups.iter().copied().filter(|group| many.iter().any(|all| all.overlaps(group))).collect();
    let [voice, voice6] = both("phones", "phones6", voice);
    let [tv, tv6] = both("films", "films6", tv);
    let [groups, groups6] = both("groups", "groups6", if groups.is_empty() { &many } else { &groups });
    [voice, voice6, tv, tv6, groups, groups6]
}

/// Addresses that are nobody's: anywhere; and in the Internet, where we are in it ourselves. Behind another gateway, or in a laboratory,
/// our own address is such a one, and our neighbours' are.
fn nobody(house: &House<'_>) -> [Set; 4] {
    let (nowhere, nowhere6) = (prefixes(&NOWHERE), prefixes(&NOWHERE6));
    let among = |all: &[Prefix], ours: IpAddr| all.iter().any(|prefix| prefix.holds(ours));
    let public = house.facts.outside.is_some_and(|ours| !among(&nowhere, ours.into()));
    let public6 = house.facts.outside6.is_some_and(|ours| !among(&nowhere6, ours.into()));
    let nowhere = if public { nowhere } else { Vec::new() };
    let nowhere6 = if public6 { nowhere6 } else { Vec::new() };
    let nowhere6 = [nowhere6, prefixes(&LOCAL6)].concat();
    [
        Set::of("martians", &[Ipv4]).with_prefixes(&prefixes(&MARTIANS)),
        Set::of("martians6", &[Ipv6]).with_prefixes(&prefixes(&MARTIANS6)),
        Set::of("nowhere", &[Ipv4]).with_prefixes(&nowhere),
        Set::of("nowhere6", &[Ipv6]).with_prefixes(&nowhere6),
    ]
}

#[cfg(test)]
mod tests {
    use super::{LOCAL6, MARTIANS, MARTIANS6, NOWHERE, NOWHERE6, prefixes};

    #[test]
    fn all_prefixes_are_prefixes() {
        for list in [&MARTIANS[..], &MARTIANS6, &NOWHERE, &NOWHERE6, &LOCAL6] {
            assert_eq!(prefixes(list).len(), list.len(), "{list:?}");
        }
    }
}
