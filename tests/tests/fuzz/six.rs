//! What comes in over IPv6, by the WAN and by the LAN, as real peers say it.

use tests::fuzz::run;

use lease::six::{advert, keep, message, packet};

const PACKETS: [&[u8]; 8] = [
    include_bytes!("../../../src/lease/tests/data/radvd-advert.bin"),
    include_bytes!("../../../src/lease/tests/data/kernel-solicitation.bin"),
    include_bytes!("../../../src/lease/tests/data/kernel-neighbour.bin"),
    include_bytes!("../../../src/lease/tests/data/kea-advertise.bin"),
    include_bytes!("../../../src/lease/tests/data/kea-reply.bin"),
    include_bytes!("../../../src/lease/tests/data/dnsmasq-reply.bin"),
    include_bytes!("../../../src/lease/tests/data/dhclient-renew.bin"),
    include_bytes!("../../../src/lease/tests/data/dhclient-information.bin"),
];

#[test]
fn six_packet() {
    run("six_packet", &PACKETS, |bytes| {
        let _ = packet::read(bytes, true);
    });
}

#[test]
fn router_advert() {
    let payloads: Vec<&[u8]> = PACKETS[..3].iter().map(|packet| &packet[40..]).collect();
    run("router_advert", &payloads, |bytes| {
        let _ = (advert::neighbour(bytes), advert::is_solicitation(bytes));
        let Some(said) = advert::Advert::read(bytes) else { return };
        let again = said.write().expect("what was read is small enough");
        assert_eq!(advert::Advert::read(&again), Some(said));
    });
}

#[test]
fn dhcp6_message() {
    let payloads: Vec<&[u8]> = PACKETS[3..].iter().map(|packet| &packet[48..]).collect();
    run("dhcp6_message", &payloads, |bytes| {
        let Some(said) = message::Message::read(bytes) else { return };
        // With every table full it is more than we would ever say, and then it is not said.
        if let Some(again) = said.write() {
            assert_eq!(message::Message::read(&again), Some(said));
        }
    });
}

#[test]
fn six_book() {
    let sample =
        b"secret 000102030405060708090a0b0c0d0e0f\nhad wan 2001:db8::/56\ntold lan 2001:db8:0:1::/64\n";
    run("six_book", &[sample], |bytes| {
        let _ = keep::Book::read(bytes);
    });
}
