//! No ruleset lets one zone reach another against policy: small networks and attachments, all of them, and packets from everybody to
//! everybody, run through the bytes that the kernel gets and held against the table of docs/firewall.md, which is written down here a
//! second time, in other words.
//!
//! Both ways: nothing passes that should not, and nothing is kept that should pass.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod machine;
mod town;

use contract::manifest::{Audience, Protocol};
use machine::{Machine, Packet, Verdict};
use network::class::Class;
use network::ruleset::Hook;
use town::{Town, Zone, towns};

/// What should become of a packet.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It arrives there, at this address and port.
    Arrives(String, u16),
    Not,
}

/// What becomes of it.
fn fate(town: &Town, machine: &Machine, packet: &mut Packet) -> Fate {
    let routes = |address| town.route(address);
    if machine.meet(Hook::Prerouting, packet, &routes) != Verdict::Accept {
        return Fate::Not;
    }
    let way = town.way(packet);
    let hook = match way {
        machine::Route::Local => Hook::Input,
        machine::Route::Link(link) => {
            packet.to = link;
            Hook::Forward
        }
        machine::Route::Nowhere => return Fate::Not,
    };
    if machine.meet(hook, packet, &routes) != Verdict::Accept {
        return Fate::Not;
    }
    if hook == Hook::Forward {
        assert_eq!(machine.meet(Hook::Postrouting, packet, &routes), Verdict::Accept);
    }
    Fate::Arrives(packet.target.to_string(), if packet.protocol == town::ICMP { 0 } else { packet.port })
}

/// What should become of it: the table for people.
fn policy(town: &Town, packet: &Packet) -> Fate {
    let from = town.zone_of_link(&packet.by);
    let ping = packet.protocol != 6 && packet.protocol != 17;
    if !town.may_speak(from, packet) {
        return Fate::Not;
    }
    // Ports of our addresses that lead elsewhere come first.
    if let Some((host, port)) = town.led(from, packet).filter(|_| !ping) {
        return Fate::Arrives(host.to_string(), port);
    }
    let to = town.zone_of(packet.target);
    let passes = match from {
        Zone::Internet | Zone::Voice | Zone::Tv => from_outside(town, (from, to), packet, ping),
        Zone::Home => from_home(town, to, packet, ping),
        Zone::Guest => to == Zone::Internet || to == Zone::Us && is_names(packet),
        Zone::Service(slot) => from_service(town, (slot, to), packet, ping),
        Zone::Us | Zone::Groups | Zone::Nobody => false,
    };
    match passes {
        true => Fate::Arrives(packet.target.to_string(), if ping { 0 } else { packet.port }),
        false => Fate::Not,
    }
}

fn is_names(packet: &Packet) -> bool {
    packet.port == 53 && matches!(packet.protocol, 6 | 17)
}

fn is_call(packet: &Packet) -> bool {
    packet.port == 5060 || packet.protocol == 17 && packet.port == 20_000
}

fn from_outside(town: &Town, ways: (Zone, Zone), packet: &Packet, ping: bool) -> bool {
    let ipv6 = packet.target.is_ipv6();
    match ways {
        (Zone::Internet, Zone::Us) => ping || town.manages(packet),
        (Zone::Internet, Zone::Home) => ipv6 && (ping || town.is_pinhole(packet)),
        (Zone::Internet, Zone::Service(slot)) => {
            ipv6 && !ping && town.serves(slot, Audience::Internet, packet)
        }
        (Zone::Voice, Zone::Us) => {
            town.proxy && !ping && is_call(packet) && town.zone_of(packet.source) == Zone::Voice
        }
        (Zone::Tv, Zone::Groups) => packet.protocol == 17,
        _ => false,
    }
}

fn from_home(town: &Town, to: Zone, packet: &Packet, ping: bool) -> bool {
    match to {
        Zone::Us if ping => true,
        Zone::Us => {
            let pcp = town.pcp && packet.protocol == 17 && packet.port == 5351;
            is_names(packet) || pcp || town.manages(packet) || town.proxy && is_call(packet)
        }
        Zone::Internet | Zone::Tv => true,
        Zone::Service(slot) => !ping && town.serves(slot, Audience::Home, packet),
        Zone::Voice => !ping && (packet.port == 5060 || packet.protocol == 17 && packet.port >= 1024),
        Zone::Home | Zone::Guest | Zone::Groups | Zone::Nobody => false,
    }
}

fn from_service(town: &Town, (slot, to): (u8, Zone), packet: &Packet, ping: bool) -> bool {
    let own = &town.services[usize::from(slot)];
    match to {
        Zone::Us => ping || is_names(packet) && town.is_services_own(packet.target),
        Zone::Internet => own.reaches.internet || town.is_provider(slot, packet.target),
        Zone::Home => !ping && town.reaches_home(slot, packet),
        Zone::Service(other) => {
            let slice = own.slice == town.services[usize::from(other)].slice && slot != other;
            slice && !ping && town.serves(other, Audience::Slice, packet)
        }
        Zone::Voice | Zone::Tv | Zone::Guest | Zone::Groups | Zone::Nobody => false,
    }
}

#[test]
fn no_zone_reaches_another_against_policy() {
    let (mut packets, mut passed, mut nets) = (0_u64, 0_u64, 0);
    // All of them take a minute; a step of five meets every kind of each thing, though not with every other.
    let long = std::env::var_os("LONG").is_some_and(|value| value == "1");
    for town in towns().step_by(if long { 1 } else { 5 }) {
        nets += 1;
        let machine = Machine::new(&town.table());
        for packet in town.packets() {
            let mut walked = packet.clone();
            let (is, should) = (fate(&town, &machine, &mut walked), policy(&town, &packet));
            assert_eq!(is, should, "{packet:?}\nas {walked:?}\nin {}\n{:?}", town.text, town.services);
            packets += 1;
            passed += u64::from(is != Fate::Not);
            if is != Fate::Not && packet.target.is_ipv4() {
                let outside = town.outside_links().any(|link| *link == walked.to);
                let inside = town.is_inside(packet.source);
                assert_eq!(walked.masked, outside && inside || town.is_hairpin(&walked), "{walked:?}");
            }
            if is != Fate::Not && !walked.to.is_empty() {
                assert_eq!(Class::of_mark(walked.mark), town.class(&walked), "{walked:?}");
                assert_eq!(walked.dscp, Class::of_mark(walked.mark).dscp(), "{walked:?}");
            }
        }
    }
    println!("{nets} networks, {packets} packets, {passed} of them arrived");
    assert!(passed * 20 > packets, "the town says something: {passed} of {packets}");
}

/// The check can fail: it notices when a rule is missing.
#[test]
fn a_missing_rule_is_noticed() {
    // The last town has everything.
    let town = towns().last().unwrap();
    let words = [
        "ours are not out there",
        "nobody out there knows them",
        "nobody else is there",
        "a service has its own addresses only",
        "by the address outside",
        "office",
        "games",
    ];
    for word in words {
        let mut table = town.table();
        let before = table.rules.len();
        table.rules.retain(|rule| rule.comment != word);
        assert!(table.rules.len() < before, "{word}: nobody says so");
        let machine = Machine::new(&table);
        let noticed = |packet: Packet| fate(&town, &machine, &mut packet.clone()) != policy(&town, &packet);
        assert!(town.packets().any(noticed), "{word}");
    }
}

#[test]
fn what_was_let_in_is_answered_and_what_is_nobodys_is_not() {
    // 1: invalid, 2: established, 4: related.
    for town in towns().take(12) {
        let machine = Machine::new(&town.table());
        let mut tried = town.packets().filter(|packet| town.may_speak(town.zone_of_link(&packet.by), packet));
        for packet in tried.by_ref().take(400) {
            if town.way(&packet) == machine::Route::Nowhere
                || town.led(town.zone_of_link(&packet.by), &packet).is_some()
            {
                continue;
            }
            for (state, passes) in [(2, true), (4, true), (1, false)] {
                let mut packet = Packet { state, ..packet.clone() };
                let arrives = fate(&town, &machine, &mut packet) != Fate::Not;
                assert_eq!(arrives, passes, "{packet:?}");
            }
        }
    }
}

#[test]
fn only_calls_leave_by_the_voice_play() {
    let voice = contract::wires::uid::VOICE;
    let towns = towns().filter(|town| town.voice.is_some());
    for town in towns {
        let machine = Machine::new(&town.table());
        let link = town.voice.clone().unwrap();
        let routes = |address| town.route(address);
        // who, to which address, protocol, from port, port, does it leave
        let table = [
            (voice, "198.51.100.9", 17, 5060, 5060, true),
            (voice, "198.51.100.9", 6, 40_000, 5061, true),
            (voice, "198.51.100.9", 17, 20_000, 30_000, true),
            (voice, "198.51.100.9", 6, 40_000, 443, false),
            (voice, "192.0.2.9", 17, 5060, 5060, false),
            (0, "198.51.100.9", 17, 5060, 5060, false),
            (103, "198.51.100.9", 17, 68, 67, true),
            (0, "198.51.100.9", 1, 8, 0, false),
        ];
        for (uid, target, protocol, from_port, port, leaves) in table {
            let target = target.parse().unwrap();
            let mut packet =
                Packet { uid, from_port, to: link.clone(), ..town.packet("", target, protocol, port) };
            let met = machine.meet(Hook::Output, &mut packet, &routes);
            assert_eq!(met == Verdict::Accept, leaves, "{packet:?}");
            assert_eq!(Class::of_mark(packet.mark), Class::Voice, "its address's own frames, too");
        }
    }
}

#[test]
fn the_gateway_reaches_of_services_what_is_for_its_page() {
    for town in towns().take(24) {
        let machine = Machine::new(&town.table());
        for slot in 0..2 {
            for port in [80, 81, 22] {
                let target = town.service(slot);
                let to = format!("svc-{slot}");
                let mut packet = Packet { to, ..town.packet("", target, 6, port) };
                let met = machine.meet(Hook::Output, &mut packet, &|address| town.route(address));
                let offered = town.services[usize::from(slot)].serves.iter();
                let offered =
                    offered.filter(|serve| serve.to == Audience::Portal && serve.protocol == Protocol::Tcp);
                assert_eq!(
                    met == Verdict::Accept,
                    offered.into_iter().any(|serve| serve.port == port),
                    "{packet:?}"
                );
            }
        }
    }
}

#[test]
fn answers_of_services_to_searches_come_back_where_they_were_granted() {
    for mut town in towns().take(24) {
        for granted in [false, true] {
            town.services[0].reaches.ssdp = granted;
            let machine = Machine::new(&town.table());
            for (from_port, port, passes) in
                [(1900, 40_000, granted), (1900, 53, true), (1901, 40_000, false), (1900, 80, false)]
            {
                let mut packet = town.packet("svc-0", "10.64.0.1".parse().unwrap(), 17, port);
                packet.from_port = from_port;
                let met = machine.meet(Hook::Input, &mut packet, &|address| town.route(address));
                assert_eq!(met == Verdict::Accept, passes, "{granted} {packet:?}");
            }
        }
    }
}
