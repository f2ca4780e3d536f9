//! The real daemon as a client: of dnsmasq and of udhcpd of BusyBox, with links that come and go.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use contract::identify::{self, Ask, Who};
use contract::learn::{Learned, Lease};
use contract::leases::Answer;
use contract::wires::{IDENTIFY, Wire};
use stage::{Program, Stage, at, daemon, dnsmasq, enter, ip, isp_log, run, until, wait_state};
use wire::{Listener, Received};

const POOL: &str = "--dhcp-range=10.9.0.50,10.9.0.59,255.255.255.0,120";

fn is_in(lease: &Lease, prefix: &str) -> bool {
    lease.address.to_string().starts_with(prefix)
}

#[test]
fn a_lease_is_got_at_once_and_survives_what_happens_to_the_link() {
    if !enter("a_lease_is_got_at_once_and_survives_what_happens_to_the_link") {
        return;
    }
    let mut stage = Stage::new();
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    let _server = dnsmasq(&[POOL, "--dhcp-option=option:dns-server,10.9.0.1,10.9.0.2"]);
    until("dnsmasq listens", 5, || isp_log().contains("sockets bound").then_some(()));
    let _daemon = daemon();
    let began = Instant::now();
    stage.greet();
    let lease = stage.lease(10);
    // Four packets and two times 250 ms of ARP; the rest is a busy machine's.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(is_in(&lease, "10.9.0.5") && lease.prefix_length == 24, "{lease:?}");
    assert_eq!((lease.router, lease.server), (Some([10, 9, 0, 1].into()), [10, 9, 0, 1].into()));
    assert_eq!(lease.name_servers.as_slice(), &[[10, 9, 0, 1], [10, 9, 0, 2]].map(std::net::Ipv4Addr::from));
    assert!((115..=120).contains(&lease.lease_s), "what is left of it: {}", lease.lease_s);
    wait_state("BOUND", 1);

    // The carrier goes and comes back: asked once, granted, told again.
    ip("isp", "link set eth0 down");
    wait_state("DOWN", 5);
    ip("isp", "link set eth0 up");
    assert_eq!(stage.lease(5).address, lease.address);
    wait_state("BOUND", 1);
    assert_eq!(isp_log().matches("DHCPDISCOVER").count(), 1, "INIT-REBOOT needs no DISCOVER");

    // The link goes and another one comes, with another number and another address.
    run(&["ip", "link", "del", "wan"]);
    wait_state("DOWN", 5);
    Stage::join("isp", "wan");
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    assert!(matches!(stage.learned(5), Learned::Lost { .. }), "it was given to another one's address");
    let other = stage.lease(10);
    assert!(is_in(&other, "10.9.0.5"), "{other:?}");

    // `network` dies and comes back: it is told again.
    stage.restart_network();
    wait_state("BOUND", 1); // Nobody has let it in yet, and it answers all the same.
    stage.greet();
    assert_eq!(stage.lease(5).address, other.address);
}

#[test]
fn an_address_of_another_network_is_given_up_at_once() {
    if !enter("an_address_of_another_network_is_given_up_at_once") {
        return;
    }
    let mut stage = Stage::new();
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    let server = dnsmasq(&[POOL]);
    let _daemon = daemon();
    stage.greet();
    assert!(is_in(&stage.lease(20), "10.9.0.5"));
    ip("isp", "link set eth0 down");
    wait_state("DOWN", 5);
    drop(server);
    ip("isp", "address flush dev eth0");
    ip("isp", "address add 10.8.0.1/24 dev eth0");
    let _server = dnsmasq(&["--dhcp-range=10.8.0.50,10.8.0.59,255.255.255.0,120", "--dhcp-authoritative"]);
    until("dnsmasq listens", 5, || isp_log().contains("sockets bound").then_some(()));
    ip("isp", "link set eth0 up");
    assert!(matches!(stage.learned(20), Learned::Lost { .. }));
    assert!(is_in(&stage.lease(10), "10.8.0.5"));
    assert!(isp_log().contains("DHCPNAK"), "{}", isp_log());
}

#[test]
fn an_address_that_somebody_uses_is_declined() {
    if !enter("an_address_that_somebody_uses_is_declined") {
        return;
    }
    let mut stage = Stage::new();
    run(&["ip", "link", "del", "wan"]);
    run(&["ip", "netns", "del", "isp"]);
    Stage::bridge("wan", [("isp", "wan0"), ("rival", "wan1")]);
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    ip("rival", "address add 10.9.0.50/24 dev eth0");
    let words = run(&["ip", "-o", "link", "show", "wan"]);
    let mac = words.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap();
    let host = format!("--dhcp-host={},10.9.0.50", mac);
    let _server = dnsmasq(&["--dhcp-range=10.9.0.50,10.9.0.51,255.255.255.0,120", &host]);
    let _daemon = daemon();
    stage.greet();
    // Ten seconds of pause after the refusal.
    assert!(is_in(&stage.lease(30), "10.9.0.51"));
    assert!(isp_log().contains("DHCPDECLINE"), "{}", isp_log());
}

#[test]
fn more_time_is_asked_for_and_what_has_ended_is_lost() {
    const SERVER: &str = "start 10.9.0.20\nend 10.9.0.30\ninterface eth0\nlease_file /run/udhcpd.leases\n\
        pidfile /run/udhcpd.pid\noption lease 10\noption subnet 255.255.255.0\noption router 10.9.0.1\n";
    if !enter("more_time_is_asked_for_and_what_has_ended_is_lost") {
        return;
    }
    let mut stage = Stage::new();
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    std::fs::write("/run/udhcpd.conf", SERVER).unwrap();
    std::fs::write("/run/udhcpd.leases", "").unwrap();
    let start = || Program(at("isp", &["busybox", "udhcpd", "-f", "/run/udhcpd.conf"]).spawn().unwrap());
    let server = start();
    let _daemon = daemon();
    stage.greet();
    let (lease, granted) = (stage.lease(20), Instant::now());
    assert_eq!((lease.lease_s, lease.router), (9, Some([10, 9, 0, 1].into())), "ten seconds, begun");
    // T1 is half of it. The address is on the link, so the question goes from there to the server alone.
    assert_eq!(stage.lease(8).address, lease.address);
    assert!((3..=6).contains(&granted.elapsed().as_secs()), "{:?}", granted.elapsed());
    drop(server);
    wait_state("RENEWING", 7);
    wait_state("REBINDING", 6);
    assert!(matches!(stage.learned(5), Learned::Lost { .. }));
    wait_state("SELECTING", 1);
    let _server = start();
    stage.lease(30);
}

// Shows R-DIS.1.
#[test]
fn a_controller_is_asked_for_and_heard() {
    if !enter("a_controller_is_asked_for_and_heard") {
        return;
    }
    let mut stage = Stage::new();
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    // It names a controller to those who say that they speak USP.
    let _server = dnsmasq(&[
        POOL,
        "--dhcp-match=set:usp,vi-encap:3561,usp",
        "--dhcp-option=tag:usp,vi-encap:3561,25,wss://usp.isp.example/usp",
        "--dhcp-option=tag:usp,vi-encap:3561,29,self::isp",
        "--dhcp-option=tag:usp,vi-encap:3561,26,customer-7",
        "--dhcp-option=option:domain-name,isp.example",
    ]);
    until("dnsmasq listens", 5, || isp_log().contains("sockets bound").then_some(()));
    let _daemon = daemon();
    stage.greet();
    stage.lease(10);
    let named = || match stage::rows().into_iter().next() {
        Some(Answer::Client { controller, domain, .. }) => controller.map(|one| (one, domain)),
        other => panic!("{other:?}"),
    };
    assert_eq!(named(), None, "nobody has asked");
    stage.wish.clients[0].dhcp.usp = true;
    stage.wish_anew();
    let (found, domain) = until("a controller", 10, named);
    assert_eq!(domain.as_str(), "isp.example");
    assert_eq!((found.url.as_str(), found.endpoint.as_str()), ("wss://usp.isp.example/usp", "self::isp"));
    assert_eq!((found.provisioning_code.as_str(), found.retry_minimum_s.as_str()), ("customer-7", ""));
}

#[test]
fn a_controller_may_stand_in_option_43() {
    if !enter("a_controller_may_stand_in_option_43") {
        return;
    }
    let mut stage = Stage::new();
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    let words =
        ["--dhcp-option=encap:43,25,wss://usp.isp.example/usp", "--dhcp-option=encap:43,29,self::isp"];
    let _server = dnsmasq(&[&[POOL], words.as_slice()].concat());
    until("dnsmasq listens", 5, || isp_log().contains("sockets bound").then_some(()));
    let _daemon = daemon();
    stage.wish.clients[0].dhcp.usp = true;
    stage.greet();
    stage.lease(10);
    let found = until("a controller", 10, || match stage::rows().into_iter().next() {
        Some(Answer::Client { controller, .. }) => controller,
        other => panic!("{other:?}"),
    });
    assert_eq!((found.url.as_str(), found.endpoint.as_str()), ("wss://usp.isp.example/usp", "self::isp"));
}

/// Who we are, as dnsmasq understands it and hands it on to a script.
///
/// Shows R-DIS.2a.
#[test]
fn a_server_is_told_who_we_are() {
    if !enter("a_server_is_told_who_we_are") {
        return;
    }
    let mut stage = Stage::new();
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    let script = "#!/bin/sh\nenv | grep CPEWAN >>/run/told\n";
    fs::write("/run/script", script).unwrap();
    run(&["chmod", "755", "/run/script"]);
    let _server = dnsmasq(&[POOL, "--dhcp-script=/run/script", "--user=root"]);
    until("dnsmasq listens", 5, || isp_log().contains("sockets bound").then_some(()));
    let identify = Wire { clients: &[0], ..IDENTIFY };
    let identity = Listener::new(identify, sys::seqpacket::listen(Path::new(IDENTIFY.path)).unwrap());
    let _daemon = daemon();
    stage.greet();
    stage.lease(10);
    assert!(identity.accept().is_none(), "nobody wants to be told");
    stage.wish.clients[0].dhcp.device = true;
    stage.wish_anew();
    let asker = until("lease asks", 5, || identity.accept());
    let answer = |said: &identify::Answer| {
        until("who we are", 5, || match asker.receive::<Ask>() {
            Received::Message(ask, _) => (ask == Ask::Who).then_some(()),
            Received::Nothing => None,
            Received::Gone => panic!("lease is gone"),
        });
        asker.send(said, &[]).unwrap();
    };
    // It does not know yet, and is asked again.
    answer(&identify::Answer::Refused("no disk".into()));
    answer(&identify::Answer::Who(Who {
        endpoint: "os::00D09E-4711".into(),
        kept: true,
        reason: "".into(),
        public_key: heapless::Vec::new(),
        certificates: heapless::Vec::new(),
    }));
    // It tells with the next message: the link has been away.
    until("nothing more is asked", 5, || matches!(asker.receive::<Ask>(), Received::Gone).then_some(()));
    run(&["ip", "link", "set", "wan", "down"]);
    run(&["ip", "link", "set", "wan", "up"]);
    let told = || fs::read_to_string("/run/told").unwrap_or_default();
    let has = |name: &str, value: &str| told().contains(&format!("DNSMASQ_CPEWAN_{name}={value}"));
    until("dnsmasq is told", 20, || {
        (has("OUI", "00D09E") && has("SERIAL", "4711") && has("CLASS", "SHG")).then_some(())
    });
}
