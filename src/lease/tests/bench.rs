//! Four-way exchanges in a second: ours, dnsmasq's and Kea's, one after the other on the same link, by the same generator.
//!
//! In:  `SHG_BENCH=1` (`make bench B=dhcp` sets it) for the whole of it; without, one short round proves that all three answer.
//!      `SHG_LEASE` names another build of ours, such as the firmware's.
//! Out: `figure NAME ours peer at_least|at_most THOUSANDTHS`, a line each, which `lab bench` judges.
//!
//! All hosts are known before it begins: a first exchange waits for ARP with us, for ICMP with dnsmasq, and measures that wait. Nothing of
//! the three lies on a disk: their files are in memory.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use stage::{Program, Stage, at, daemon, enter, ip, run, until};

/// Hosts that ask.
const HOSTS: &str = "250";
/// What `lease` may take of memory. Source: the budget of the design.
const RESIDENT_KIB_MAX: u32 = 2_048;
const KEA: &str = r#"{ "Dhcp4": {
  "interfaces-config": { "interfaces": [ "lan" ], "re-detect": false },
  "lease-database": { "type": "memfile", "persist": false },
  "valid-lifetime": 600, "authoritative": true,
  "subnet4": [ { "id": 1, "subnet": "192.168.0.0/16", "pools": [ { "pool": "192.168.2.0 - 192.168.3.250" } ],
    "option-data": [ { "name": "routers", "data": "192.168.1.1" },
      { "name": "domain-name-servers", "data": "192.168.1.1" } ] } ],
  "loggers": [ { "name": "kea-dhcp4", "severity": "WARN", "output_options": [ { "output": "stdout" } ] } ]
} }"#;

fn is_whole() -> bool {
    std::env::var_os("SHG_BENCH").is_some()
}

/// Exchanges in a second that were completed within `seconds`, at most.
fn measure(who: &str) -> u64 {
    let seconds = if is_whole() { "5" } else { "1" };
    let perf = |words: &[&str]| {
        let always = ["perfdhcp", "-4", "-l", "eth0", "-R", HOSTS, "-W", "1000000", "-d", "2"];
        let output = at("home", &[&always, words, &["192.168.1.1"]].concat()).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    // Hosts come, a few at a time, until nobody is new any more.
    let known = || {
        let text = perf(&["-r", "50", "-n", "300"]);
        let exchanges = text.lines().filter(|line| line.starts_with("drops: "));
        exchanges.clone().count() == 2 && exchanges.clone().all(|line| line == "drops: 0")
    };
    until(&format!("{who} knows all hosts"), 120, || known().then_some(()));
    // More than anybody answers: it is the server that is measured. The best of a few rates, for a server that drowns answers less.
    let rates: &[&str] = if is_whole() { &["2000", "5000", "10000"] } else { &["1000"] };
    let rate = |rate: &&str| {
        let text = perf(&["-r", rate, "-p", seconds]);
        let line =
            text.lines().find(|line| line.starts_with("Rate: ")).unwrap_or_else(|| panic!("{who}: {text}"));
        let per_s: f64 = line.split(' ').nth(1).unwrap().parse().unwrap();
        format!("{per_s:.0}").parse().unwrap()
    };
    rates.iter().map(rate).max().unwrap()
}

/// A server of somebody else's, on our link.
fn start(words: &[&str]) -> Program {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("KEA_PIDFILE_DIR", "/run").env("KEA_LOCKFILE_DIR", "/run");
    Program(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// What dnsmasq and Kea do.
fn peers() -> [u64; 2] {
    const DNSMASQ: &str = "dnsmasq --no-daemon --conf-file=/dev/null --no-hosts --no-resolv --port=0 --interface=lan \
        --bind-interfaces --no-ping --quiet-dhcp --dhcp-authoritative --dhcp-leasefile=/run/dnsmasq.leases \
        --dhcp-range=192.168.2.0,192.168.3.250,255.255.0.0,600";
    let dnsmasq = {
        let _server = start(&DNSMASQ.split_whitespace().collect::<Vec<&str>>());
        measure("dnsmasq")
    };
    fs::write("/run/kea.json", KEA).unwrap();
    let _server = start(&["kea-dhcp4", "-c", "/run/kea.json"]);
    [dnsmasq, measure("Kea")]
}

#[test]
fn bench_dhcp() {
    if !enter("bench_dhcp") {
        return;
    }
    if let Some(missing) =
        ["perfdhcp", "kea-dhcp4"].iter().find(|name| !Path::new("/usr/sbin").join(name).exists())
    {
        return println!("skipped: no program {missing}");
    }
    let mut stage = Stage::new();
    stage.wish.clients.clear();
    run(&["ip", "address", "flush", "dev", "lan"]);
    run(&["ip", "address", "add", "192.168.1.1/16", "dev", "lan"]);
    ip("home", "address add 192.168.1.2/16 dev eth0");
    fs::create_dir_all("/run/state").unwrap();
    let server = &mut stage.wish.servers[0];
    let pool = contract::wanted::Pool {
        enable: true,
        first: [192, 168, 2, 0].into(),
        last: [192, 168, 3, 250].into(),
        lease_s: 600,
    };
    (server.prefix_length, server.pool) = (16, Some(pool));
    server.name_servers.push([192, 168, 1, 1].into()).unwrap();
    let ours = {
        let daemon = daemon();
        stage.greet();
        let rate = measure("ours");
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.0.id())).unwrap();
        let resident = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let resident_kib = resident.split_whitespace().nth(1).unwrap();
        println!("figure lease_resident_kib {resident_kib} {RESIDENT_KIB_MAX} at_most 1000");
        rate
    };
    let [dnsmasq, kea] = peers();
    for (name, peer) in [("dnsmasq", dnsmasq), ("kea", kea)] {
        println!("figure dhcp_exchanges_per_s_{name} {ours} {peer} at_least 1000");
    }
    assert!(ours > 0 && dnsmasq > 0 && kea > 0);
}
