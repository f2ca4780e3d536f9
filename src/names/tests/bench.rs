//! Ten thousand cached names, asked by dnsperf: the real daemon against dnsmasq, in turns, on the same links.
//!
//! In:  `SHG_BENCH=1` (`make bench B=dns` sets it) for the whole of it; without, one short round proves that all of it works.
//! Out: `figure NAME ours peer at_least|at_most THOUSANDTHS`, a line each, which `lab bench` judges.
//!
//! Both sit in the gateway's namespace, on addresses of one link, behind the same upstream; dnsperf asks from the home's. Each value is the
//! better quartile of its rounds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use stage::{Program, Stage, at, daemon, dig, dnsmasq, enter, has, ip, number, run, status, until};

/// Names that are known to both.
const NAMES: usize = 10_000;
/// Addresses from which they are asked for at first: one client may not make us ask that often.
const CLIENTS: usize = 40;
/// Ours, and the peer's.
const SERVERS: [&str; 2] = ["192.168.1.1", "192.168.1.2"];
/// Questions a second while latency is measured: what both can answer easily.
const RATE: &str = "5000";

/// dnsperf's words behind `words`, at the home's.
fn dnsperf(server: &str, words: &[&str]) -> String {
    let all = [&["dnsperf", "-s", server, "-W"], words].concat();
    let output = at("home", &all).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The number behind `label` in dnsperf's summary.
fn value(said: &str, label: &str) -> u64 {
    let line = said.lines().find_map(|line| line.trim().strip_prefix(label));
    let word =
        line.unwrap_or_else(|| unreachable!("{label}: {said}")).trim().split(['.', ' ']).next().unwrap();
    word.parse().unwrap()
}

/// Puts all names into a server's cache.
fn warm(server: &str) {
    for client in 0..CLIENTS {
        let (source, list) = (format!("192.168.1.{}", 100 + client), format!("/run/names.{client}"));
        dnsperf(server, &["-a", &source, "-d", &list, "-n", "1", "-q", "20", "-Q", "2000"]);
    }
}

/// Questions a second that are answered, as many as go; and how many were lost.
fn rate(server: &str, seconds: &str) -> (u64, u64) {
    let said = dnsperf(server, &["-d", "/run/names", "-l", seconds, "-c", "8", "-q", "100"]);
    (value(&said, "Queries per second:"), value(&said, "Queries lost:"))
}

/// How long 99 of 100 answers take at most, in microseconds, at a rate that is no burden.
fn p99_us(server: &str, seconds: &str) -> u64 {
    let said =
        dnsperf(server, &["-d", "/run/names", "-l", seconds, "-c", "4", "-q", "100", "-Q", RATE, "-v"]);
    let latency =
        |line: &str| line.strip_prefix("> NOERROR ")?.split_whitespace().last()?.parse::<f64>().ok();
    let mut all: Vec<f64> = said.lines().filter_map(latency).collect();
    assert!(all.len() > 1_000, "{} answers", all.len());
    all.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time that was measured")]
    let us = (all[all.len() * 99 / 100] * 1e6) as u64;
    us
}

/// The round at so many quarters of all, in order: the better quartile, because what else the machine does meanwhile is neither's fault.
fn quarter(mut values: Vec<u64>, quarters: usize) -> u64 {
    values.sort_unstable();
    values[values.len() * quarters / 4]
}

/// What is resident of a process, in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    value(&status, "VmRSS:")
}

fn peer() -> Program {
    const WORDS: [&str; 14] = [
        "dnsmasq",
        "--no-daemon",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--no-resolv",
        "--user=root",
        "--group=root",
        "--server=10.9.0.1",
        "--cache-size=20000",
        "--listen-address=192.168.1.2",
        "--bind-interfaces",
        "--dns-forward-max=1000",
        "--min-cache-ttl=0",
        "--log-facility=/dev/null",
    ];
    let program = Program(Command::new(WORDS[0]).args(&WORDS[1..]).stderr(Stdio::null()).spawn().unwrap());
    until("the peer answers", 5, || {
        (status(&dig("home", "@192.168.1.2 n1.bench.example A")) == "NOERROR").then_some(())
    });
    program
}

/// The lists of names: all of them, and a part for each client.
fn lists() {
    let mut all = String::new();
    let mut parts = vec![String::new(); CLIENTS];
    for number in 0..NAMES {
        let line = format!("n{number}.bench.example A\n");
        all.write_str(&line).unwrap();
        parts[number % CLIENTS].push_str(&line);
    }
    fs::write("/run/names", all).unwrap();
    for (client, part) in parts.iter().enumerate() {
        fs::write(format!("/run/names.{client}"), part).unwrap();
        ip("home", &format!("address add 192.168.1.{}/24 dev eth0", 100 + client));
    }
}

#[test]
fn bench_dns() {
    if !enter("bench_dns") {
        return;
    }
    if !has("dnsperf") {
        println!("skipped: bench_dns: no program dnsperf");
        return;
    }
    let whole = std::env::var_os("SHG_BENCH").is_some();
    let (rounds, seconds) = if whole { (11, "1") } else { (1, "1") };
    let mut stage = Stage::new();
    run(&["ip", "address", "add", "192.168.1.2/24", "dev", "lan"]);
    let (_isp, ours) = (dnsmasq(&["--address=/bench.example/192.0.2.1"]), daemon());
    stage.tell();
    let before_kib = resident_kib(ours.0.id());
    let peer = peer();
    lists();
    SERVERS.iter().for_each(|server| warm(server));
    let cached = usize::try_from(number("cached")).unwrap();
    assert!(cached >= NAMES * 98 / 100, "{cached} are known");
    let misses = number("misses");
    let (mut rates, mut times) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    for round in 0..rounds {
        // Who begins is who ended.
        let mut turns = [0, 1];
        turns.rotate_left(round % 2);
        for side in turns {
            let server = SERVERS[side];
            let (per_s, lost) = rate(server, seconds);
            assert!(lost * 100 < per_s, "{server}: {lost} lost of {per_s} a second");
            rates[side].push(per_s);
        }
        for side in turns {
            times[side].push(p99_us(SERVERS[side], seconds));
        }
    }
    assert!(number("misses") < misses + 500, "they were known");
    let after_kib = resident_kib(ours.0.id());
    let [our_rate, their_rate] = rates.map(|rounds| quarter(rounds, 3));
    let [our_time, their_time] = times.map(|rounds| quarter(rounds, 1));
    let figures = [
        format!("figure dns_cached_per_s {our_rate} {their_rate} at_least 1000"),
        format!("figure dns_cached_p99_us {our_time} {their_time} at_most 1000"),
        format!("figure names_idle_kib {before_kib} 2048 at_most 1000"),
        format!("figure names_10000_kib {after_kib} 4096 at_most 1000"),
        format!(
            "figure names_10000_against_dnsmasq_kib {after_kib} {} at_most 1000",
            resident_kib(peer.0.id())
        ),
    ];
    // Its own line: the harness has begun one.
    figures.iter().for_each(|figure| println!("\n{figure}"));
}
