//! Questions to our server and what it answers; and that no address is ever two hosts'.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use contract::learn;
use contract::wanted::Pool;
use lease::book;
use lease::message::{Kind, Message};
use lease::server::{LEASE_S_WITHOUT_NAMES, Server, Way, host};
use lease::table::{DECLINE_MS, OFFER_MS, OFFER_STALE_MS, ROWS_MAX};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

const OURS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);
const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn server(last: u8) -> Server {
    let pool = Pool { enable: true, first: FIRST, last: Ipv4Addr::new(192, 168, 1, last), lease_s: 600 };
    let wanted = learn::Server { pool: Some(pool), ..learn::Server::silent("lan".into(), OURS, 24) };
    let mut server = Server::new(wanted);
    server.set_name_servers(&[Ipv4Addr::new(10, 0, 0, 1)]);
    server
}

fn ask(kind: Kind, number: u8) -> Message {
    Message::new(kind, u32::from(number), [2, 0, 0, 0, 0, number])
}

/// A request in the state SELECTING.
fn select(number: u8, address: Ipv4Addr) -> Message {
    Message { requested: Some(address), server: Some(OURS), ..ask(Kind::Request, number) }
}

/// Host `number` asks for an address and takes it.
fn take(server: &mut Server, number: u8, now_ms: u64) -> Ipv4Addr {
    let (offer, _) = server.answer(&ask(Kind::Discover, number), now_ms).unwrap();
    let (ack, _) = server.answer(&select(number, offer.yiaddr), now_ms).unwrap();
    assert_eq!((ack.kind, ack.yiaddr), (Kind::Ack, offer.yiaddr));
    ack.yiaddr
}

#[test]
fn a_question_gets_its_answer() {
    let elsewhere = Ipv4Addr::new(172, 16, 0, 9);
    let (free, others) = (Ipv4Addr::new(192, 168, 1, 150), FIRST);
    type Row = (&'static str, Message, Option<(Kind, Ipv4Addr, Way)>);
    let mac = [2, 0, 0, 0, 0, 7];
    let broadcast = |message: Message| Message { broadcast: true, ..message };
    let has = |address, message: Message| Message { ciaddr: address, ..message };
    let wants = |address, message: Message| Message { requested: Some(address), ..message };
    let table: &[Row] = &[
        ("discover", wants(free, ask(Kind::Discover, 7)), Some((Kind::Offer, free, Way::Frame(mac, free)))),
        (
            "discover of one who hears only broadcasts",
            broadcast(wants(free, ask(Kind::Discover, 7))),
            Some((Kind::Offer, free, Way::Broadcast)),
        ),
        ("select", select(7, free), Some((Kind::Ack, free, Way::Frame(mac, free)))),
        ("select what another has", select(7, others), Some((Kind::Nak, NONE, Way::Broadcast))),
        ("select at another server", Message { server: Some(elsewhere), ..select(7, free) }, None),
        (
            "reboot, unknown to us",
            wants(free, ask(Kind::Request, 7)),
            Some((Kind::Ack, free, Way::Frame(mac, free))),
        ),
        (
            "reboot from elsewhere",
            wants(elsewhere, ask(Kind::Request, 7)),
            Some((Kind::Nak, NONE, Way::Broadcast)),
        ),
        ("reboot with our own", wants(OURS, ask(Kind::Request, 7)), Some((Kind::Nak, NONE, Way::Broadcast))),
        ("renew", has(free, ask(Kind::Request, 7)), Some((Kind::Ack, free, Way::Unicast(free)))),
        (
            "renew what another has",
            has(others, ask(Kind::Request, 7)),
            Some((Kind::Nak, NONE, Way::Broadcast)),
        ),
        ("request of nothing", ask(Kind::Request, 7), None),
        ("inform", has(free, ask(Kind::Inform, 7)), Some((Kind::Ack, NONE, Way::Unicast(free)))),
        ("inform from elsewhere", has(elsewhere, ask(Kind::Inform, 7)), None),
        ("release", has(free, ask(Kind::Release, 7)), None),
        ("by a relay of another network", Message { giaddr: elsewhere, ..ask(Kind::Discover, 7) }, None),
        ("a server's word", ask(Kind::Offer, 7), None),
    ];
    for (name, message, want) in table {
        let mut server = server(199);
        // Host 1 has the first address.
        server.answer(&select(1, others), 0).unwrap();
        let answer = server.answer(message, 1_000);
        let got = answer.as_ref().map(|(reply, way)| (reply.kind, reply.yiaddr, *way));
        assert_eq!(got, *want, "{name}");
        let Some((reply, _)) = answer else { continue };
        assert_eq!(
            (reply.xid, reply.chaddr, reply.giaddr, reply.server),
            (message.xid, message.chaddr, message.giaddr, Some(OURS)),
            "{name}"
        );
        let words = reply.kind != Kind::Nak;
        assert_eq!(reply.router.is_some() && reply.mask.is_some(), words, "{name}: words");
        assert_eq!(reply.lease_s.is_some(), words && message.kind != Kind::Inform, "{name}: lease");
    }
}

#[test]
fn a_relay_of_our_network_passes_on_what_we_answer() {
    let relay = Ipv4Addr::new(192, 168, 1, 2);
    let mut server = server(199);
    server.answer(&select(1, FIRST), 0).unwrap();
    let by_relay = |message: Message| Message { giaddr: relay, ..message };
    for (message, kind) in [(ask(Kind::Discover, 7), Kind::Offer), (select(7, FIRST), Kind::Nak)] {
        let (reply, way) = server.answer(&by_relay(message), 1_000).unwrap();
        assert_eq!((reply.kind, way, reply.giaddr), (kind, Way::Relay(relay), relay));
        assert_eq!(reply.broadcast, kind == Kind::Nak, "a refusal goes to everybody there");
    }
    assert_eq!(server.answer(&Message { giaddr: OURS, ..ask(Kind::Discover, 7) }, 1_000), None, "ourselves");
}

#[test]
fn a_host_keeps_its_address() {
    let mut server = server(199);
    let its = take(&mut server, 7, 0);
    // Its lease has ended, and nobody else needed it.
    assert_eq!(take(&mut server, 7, 10_000_000), its);
    // It gives it back.
    let release = Message { ciaddr: its, ..ask(Kind::Release, 7) };
    assert!(server.answer(&release, 10_001_000).is_none());
    assert_eq!(take(&mut server, 7, 10_002_000), its);
    // A server that remembers nothing gives it the same: it follows from who the host is.
    let mut later = self::server(199);
    assert_eq!(take(&mut later, 7, 0), its);
}

#[test]
fn an_offer_holds_for_seconds_and_a_refused_address_for_ten_minutes() {
    let mut server = server(100);
    let asks = |server: &mut Server, number, now_ms| {
        server.answer(&ask(Kind::Discover, number), now_ms).map(|(offer, _)| offer.yiaddr)
    };
    assert_eq!(asks(&mut server, 7, 0), Some(FIRST));
    assert_eq!(asks(&mut server, 8, OFFER_STALE_MS - 1), None, "the pool has one address");
    assert_eq!(asks(&mut server, 8, OFFER_MS), Some(FIRST));
    let (ack, _) = server.answer(&select(8, FIRST), OFFER_MS).unwrap();
    assert_eq!(ack.kind, Kind::Ack);
    let decline = Message { kind: Kind::Decline, ..select(8, FIRST) };
    assert!(server.answer(&decline, OFFER_MS).is_none());
    assert_eq!(asks(&mut server, 8, OFFER_MS + DECLINE_MS - 1), None, "not even to whom it was given");
    assert_eq!(asks(&mut server, 8, OFFER_MS + DECLINE_MS), Some(FIRST));
}

#[test]
fn who_was_seen_at_an_address_may_have_it() {
    let mut server = server(199);
    let wish = Message { requested: Some(FIRST), ..ask(Kind::Discover, 7) };
    assert_eq!(server.answer(&wish, 0).unwrap().0.yiaddr, FIRST);
    assert!(server.is_only_offered(FIRST));
    // ARP says: host 8 uses it.
    server.see(FIRST, [2, 0, 0, 0, 0, 8], 0);
    assert!(!server.is_only_offered(FIRST));
    assert_ne!(server.answer(&wish, 10).unwrap().0.yiaddr, FIRST);
    let renew = |number| Message { ciaddr: FIRST, ..ask(Kind::Request, number) };
    assert_eq!(server.answer(&renew(7), 20).unwrap().0.kind, Kind::Nak);
    assert_eq!(server.answer(&renew(8), 30).unwrap().0.kind, Kind::Ack);
    // What was given is not taken away by a word on the wire.
    server.see(FIRST, [2, 0, 0, 0, 0, 9], 40);
    assert_eq!(server.answer(&renew(8), 50).unwrap().0.kind, Kind::Ack);
}

#[test]
fn who_reboots_with_an_address_unknown_to_us_waits_for_arp() {
    let mut server = server(199);
    let reboot = |number| Message { requested: Some(FIRST), ..ask(Kind::Request, number) };
    let (ack, _) = server.answer(&reboot(7), 0).unwrap();
    assert!(ack.kind == Kind::Ack && server.is_only_offered(FIRST));
    server.goes(&ack, 500);
    assert!(!server.is_only_offered(FIRST), "nobody is there: it is given");
    let (ack, _) = server.answer(&reboot(7), 100_000).unwrap();
    assert!(ack.kind == Kind::Ack && !server.is_only_offered(FIRST), "its own: nobody needs to be asked");
    // Somebody else is there: the answer that waited does not go, and the next one says no.
    let mut server = self::server(199);
    server.answer(&reboot(7), 0).unwrap();
    server.see(FIRST, [2, 0, 0, 0, 0, 8], 250);
    assert_eq!(server.answer(&reboot(7), 4_000).unwrap().0.kind, Kind::Nak);
}

#[test]
fn without_name_servers_a_lease_is_short() {
    let mut server = server(199);
    server.set_name_servers(&[]);
    let (offer, _) = server.answer(&ask(Kind::Discover, 7), 0).unwrap();
    assert_eq!((offer.lease_s, offer.name_servers.len()), (Some(LEASE_S_WITHOUT_NAMES), 0));
}

#[test]
fn what_is_kept_for_somebody_is_nobody_elses() {
    let mac = |number| contract::mac::Mac([2, 0, 0, 0, 0, number]);
    let kept = |number, last: u8| contract::wanted::Reservation {
        class: None,
        enable: true,
        mac: mac(number),
        address: Ipv4Addr::new(192, 168, 1, last),
        name: "printer".into(),
    };
    let mut server = server(101);
    let mut wanted = server.wanted().clone();
    let (pool, outside) = (Ipv4Addr::new(192, 168, 1, 101), Ipv4Addr::new(192, 168, 1, 20));
    // Host 9 has an address of the pool before it is kept for host 7.
    assert_eq!(server.answer(&select(9, pool), 0).unwrap().0.kind, Kind::Ack);
    wanted.reservations = [kept(7, 101), kept(8, 20)].into_iter().collect();
    server.want(wanted);
    assert_eq!(take(&mut server, 8, 1_000), outside, "it need not be in the pool");
    assert_eq!(take(&mut server, 7, 1_000), pool, "asked or not");
    let renew = |number, address| Message { ciaddr: address, ..ask(Kind::Request, number) };
    assert_eq!(server.answer(&renew(9, pool), 2_000).unwrap().0.kind, Kind::Nak);
    assert_eq!(take(&mut server, 9, 2_000), FIRST, "what is left");
    assert_eq!(server.answer(&ask(Kind::Discover, 10), 3_000), None, "nothing is");
    // Host 9 gets an address kept for it: it moves when it asks for more time.
    let mut wanted = server.wanted().clone();
    wanted.reservations.push(kept(9, 30)).unwrap();
    server.want(wanted);
    assert_eq!(server.answer(&renew(9, FIRST), 4_000).unwrap().0.kind, Kind::Nak);
    assert_eq!(take(&mut server, 9, 4_000), Ipv4Addr::new(192, 168, 1, 30));
}

#[test]
fn an_offer_that_nobody_came_back_for_is_taken_back_when_it_is_needed() {
    let mut server = server(109);
    let asks = |server: &mut Server, number, now_ms| {
        server.answer(&ask(Kind::Discover, number), now_ms).map(|(offer, _)| offer.yiaddr)
    };
    let its = take(&mut server, 1, 0);
    for number in 10..100 {
        asks(&mut server, number, 1_000); // One host that makes up addresses.
    }
    assert_eq!(asks(&mut server, 2, 1_000 + OFFER_STALE_MS - 1), None, "they may still come back");
    let other = take(&mut server, 2, 1_000 + OFFER_STALE_MS);
    assert_ne!(other, its, "what was given stays given");
}

#[test]
fn what_an_earlier_life_gave_is_known() {
    let mut first = server(199);
    let its = take(&mut first, 7, 0);
    first.answer(&ask(Kind::Discover, 8), 0).unwrap();
    let link = "lan".into();
    let bytes = book::write(first.table().rows().iter().map(|row| (&link, row)), 10_000, 1_000);
    let entries = book::read(&bytes, 500, 1_000);
    assert_eq!(entries.len(), 1, "an offer is no lease");
    let mut second = server(199);
    for entry in entries {
        second.remember(entry.row);
    }
    let renew = |number| Message { ciaddr: its, ..ask(Kind::Request, number) };
    assert_eq!(second.answer(&renew(8), 1_000).unwrap().0.kind, Kind::Nak);
    assert!(second.answer(&renew(7), 1_000).unwrap().0.kind == Kind::Ack && !second.is_only_offered(its));
}

#[test]
fn a_host_name_is_fit_for_a_terminal() {
    let table: [(&[u8], &str); 4] = [
        (b"laptop-2.home", "laptop-2.home"),
        (b"\x1b[31mred\x07", "??31mred?"),
        ("b\u{e4}r <script>".as_bytes(), "b??r??script?"),
        (b"zero\0", "zero"),
    ];
    for (bytes, want) in table {
        assert_eq!(host(bytes).as_str(), want);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Hosts ask for anything, in any order, while time passes: an address is at most one host's at a time, it is in the pool, and
    /// there are no more rows than there may be.
    #[test]
    fn no_address_is_two_hosts(words in proptest::collection::vec((any::<u8>(), 0_u8..12, 95_u8..115, 0_u64..200), 0..200)) {
        let mut server = server(110);
        let mut now_ms = 0;
        // Address to host, and until when it was told so.
        let mut told: BTreeMap<Ipv4Addr, (u8, u64)> = BTreeMap::new();
        for (word, number, last, pause_s) in words {
            now_ms += pause_s * 1_000;
            let address = Ipv4Addr::new(192, 168, 1, last);
            let message = match word % 6 {
                0 => ask(Kind::Discover, number),
                1 => select(number, address),
                2 => Message { requested: Some(address), ..ask(Kind::Request, number) },
                3 => Message { ciaddr: address, ..ask(Kind::Request, number) },
                4 => Message { ciaddr: address, ..ask(Kind::Release, number) },
                _ => Message { kind: Kind::Decline, ..select(number, address) },
            };
            let its = told.get(&address).is_some_and(|(host, _)| *host == number);
            if its && (message.kind == Kind::Release || message.kind == Kind::Decline) {
                told.remove(&address);
            }
            if let Some((reply, _)) = server.answer(&message, now_ms) && reply.kind != Kind::Nak {
                let given = reply.yiaddr;
                prop_assert!((FIRST..=Ipv4Addr::new(192, 168, 1, 110)).contains(&given));
                if let Some((host, until_ms)) = told.get(&given) {
                    prop_assert!(*host == number || *until_ms <= now_ms, "{given} is host {host}'s");
                }
                if reply.kind == Kind::Ack {
                    server.goes(&reply, now_ms); // ARP has found nobody.
                    told.retain(|_, (host, _)| *host != number);
                    told.insert(given, (number, now_ms + u64::from(reply.lease_s.unwrap()) * 1_000));
                }
            }
            let rows = server.table().rows();
            prop_assert!(rows.len() <= ROWS_MAX);
            let mut addresses: Vec<Ipv4Addr> = rows.iter().map(|row| row.address).collect();
            addresses.sort_unstable();
            addresses.dedup();
            prop_assert_eq!(addresses.len(), rows.len(), "one row an address");
        }
    }
}
