//! What `lease` hears: datagrams, DHCP, ARP, news of links, PCP and NAT-PMP; and its book, whatever lies on the disk.

use lease::message::Message;
use tests::fuzz::run;

/// What comes in by the WAN and by the LAN, as real peers say it.
const DHCP_PACKETS: [&[u8]; 6] = [
    include_bytes!("../../../src/lease/tests/data/dnsmasq-ack.bin"),
    include_bytes!("../../../src/lease/tests/data/dnsmasq-nak.bin"),
    include_bytes!("../../../src/lease/tests/data/udhcpd-offer.bin"),
    include_bytes!("../../../src/lease/tests/data/udhcpc-discover.bin"),
    include_bytes!("../../../src/lease/tests/data/dhclient-request-reboot.bin"),
    include_bytes!("../../../src/lease/tests/data/dhclient-release.bin"),
];

#[test]
fn dhcp_datagram() {
    run("dhcp_datagram", &DHCP_PACKETS, |bytes| {
        if let Ok(datagram) = lease::datagram::read(bytes, true) {
            // What was read may be sent, where it is not larger than a message of ours.
            let _ = lease::datagram::write(datagram.from, datagram.to, datagram.payload);
        }
    });
}

#[test]
fn dhcp_message() {
    let payloads: Vec<&[u8]> = DHCP_PACKETS.iter().map(|packet| &packet[28..]).collect();
    run("dhcp_message", &payloads, |bytes| {
        let Ok(message) = Message::read(bytes) else { return };
        assert!(lease::server::host(&message.host).is_ascii(), "a host name is fit for a terminal");
        let again = Message::read(&message.write()).expect("what we write, we read");
        // These are only read.
        let Message { routes, time_servers, sip_servers, controller, .. } =
            Message::new(message.kind, 0, message.chaddr);
        assert_eq!(again, Message { routes, time_servers, sip_servers, controller, ..message.clone() });
        let _ = lease::terms::reply(&message, message.chaddr);
    });
}

#[test]
fn controller() {
    let samples: [&[u8]; 3] = [
        b"\0\0\x0d\xe9\x14\x19\x0bisp.example\x1d\x05self\0",
        b"\0\0\0\x09\x02\x01\0\0\0\x0d\xe9\x03\x19\x01x",
        b"\0\0\x0d\xe9\0\x19\0\x0bisp.example\0\x1d\0\x07self::c",
    ];
    run("controller", &samples, |bytes| {
        for found in [lease::usp::of_option(bytes), lease::usp::of_option_6(bytes)].into_iter().flatten() {
            assert!(!found.url.is_empty() && !found.url.chars().any(char::is_control));
        }
    });
}

#[test]
fn arp() {
    let samples: [&[u8]; 2] = [
        include_bytes!("../../../src/lease/tests/data/kernel-arp-request.bin"),
        include_bytes!("../../../src/lease/tests/data/kernel-arp-reply.bin"),
    ];
    run("arp", &samples, |bytes| {
        if let Some(arp) = lease::arp::read(bytes) {
            assert!(
                !lease::arp::is_conflict(&arp, arp.sender, arp.sender_address),
                "nobody is his own rival"
            );
        }
    });
}

#[test]
fn link_news() {
    let sample = include_bytes!("../../../src/lease/tests/data/kernel-links.bin");
    run("link_news", &[sample], |bytes| lease::link::read(bytes, |_| ()));
}

/// A MAP request of 192.168.1.100: TCP, port 8080, with PREFER_FAILURE (RFC 6887 figures 2, 10, 15).
const PCP_MAP: [u8; 64] = [
    2, 1, 0, 0, 0, 0, 14, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 168, 1, 100, 1, 2, 3, 4, 5, 6, 7,
    8, 9, 10, 11, 12, 6, 0, 0, 0, 31, 144, 156, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 2, 0,
    0, 0,
];

const PCP_HOST: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 100));

fn mapper() -> lease::pcp::answer::Answerer {
    let pcp = contract::learn::Pcp { external: [203, 0, 113, 7].into(), taken: Default::default() };
    let silent = contract::learn::Server::silent("lan".into(), [192, 168, 1, 1].into(), 24);
    lease::pcp::answer::Answerer::new(contract::learn::Server { pcp: Some(pcp), ..silent }, 0)
}

#[test]
fn pcp() {
    let samples: [&[u8]; 4] =
        [&PCP_MAP, &PCP_MAP[..24], &[0, 0], &[0, 2, 0, 0, 31, 144, 156, 64, 0, 0, 14, 16]];
    run("pcp", &samples, |bytes| {
        let mut server = mapper();
        let Some(answer) = server.answer(bytes, PCP_HOST, 1_000) else { return };
        assert!(answer[1] & 0x80 != 0 && answer[1] & 0x7f == bytes[1], "an answer to what was asked");
        assert!(answer.len() <= 1_100 && (answer[0] == 0 || answer.len() % 4 == 0), "of the right form");
        let given = server.table().entries().iter().map(|entry| entry.mapping);
        assert!(given.clone().count() <= 1, "one question, one port");
        for mapping in given {
            assert!(mapping.host == PCP_HOST && mapping.port >= 1_024 && mapping.external_port >= 1_024);
        }
    });
}

#[test]
fn lease_book() {
    let sample = b"1700000000\nbr-lan 192.168.1.5 02:00:00:00:00:01 ff0001 600 laptop\nbr-guest 192.168.2.5 02:00:00:00:00:02 - 0 -\n";
    run("lease_book", &[sample], |bytes| {
        let entries = lease::book::read(bytes, 5_000, 1_700_000_060);
        let rows = entries.iter().map(|entry| (&entry.link, &entry.row));
        let again = lease::book::read(&lease::book::write(rows, 5_000, 1_700_000_060), 5_000, 1_700_000_060);
        assert_eq!(again, entries, "what we write, we read");
    });
}
