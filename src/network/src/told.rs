//! What each daemon is told on the wire `told`. Pure.
//!
//! In:  a view, what was observed. Out: what names, voice, time and multicast are told: each its own, and always all of it.
//!
//! Source: RFC 1918, RFC 4193, RFC 6761 §6, RFC 6890 (addresses that no answer from outside may name), RFC 4605 (upstream, downstream).

use std::net::{IpAddr, Ipv6Addr};

use contract::prefix::Prefix;
use contract::told::{Home, Multicast, Names, Side, Time, Told, Voice, Who};
use contract::wanted::reach::Upstream;
use contract::wanted::{LinkName, Profile};
use contract::wires::uid;
use contract::{Text, limit};
use heapless::Vec as Bounded;

use crate::observed::Observed;
use crate::target::{GUEST_BRIDGE, gateway_address, service_link};
use crate::view::{Play, View, Which};

/// Prefixes that are nobody's on the Internet.
const PRIVATE: [&str; 10] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "0.0.0.0/8",
    "::ffff:0:0/96",
    "::/127",
    "fc00::/7",
    "fe80::/10",
];

/// What the daemon with this uid is told; `None`: it has nothing to hear.
#[must_use]
pub fn told(who: u32, view: &View<'_>, observed: &Observed) -> Option<Told> {
    match who {
        uid::NAMES => Some(Told::Names(names(view))),
        uid::VOICE => Some(Told::Voice(voice(view))),
        uid::TIME => Some(Told::Time(time(view))),
        uid::MULTICAST => Some(Told::Multicast(Some(multicast(view, observed)))),
        _ => None,
    }
}

fn names(view: &View<'_>) -> Names {
    let wanted = view.wanted;
    let lan = Home { link: wanted.lan.bridge.clone(), address: wanted.lan.address, who: Who::Home };
    let guest = wanted.guest.as_ref().map(|guest| Home {
        link: GUEST_BRIDGE.into(),
        address: guest.address,
        who: Who::Guest,
    });
    let services = view.services.iter().map(|service| Home {
        link: LinkName::from(service_link(service.slot).as_str()),
        address: gateway_address(wanted),
        who: Who::Service {
            name: service.service.clone(),
            mdns: service.reaches.mdns,
            ssdp: service.reaches.ssdp,
        },
    });
    Names {
        homes: [lan].into_iter().chain(guest).chain(services).take(limit::HOMES + limit::SERVICES).collect(),
        domain: wanted.lan.domain.clone(),
        upstreams: upstreams(view),
        ours: ours(view),
        rebind_allow: wanted.dns.rebind_allow.clone(),
        clients: wanted.dns.client.clone(),
    }
}

/// Whom to ask: who is named by the operator of this gateway, else the Internet play's name servers.
fn upstreams(view: &View<'_>) -> Bounded<Upstream, { limit::NAME_SERVERS * 2 }> {
    let named = &view.wanted.dns.upstream;
    if !named.is_empty() {
        return named.iter().cloned().collect();
    }
    let plain = |address| Upstream { enable: true, address, port: 0, tls: Text::default() };
    name_servers(view).map(plain).take(limit::NAME_SERVERS * 2).collect()
}

fn name_servers<'v>(view: &'v View<'_>) -> impl Iterator<Item = IpAddr> + 'v {
    let play = view.play(Which::Internet);
    let four = play.and_then(Play::terms).into_iter().flat_map(|terms| &terms.name_servers);
    let six = play.and_then(|play| play.ipv6.as_ref()).into_iter().flat_map(|known| &known.name_servers);
    six.map(|address| IpAddr::V6(*address)).chain(four.map(|address| IpAddr::V4(*address)))
}

fn ours(view: &View<'_>) -> Bounded<Prefix, { limit::PLAY_PREFIXES }> {
    let private = PRIVATE.iter().filter_map(|text| text.parse::<Prefix>().ok());
    let delegated = view.prefixes().map(|one| one.prefix);
    let wanted = view.wanted;
    let lan = Prefix::new(wanted.lan.address.into(), wanted.lan.prefix_length);
    let services = Prefix::new(wanted.services.prefix.into(), wanted.services.prefix_length);
    let guest = wanted.guest.as_ref().map(|guest| Prefix::new(guest.address.into(), guest.prefix_length));
    let mut all: Bounded<Prefix, { limit::PLAY_PREFIXES }> = Bounded::new();
    for prefix in [lan, services].into_iter().chain(guest).chain(private).chain(delegated) {
        // One that lies in another one adds nothing. There is room for all private ones and the newest delegated.
        if !all.iter().any(|wider| wider.holds(prefix.first()) && wider.length() <= prefix.length()) {
            let _ = all.push(prefix);
        }
    }
    all
}

fn voice(view: &View<'_>) -> Option<Voice> {
    let voice = view.wanted.voice.as_ref()?;
    let proxy = voice.proxy.as_ref()?;
    let lan = &view.wanted.lan;
    let play = view.play(Which::Voice);
    Some(Voice {
        home: (lan.bridge.clone(), lan.address),
        prefix: Prefix::new(lan.address.into(), lan.prefix_length),
        play: play.and_then(|play| play.terms().map(|terms| (play.link.clone(), terms.address))),
        reaches: voice.reaches.clone(),
        registrar: (proxy.registrar, proxy.port),
    })
}

fn time(view: &View<'_>) -> Time {
    let asked = &view.wanted.time;
    let play = view.play(Which::Internet);
    let known = play.and_then(|play| play.ipv6.as_ref());
    let four = play.and_then(Play::terms);
    let six =
        known.into_iter().flat_map(|known| known.time_servers.iter().map(|address| IpAddr::V6(*address)));
    let told =
        four.into_iter().flat_map(|terms| terms.time_servers.iter().map(|address| IpAddr::V4(*address)));
    let told = six.chain(told).map(|address| Text::format(format_args!("{address}")));
    let servers = if asked.server.is_empty() {
        told.take(limit::TIME_SERVERS * 2).collect()
    } else {
        asked.server.iter().cloned().collect()
    };
    let named = upstreams(view);
    let plain = named.iter().filter(|upstream| upstream.tls.is_empty()).map(|upstream| upstream.address);
    let all: Vec<IpAddr> = plain.chain(name_servers(view)).collect();
    let mut asks: Bounded<IpAddr, { limit::NAME_SERVERS * 2 }> = Bounded::new();
    for address in all {
        if !asks.contains(&address) {
            let _ = asks.push(address); // What does not fit is asked by nobody.
        }
    }
    Time {
        online: four.is_some() || known.is_some_and(|known| !known.addresses.is_empty()),
        servers,
        nts: asked.nts.clone(),
        name_servers: asks,
    }
}

fn multicast(view: &View<'_>, observed: &Observed) -> Multicast {
    let routed = view.wanted.tv.as_ref().filter(|tv| tv.profile == Profile::Routed);
    let upstream = routed.and(view.play(Which::Tv)).and_then(|play| {
        let address = play.terms()?.address;
        let address6 = link_local(&play.link, observed);
        Some(Side { link: play.link.clone(), address, address6, ports: Bounded::new() })
    });
    let lan = &view.wanted.lan;
    let home = Side {
        link: lan.bridge.clone(),
        address: lan.address,
        address6: link_local(&lan.bridge, observed),
        ports: lan.ports.clone(),
    };
    Multicast {
        upstream,
        downstreams: Bounded::from_iter([home]),
        groups: routed.map(|tv| tv.groups.clone()).unwrap_or_default(),
    }
}

/// The link-local address that the kernel has made on a link; unspecified: none (yet).
fn link_local(link: &str, observed: &Observed) -> Ipv6Addr {
    let on = observed.addresses.iter().filter(|address| address.link == link);
    let own = on.filter_map(|address| match address.address {
        IpAddr::V6(own) if own.is_unicast_link_local() => Some(own),
        IpAddr::V6(_) | IpAddr::V4(_) => None,
    });
    own.min().unwrap_or(Ipv6Addr::UNSPECIFIED)
}

#[cfg(test)]
mod tests {
    use super::told;
    use crate::known::Known;
    use crate::observed::Observed;
    use crate::target::{Address, Attachment};
    use crate::testing::{ipv6, lease, wanted, whole};
    use crate::view::View;
    use contract::Name;
    use contract::learn::{Learned, Lease};
    use contract::manifest::Reaches;
    use contract::told::{Told, Who};
    use contract::wires::uid;

    #[test]
    fn each_is_told_its_own() {
        let (all, mut known) = (whole(), Known::default());
        known.learn(Learned::Lease(Lease { link: "eth0.30".into(), ..lease(7) }), 0);
        known.learn(Learned::Lease(Lease { link: "eth0.20".into(), ..lease(8) }), 0);
        let mut observed = Observed::default();
        observed.addresses.push(Address::new("br-lan", "fe80::7".parse::<std::net::Ipv6Addr>().unwrap(), 64));
        let view = View::of(&all, &known, &[], 0);
        let Some(Told::Names(names)) = told(uid::NAMES, &view, &observed) else { panic!() };
        assert_eq!(names.upstreams[0].tls.as_str(), "dns.quad9.net");
        assert!(names.ours.iter().any(|prefix| prefix.to_string() == "192.168.1.0/24"));
        let Some(Told::Voice(Some(voice))) = told(uid::VOICE, &view, &observed) else { panic!() };
        assert_eq!(voice.play.unwrap().1.to_string(), "203.0.113.8");
        let Some(Told::Multicast(Some(sides))) = told(uid::MULTICAST, &view, &observed) else { panic!() };
        assert_eq!(sides.upstream.unwrap().link.as_str(), "eth0.30");
        assert_eq!(sides.downstreams[0].address6.to_string(), "fe80::7");
        let Some(Told::Time(time)) = told(uid::TIME, &view, &observed) else { panic!() };
        assert!(!time.online && time.nts.len() == 1);
        assert_eq!(told(uid::LEASE, &view, &observed), None);
    }

    #[test]
    fn a_service_is_told_of_the_home_what_its_manifest_asks() {
        let (plain, known) = (wanted(), Known::default());
        let reaches = Reaches { mdns: true, ..Reaches::default() };
        let (service, slice) = (Name::new("hello").unwrap(), Name::new("demo").unwrap());
        let attached = [Attachment {
            service,
            slice,
            slot: 3,
            serves: Vec::new(),
            reaches,
            rates: Default::default(),
            slice_rates: Default::default(),
        }];
        let view = View::of(&plain, &known, &attached, 0);
        let Some(Told::Names(names)) = told(uid::NAMES, &view, &Observed::default()) else { panic!() };
        let home = names.homes.last().unwrap();
        assert_eq!(home.link.as_str(), "svc-3");
        assert!(matches!(home.who, Who::Service { mdns: true, ssdp: false, .. }), "{home:?}");
    }

    #[test]
    fn who_names_nobody_asks_those_of_the_operator() {
        let (plain, mut known) = (wanted(), Known::default());
        let mut lease = lease(7);
        lease.name_servers = [[203, 0, 113, 53].into()].into_iter().collect();
        lease.time_servers = [[203, 0, 113, 123].into()].into_iter().collect();
        known.learn(Learned::Lease(lease), 0);
        known.learn(Learned::Ipv6(ipv6("2001:db8:1::/56")), 0);
        let view = View::of(&plain, &known, &[], 0);
        let Some(Told::Names(names)) = told(uid::NAMES, &view, &Observed::default()) else { panic!() };
        assert_eq!(names.upstreams[0].address.to_string(), "203.0.113.53");
        assert!(names.ours.iter().any(|prefix| prefix.to_string() == "2001:db8:1::/56"));
        let Some(Told::Time(time)) = told(uid::TIME, &view, &Observed::default()) else { panic!() };
        assert!(time.online);
        assert_eq!(time.servers[0].as_str(), "203.0.113.123");
        assert_eq!(time.name_servers[0].to_string(), "203.0.113.53");
        let Some(Told::Voice(voice)) = told(uid::VOICE, &view, &Observed::default()) else { panic!() };
        assert_eq!(voice, None);
    }
}
