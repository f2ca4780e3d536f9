//! What a hostile service tries by its own link: others' addresses, all connections, floods. Each has its control: without what
//! holds it back it gets through.
//!
//! Row 20 (its spoofing part) and row 22 of the list of attacks in docs/security.md. A service has no right over its own network; here it has
//! all of them, as if every layer of its sandbox were gone: what is left is ours.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::net::UdpSocket;
use std::time::Instant;

use contract::manifest::Protocol;
use network::gateway::Gateway;
use stage::neighbours::{LIMIT, Neighbours, SILENCE};
use stage::{Namespace, attachment, enter, run};

/// The address of `hello`.
const OWN: &str = "10.64.0.2";
/// More connections than a service may have to the gateway; each of them begins.
const MANY: usize = 600;
/// What it may have: `network::firewall::input`.
const TO_US: usize = 256;
/// So many datagrams at once are ten times what a service may send at once.
const FLOOD: u32 = 20_000;

/// Is a datagram from `address` of `hello` heard by the provider?
fn heard_from(all: &Neighbours, address: &str, silent: bool) -> bool {
    let server = all.isp.within(|| UdpSocket::bind("0.0.0.0:9").unwrap());
    all.hello.run(&format!("ip address replace {address}/32 dev eth0"));
    let socket = all.hello.within(|| UdpSocket::bind((address, 0)).unwrap());
    socket.send_to(b"hello", "203.0.113.1:9").unwrap();
    server.set_read_timeout(Some(if silent { SILENCE } else { LIMIT })).unwrap();
    let heard = server.recv_from(&mut [0; 8]).is_ok();
    if address != OWN {
        all.hello.run(&format!("ip address del {address}/32 dev eth0"));
    }
    heard
}

#[test]
fn nobody_speaks_in_another_services_name() {
    if !enter("nobody_speaks_in_another_services_name") {
        return;
    }
    let (all, mut gateway) = Neighbours::make();
    all.warm_up();
    assert!(heard_from(&all, OWN, false), "its own");
    // Its neighbour's, a host's at home, ours.
    let others = ["10.64.0.3", "192.168.1.100", "203.0.113.7"];
    for address in others {
        assert!(!heard_from(&all, address, true), "{address}");
    }
    // Two layers, each of which is enough: the chain, and the kernel's own look at the way back. Without both it gets through.
    let strict = "/proc/sys/net/ipv4/conf/svc-0/rp_filter";
    run("nft flush chain inet shg guard");
    assert!(!heard_from(&all, "10.64.0.77", true), "without the chain");
    fs::write(strict, "0").unwrap();
    assert!(heard_from(&all, "10.64.0.78", false), "the control, without both");
    gateway.turn();
    assert_eq!(fs::read_to_string(strict).unwrap().trim(), "1", "mended");
    fs::write(strict, "0").unwrap();
    assert!(!heard_from(&all, "10.64.0.79", true), "without the look");
}

/// Connections in this namespace that begin at a service, and those of them that are known in its own zone.
fn connections(zone: u16) -> (usize, usize) {
    let all = fs::read_to_string("/proc/net/nf_conntrack").unwrap();
    let own: Vec<&str> = all.lines().filter(|line| line.contains("src=10.64.0.2 dst=10.64.0.1 ")).collect();
    let zone = format!("zone-orig={zone} ");
    (own.len(), own.iter().filter(|line| line.contains(&zone)).count())
}

/// Asks the gateway's name server from so many ports.
fn ask(all: &Neighbours) {
    all.hello.within(|| {
        for _ in 0..MANY {
            // Refused at once where nobody listens: the connection has begun all the same.
            let _ = UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"?", "10.64.0.1:53");
        }
    });
}

#[test]
fn a_service_has_so_many_connections_to_us_in_a_zone_of_its_own() {
    if !enter("a_service_has_so_many_connections_to_us_in_a_zone_of_its_own") {
        return;
    }
    let here = Namespace::here();
    if here.within(|| fs::metadata("/proc/net/nf_conntrack").is_err()) {
        return println!(
            "skipped: a_service_has_so_many_connections_to_us: this kernel does not list connections"
        );
    }
    let (all, mut gateway) = Neighbours::make();
    all.warm_up();
    let server = UdpSocket::bind("10.64.0.1:53").unwrap();
    ask(&all);
    let (count, zoned) = here.within(|| connections(1));
    assert!((TO_US / 2..=TO_US).contains(&count), "{count} connections");
    assert_eq!(zoned, count, "all of them in its zone");
    // Answers come by other links, and find their connection all the same.
    let client = all.camera.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    client.set_read_timeout(Some(LIMIT)).unwrap();
    server.set_read_timeout(Some(SILENCE)).unwrap();
    while server.recv_from(&mut [0; 8]).is_ok() {} // Full of what hello has asked.
    client.send_to(b"camera", "10.64.0.1:53").unwrap();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    let (_, asker) = server.recv_from(&mut [0; 8]).unwrap();
    server.send_to(b"answer", asker).unwrap();
    client.recv_from(&mut [0; 8]).unwrap();

    // The control: without the limit all of them are there.
    run("nft flush chain inet shg us-from-services");
    run("nft add rule inet shg us-from-services accept");
    ask(&all);
    let (count, _) = here.within(|| connections(1));
    assert!(count >= MANY, "{count} connections: nothing but that rule holds them back");
    gateway.turn();
    assert_eq!(gateway.fault(), None);
}

/// A flood at `to`, until packets have been thrown away or much time is over; what the gateway says was lost: from the service, to it.
fn flood(gateway: &mut Gateway, from: &Namespace, to: &str, patient: bool) -> (u64, u64) {
    let begun = Instant::now();
    loop {
        from.within(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for _ in 0..FLOOD {
                let _ = socket.send_to(b"", to);
            }
        });
        let carried = gateway.carried("hello").unwrap();
        let lost = (carried.up_drops, carried.down_drops);
        if lost != (0, 0) || !patient || begun.elapsed() > LIMIT {
            return lost;
        }
    }
}

#[test]
fn a_flood_has_its_measure_each_way_and_is_told_apart() {
    if !enter("a_flood_has_its_measure_each_way_and_is_told_apart") {
        return;
    }
    let (all, mut gateway) = Neighbours::make();
    all.warm_up();
    let mut asked = attachment("hello", 0, 80);
    asked.serves[0].protocol = Protocol::Udp;
    let (namespace, inside) = all.hello.copies();
    gateway.attach(asked, &namespace, inside).unwrap();
    if !run("tc filter show dev svc-0 egress").contains("police") {
        return println!("skipped: a_flood_has_its_measure_each_way: this kernel has no police");
    }
    let _server = all.hello.within(|| UdpSocket::bind("0.0.0.0:8080").unwrap());
    let (up, down) = flood(&mut gateway, &all.home, "10.64.0.2:8080", true);
    assert!(up == 0 && down > 0, "to it: {up} and {down}");
    let (up, more) = flood(&mut gateway, &all.hello, "203.0.113.1:9", true);
    assert!(up > 0 || more == down, "from it: {up} and {more}");

    // The control: without the measures nothing is lost.
    run("tc filter del dev svc-0 egress");
    run("tc filter del dev svc-0 ingress");
    let before = gateway.carried("hello").unwrap();
    flood(&mut gateway, &all.home, "10.64.0.2:8080", false);
    let after = gateway.carried("hello").unwrap();
    assert_eq!(before.up_drops, after.up_drops, "nothing but these filters throws anything away");
    gateway.turn();
    assert_eq!(gateway.fault(), None);
}
