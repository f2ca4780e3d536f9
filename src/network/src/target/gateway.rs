//! The whole of a namespace: the gateway's own, or a service's. Pure.
//!
//! In:  a view. Out: a `Target`.
//!
//! Source: RFC 7084 W-3, L-2; RFC 4861 §2.2 (a router is known by its link-local address).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::learn::Address6;
use contract::prefix::Prefix;

use super::{
    Address, Family, INSIDE_LINK, Life, Link, Route, Target, gateway_address, home, play, service_address,
    service_link, settings,
};
use crate::view::{View, Which};

/// Our link-local address on every service's link: it stays when prefixes change.
const OURS_THERE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn alone(link: &str, one: &Address6) -> Address {
    let life = Life { preferred_s: one.preferred_s, valid_s: one.valid_s };
    Address { life, ..Address::new(link, one.address, 128) }
}

/// What the gateway's own namespace should hold.
#[must_use]
pub fn gateway(view: &View<'_>) -> Target {
    let mut target = Target { links: vec![Link::found("lo")], ..Target::default() };
    target.owned.marked = true;
    target.settings = settings::of_all();
    play::links(view, &mut target);
    home::links(view, &mut target);
    play::own_tables(view, &mut target);
    // A play that has gone away, or has its addresses on another link now, leaves none on the one that carries its frames.
    for family in [Family::Ipv4, Family::Ipv6] {
        let carries = |play: &&crate::view::Play| play.link != play.frame_link;
        view.plays.iter().filter(carries).for_each(|play| target.own(&play.frame_link, family));
        let wan = &view.wanted.wan.link;
        if !view.plays.iter().any(|play| play.frame_link == *wan) {
            target.own(wan, family);
        }
    }
    view.plays.iter().for_each(|play| play::addresses(play, view.wanted, &mut target));
    home::addresses(view, &mut target);
    let known = view.play(Which::Internet).is_none_or(|play| play.ipv6.is_some());
    target.owned.unreachable = known;
    // What of the home's prefix nobody has does not go back to where it came from. Source: RFC 7084 §3.3 WPD-5.
    for one in view.prefixes() {
        target.routes.push(Route::unreachable(one.prefix, super::MAIN));
    }
    services(view, known, &mut target);
    target
}

fn services(view: &View<'_>, known: bool, target: &mut Target) {
    for attachment in view.services {
        let link = service_link(attachment.slot);
        target.links.push(Link::found(&link));
        target.settings.extend(settings::of_link(&link, false));
        target.own(&link, Family::Ipv4);
        target.addresses.push(Address::new(&link, gateway_address(view.wanted), 32));
        let to = Prefix::host(service_address(view.wanted, attachment.slot).into());
        target.routes.push(Route::new(to, &link, None));
        target.addresses.push(Address::new(&link, OURS_THERE, 64));
        if known {
            target.own(&link, Family::Ipv6);
        }
        target.addresses.extend(view.gateway6().iter().map(|one| alone(&link, one)));
        for one in view.service6(attachment.slot) {
            target.routes.push(Route::new(Prefix::host(one.address.into()), &link, None));
        }
    }
}

/// Who is at the other end of every service's link, by each of our addresses that lead somewhere.
#[must_use]
pub fn neighbour(view: &View<'_>) -> [IpAddr; 2] {
    [gateway_address(view.wanted).into(), OURS_THERE.into()]
}

/// What the namespace of the service in `slot` should hold.
#[must_use]
pub fn inside(view: &View<'_>, slot: u8) -> Target {
    let (link, gateway) = (INSIDE_LINK, gateway_address(view.wanted));
    let mut target = Target {
        links: vec![Link::found("lo"), Link::found(link)],
        addresses: vec![Address::new(link, service_address(view.wanted, slot), 32)],
        routes: vec![
            Route::new(Prefix::host(gateway.into()), link, None),
            Route::new(Prefix::new(Ipv4Addr::UNSPECIFIED.into(), 0), link, Some(gateway.into())),
        ],
        ..Target::default()
    };
    target.own(link, Family::Ipv4);
    if view.play(Which::Internet).is_none_or(|play| play.ipv6.is_some()) {
        target.own(link, Family::Ipv6);
        let own = view.service6(slot);
        if !own.is_empty() {
            let all = Prefix::new(Ipv6Addr::UNSPECIFIED.into(), 0);
            target.routes.push(Route::new(all, link, Some(IpAddr::V6(OURS_THERE))));
        }
        target.addresses.extend(own.iter().map(|one| alone(link, one)));
    }
    target
}
