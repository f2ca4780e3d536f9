//! The sides of the home: LAN, guests, TV's own ports. Pure.
//!
//! In:  a view. Out: bridges with their ports, our addresses in them.
//!
//! Guests are on ports of their own, and by a VLAN link on each port of the LAN; that port's own bridge never sees their frames
//! (docs/decisions/0021-guests.md).
//!
//! Source: RFC 4541 (snooping), IEEE 802.1Q.

use contract::wanted::Profile;

use super::play::{ETHERNET_MTU, TV_BRIDGE};
use super::{Address, Bridge, Family, Life, Link, Make, Port, Target, Vlan, settings};
use crate::view::{View, Which, host};

/// The bridge of the guests.
pub const GUEST_BRIDGE: &str = contract::wanted::GUEST_BRIDGE;

/// A port of the home.
const HOME_PORT: Port = Port { fast_leave: true, isolated: false };
/// A port of guests: they reach us, and not each other.
const GUEST_PORT: Port = Port { fast_leave: true, isolated: true };

fn bridge(name: &str, filters: Option<bool>, target: &mut Target) {
    let make = Make::Bridge(Bridge { snoops: true, filters });
    let mtu = Some(ETHERNET_MTU);
    target.links.push(Link { make, mtu, ours: true, ..Link::found(name) });
}

fn port(name: &str, bridge: &str, port: Port, target: &mut Target) {
    let (bridge, mtu) = (Some((bridge.to_owned(), port)), Some(ETHERNET_MTU));
    target.links.push(Link { bridge, mtu, ours: true, ..Link::found(name) });
}

/// Bridges and their ports.
pub(super) fn links(view: &View<'_>, target: &mut Target) {
    let lan = &view.wanted.lan;
    bridge(&lan.bridge, Some(true), target);
    lan.ports.iter().for_each(|name| port(name, &lan.bridge, HOME_PORT, target));
    if let Some(guest) = &view.wanted.guest {
        bridge(GUEST_BRIDGE, Some(true), target);
        guest.ports.iter().for_each(|name| port(name, GUEST_BRIDGE, GUEST_PORT, target));
        for parent in lan.ports.iter().filter(|_| guest.vlan != 0) {
            let make = Make::Vlan(Vlan { parent: parent.to_string(), id: guest.vlan, priority: 0 });
            let name = super::vlan_link(parent, guest.vlan);
            let bridge = Some((GUEST_BRIDGE.to_owned(), GUEST_PORT));
            target.links.push(Link {
                make,
                bridge,
                mtu: Some(ETHERNET_MTU),
                ours: true,
                ..Link::found(&name)
            });
        }
    }
    let bridged = view.wanted.tv.as_ref().filter(|tv| tv.profile == Profile::Bridged);
    if let Some((tv, play)) = bridged.zip(view.play(Which::Tv)) {
        bridge(TV_BRIDGE, None, target);
        tv.ports.iter().for_each(|name| port(name, TV_BRIDGE, HOME_PORT, target));
        let upstream = target.links.iter_mut().find(|link| link.name == play.frame_link.as_str());
        if let Some(upstream) = upstream {
            upstream.bridge = Some((TV_BRIDGE.to_owned(), Port::default()));
        }
    }
}

/// Our addresses at home.
pub(super) fn addresses(view: &View<'_>, target: &mut Target) {
    let lan = &view.wanted.lan;
    // While nothing is known of IPv6 outside, what a former life has set inside stays.
    let known = view.play(Which::Internet).is_none_or(|play| play.ipv6.is_some());
    let guest = view.wanted.guest.as_ref().map(|guest| (guest.address, guest.prefix_length, view.guest6()));
    let homes =
        [(lan.bridge.as_str(), Some((lan.address, lan.prefix_length, view.home6()))), (GUEST_BRIDGE, guest)];
    for (link, home) in homes.into_iter().filter_map(|(link, home)| home.map(|home| (link, home))) {
        let (address, length, prefixes) = home;
        target.settings.extend(settings::of_link(link, false));
        target.own(link, Family::Ipv4);
        target.addresses.push(Address::new(link, address, length));
        if known {
            target.own(link, Family::Ipv6);
        }
        for one in prefixes.into_iter().filter_map(|one| host(one, super::OURS.into())) {
            let life = Life { preferred_s: one.preferred_s, valid_s: one.valid_s };
            target.addresses.push(Address { life, ..Address::new(link, one.address, 64) });
        }
    }
}
