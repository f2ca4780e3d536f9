//! A play's links, addresses, routes and rules. Pure.
//!
//! In:  a play as of now. Out: its part of the target.
//!
//! Source: RFC 3442 (classless routes), RFC 4638 (PPPoE beyond 1492 bytes), IEEE 802.1Q, ip-rule(8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::prefix::Prefix;
use contract::wanted::{Profile, WanIpv4, Wanted};

use super::{Address, Family, Life, Link, MAIN, Make, Route, Rule, Target, Vlan, settings};
use crate::view::{Ipv4, Play, Terms, View, Which};

/// Voice's table of routes, and TV's.
const VOICE_TABLE: u32 = 20;
const TV_TABLE: u32 = 30;
/// Numbers of rules: first what lies behind a play, then who speaks with its address. All before the main table's, 32766.
const VOICE_RULES: (u32, u32) = (1_000, 1_010);
const TV_RULES: (u32, u32) = (1_020, 1_030);

/// The largest packet of Ethernet, in bytes. Source: IEEE 802.3.
pub(crate) const ETHERNET_MTU: u32 = 1_500;
/// What PPPoE and PPP take of it. Source: RFC 2516 §4.
const PPPOE_BYTES: u32 = 8;

/// The bridge of TV and its ports.
pub const TV_BRIDGE: &str = contract::wanted::TV_BRIDGE;

/// A play's table of routes.
#[must_use]
pub fn table(which: Which) -> u32 {
    match which {
        Which::Internet => MAIN,
        Which::Voice => VOICE_TABLE,
        Which::Tv => TV_TABLE,
    }
}

/// Numbers of its rules: to what lies behind it, from its own address.
fn rules(which: Which) -> Option<(u32, u32)> {
    match which {
        Which::Internet => None,
        Which::Voice => Some(VOICE_RULES),
        Which::Tv => Some(TV_RULES),
    }
}

/// What a play's frames may carry.
fn frame_mtu(play: &Play) -> u32 {
    match (u32::from(play.access.mtu), play.access.ipv4) {
        (0, _) => ETHERNET_MTU,
        (mtu, WanIpv4::Pppoe) => mtu.saturating_add(PPPOE_BYTES),
        (mtu, WanIpv4::Dhcp | WanIpv4::Static | WanIpv4::None) => mtu,
    }
}

/// The WAN link, the plays' VLANs on it, the session's link.
pub(super) fn links(view: &View<'_>, target: &mut Target) {
    let wan = &view.wanted.wan.link;
    let mtu = view.plays.iter().map(frame_mtu).max().unwrap_or(ETHERNET_MTU);
    target.links.push(Link { mtu: Some(mtu), ours: true, ..Link::found(wan) });
    for play in &view.plays {
        if play.access.vlan != 0 {
            let (id, priority) = (play.access.vlan, play.access.priority);
            let make = Make::Vlan(Vlan { parent: wan.to_string(), id, priority });
            let mtu = Some(frame_mtu(play));
            target.links.push(Link { make, mtu, ours: true, ..Link::found(&play.frame_link) });
        }
        if play.access.ipv4 == WanIpv4::Pppoe {
            let told = play.terms().map_or(0, |terms| u32::from(terms.mtu));
            let wanted = u32::from(play.access.mtu);
            let mtu = [told, wanted].into_iter().filter(|mtu| *mtu != 0).min();
            target.links.push(Link { mtu, ..Link::found(&play.link) });
        }
    }
}

/// Tables and rules that are ours whoever is wanted: what a former configuration has left goes.
pub(super) fn own_tables(view: &View<'_>, target: &mut Target) {
    for which in [Which::Voice, Which::Tv] {
        // Both families of a play lie in one table; while one of them is not known, what stands there stays.
        let known = view.play(which).is_none_or(|play| play.ipv4 != Ipv4::Unknown && play.ipv6.is_some());
        if known {
            target.owned.tables.push(table(which));
        }
        if let Some((to, from)) = rules(which) {
            target.owned.rules.push(to);
            target.owned.rules.extend(known.then_some(from));
        }
    }
}

/// A play's addresses, routes and rules.
pub(super) fn addresses(play: &Play, wanted: &Wanted, target: &mut Target) {
    let bridged =
        play.which == Which::Tv && wanted.tv.as_ref().is_some_and(|tv| tv.profile == Profile::Bridged);
    if bridged {
        return;
    }
    let (link, table) = (play.link.as_str(), table(play.which));
    target.settings.extend(settings::of_link(link, play.which == Which::Tv));
    match &play.ipv4 {
        Ipv4::Unknown => {}
        Ipv4::None => target.own(link, Family::Ipv4),
        Ipv4::Has(terms) => {
            target.own(link, Family::Ipv4);
            ipv4(link, table, terms, target);
            from(play.which, Prefix::host(terms.address.into()), target);
        }
    }
    ipv6(play, table, target);
    below(play.which, wanted, target);
}

fn ipv4(link: &str, table: u32, terms: &Terms, target: &mut Target) {
    let main = table == MAIN;
    let mut address = Address::new(link, terms.address, terms.length);
    address.peer = terms.peer.map(IpAddr::V4);
    address.routed = main;
    target.addresses.push(address);
    let own = Prefix::new(terms.address.into(), terms.length);
    let mut add = |to: Prefix, via: Option<Ipv4Addr>| {
        let route = Route::new(to, link, via.map(IpAddr::V4)).within(table);
        if !target.routes.iter().any(|other| other.key() == route.key()) {
            target.routes.push(route);
        }
    };
    if !main {
        add(own, None);
    }
    // A router outside of the lease's own prefix is on the link all the same (a lease of one address, /32).
    let mut by = |to: Prefix, via: Ipv4Addr| {
        if !own.holds(via.into()) {
            add(Prefix::host(via.into()), None);
        }
        add(to, Some(via));
    };
    let all = Prefix::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    if let Some(router) = terms.router {
        by(all, router);
    }
    for (to, via) in terms.routes.iter().filter(|(_, via)| !via.is_unspecified()) {
        by(*to, *via);
    }
    for (to, _) in terms.routes.iter().filter(|(_, via)| via.is_unspecified()) {
        add(*to, None);
    }
    if terms.peer.is_some() {
        add(all, None);
    }
}

/// Who speaks with the play's own address takes its way.
fn from(which: Which, address: Prefix, target: &mut Target) {
    if let Some((_, priority)) = rules(which) {
        target.rules.push(Rule { priority, from: Some(address), to: None, table: table(which) });
    }
}

fn ipv6(play: &Play, table: u32, target: &mut Target) {
    let link = play.link.as_str();
    if play.identifier != 0 {
        // The kernel makes none on a PPP link, and routers are asked from it. Source: RFC 5072 §5.
        let address = Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(play.identifier));
        target.addresses.push(Address::new(link, address, 64));
    }
    let Some(known) = &play.ipv6 else { return };
    target.own(link, Family::Ipv6);
    for one in &known.addresses {
        let life = Life { preferred_s: one.preferred_s, valid_s: one.valid_s };
        let mut address = Address::new(link, one.address, one.prefix_length);
        (address.life, address.routed) = (life, table == MAIN);
        target.addresses.push(address);
        from(play.which, Prefix::host(one.address.into()), target);
        if table != MAIN {
            let to = Prefix::new(one.address.into(), one.prefix_length);
            let route = Route::new(to, link, None).within(table);
            if !target.routes.contains(&route) {
                target.routes.push(route);
            }
        }
    }
    if let Some(router) = known.router {
        let all = Prefix::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        target.routes.push(Route::new(all, link, Some(router.into())).within(table));
    }
}

/// What lies behind a play takes its way, or none.
fn below(which: Which, wanted: &Wanted, target: &mut Target) {
    let Some((priority, _)) = rules(which) else { return };
    let reaches = match which {
        Which::Internet => return,
        Which::Voice => wanted.voice.as_ref().map(|voice| voice.reaches.as_slice()),
        Which::Tv => wanted.tv.as_ref().map(|tv| tv.reaches.as_slice()),
    };
    let table = table(which);
    for to in reaches.unwrap_or_default() {
        target.rules.push(Rule { priority, from: None, to: Some(*to), table });
    }
    for all in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
        target.routes.push(Route::unreachable(Prefix::new(all, 0), table));
    }
}
