//! Bytes of real peers, as `data/capture.py` took them from the wire: each is read, and says what its sender meant.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;

use lease::link::{self, News, Watched};
use lease::message::{Kind, Message};
use lease::terms::{self, Reply};
use lease::{arp, datagram};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// The message in a file, and the ports and the target of its datagram.
fn read(bytes: &[u8]) -> (Message, u16, u16, Ipv4Addr) {
    let datagram = datagram::read(bytes, false).unwrap();
    (Message::read(datagram.payload).unwrap(), datagram.from.port(), datagram.to.port(), *datagram.to.ip())
}

macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!("data/", $name, ".bin")).as_slice())
    };
}

#[test]
fn what_clients_ask_is_understood() {
    // file, kind, has an address, asks for one, names a server, is broadcast
    let table = [
        (file!("udhcpc-discover"), Kind::Discover, false, false, false, true),
        (file!("udhcpc-request-select"), Kind::Request, false, true, true, true),
        (file!("udhcpc-request-renew"), Kind::Request, true, false, false, false),
        (file!("udhcpc-release"), Kind::Release, true, false, true, false),
        (file!("dhclient-discover"), Kind::Discover, false, false, false, true),
        (file!("dhclient-request-select"), Kind::Request, false, true, true, true),
        (file!("dhclient-request-reboot"), Kind::Request, false, true, false, true),
        (file!("dhclient-release"), Kind::Release, true, false, true, false),
    ];
    for ((name, bytes), kind, has, asks, names, broadcast) in table {
        let (message, from, to, target) = read(bytes);
        assert_eq!((message.kind, from, to), (kind, 68, 67), "{name}");
        assert_eq!(!message.ciaddr.is_unspecified(), has, "{name}: ciaddr");
        assert_eq!(message.requested.is_some(), asks, "{name}: option 50");
        assert_eq!(message.server.is_some(), names, "{name}: option 54");
        assert_eq!(target.is_broadcast(), broadcast, "{name}: target");
        assert_eq!(message.identifier.is_some(), name.starts_with("udhcpc"), "{name}: option 61");
    }
    let (message, ..) = read(file!("udhcpc-discover").1);
    assert_eq!(message.host.as_slice(), b"peer");
}

#[test]
fn what_servers_answer_is_understood() {
    // file, an offer, lease, T1 and T2
    let table = [
        (file!("dnsmasq-offer"), true, 120, Some((60, 105))),
        (file!("dnsmasq-ack"), false, 120, Some((60, 105))),
        (file!("udhcpd-offer"), true, 10, None),
        (file!("udhcpd-ack"), false, 10, None),
    ];
    for ((name, bytes), is_offer, lease_s, times) in table {
        let (message, from, to, _) = read(bytes);
        assert_eq!((from, to), (67, 68), "{name}");
        let (xid, reply) = terms::reply(&message, message.chaddr).unwrap();
        assert_eq!(xid, message.xid, "{name}");
        let terms = match reply {
            Reply::Offer(terms) if is_offer => terms,
            Reply::Ack(terms) if !is_offer => terms,
            other @ (Reply::Offer(_) | Reply::Ack(_) | Reply::Nak { .. }) => panic!("{name}: {other:?}"),
        };
        assert_eq!((terms.server, terms.router, terms.prefix_length), (SERVER, Some(SERVER), 24), "{name}");
        assert_eq!(terms.name_servers.as_slice(), [SERVER, Ipv4Addr::new(10, 9, 0, 2)], "{name}");
        assert_eq!((terms.lease_s, terms.renew_s.zip(terms.rebind_s)), (lease_s, times), "{name}");
    }
    let (message, ..) = read(file!("dnsmasq-nak").1);
    let reply = terms::reply(&message, message.chaddr).map(|(_, reply)| reply);
    assert_eq!(reply, Some(Reply::Nak { server: SERVER }));
}

#[test]
fn what_a_kernel_asks_by_arp_is_understood() {
    let [asked, answered] =
        [file!("kernel-arp-request"), file!("kernel-arp-reply")].map(|file| arp::read(file.1).unwrap());
    assert!(!asked.answer && answered.answer);
    assert_eq!(asked.target_address, answered.sender_address);
    assert_eq!(asked.sender_address, answered.target_address);
    assert!(arp::is_conflict(&answered, [2, 0, 0, 0, 0, 1], answered.sender_address));
}

#[test]
fn what_a_kernel_says_of_links_is_understood() {
    let mut watched = Watched::new("eth0".into());
    let mut names = Vec::new();
    link::read(file!("kernel-links").1, |news| {
        watched.hear(&news);
        if let News::Here(link) = news {
            names.push((link.name.to_string(), link.carrier));
        }
    });
    assert_eq!(names, [("lo".to_owned(), true), ("eth0".to_owned(), true)]);
    let link = watched.link().unwrap();
    assert!(link.index > 1 && link.mac[0] & 3 == 2, "an address that the kernel made up: {link:?}");
}

#[test]
fn no_cut_or_bent_byte_makes_more_of_a_message_than_an_error() {
    for bytes in [file!("dnsmasq-ack").1, file!("dhclient-discover").1, file!("udhcpc-release").1] {
        for cut in 0..bytes.len() {
            assert!(datagram::read(&bytes[..cut], true).is_err(), "cut at {cut}");
        }
        for place in 0..bytes.len() {
            let mut bent = bytes.to_vec();
            bent[place] ^= 0xff;
            // The checksums see every single bent byte.
            assert!(datagram::read(&bent, false).is_err(), "bent at {place}");
        }
    }
}
