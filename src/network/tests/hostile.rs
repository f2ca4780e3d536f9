//! What strangers, hosts at home and services try against the gateway, with packets that no honest program sends.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use contract::learn::{Learned, Lease};
use contract::manifest::Protocol;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use stage::frames::{advertisement, frames, number};
use stage::neighbours::{LIMIT, Neighbours, PORT, SILENCE};
use stage::{Namespace, attachment, enter, ipv6, lease, run};

/// Pings `to` and says whether it answers in time.
fn pings(at: &Namespace, to: &str, limit: Duration) -> bool {
    at.within(|| {
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").unwrap();
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, SockProtocol::Icmp).unwrap();
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(limit)).unwrap();
        socket.send_to(&[8, 0, 0, 0, 0, 0, 0, 1], (to, 0)).unwrap();
        socket.recv_from(&mut [0; 64]).is_ok()
    })
}

#[test]
fn no_router_but_the_leases_is_believed() {
    if !enter("no_router_but_the_leases_is_believed") {
        return;
    }
    let (all, _gateway) = Neighbours::make();
    all.warm_up();
    for (at, link, prefix) in [(&all.home, "home", "2001:db8:1::"), (&all.isp, "isp", "2001:db8:2::")] {
        let socket = frames(at, link);
        nix::unistd::write(&socket, &advertisement(prefix.parse().unwrap())).unwrap();
    }
    all.warm_up();
    assert_eq!(run("ip -6 route show default"), "");
    assert!(!run("ip -6 address").contains("2001:db8"), "{}", run("ip -6 address"));
}

#[test]
fn the_home_speaks_to_services_in_its_own_name() {
    if !enter("the_home_speaks_to_services_in_its_own_name") {
        return;
    }
    let (all, mut gateway) = Neighbours::make();
    let radio = Namespace::make();
    let (namespace, inside) = radio.copies();
    let mut asked = attachment("radio", 2, 0);
    asked.serves[0].protocol = Protocol::Udp;
    gateway.attach(asked, &namespace, inside).unwrap();
    let server = radio.within(|| UdpSocket::bind(("0.0.0.0", PORT)).unwrap());
    let says = |address: &str, limit| {
        all.home.run(&format!("ip address replace {address}/32 dev home"));
        let socket = all.home.within(|| UdpSocket::bind((address, 0)).unwrap());
        socket.send_to(b"hello", "10.64.0.4:8080").unwrap();
        server.set_read_timeout(Some(limit)).unwrap();
        server.recv_from(&mut [0; 8]).is_ok()
    };
    assert!(says("192.168.1.100", LIMIT), "its own");
    for address in ["10.64.0.3", "198.51.100.9", "203.0.113.1", "169.254.1.1"] {
        assert!(!says(address, SILENCE), "{address}");
    }
}

/// The kernel's table of neighbours is one for all namespaces, and an entry that waits for an answer keeps its place.
#[test]
fn a_service_asks_nobody_for_neighbours() {
    if !enter("a_service_asks_nobody_for_neighbours") {
        return;
    }
    let (_all, mut gateway) = Neighbours::make();
    let radio = Namespace::make();
    // Its link-local address counts from the first moment.
    radio.within(|| std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap());
    let mut attach = || {
        let (namespace, inside) = radio.copies();
        gateway.attach(attachment("radio", 2, 0), &namespace, inside).unwrap();
        gateway.changes()
    };
    let changes = attach();
    assert_eq!(attach(), changes, "asked twice it changes nothing");

    let end = run("ip -o link show dev svc-2");
    let hardware = end.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let kept = radio.run("ip neigh show dev eth0 nud permanent");
    for address in ["10.64.0.1", "fe80::1"] {
        let line = kept.lines().find(|line| line.starts_with(&format!("{address} ")));
        assert!(line.is_some_and(|line| line.contains(hardware)), "{address}, {hardware}: {kept}");
    }
    let link = number(&radio, "eth0");
    radio.within(|| {
        let socket = UdpSocket::bind("[::]:0").unwrap();
        let nobody = SocketAddrV6::new("fe80::dead".parse().unwrap(), 9, 0, link);
        socket.send_to(b"hello", nobody).unwrap();
    });
    let asked = radio.run("ip -6 neigh show dev eth0 nud all");
    assert!(asked.lines().any(|line| line.starts_with("fe80::dead ") && line.contains("FAILED")), "{asked}");
}

/// Neighbours at home that are asked for and have not answered.
fn asked_for() -> usize {
    run("ip -6 neigh show dev br-lan nud incomplete").lines().count()
}

/// A service that may speak to devices at home speaks to addresses that none of them has: each would keep a place in the only table.
#[test]
fn a_service_that_looks_for_devices_leaves_room_for_neighbours() {
    if !enter("a_service_that_looks_for_devices_leaves_room_for_neighbours") {
        return;
    }
    let (all, mut gateway) = Neighbours::make();
    all.warm_up();
    gateway.learn(Learned::Ipv6(ipv6("eth0", &[("2001:db8:1::/56", 3_600)])));
    let radio = Namespace::make();
    let (namespace, inside) = radio.copies();
    let mut asked = attachment("radio", 2, 0);
    asked.reaches.home.push("udp/9".parse().unwrap()).unwrap();
    gateway.attach(asked, &namespace, inside).unwrap();
    all.home.run("ip address add 2001:db8:1::100/64 dev home nodad");
    all.home.run("ip route add default via 2001:db8:1::1 dev home");
    let device = all.home.within(|| UdpSocket::bind("[::]:9").unwrap());
    device.set_read_timeout(Some(LIMIT)).unwrap();
    let socket = radio.within(|| UdpSocket::bind("[::]:0").unwrap());
    socket.send_to(b"hello", "[2001:db8:1::100]:9").unwrap();
    assert!(device.recv_from(&mut [0; 8]).is_ok(), "whom it may speak to");
    let looks = || {
        for number in 0..3_000_u16 {
            let nobody = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0xbad, number);
            let _ = socket.send_to(b"hello", SocketAddrV6::new(nobody, 9, 0, 0));
        }
        asked_for()
    };
    let kept = looks();
    assert!((1..300).contains(&kept), "{kept} places");

    // The control: without these rules, and the one for its connections, the table is full.
    run("nft flush chain inet shg from-services");
    run("nft add rule inet shg from-services accept");
    let taken = looks();
    assert!(taken > 500, "{taken} places: nothing but these rules holds it back");
    gateway.turn();
    assert_eq!(gateway.fault(), None);
}

#[test]
fn pings_of_strangers_do_not_use_up_those_of_the_home() {
    if !enter("pings_of_strangers_do_not_use_up_those_of_the_home") {
        return;
    }
    let (all, _gateway) = Neighbours::make();
    all.warm_up();
    for address in ["192.168.1.1", "10.64.0.1"] {
        all.isp.run(&format!("ip route replace {address}/32 via 203.0.113.7"));
        assert!(!pings(&all.isp, address, SILENCE), "{address}: out there nobody knows it");
    }
    let flood = all.isp.within(|| {
        let flags = SockFlag::SOCK_CLOEXEC;
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").unwrap();
        UdpSocket::from(socket(AddressFamily::Inet, SockType::Datagram, flags, SockProtocol::Icmp).unwrap())
    });
    for _ in 0..100 {
        flood.send_to(&[8, 0, 0, 0, 0, 0, 0, 1], ("203.0.113.7", 0)).unwrap();
    }
    assert!(pings(&all.home, "192.168.1.1", SILENCE));
    assert!(pings(&all.hello, "10.64.0.1", SILENCE));
}

#[test]
fn what_is_of_one_link_is_not_passed_on() {
    if !enter("what_is_of_one_link_is_not_passed_on") {
        return;
    }
    let (all, _gateway) = Neighbours::make();
    all.warm_up();
    // The provider's side has all of these, and would hear.
    for address in ["169.254.169.254", "198.51.100.1"] {
        all.isp.run(&format!("ip address add {address}/32 dev isp"));
    }
    let server = all.isp.within(|| UdpSocket::bind("0.0.0.0:9").unwrap());
    for client in [&all.hello, &all.home] {
        let socket = client.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_broadcast(true).unwrap();
        for (address, passes) in [
            ("198.51.100.1", true),
            ("169.254.169.254", false),
            ("203.0.113.255", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("239.1.1.1", false),
            ("240.0.0.1", false),
        ] {
            let _ = socket.send_to(b"hello", (address, 9)); // Some are refused at once.
            server.set_read_timeout(Some(if passes { LIMIT } else { SILENCE })).unwrap();
            assert_eq!(server.recv_from(&mut [0; 8]).is_ok(), passes, "{address}");
        }
    }
}

#[test]
fn a_flood_of_link_layer_addresses_finds_an_end() {
    if !enter("a_flood_of_link_layer_addresses_finds_an_end") {
        return;
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let numbers: Vec<u32> =
        release.split(['.', '-']).map_while(|word| word.trim().parse().ok()).take(2).collect();
    if numbers < vec![6, 7] {
        println!(
            "skipped: a_flood_of_link_layer_addresses_finds_an_end: this kernel's bridges have no limit"
        );
        return;
    }
    let (all, _gateway) = Neighbours::make();
    all.warm_up();
    let socket = frames(&all.home, "home");
    for number in 0..5_000_u16 {
        let [high, low] = number.to_be_bytes();
        let mut frame = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 1, high, low, 0x88, 0xb5];
        frame.resize(60, 0);
        nix::unistd::write(&socket, &frame).unwrap();
    }
    let learned = run("bridge fdb show br br-lan").lines().count();
    assert!(learned < 2_100, "{learned}");
}

#[test]
fn a_connection_outlives_no_change_of_the_leases_address() {
    if !enter("a_connection_outlives_no_change_of_the_leases_address") {
        return;
    }
    let (all, mut gateway) = Neighbours::make();
    all.warm_up();
    let server = all.isp.within(|| UdpSocket::bind("0.0.0.0:9").unwrap());
    server.set_read_timeout(Some(LIMIT)).unwrap();
    let client = all.home.within(|| UdpSocket::bind("192.168.1.100:0").unwrap());
    let said = || {
        client.send_to(b"hello", "203.0.113.1:9").unwrap();
        server.recv_from(&mut [0; 8]).unwrap().1.ip().to_string()
    };
    assert_eq!(said(), "203.0.113.7");
    gateway.learn(Learned::Lease(lease(8)));
    // The kernel forgets what was translated to an address that went, a moment later (nf_nat_masq_schedule).
    let began = Instant::now();
    while said() != "203.0.113.8" {
        assert!(began.elapsed() < LIMIT, "the old address is used for ever");
    }
    gateway.learn(Learned::Lease(Lease {
        prefix_length: 31,
        router: Some([203, 0, 113, 9].into()),
        ..lease(8)
    }));
    assert_eq!(gateway.fault(), None);
}
