//! What a sandbox costs a service that works: `hello` in one, against `hello` bare, in turns, on the same kind of link.
//!
//! In:  `SHG_HELLO`: the program, built for this machine; `SHG_BENCH=1` (`make bench B=cost` sets both) for the whole of it. Without the
//! program nothing can be measured.
//! Out: `figure NAME ours peer at_least|at_most THOUSANDTHS`, a line each.
//!
//! Both have a network namespace of their own, for that a service has in any case, and a link into this test's; what differs is all else:
//! user, process, mount and other namespaces, the cgroup, the system call filter, limits, no rights.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::time::{clock_getcpuclockid, clock_gettime};
use sandbox::{Network, Report};
use stage::{Stage, enter_stage, manifest};

/// Addresses of the sandboxed and of the bare one; ours on each link ends in 1.
const SERVERS: [&str; 2] = ["198.51.100.2", "198.51.100.6"];
/// How long `hello` may take to answer for the first time.
const LIMIT: Duration = Duration::from_secs(10);

fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Gives the namespace a link into ours.
fn link(namespace: &OwnedFd, number: usize) {
    let (near, server) = (format!("near{number}"), SERVERS[number]);
    let place = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
    run("ip", &["link", "add", &near, "type", "veth", "peer", "name", "eth0", "netns", &place]);
    let ours = format!("198.51.100.{}/30", 1 + 4 * number);
    run("ip", &["address", "add", &ours, "dev", &near]);
    run("ip", &["link", "set", &near, "up"]);
    let inside = format!("--net={place}");
    for words in
        [&["address", "add", &format!("{server}/30"), "dev", "eth0"][..], &["link", "set", "eth0", "up"]]
    {
        run("nsenter", &[&[&inside, "ip"], words].concat());
    }
}

/// One answer: how many bytes came. Not the page, for which `hello` looks around, and there is more to be seen without a sandbox.
fn fetch(server: &str) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect((server, 80))?;
    stream.write_all(b"GET /none HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n")?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)
}

fn wait_for(server: &str) {
    let begun = Instant::now();
    while fetch(server).is_err() {
        assert!(begun.elapsed() < LIMIT, "{server}: no page");
        std::thread::yield_now();
    }
}

/// Bytes of one stream, a second.
fn stream(server: &str) -> u64 {
    let mut stream = TcpStream::connect((server, 80)).unwrap();
    stream.write_all(b"GET /stream HTTP/1.0\r\n\r\n").unwrap();
    let mut piece = vec![0; 256 * 1024];
    let (mut bytes, clock) = (0, Instant::now());
    loop {
        match stream.read(&mut piece).unwrap() {
            0 => return per_s(bytes, clock.elapsed()),
            more => bytes += u64::try_from(more).unwrap(),
        }
    }
}

/// Packets that have passed our end of the link, both ways. Source: proc_net(5), `/proc/net/dev`: fields 2 and 10.
fn packets(number: usize) -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let name = format!("near{number}:");
    let row = text.lines().find_map(|line| line.trim_start().strip_prefix(&name)).unwrap();
    let fields: Vec<u64> = row.split_whitespace().map(|field| field.parse().unwrap()).collect();
    fields[1] + fields[9]
}

fn per_s(count: u64, time: Duration) -> u64 {
    count * 1_000_000 / u64::try_from(time.as_micros()).unwrap().max(1)
}

/// CPU time of a process, in nanoseconds. Source: clock_getcpuclockid(3).
fn cpu_ns(pid: u32) -> u64 {
    let clock = clock_getcpuclockid(nix::unistd::Pid::from_raw(pid.try_into().unwrap())).unwrap();
    let time = clock_gettime(clock).unwrap();
    u64::try_from(time.tv_sec()).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap()
}

/// The best tenth of all rounds: what else the machine does meanwhile is neither's fault.
fn best(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() * 9 / 10]
}

struct Bare(Child);

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_service_works_as_fast_in_a_sandbox() {
    let Some(program) = std::env::var("SHG_HELLO").ok() else {
        return println!(
            "skipped: a_service_works_as_fast_in_a_sandbox: make bench B=cost gives it the program"
        );
    };
    if !enter_stage("a_service_works_as_fast_in_a_sandbox") {
        return;
    }
    let (rounds, requests) = if std::env::var_os("SHG_BENCH").is_some() { (60, 500) } else { (3, 20) };
    // This thread's network is the test's own from here on.
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    run("ip", &["link", "set", "lo", "up"]);

    let mut manifest = manifest("");
    manifest.command = [contract::Text::from("/proc/self/exe")].into_iter().collect();
    let mut stage = Stage::new(&manifest);
    stage.plan.arguments = vec![std::ffi::CString::new(program.as_str()).unwrap()];
    link(&stage.network.namespace, 0);
    let (entered, report) = stage.enter(contract::layer::Layers::NONE);
    assert!(matches!(report, Report::Applied(_)), "{report:?}");
    entered.go().unwrap();
    let bare = Network::create().unwrap();
    link(&bare.namespace, 1);
    let place = format!("--net=/proc/{}/fd/{}", std::process::id(), bare.namespace.as_raw_fd());
    let other = Bare(Command::new("setsid").args(["nsenter", &place, &program]).spawn().unwrap());
    SERVERS.into_iter().for_each(wait_for);

    let pids = [u32::try_from(entered.pid).unwrap(), other.0.id()];
    let (mut rates, mut packet_rates, mut streams) =
        <([Vec<u64>; 2], [Vec<u64>; 2], [Vec<u64>; 2])>::default();
    let (mut bytes, begun) = ([0, 0], pids.map(cpu_ns));
    for _ in 0..rounds {
        for (place, server) in SERVERS.into_iter().enumerate() {
            let (clock, before) = (Instant::now(), packets(place));
            bytes[place] += (0..requests).map(|_| fetch(server).unwrap()).sum::<usize>();
            let time = clock.elapsed();
            rates[place].push(per_s(requests, time));
            packet_rates[place].push(per_s(packets(place) - before, time));
        }
    }
    let cpu = [0, 1].map(|place| cpu_ns(pids[place]) - begun[place]);
    for _ in 0..rounds {
        for (place, server) in SERVERS.into_iter().enumerate() {
            streams[place].push(stream(server));
        }
    }
    let all = rounds * requests;
    assert_eq!(bytes[0], bytes[1], "both answer the same");
    println!(
        "row {all} answers of {} bytes each; ns of CPU: {cpu:?}",
        u64::try_from(bytes[0]).unwrap() / all
    );
    for (name, values) in
        [("requests_per_s", rates), ("packets_per_s", packet_rates), ("stream_bytes_per_s", streams)]
    {
        let [ours, peer] = values.map(best);
        println!("figure {name} {ours} {peer} at_least 950");
    }
    println!("figure cpu_ns_per_request {} {} at_most 1050", cpu[0] / all, cpu[1] / all);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(entered.pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    stage::last(&entered);
}
