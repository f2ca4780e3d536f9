//! Frames that a service forges at its own link: whose an address is, which lease it offers, which way is out. Nobody believes them, and
//! nobody but us gets them.
//!
//! A service has no socket for such frames; here it has, as if every layer of its sandbox were gone. Row 20 of the list of attacks in
//! docs/security.md. Each has its control: without what holds it back it gets through.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket};
use nix::sys::time::TimeVal;
use stage::frames::{Frame, advertisement, frames, number};
use stage::neighbours::{LIMIT, Neighbours, SILENCE};
use stage::{Namespace, enter, run};

/// Of `hello`, where frames come from; and nobody's.
const OWN: [u8; 4] = [10, 64, 0, 2];
const LINK_LOCAL: [u8; 4] = [169, 254, 7, 7];
/// Its neighbour's, a host's at home, ours.
const OTHERS: [[u8; 4]; 4] = [[10, 64, 0, 3], [192, 168, 1, 100], [10, 64, 0, 1], LINK_LOCAL];
/// What a forged message has in it.
const MARK: &[u8] = b"forged by a service";

/// Sends `frame` by the service's link.
fn forge(all: &Neighbours, frame: &[u8]) {
    let socket = frames(&all.hello, "eth0");
    nix::unistd::write(&socket, frame).unwrap();
}

/// The gateway has seen all that was sent by the service's link until now: the datagram that follows it has come.
fn has_seen(all: &Neighbours) {
    let heard = datagram(all, Ipv4Addr::from(OWN), LIMIT);
    assert!(heard, "its own datagram, by the same link, later");
}

/// Is a datagram from `address` of the service heard by the provider?
fn datagram(all: &Neighbours, address: Ipv4Addr, limit: Duration) -> bool {
    let server = all.isp.within(|| UdpSocket::bind("0.0.0.0:9").unwrap());
    server.set_read_timeout(Some(limit)).unwrap();
    let socket = all.hello.within(|| UdpSocket::bind((address, 0)).unwrap());
    socket.send_to(b"hello", "203.0.113.1:9").unwrap();
    server.recv_from(&mut [0; 8]).is_ok()
}

/// Whom the gateway knows by the service's link.
fn known() -> String {
    run("ip neigh show dev svc-0 nud all")
}

#[test]
fn an_address_is_whose_we_say() {
    if !enter("an_address_is_whose_we_say") {
        return;
    }
    let (all, mut gateway) = Neighbours::make();
    all.warm_up();
    has_seen(&all);
    let claim = |address: [u8; 4]| {
        // A question, an answer, and an answer to nobody's question.
        for (operation, target) in [(1, [10, 64, 0, 1]), (2, [10, 64, 0, 1]), (2, address)] {
            forge(&all, &Frame::arp(operation, address, target));
        }
    };
    let ours = known();
    OTHERS.into_iter().for_each(claim);
    has_seen(&all);
    for address in OTHERS.map(Ipv4Addr::from) {
        assert!(!known().contains(&format!("{address} ")), "{address}: {}", known());
    }
    let hardware = |text: &str| text.split("10.64.0.2 ").nth(1).map(|rest| rest[..24].to_owned());
    assert_eq!(hardware(&known()), hardware(&ours), "nor does it become another");
    // Its neighbour is heard by, and hears, its own link.
    assert!(run("ip route get 10.64.0.3").contains("dev svc-1"));

    // The control: a link that believes what is said without a question, and does not look at the way back.
    fs::write("/proc/sys/net/ipv4/conf/svc-0/arp_accept", "1").unwrap();
    fs::write("/proc/sys/net/ipv4/conf/svc-0/rp_filter", "0").unwrap();
    claim([10, 64, 0, 77]);
    has_seen(&all);
    assert!(known().contains("10.64.0.77 "), "{}", known());
    gateway.turn();
    let strict = fs::read_to_string("/proc/sys/net/ipv4/conf/svc-0/rp_filter").unwrap();
    assert_eq!(strict.trim(), "1", "mended");
}

#[test]
fn nobody_is_link_local() {
    if !enter("nobody_is_link_local") {
        return;
    }
    let (all, _gateway) = Neighbours::make();
    all.warm_up();
    has_seen(&all);
    all.hello.run("ip address add 169.254.7.7/16 dev eth0");
    assert!(!datagram(&all, Ipv4Addr::from(LINK_LOCAL), SILENCE));
    // Nor does it reach who is at home: there a host may have such an address.
    all.home.run("ip address add 169.254.9.9/16 dev home");
    run("ip route add 169.254.9.9/32 dev br-lan");
    let server = all.home.within(|| UdpSocket::bind("0.0.0.0:9").unwrap());
    let socket = all.hello.within(|| UdpSocket::bind("10.64.0.2:0").unwrap());
    all.hello.run("ip route add 169.254.9.9/32 via 10.64.0.1");
    let says = |limit| {
        let _ = socket.send_to(b"hello", "169.254.9.9:9");
        server.set_read_timeout(Some(limit)).unwrap();
        server.recv_from(&mut [0; 8]).is_ok()
    };
    assert!(!says(SILENCE));
    // The control: without the firewall both get through.
    run("nft flush ruleset");
    fs::write("/proc/sys/net/ipv4/conf/svc-0/rp_filter", "0").unwrap();
    fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0").unwrap();
    assert!(says(LIMIT));
    assert!(datagram(&all, Ipv4Addr::from(LINK_LOCAL), LIMIT));
}

/// Is a frame with our mark heard at `link`, before so long is over?
fn hears(ear: &OwnedFd, limit: Duration) -> bool {
    let began = Instant::now();
    let mut frame = [0; 2048];
    while began.elapsed() < limit {
        if let Ok(length) = nix::unistd::read(ear, &mut frame)
            && frame[..length].windows(MARK.len()).any(|part| part == MARK)
        {
            return true;
        }
    }
    false
}

/// Hears all that comes by `link`.
fn ear(at: &Namespace, link: &str) -> OwnedFd {
    let index = number(at, link);
    at.within(|| {
        let flags = SockFlag::SOCK_CLOEXEC;
        let ear = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).unwrap();
        sys::packet::bind(&ear, index, 0x0003).unwrap();
        setsockopt(&ear, ReceiveTimeout, &TimeVal::new(0, 50_000)).unwrap();
        ear
    })
}

#[test]
fn a_service_leases_nothing_to_anybody() {
    if !enter("a_service_leases_nothing_to_anybody") {
        return;
    }
    let (all, mut gateway) = Neighbours::make();
    all.warm_up();
    has_seen(&all);
    let ears = [ear(&all.home, "home"), ear(&all.camera, "eth0"), ear(&all.isp, "isp")];
    let server = UdpSocket::bind("0.0.0.0:67").unwrap();
    let client = UdpSocket::bind("0.0.0.0:68").unwrap();
    let all_leases = || {
        for target in [[255, 255, 255, 255], [192, 168, 1, 255], [192, 168, 1, 100], [10, 64, 0, 1]] {
            for (source, ports) in [(OWN, [67, 68]), ([0; 4], [68, 67]), ([10, 64, 0, 1], [67, 68])] {
                forge(&all, &Frame::udp((source, ports[0]), (target, ports[1]), MARK));
            }
        }
    };
    all_leases();
    has_seen(&all);
    for (ear, whose) in ears.iter().zip(["home", "camera", "the provider"]) {
        assert!(!hears(ear, SILENCE), "{whose}");
    }
    for ours in [&server, &client] {
        ours.set_read_timeout(Some(SILENCE)).unwrap();
        assert!(ours.recv_from(&mut [0; 64]).is_err(), "we are no client nor server there");
    }
    // The controls: what we send ourselves is heard there; without the firewall what it sends is heard by us.
    let speaker = UdpSocket::bind("192.168.1.1:0").unwrap();
    speaker.send_to(MARK, "192.168.1.100:9").unwrap();
    assert!(hears(&ears[0], LIMIT), "the ear");
    run("nft flush ruleset");
    all_leases();
    for ours in [&server, &client] {
        ours.set_read_timeout(Some(LIMIT)).unwrap();
        assert!(ours.recv_from(&mut [0; 64]).is_ok(), "without the firewall");
    }
    gateway.turn();
    assert_eq!(gateway.fault(), None);
}

#[test]
fn a_service_is_nobodys_router() {
    if !enter("a_service_is_nobodys_router") {
        return;
    }
    let (all, _gateway) = Neighbours::make();
    all.warm_up();
    has_seen(&all);
    let says = |number: u16| {
        forge(&all, &advertisement(format!("2001:db8:{number:x}::").parse().unwrap()));
        has_seen(&all);
        run("ip -6 address show dev svc-0").contains(&format!("2001:db8:{number:x}:"))
    };
    assert!(!says(1));
    assert_eq!(run("ip -6 route show default"), "");
    // Two layers, each of which is enough: the chain, and that no link of ours believes a router.
    let believes = "/proc/sys/net/ipv6/conf/svc-0/accept_ra";
    fs::write(believes, "2").unwrap();
    assert!(!says(2), "without the setting");
    fs::write(believes, "0").unwrap();
    run("nft flush ruleset");
    assert!(!says(3), "without the chain");
    fs::write(believes, "2").unwrap();
    fs::write("/proc/sys/net/ipv6/conf/svc-0/autoconf", "1").unwrap();
    let begun = Instant::now();
    while !says(4) {
        assert!(
            begun.elapsed() < LIMIT,
            "the control, without both: {}",
            run("ip -6 address show dev svc-0")
        );
    }
}
