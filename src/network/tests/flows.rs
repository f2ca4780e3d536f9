//! Which flows take the short way, and that whoever counts misses none of them: connections, classes, services' links.
//!
//! In:  a home, the Internet, voice's platform and a service around a gateway with queues. Out: passed, failed, or `skipped: ` and why: it
//! takes a kernel with flowtables and VLANs (`tests/tests/guest_rooms.rs`).
//!
//! A conversation is so many datagrams there and back. A table of our own counts what takes the long way.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::net::UdpSocket;

use stage::neighbours::{LIMIT, Neighbours};
use stage::{Namespace, attachment, run};

const NAME: &str = "what_goes_short_is_counted_and_what_is_metered_goes_long";
/// Voice has its VLAN, and the line queues. Source of the prefix: RFC 5737.
const PLAYS: &str = r#"
[voice]
reaches = ["198.51.100.0/24"]

[voice.access]
vlan = 20
priority = 5
ipv4 = "static"
static = { address = "198.51.100.7", prefix_length = 24, router = "198.51.100.1" }

[qos]
up_kbit_s = 100000
down_kbit_s = 100000
"#;
/// What the kernel has to have: flowtables and VLANs.
const TRIAL: &str = "ip link add link lo name trial type vlan id 20 && nft 'table inet trial { flowtable f { hook ingress priority 0; devices = { lo }; }; }'";
/// Counts packets that take the long way.
const WATCH: &str = "table inet watch { counter long { }; chain forward { type filter hook forward priority -300; counter name long; }; }";
/// Datagrams of a conversation, each way, and what is in one.
const PACKETS: u64 = 200;
const PAYLOAD: [u8; 100] = [7; 100];
/// Bytes of one as IPv4 counts them, and with Ethernet's header.
const IP_BYTES: u64 = 128;
const FRAME_BYTES: u64 = IP_BYTES + 14;
/// What else may be counted meanwhile: ARP, neighbours.
const SLACK: u64 = 20;

/// Talks from `asker` to `teller` at `target`, and returns the asker's port.
fn talk(asker: &Namespace, teller: &Namespace, target: (&str, u16)) -> u16 {
    let open = |at: &Namespace, port: u16| {
        let socket = at.within(|| UdpSocket::bind(("0.0.0.0", port)).unwrap());
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket
    };
    let (asks, tells) = (open(asker, 0), open(teller, target.1));
    let mut heard = [0; PAYLOAD.len()];
    for _ in 0..PACKETS {
        asks.send_to(&PAYLOAD, target).unwrap();
        let (_, from) = tells.recv_from(&mut heard).unwrap();
        tells.send_to(&PAYLOAD, from).unwrap();
        asks.recv(&mut heard).unwrap();
    }
    asks.local_addr().unwrap().port()
}

/// The first number behind each of these words, in order.
fn numbers(text: &str, word: &str) -> Vec<u64> {
    let number = |rest: &str| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    text.split(word).skip(1).filter_map(number).collect()
}

/// Packets that have taken the long way until now.
fn long() -> u64 {
    numbers(&run("nft list counter inet watch long"), "packets ")[0]
}

/// Packets that a class of a link has carried.
fn carried(link: &str, class: &str) -> u64 {
    let said = run(&format!("tc -s class show dev {link}"));
    let of = said.split("class htb ").find(|of| of.starts_with(class)).unwrap();
    let sent = of.split(" bytes ").nth(1).unwrap();
    sent.split(' ').next().unwrap().parse().unwrap()
}

/// The kernel's line about the connection from this port.
fn connection(at: &Namespace, port: u16) -> String {
    let all = at.within(|| fs::read_to_string("/proc/net/nf_conntrack").unwrap());
    let ours = all.lines().find(|line| line.contains(&format!(" sport={port} dport=")));
    ours.unwrap_or_else(|| panic!("no connection from port {port}:\n{all}")).to_owned()
}

/// What a conversation adds to the long way and to a class's packets, both ways; and the connection.
fn converse(
    all: &Neighbours,
    asker: &Namespace,
    (target, class): ((&str, u16), &str),
) -> (u64, [u64; 2], String) {
    let count = || [carried("eth0", class), carried("ifb-wan", class)];
    let (before, counted) = (long(), count());
    let port = talk(asker, &all.isp, target);
    let (went, count) = (long() - before, count());
    (went, [count[0] - counted[0], count[1] - counted[1]], connection(&all.gateway, port))
}

/// The connection has counted all of the conversation.
fn assert_counted(said: &str) {
    assert_eq!(numbers(said, "packets="), [PACKETS; 2], "{said}");
    assert_eq!(numbers(said, "bytes="), [PACKETS * IP_BYTES; 2], "{said}");
}

#[test]
fn what_goes_short_is_counted_and_what_is_metered_goes_long() {
    if !testbed::enter(NAME, &["ip", "nft", "tc"], TRIAL) {
        return;
    }
    let (all, mut gateway) = Neighbours::with(PLAYS);
    assert_eq!(gateway.fault(), None);
    for line in [
        "link add link isp name isp.20 type vlan id 20",
        "link set isp.20 up",
        "address add 198.51.100.1/24 dev isp.20",
    ] {
        all.isp.run(&format!("ip {line}"));
    }
    let mut asked = attachment("hello", 0, 80);
    asked.reaches.internet = true;
    let (namespace, inside) = all.hello.copies();
    gateway.attach(asked, &namespace, inside).unwrap();
    assert!(std::process::Command::new("nft").arg(WATCH).status().unwrap().success());

    // Home and Internet: out by the short way, in by the long one, for what queues hand back no flowtable sees
    // (net/core/dev.c, `tc_skip_classify`). Each packet is counted by its connection and by its class.
    let (went, classes, said) = converse(&all, &all.home, (("203.0.113.1", 6_000), "1:30 "));
    assert!(said.contains("[OFFLOAD]"), "{said}");
    assert!((PACKETS..PACKETS + SLACK).contains(&went), "{went} packets by the long way: {said}");
    assert_counted(&said);
    assert!(classes.iter().all(|count| (PACKETS..PACKETS + SLACK).contains(count)), "{classes:?}");

    // Without queues on the way in: the short way both ways.
    run("tc qdisc del dev eth0 clsact");
    let (went, classes, said) = converse(&all, &all.home, (("203.0.113.1", 6_004), "1:30 "));
    assert!(said.contains("[OFFLOAD]") && went <= SLACK, "{went} packets by the long way: {said}");
    assert_counted(&said);
    assert!(classes[0] >= PACKETS, "{classes:?}");
    gateway.turn();
    assert_eq!(gateway.fault(), None);

    // A service, and a call: the long way, all of it.
    let before = gateway.carried("hello").unwrap();
    let service = converse(&all, &all.hello, (("203.0.113.1", 6_001), "1:100 "));
    let call = converse(&all, &all.home, (("198.51.100.1", 6_002), "1:10 "));
    for (went, classes, said) in [&service, &call] {
        assert!(!said.contains("[OFFLOAD]"), "{said}");
        assert!((PACKETS * 2..PACKETS * 2 + SLACK).contains(went), "{went} packets by the long way");
        assert!(classes.iter().all(|count| (PACKETS..PACKETS + SLACK).contains(count)), "{classes:?}");
    }
    let after = gateway.carried("hello").unwrap();
    let (up, down) = (after.up_bytes - before.up_bytes, after.down_bytes - before.down_bytes);
    for bytes in [up, down] {
        assert!((0..SLACK * FRAME_BYTES).contains(&(bytes - PACKETS * FRAME_BYTES)), "{up} and {down} bytes");
    }

    // The control: a rule that sends everybody the short way is noticed.
    let right = run("nft -s list chain inet shg forward");
    run("nft insert rule inet shg forward meta l4proto udp flow add @short");
    let (_, _, said) = converse(&all, &all.hello, (("203.0.113.1", 6_003), "1:100 "));
    assert!(said.contains("[OFFLOAD]"), "{said}");
    gateway.turn();
    assert_eq!(gateway.fault(), None);
    assert_eq!(run("nft -s list chain inet shg forward"), right, "mended");
}
