//! What is wanted of `lease`: addresses to be got, a play each, and addresses to be given, at home and to guests. Pure.
//!
//! In:  a view. Out: a `Wish`.
//!
//! The name server that hosts are told is ourselves: what is asked of whom is decided in one place (`names`).
//!
//! Source: RFC 7084 (L-3, L-4, L-11).

use contract::learn::{Client, Ipv6Wish, OnLink, Pcp, Server, Wish};
use contract::manifest::Protocol;
use contract::wanted::{LanIpv6, WanIpv4, WanIpv6};
use heapless::Vec as Bounded;

use crate::target::{GUEST_BRIDGE, Life};
use crate::view::{Play, View, Which};

/// What is wanted.
#[must_use]
pub fn wish(view: &View<'_>) -> Wish {
    let clients = view.plays.iter().filter_map(client).collect();
    let servers = [Some(home(view)), guests(view)].into_iter().flatten().collect();
    Wish { clients, servers }
}

fn client(play: &Play) -> Option<Client> {
    let access = &play.access;
    let ipv6 = match access.ipv6 {
        WanIpv6::Dhcp => Ipv6Wish::Prefix,
        WanIpv6::Slaac => Ipv6Wish::Slaac,
        WanIpv6::None => Ipv6Wish::None,
    };
    let (dhcp, pppoe) = (access.ipv4 == WanIpv4::Dhcp, access.ipv4 == WanIpv4::Pppoe);
    (dhcp || pppoe || ipv6 != Ipv6Wish::None).then(|| Client {
        ipv4: dhcp,
        dhcp: access.dhcp.clone(),
        pppoe: access.pppoe.clone().filter(|_| pppoe),
        ipv6,
        ..Client::silent(play.frame_link.clone())
    })
}

fn home(view: &View<'_>) -> Server {
    let lan = &view.wanted.lan;
    let taken = view.wanted.forward.iter();
    let taken = taken.map(|forward| (forward.protocol, forward.port, forward.last.max(forward.port)));
    let managed = view.wanted.management.iter().map(|one| (Protocol::Tcp, one.port, one.port));
    let taken = taken.chain(managed);
    let pcp = view.outside().filter(|_| lan.pcp);
    Server {
        pool: lan.dhcp,
        reservations: lan.reservation.clone(),
        name_servers: Bounded::from_iter([lan.address]),
        domain: lan.domain.clone(),
        names: true,
        pcp: pcp.map(|external| Pcp { external, taken: taken.collect() }),
        ..ipv6(view, &view.home6(), Server::silent(lan.bridge.clone(), lan.address, lan.prefix_length))
    }
}

fn guests(view: &View<'_>) -> Option<Server> {
    let guest = view.wanted.guest.as_ref()?;
    let silent = Server::silent(GUEST_BRIDGE.into(), guest.address, guest.prefix_length);
    Some(Server {
        pool: Some(guest.dhcp),
        name_servers: Bounded::from_iter([guest.address]),
        domain: view.wanted.lan.domain.clone(),
        ..ipv6(view, &view.guest6(), silent)
    })
}

fn ipv6(view: &View<'_>, prefixes: &[OnLink], server: Server) -> Server {
    let play = view.play(Which::Internet);
    let known = play.and_then(|play| play.ipv6.as_ref());
    let wants = view.wanted.lan.ipv6 != LanIpv6::None;
    let told = play.and_then(Play::terms).map_or(0, |terms| terms.mtu);
    let mtu = [told, view.wanted.internet.mtu, known.map_or(0, |known| known.mtu)];
    Server {
        ipv6: view.wanted.lan.ipv6,
        prefixes: prefixes.iter().filter(|_| wants).copied().collect(),
        default_router: known.is_some_and(|known| known.router.is_some()),
        mtu: mtu.into_iter().filter(|mtu| *mtu != 0).min().unwrap_or(0),
        ..server
    }
}

/// Is `new` what `old` has become in `passed_s` seconds, so that nobody needs to be told?
#[must_use]
pub fn is_same(old: &Wish, new: &Wish, passed_s: u32) -> bool {
    let life = |one: &OnLink| Life { preferred_s: one.preferred_s, valid_s: one.valid_s };
    let mut aged = old.clone();
    for (old, new) in aged.servers.iter_mut().zip(&new.servers) {
        for (old, new) in old.prefixes.iter_mut().zip(&new.prefixes) {
            if life(old).after(passed_s).is_close_to(life(new)) {
                (old.preferred_s, old.valid_s) = (new.preferred_s, new.valid_s);
            }
        }
    }
    aged == *new
}

#[cfg(test)]
mod tests {
    use super::{is_same, wish};
    use crate::known::Known;
    use crate::testing::{ipv6, lease, wanted, whole};
    use crate::view::View;
    use contract::learn::{Ipv6Wish, Learned};

    #[test]
    fn plays_and_homes_have_their_wishes() {
        let (whole, known) = (whole(), Known::default());
        let all = wish(&View::of(&whole, &known, &[], 0));
        let links: Vec<_> = all.clients.iter().map(|client| (client.link.as_str(), client.ipv4)).collect();
        assert_eq!(links, [("eth0.10", false), ("eth0.20", true), ("eth0.30", true)]);
        assert!(all.clients[0].pppoe.is_some() && all.clients[0].ipv6 == Ipv6Wish::Prefix);
        assert_eq!(all.servers[0].name_servers, [whole.lan.address]);
        assert_eq!(all.servers[0].pcp, None, "there is no address outside yet");
        assert_eq!((all.servers[1].link.as_str(), all.servers[1].names), ("br-guest", false));
    }

    #[test]
    fn time_alone_is_no_news() {
        let (plain, mut known) = (wanted(), Known::default());
        known.learn(Learned::Lease(lease(7)), 0);
        known.learn(Learned::Ipv6(ipv6("2001:db8:1::/56")), 0);
        let at = |known: &Known, now_ms| wish(&View::of(&plain, known, &[], now_ms));
        let (first, later) = (at(&known, 0), at(&known, 100_000));
        assert_ne!(first, later);
        assert!(is_same(&first, &later, 100) && !is_same(&first, &later, 10));
        assert!(first.servers[0].default_router);
        known.learn(Learned::Ipv6(ipv6("2001:db8:2::/56")), 0);
        assert!(!is_same(&first, &at(&known, 0), 0));
    }
}
