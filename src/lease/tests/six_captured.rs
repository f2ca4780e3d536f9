//! Bytes of real IPv6 peers, as `data/capture6.py` took them from the wire: each is read, and says what its sender meant.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use lease::six::advert::{Advert, Preference, is_solicitation, neighbour};
use lease::six::grant::{Want, worth};
use lease::six::message::{Kind, Message, Of, code};
use lease::six::packet::{ICMP, Packet, UDP, is_link_local, read};

fn packet(bytes: &[u8]) -> Packet<'_> {
    let packet = read(bytes, false).unwrap();
    assert!(is_link_local(packet.from) || packet.protocol == ICMP, "{packet:?}");
    packet
}

#[test]
fn what_a_router_says_is_understood() {
    let packet = packet(include_bytes!("data/radvd-advert.bin"));
    assert_eq!((packet.protocol, packet.hop_limit), (ICMP, 255));
    let advert = Advert::read(packet.payload).unwrap();
    assert!(advert.managed && advert.other && advert.preference == Preference::High);
    assert_eq!((advert.mtu, advert.prefixes.len(), advert.routes.len()), (1_492, 1, 1));
    let info = advert.prefixes[0];
    assert_eq!(
        (info.prefix.to_string().as_str(), info.preferred_s, info.valid_s),
        ("2001:db8:9::/64", 300, 600)
    );
    assert!(info.on_link && info.autonomous && advert.mac.is_some());
    assert_eq!(advert.routes[0], ("2001:db8:f000::/40".parse().unwrap(), 900));
    let servers = ["2001:db8:9::1", "2001:db8:9::2"].map(|server| (server.parse().unwrap(), 1_200));
    assert_eq!(advert.name_servers.as_slice(), servers);
    let other = Advert::read(self::packet(include_bytes!("data/dnsmasq-advert.bin")).payload).unwrap();
    assert!(other.managed && other.lifetime_s > 0 && other.prefixes.len() == 1, "{other:?}");
}

#[test]
fn what_the_kernel_says_is_understood() {
    assert!(is_solicitation(packet(include_bytes!("data/kernel-solicitation.bin")).payload));
    let (address, _) = neighbour(packet(include_bytes!("data/kernel-neighbour.bin")).payload).unwrap();
    assert!(!address.is_unspecified());
}

#[test]
fn what_servers_say_is_understood() {
    let want = Want { address: true, prefix: true, ..Want::default() };
    for (bytes, kind) in [
        (include_bytes!("data/kea-advertise.bin").as_slice(), Kind::Advertise),
        (include_bytes!("data/kea-reply.bin").as_slice(), Kind::Reply),
    ] {
        let packet = packet(bytes);
        assert_eq!((packet.protocol, packet.port), (UDP, 547));
        let message = Message::read(packet.payload).unwrap();
        assert_eq!((message.kind, message.solicit_max_s), (kind, Some(900)));
        assert_eq!(message.name_servers.as_slice(), ["2001:db8:9::1".parse::<std::net::Ipv6Addr>().unwrap()]);
        assert!(message.client.is_some() && message.server.as_ref().is_some_and(|server| server.len() == 11));
        let id = message.associations[0].id;
        assert_eq!(worth(&message, &Want { id, ..want }), 3, "an address and a prefix");
        let [addresses, prefixes] = message.associations.as_slice() else { panic!("{message:?}") };
        assert_eq!((addresses.of, prefixes.of), (Of::Addresses, Of::Prefixes));
        let item = prefixes.items[0];
        assert_eq!((item.prefix.to_string().as_str(), item.preferred_s), ("2001:db8:f000::/56", 100));
        assert_eq!((addresses.renew_s, addresses.rebind_s), (4, 60));
    }
    let words = Message::read(packet(include_bytes!("data/dnsmasq-reply.bin")).payload).unwrap();
    assert_eq!((words.kind, words.name_servers.len(), words.time_servers.len()), (Kind::Reply, 1, 1));
}

#[test]
fn what_clients_ask_is_understood() {
    let table = [
        (include_bytes!("data/dhclient-solicit.bin").as_slice(), Kind::Solicit, 2, false),
        (include_bytes!("data/dhclient-request.bin").as_slice(), Kind::Request, 2, true),
        (include_bytes!("data/dhclient-renew.bin").as_slice(), Kind::Renew, 2, true),
        (include_bytes!("data/dhclient-release6.bin").as_slice(), Kind::Release, 2, true),
        (include_bytes!("data/dhclient-information.bin").as_slice(), Kind::Information, 0, false),
    ];
    for (bytes, kind, associations, to_a_server) in table {
        let packet = packet(bytes);
        let message = Message::read(packet.payload).unwrap();
        assert_eq!(
            (message.kind, message.associations.len(), message.server.is_some()),
            (kind, associations, to_a_server)
        );
        assert!(message.client.is_some() && message.elapsed.is_some(), "{kind:?}");
        assert!(kind == Kind::Release || message.wanted.contains(&code::NAME_SERVERS), "{kind:?}");
    }
}
