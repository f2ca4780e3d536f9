//! A call while the line is full in both directions: with queues nothing of it is lost, and it is as steady as in silence.
//!
//! In:  the test root, neighbours on a line of 20 Mbit/s with deep buffers at both ends, as modems have. Out: passed, failed, or
//! `skipped: ` and why. The numbers are printed in any case. Who speaks and who fills the line are in namespaces of the desk's, outside of the
//! guest.
//!
//! The same is done without queues: where that does no harm, the load was none, and the run is void. Emulated time is not an Atom's: what
//! is asserted is that nothing is lost, and that queues make at least five times the difference; how far the jitter is from the five
//! milliseconds that are the aim is said. And it is done with queues that are written by hand, on the same kernel: what these do not reach
//! either is the kernel's and the emulator's own.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod call;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use call::{PACKET_EVERY, ROLE, now_us, play, read, words};
use lab::guest::{Around, BOOT_LIMIT, Guest, Options, UP_LIMIT};
use lab::house::Scratch;
use lab::kernel::Kernel;
use lab::provider::Provider;
use lab::slot::Slot;
use lab::topology::{Side, Topology};
use lab::{facts, namespace, tool, wait};

const SHIPPED: &str = include_str!("../../rootfs/etc/shg/network.toml");
/// The line, in kbit/s.
const LINE_KBIT_S: u32 = 20_000;
/// The far end of calls and flows, and the provider's address there. Source: RFC 5737.
const FAR: &str = "192.0.2.80";
const NEAR: &str = "192.0.2.1";
/// What a modem keeps, in bytes: four tenths of a second.
const MODEM_BYTES: u32 = 1_000_000;
/// Flows in each direction.
const FLOWS: u32 = 16;
/// A call: silence first, then a full line. In seconds.
const SILENCE_S: u64 = 8;
const LOAD_S: u64 = 20;
/// What TCP needs until the line is full.
const RISE: Duration = Duration::from_secs(6);
/// The aim: what the load may add, in microseconds.
const AIM_US: u64 = 5_000;
/// Without queues it must be so many times as much.
const RATIO: u64 = 5;

/// Queues as somebody writes them who has a line of 20 Mbit/s and `tc`: HTB and fq_codel with what these take for good, at the rates of ours.
const BY_HAND: &str = "\
/bin/ip link set eth1 up
/bin/ip address add 203.0.113.50/24 dev eth0
/bin/ip address add 192.168.1.1/24 dev eth1
/bin/ip route add default via 203.0.113.1
nft 'table ip nat { chain post { type nat hook postrouting priority srcnat; oifname eth0 masquerade; }; }'
/bin/ip link add ifb0 type ifb
/bin/ip link set ifb0 up
/sbin/tc qdisc add dev eth0 clsact
/sbin/tc filter add dev eth0 ingress protocol ip u32 match u32 0 0 action mirred egress redirect dev ifb0
for link in eth0:19600 ifb0:18000; do /sbin/tc qdisc add dev ${link%:*} root handle 1: htb default 0x30 && \
/sbin/tc class add dev ${link%:*} parent 1: classid 1:1 htb rate ${link#*:}kbit && \
/sbin/tc class add dev ${link%:*} parent 1:1 classid 1:10 htb rate 1000kbit prio 0 && \
/sbin/tc class add dev ${link%:*} parent 1:1 classid 1:30 htb rate $((${link#*:}-1000))kbit ceil ${link#*:}kbit prio 2 && \
/sbin/tc qdisc add dev ${link%:*} parent 1:30 fq_codel && \
/sbin/tc filter add dev ${link%:*} parent 1: protocol ip u32 match ip dsfield 0xb8 0xfc classid 1:10; done";

/// What a call was like: one direction.
#[derive(Debug, Clone, Copy)]
struct Way {
    sent: usize,
    lost: usize,
    /// What 99 of 100 packets stay below, over the fastest of all, in microseconds: in silence and under load.
    silent_us: u64,
    loaded_us: u64,
}

impl Way {
    /// What the load adds, in microseconds.
    fn added_us(&self) -> u64 {
        self.loaded_us.saturating_sub(self.silent_us)
    }
}

#[test]
fn worker() {
    if let Ok(role) = std::env::var(ROLE) {
        play(&role);
    }
}

/// The other end of calls and flows, one hop behind the provider, who has the modems' buffers: what he passes on fills them, as what he sends
/// himself would not (a kernel holds its own flows back).
fn build_line(topology: &Topology) {
    const OFFLOADS: [&str; 8] = ["tx", "off", "tso", "off", "gso", "off", "gro", "off"];
    let run = |words: &str| tool::run("ip", &words.split(' ').collect::<Vec<_>>()).map(drop).unwrap();
    run("netns add far");
    run("-n isp link add far0 type veth peer name eth0 netns far");
    run(&format!("-n isp address add {NEAR}/24 dev far0"));
    run(&format!("-n far address add {FAR}/24 dev eth0"));
    for (space, link) in [("isp", "far0"), ("far", "eth0")] {
        run(&format!("-n {space} link set {link} up"));
        let space = format!("--net=/run/netns/{space}");
        let words = [[space.as_str(), "ethtool", "-K", link].as_slice(), &OFFLOADS].concat();
        tool::run("nsenter", &words).unwrap();
    }
    run(&format!("-n far route add default via {NEAR}"));
    topology.run(Side::Isp, &["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"]).unwrap();
    for link in ["eth0", "far0"] {
        let (rate, room) = (format!("{LINE_KBIT_S}kbit"), MODEM_BYTES.to_string());
        let words = ["tc", "qdisc", "add", "dev", link, "root", "tbf", "rate", &rate, "burst", "5000"];
        topology.run(Side::Isp, &[words.as_slice(), &["limit", &room]].concat()).unwrap();
    }
}

fn p99(delays: &mut [u64]) -> u64 {
    delays.sort_unstable();
    delays.get(delays.len() * 99 / 100).copied().unwrap_or(u64::MAX)
}

/// Source: RFC 5481 §4.2 (delay variation over the fastest packet).
fn judge((sent, packets): (usize, Vec<(u64, u64)>), [silence, load]: [(u64, u64); 2]) -> Way {
    let fastest = packets.iter().map(|(_, delay)| *delay).min().unwrap_or(0);
    let within = |(from, to): (u64, u64)| {
        let inside = packets.iter().filter(|(sent, _)| (from..to).contains(sent));
        let mut over: Vec<u64> = inside.map(|(_, delay)| delay - fastest).collect();
        p99(&mut over)
    };
    Way {
        sent,
        lost: sent.saturating_sub(packets.len()),
        silent_us: within(silence),
        loaded_us: within(load),
    }
}

/// One call through a gateway with this network; `None`: it cannot run here. Up, then down.
fn measure(what: &str, network: &str) -> Option<[Way; 2]> {
    let network = Some(network.to_owned());
    let options = Options { around: Around::Topology, network, stick: false, ..Options::usual().unwrap() };
    let mut guest = Guest::boot(&options).unwrap()?;
    // On a busy machine who was asked may answer too late.
    let wan = |guest: &mut Guest| Ok(facts::wan(guest).unwrap_or(None));
    guest.until("an address on the WAN", UP_LIMIT, wan).unwrap();
    let topology = guest.topology().unwrap();
    topology.lan_lease(UP_LIMIT).unwrap();
    build_line(topology);
    let ways = speak(what, topology);
    if what == "with queues" {
        look(&mut guest, ways);
    }
    drop(guest);
    tidy();
    Some(ways)
}

/// The same through a router of Debian's programs on the same kernel, with queues as somebody writes them by hand: what is the kernel's and
/// the emulator's own.
fn measure_by_hand() -> [Way; 2] {
    let scratch = Scratch::new().unwrap();
    let _slot = Slot::take().unwrap();
    let mut topology = Topology::make().unwrap();
    let ports = [Side::Isp, Side::Lan].map(|side| topology.port(side));
    let mut router = Provider::start_router(&scratch, Kernel::Board, ports).unwrap();
    router.wait_ready(BOOT_LIMIT).unwrap();
    for line in BY_HAND.lines() {
        router.run(line).unwrap();
    }
    for line in ["address add 192.168.1.2/24 dev eth0", "route add default via 192.168.1.1"] {
        let words: Vec<&str> = ["ip"].into_iter().chain(line.split(' ')).collect();
        topology.run(Side::Lan, &words).unwrap();
    }
    build_line(&topology);
    let ways = speak("by hand", &mut topology);
    let said = router.run("/sbin/tc -s class show dev ifb0 classid 1:10").unwrap();
    assert!(said.contains("Sent ") && !said.contains("Sent 0 "), "the call was in its class: {said}");
    drop((router, topology));
    tidy();
    ways
}

/// The next guest's neighbours have the same names.
fn tidy() {
    for side in ["isp", "lan"] {
        tool::run("ip", &["link", "del", &format!("{side}0")]).unwrap();
    }
    for space in ["far", "isp", "lan"] {
        tool::run("ip", &["netns", "del", space]).unwrap();
    }
}

/// A call between the neighbours of a gateway: silence first, then a full line.
fn speak(what: &str, topology: &mut Topology) -> [Way; 2] {
    let file = |name: &str| topology.file(name);
    let [home, away, bytes]: [PathBuf; 3] = ["home", "away", "bytes"].map(file);
    let time = SILENCE_S + LOAD_S;
    let answer = words(&format!("answer {FAR} {time} {}", away.display()));
    let sink = words("sink");
    for words in [&answer, &sink] {
        let enter = ["nsenter", "--net=/run/netns/far"];
        let words: Vec<&str> = enter.into_iter().chain(words.iter().map(String::as_str)).collect();
        topology.start(Side::Isp, &words).unwrap();
    }
    let start = |role: String| {
        let words = words(&role);
        let mut command = topology.command(Side::Lan, &words.iter().map(String::as_str).collect::<Vec<_>>());
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let begun_us = now_us();
    let mut call = start(format!("call {FAR} {time} {}", home.display()));
    let quiet = Instant::now();
    let over = || Ok((quiet.elapsed() >= Duration::from_secs(SILENCE_S)).then_some(()));
    wait::until("the end of silence", UP_LIMIT, over).unwrap();
    let loaded_us = now_us();
    let load = LOAD_S - 1;
    let mut flows = start(format!("flows {FAR} {FLOWS} {load} {}", bytes.display()));
    assert!(flows.wait().unwrap().success() && call.wait().unwrap().success());
    wait::until("the other end", UP_LIMIT, || Ok(away.exists().then_some(()))).unwrap();
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap();
    let spans = [
        (begun_us + us(RISE) / 3, loaded_us),
        (loaded_us + us(RISE), loaded_us + us(Duration::from_secs(load))),
    ];
    let ways = [judge(read(&home, &away), spans), judge(read(&away, &home), spans)];
    say(what, ways, &fs::read_to_string(&bytes).unwrap(), load);
    ways
}

fn say(what: &str, ways: [Way; 2], bytes: &str, seconds: u64) {
    let rates: Vec<u64> =
        bytes.split(' ').map(|bytes| bytes.parse::<u64>().unwrap() * 8 / 1_000 / seconds).collect();
    for (way, (words, rate)) in ways.iter().zip(["up", "down"].iter().zip(rates)) {
        println!(
            "numbers: {what}, {words}: {} packets, {} lost; p99 over the fastest {} us in silence, {} us \
             beside {FLOWS} flows of {rate} kbit/s",
            way.sent, way.lost, way.silent_us, way.loaded_us
        );
    }
}

/// What the gateway says of it: all is as wanted, nothing is lacking, and the call was in its class.
fn look(guest: &mut Guest, ways: [Way; 2]) {
    let answer = guest.json("network --json").unwrap();
    assert_eq!(answer["differs"].as_array().unwrap().len(), 0, "{}", answer["differs"]);
    for (link, way) in ["eth0", "ifb-wan"].iter().zip(ways) {
        let rows = answer["traffic"].as_array().unwrap();
        let voice = rows.iter().find(|row| row["link"] == *link && row["class"] == "voice").unwrap();
        let packets = usize::try_from(voice["packets"].as_u64().unwrap()).unwrap();
        assert!(packets >= way.sent - way.lost, "{link}: {voice}");
    }
    let log = facts::log(guest, "network").unwrap();
    assert!(!log.iter().any(|line| line.contains("this kernel has no")), "{log:#?}");
}

#[test]
fn a_call_is_steady_while_the_line_is_full() {
    let Some(()) = namespace::enter("a_call_is_steady_while_the_line_is_full").unwrap() else { return };
    if let Err(why) = tool::need("tc", "iproute2") {
        return println!("skipped: {why}");
    }
    if Options::usual().unwrap().kernel != Kernel::Board {
        return println!(
            "skipped: what a call feels counts on the board kernel: make test T=voice_load KERNEL=board"
        );
    }
    let qos = format!("\n[qos]\nup_kbit_s = {LINE_KBIT_S}\ndown_kbit_s = {LINE_KBIT_S}\n");
    let Some(with) = measure("with queues", &format!("{SHIPPED}{qos}")) else { return };
    let Some(without) = measure("without", SHIPPED) else { return };
    let by_hand = measure_by_hand();
    let mut harmed = 0;
    let ways = with.iter().zip(without.iter().zip(&by_hand));
    for (words, (with, (without, by_hand))) in ["up", "down"].iter().zip(ways) {
        let enough = Duration::from_secs(SILENCE_S + LOAD_S).as_millis() / PACKET_EVERY.as_millis();
        assert!(with.sent * 10 >= usize::try_from(enough).unwrap() * 9, "{words}: the call was held up");
        assert_eq!(with.lost, 0, "{words}: of {} packets", with.sent);
        let (added, harm) = (with.added_us(), without.added_us());
        let over = added.saturating_sub(AIM_US);
        println!(
            "numbers: {words}: the load adds {added} us with queues ({over} more than aimed at), {} us by hand, {harm} us without",
            by_hand.added_us()
        );
        if harm < with.silent_us.max(without.silent_us) * RATIO {
            println!("numbers: {words}: void: without queues the load does no harm in this direction");
            continue;
        }
        harmed += 1;
        assert!(added * RATIO <= harm, "{words}: {added} us with queues, {harm} us without");
    }
    if harmed == 0 {
        println!("skipped: void: without queues the load does no harm here");
    }
}
