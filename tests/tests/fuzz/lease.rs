//! What `lease` hears: datagrams, DHCP, ARP, news of links.

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
        let Ok(message) = lease::message::Message::read(bytes) else { return };
        assert!(lease::server::host(&message.host).is_ascii(), "a host name is fit for a terminal");
        let again = lease::message::Message::read(&message.write()).expect("what we write, we read");
        assert_eq!(again, message);
        let _ = lease::terms::reply(&message, message.chaddr);
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
