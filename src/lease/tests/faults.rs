//! What goes wrong: a file that is cut, a disk that comes late, a host that sleeps through a restart, an operator that keeps silent, a
//! cable that goes out and in a hundred times.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::net::Ipv4Addr;

use contract::leases::Answer;
use lease::book::{self, BOOK_BYTES_MAX, VERSION};
use lease::table::{Guest, Key, Row, Use};
use stage::{Program, Stage, at, daemon, dnsmasq, enter, ip, isp_log, rows, run, until, wait_state};
use state::{Error, Folder};

fn row(number: u8) -> Row {
    let mac = [2, 0, 0, 0, 0, number];
    let guest = Guest { key: Key::Mac(mac), mac, host: "host".into() };
    Row { address: Ipv4Addr::new(192, 168, 1, number), guest, state: Use::Given, until_ms: 600_000 }
}

#[test]
fn faults_lease_file_cut_at_every_byte() {
    let place = std::env::temp_dir().join(format!("shg-lease-cut-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let file = Folder::at(&place).file("leases", BOOK_BYTES_MAX);
    let link = "lan".into();
    let write = |numbers: std::ops::Range<u8>| {
        let rows: Vec<Row> = numbers.map(row).collect();
        book::write(rows.iter().map(|row| (&link, row)), 0, 1_700_000_000)
    };
    // The generation before has all hosts but the last one.
    file.save(VERSION, &write(100..120)).unwrap();
    file.save(VERSION, &write(100..121)).unwrap();
    let known = || file.load().map(|kept| book::read(&kept.unwrap().bytes, 0, 1_700_000_000).len());
    assert_eq!(known(), Ok(21));
    let whole = fs::read(place.join("leases")).unwrap();
    for cut in 0..whole.len() {
        fs::write(place.join("leases"), &whole[..cut]).unwrap();
        assert_eq!(known(), Ok(20), "cut at {cut}: only what the last write knew is lost");
    }
    for bent in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[bent] ^= 0x10;
        fs::write(place.join("leases"), bytes).unwrap();
        assert_eq!(known(), Ok(20), "bent at {bent}");
    }
    fs::remove_file(place.join("leases.old")).unwrap();
    assert_eq!(known(), Err(Error::Broken("leases")), "and with both gone it is said, not made up");
    fs::remove_dir_all(&place).unwrap();
}

/// A host that takes what it is given.
const BUSYBOX: &str = "#!/bin/sh
case $1 in bound | renew)
    ip address flush dev eth0
    ip address add $ip/$mask dev eth0
    echo $ip >>/run/$SIDE.lease
esac
";

fn udhcpc(side: &str, options: &[&str]) -> Program {
    fs::write("/run/busybox.sh", BUSYBOX).unwrap();
    run(&["chmod", "+x", "/run/busybox.sh"]);
    let words = ["busybox", "udhcpc", "-f", "-i", "eth0", "-t", "5", "-T", "3", "-s", "/run/busybox.sh"];
    Program(at(side, &[&words, options].concat()).env("SIDE", side).spawn().unwrap())
}

fn its_address(side: &str) -> String {
    until("a lease of the host's", 20, || {
        let text = fs::read_to_string(format!("/run/{side}.lease")).unwrap_or_default();
        text.lines().next_back().map(str::to_owned)
    })
}

fn given() -> usize {
    rows().into_iter().filter(|row| matches!(row, Answer::Given { .. })).count()
}

/// The book says this.
fn is_kept(words: &str) {
    until("it is on the disk", 15, || {
        let bytes = fs::read("/run/state/leases").unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(words).then_some(())
    });
}

#[test]
fn faults_a_host_sleeps_through_a_restart_and_its_address_is_kept() {
    if !enter("faults_a_host_sleeps_through_a_restart_and_its_address_is_kept") {
        return;
    }
    let mut stage = Stage::new();
    stage.wish.clients.clear();
    let first_life = daemon();
    stage.greet();
    let host = udhcpc("home", &[]);
    let its = its_address("home");
    // The disk comes late: what was given before is written when it is there.
    fs::create_dir_all("/run/state").unwrap();
    run(&["mount", "-t", "tmpfs", "tmpfs", "/run/state"]);
    is_kept(&its);
    // It sleeps: it answers no ARP. The daemon is killed, and comes back.
    drop(host);
    ip("home", "link set eth0 down");
    drop(first_life);
    fs::remove_file(contract::wires::LEASES.path).unwrap();
    let second_life = daemon();
    stage.greet();
    until("it is known", 5, || (given() == 1).then_some(()));
    let _guest = udhcpc("guest", &["-r", &its]);
    assert_ne!(its_address("guest"), its);
    is_kept(&its_address("guest"));

    // The newest file is cut, and the daemon is killed: the one before knows the host.
    let whole = fs::read("/run/state/leases").unwrap();
    drop(second_life);
    fs::write("/run/state/leases", &whole[..whole.len() / 2]).unwrap();
    fs::remove_file(contract::wires::LEASES.path).unwrap();
    let _third_life = daemon();
    stage.greet();
    until("it is known", 5, || (given() >= 1).then_some(()));
    let known = rows()
        .into_iter()
        .any(|row| matches!(row, Answer::Given { address, .. } if address.to_string() == its));
    assert!(known, "{:?}", rows());
}

#[test]
fn faults_an_operator_keeps_silent_and_speaks_again() {
    if !enter("faults_an_operator_keeps_silent_and_speaks_again") {
        return;
    }
    let mut stage = Stage::new();
    stage.wish.servers.clear();
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    let capture = "import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)); s.bind(('eth0', 0)); open('/run/asked', 'w')
while True:
    if s.recv(2000)[36:38] == b'\\0\\x43': open('/run/asked', 'a').write('.')
";
    let _ear = Program(at("isp", &["python3", "-c", capture]).spawn().unwrap());
    until("it listens", 10, || fs::exists("/run/asked").unwrap().then_some(()));
    let _daemon = daemon();
    stage.greet();
    wait_state("SELECTING", 5);
    // 0, 4, 12 s, each give or take one: no more than that, whoever keeps silent.
    let asked = || fs::read("/run/asked").unwrap_or_default().len();
    until("it asks again", 20, || (asked() >= 3).then_some(()));
    assert_eq!(asked(), 3);
    let _server = dnsmasq(&["--dhcp-range=10.9.0.50,10.9.0.59,255.255.255.0,120"]);
    until("dnsmasq listens", 5, || isp_log().contains("sockets bound").then_some(()));
    assert!(stage.lease(40).address.to_string().starts_with("10.9.0.5"));
}

#[test]
fn faults_a_cable_goes_out_and_in_a_hundred_times() {
    if !enter("faults_a_cable_goes_out_and_in_a_hundred_times") {
        return;
    }
    let mut stage = Stage::new();
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    let _server = dnsmasq(&["--dhcp-range=10.9.0.50,10.9.0.59,255.255.255.0,120"]);
    until("dnsmasq listens", 5, || isp_log().contains("sockets bound").then_some(()));
    let _daemon = daemon();
    stage.greet();
    let lease = stage.lease(20);
    let flaps = "for n in $(seq 100); do ip link set eth0 down; ip link set eth0 up; done; ip address replace 10.9.0.1/24 dev eth0";
    assert!(at("isp", &["sh", "-c", flaps]).status().unwrap().success());
    wait_state("BOUND", 20);
    let state = rows().into_iter().next();
    let Some(Answer::Client { lease: Some(after), .. }) = state else { panic!("{state:?}") };
    assert_eq!(after.address, lease.address);
    let log = isp_log();
    assert_eq!(log.matches("DHCPDISCOVER").count(), 1, "what it has is asked for, never another: {log}");
    assert!(log.matches("DHCPREQUEST").count() <= 102, "one question each time: {log}");
    assert_eq!(log.matches("DHCPNAK").count(), 0);
}
