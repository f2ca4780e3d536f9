//! The real daemon as a client: of dnsmasq and of udhcpd of BusyBox, with links that come and go.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::time::Instant;

use contract::learn::{Learned, Lease};
use stage::{Stage, daemon, dnsmasq, enter, ip, isp_log, run, until, wait_state};

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
    println!("lease-after-wish-ms {}", began.elapsed().as_millis());
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
    stage.greet();
    assert_eq!(stage.lease(5).address, other.address);
}
