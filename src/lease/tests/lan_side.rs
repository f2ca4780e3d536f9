//! The real daemon as a server: of udhcpc of BusyBox and of dhclient of the ISC; and what holds over its restart.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::net::Ipv4Addr;

use contract::leases::Answer;
use stage::{Program, Stage, at, daemon, dnsmasq, enter, ip, rows, run, until, wait_state};

/// What a host does with its lease: it writes it down, and takes the address.
const BUSYBOX: &str = "#!/bin/sh
case $1 in bound | renew)
    ip address flush dev eth0
    ip address add $ip/$mask dev eth0
    echo $1 $ip/$mask router $router dns ${dns:-none} lease $lease >>/run/$SIDE.lease
esac
";
const ISC: &str = "#!/bin/sh
[ -z \"$new_ip_address\" ] || echo $reason $new_ip_address router $new_routers lease $new_dhcp_lease_time >>/run/isc.lease
";
/// What dhclient remembers of another network.
const ELSEWHERE: &str =
    "lease { interface \"eth0\"; fixed-address 172.16.5.5; option subnet-mask 255.255.255.0;
option dhcp-lease-time 999999; option dhcp-server-identifier 172.16.5.1;
renew never; rebind never; expire never; }
";

/// A program of the host's that anybody may run.
fn script(path: &str, text: &str) {
    fs::write(path, text).unwrap();
    run(&["chmod", "+x", path]);
}

/// udhcpc at `side`, with `options`.
fn udhcpc(side: &str, options: &[&str]) -> Program {
    let words = ["busybox", "udhcpc", "-f", "-i", "eth0", "-t", "5", "-T", "3", "-s", "/run/busybox.sh"];
    let mut command = at(side, &[&words, options].concat());
    Program(command.env("SIDE", side).spawn().unwrap())
}

/// dhclient at `side`, with what it remembers.
fn dhclient(side: &str) -> Program {
    let words = ["dhclient", "-d", "-v", "-cf", "/dev/null", "-pf", "/run/isc.pid", "-lf", "/run/isc.leases"];
    let log = fs::File::create("/run/isc.log").unwrap();
    let mut command = at(side, &[&words[..], &["-sf", "/run/isc.sh", "eth0"]].concat());
    Program(command.stderr(log).spawn().unwrap())
}

/// The address in line `number` of what the host `side` wrote down.
fn line(side: &str, number: usize) -> String {
    until("a lease of the host's", 20, || {
        let text = fs::read_to_string(format!("/run/{side}.lease")).unwrap_or_default();
        text.lines().nth(number).map(str::to_owned)
    })
}

fn address(line: &str) -> Ipv4Addr {
    line.split([' ', '/']).nth(1).unwrap().parse().unwrap()
}

fn given() -> Vec<(Ipv4Addr, String)> {
    let given = |row| {
        if let Answer::Given { address, host, .. } = row { Some((address, host.to_string())) } else { None }
    };
    rows().into_iter().filter_map(given).collect()
}

#[test]
fn hosts_get_addresses_renew_them_and_give_them_back() {
    if !enter("hosts_get_addresses_renew_them_and_give_them_back") {
        return;
    }
    let mut stage = Stage::new();
    script("/run/busybox.sh", BUSYBOX);
    let _daemon = daemon();
    stage.greet();
    wait_state("SELECTING", 5);
    let host = udhcpc("home", &["-x", "hostname:lap\u{1b}top"]);
    let first = line("home", 0);
    // No lease on the WAN, no name servers, a short lease.
    assert!(first.starts_with("bound 192.168.1.1"), "{first}");
    assert!(first.ends_with("/24 router 192.168.1.1 dns none lease 120"), "{first}");
    assert_eq!(given(), [(address(&first), "lap?top".to_owned())]);

    // The WAN gets its lease: the next grant is a long one, with its name servers.
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    let _server = dnsmasq(&[
        "--dhcp-range=10.9.0.50,10.9.0.59,255.255.255.0,120",
        "--dhcp-option=option:dns-server,10.9.0.1",
    ]);
    stage.lease(30);
    let pid = host.0.id().to_string();
    run(&["kill", "-USR1", &pid]);
    let second = line("home", 1);
    assert_eq!(address(&second), address(&first));
    assert!(second.ends_with("dns 10.9.0.1 lease 600"), "{second}");

    run(&["kill", "-USR2", &pid]);
    until("it is given back", 5, || given().is_empty().then_some(()));
}

#[test]
fn an_address_of_another_network_is_refused() {
    if !enter("an_address_of_another_network_is_refused") {
        return;
    }
    let mut stage = Stage::new();
    script("/run/isc.sh", ISC);
    fs::write("/run/isc.leases", ELSEWHERE).unwrap();
    let _daemon = daemon();
    stage.greet();
    wait_state("SELECTING", 5);
    let _client = dhclient("home");
    let bound = line("isc", 0);
    let text = fs::read_to_string("/run/isc.log").unwrap();
    assert!(
        bound.starts_with("BOUND 192.168.1.1") && bound.contains("router 192.168.1.1"),
        "{bound}\n{text}"
    );
    assert!(
        text.contains("DHCPREQUEST for 172.16.5.5") && text.contains("DHCPNAK from 192.168.1.1"),
        "{text}"
    );
    assert_eq!(given()[0].0, address(&bound));
}

/// A host at home gets an address, and the daemon that gave it dies: the host, its address, and the daemon's next life, which knows of
/// neither.
fn outlive_a_daemon(stage: &mut Stage) -> (Program, Ipv4Addr, Program) {
    script("/run/busybox.sh", BUSYBOX);
    let first_life = daemon();
    stage.greet();
    let host = udhcpc("home", &[]);
    let its = address(&line("home", 0));
    drop(first_life);
    let second_life = daemon();
    stage.greet();
    wait_state("SELECTING", 5);
    assert!(given().is_empty(), "its table is gone");
    (host, its, second_life)
}

#[test]
fn an_address_in_use_is_given_to_nobody_else_after_a_restart() {
    if !enter("an_address_in_use_is_given_to_nobody_else_after_a_restart") {
        return;
    }
    let mut stage = Stage::new();
    let (host, its, _second_life) = outlive_a_daemon(&mut stage);
    // Another host asks for that very address, and is offered it until ARP says no.
    let _guest = udhcpc("guest", &["-r", &its.to_string()]);
    let other = address(&line("guest", 0));
    assert_ne!(other, its);
    // And the first one is known again as soon as it speaks.
    run(&["kill", "-USR1", &host.0.id().to_string()]);
    assert_eq!(address(&line("home", 1)), its);
    let mut want = [its, other];
    want.sort_unstable();
    assert_eq!(given().iter().map(|row| row.0).collect::<Vec<_>>(), want);
}

#[test]
fn who_remembers_an_address_that_another_has_now_is_given_another() {
    if !enter("who_remembers_an_address_that_another_has_now_is_given_another") {
        return;
    }
    let mut stage = Stage::new();
    script("/run/isc.sh", ISC);
    let (host, its, _second_life) = outlive_a_daemon(&mut stage);
    // A guest had the same address in another home, where the gateway is one of our kind; it asks for it by INIT-REBOOT.
    fs::write("/run/isc.leases", ELSEWHERE.replace("172.16.5.5", &its.to_string())).unwrap();
    let guest = dhclient("guest");
    assert_ne!(address(&line("isc", 0)), its, "{}", fs::read_to_string("/run/isc.log").unwrap());
    run(&["kill", "-USR1", &host.0.id().to_string()]);
    assert_eq!(address(&line("home", 1)), its);
    drop(guest);

    // The host itself may reboot: nobody else answers.
    drop(host);
    fs::remove_file("/run/isc.lease").unwrap();
    ip("home", "address flush dev eth0");
    let _guest = dhclient("guest");
    assert!(line("isc", 0).starts_with("REBOOT "));
}
