//! How long a whole network takes, from nothing: by the daemon, from its start until it is ready, and by `ip -batch`, `nft -f` and
//! `tc -batch` with the same outcome.
//!
//! In:  four VLANs, two bridges, 200 forwards, queues; without VLANs where the kernel has none. Out: a figure for `make bench B=apply`,
//! where `SHG_BENCH` is set; else one short round holds the two to the same outcome.
//!
//! The peer has less to do: `tc` is told queues and classes, not their filters nor the queues of incoming packets, and nobody sets
//! `/proc/sys/net` for it or looks at the outcome.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use stage::{Namespace, enter, folder, run};

/// Forwards.
const FORWARDS: u32 = 200;
/// How often each is measured, in turn.
const ROUNDS: usize = 11;

const BEGINNING: &str = r#"
[wan]
link = "eth0"

[lan]
bridge = "br-lan"
ports = ["eth1"]
address = "192.168.1.1"
prefix_length = 24

[services]
prefix = "10.64.0.0"
prefix_length = 24

[qos]
up_kbit_s = 20000
down_kbit_s = 100000
voice_kbit_s = 1000
tv_kbit_s = 30000
services_kbit_s = 4000
"#;

const UNTAGGED: &str = r#"
[internet]
ipv4 = "static"
static = { address = "203.0.113.7", prefix_length = 24, router = "203.0.113.1" }
"#;

const TAGGED: &str = r#"
[internet]
vlan = 10
ipv4 = "static"
static = { address = "203.0.113.7", prefix_length = 24, router = "203.0.113.1" }

[voice]
reaches = ["198.51.100.0/24"]
access = { vlan = 20, priority = 5, ipv4 = "static", static = { address = "100.64.0.7", prefix_length = 16, router = "100.64.0.1" } }

[tv]
reaches = ["198.51.101.0/24"]
access = { vlan = 30, priority = 4, ipv4 = "static", static = { address = "100.65.0.7", prefix_length = 16, router = "100.65.0.1" } }

[guest]
vlan = 100
address = "192.168.2.1"
prefix_length = 24
dhcp = { first = "192.168.2.100", last = "192.168.2.199", lease_s = 600 }
"#;

fn has_vlans() -> bool {
    let words = "link add link lo name trial type vlan id 7".split(' ');
    let tried = Command::new("ip").args(words).output().unwrap().status.success();
    if tried {
        run("ip link del trial");
    }
    tried
}

fn text(vlans: bool) -> String {
    let forward = |number: u32| {
        let (host, port) = (2 + number % 50, 10_000 + number);
        format!("[[forward]]\nname = \"game-{number}\"\nport = {port}\nto = \"192.168.1.{host}\"\n")
    };
    let forwards: String = (0..FORWARDS).map(forward).collect();
    format!("{BEGINNING}{}{forwards}", if vlans { TAGGED } else { UNTAGGED })
}

fn fresh() -> Namespace {
    let made = Namespace::make();
    for (link, cable) in [("eth0", "isp"), ("eth1", "home")] {
        made.run(&format!("ip link add {link} type veth peer name {cable}"));
        made.run(&format!("ip link set {cable} up"));
    }
    made
}

/// What one network took, in microseconds.
#[derive(Default, Clone, Copy)]
struct Cost {
    /// From the first program's start until all of it stands.
    whole: u64,
    /// Of the processor, in the programs and in the kernel.
    program: u64,
    kernel: u64,
}

impl Cost {
    /// What `work` takes, which says itself how long it took.
    fn of(work: impl FnOnce() -> u64) -> Self {
        let used = || {
            let children = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
            [children.user_time(), children.system_time()]
                .map(|time: TimeVal| u64::try_from(time.num_microseconds()).unwrap())
        };
        let before = used();
        let whole = work();
        let [program, kernel] = used();
        Self { whole, program: program - before[0], kernel: kernel - before[1] }
    }
}

/// From the daemon's start until it is ready, which is after its first turn. It is the firmware's program where `SHG_NETWORK` names it, else
/// this build's.
fn ours(at: &Namespace, place: &Path) -> Cost {
    // One socket does for all four wires, at 3 to 6; nobody dials. 7 is where it says that it is ready.
    const LINE: &str = "exec 3<&0 4<&0 5<&0 6<&0 7>&1 </dev/null >&2; exec \"$0\"";
    let program = std::env::var("SHG_NETWORK").unwrap_or(env!("CARGO_BIN_EXE_network").to_owned());
    let wire = place.join("wire");
    let _ = fs::remove_file(&wire);
    let listener = sys::seqpacket::listen(&wire).unwrap();
    let work = || {
        let (ready, notify) = nix::unistd::pipe().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", LINE, &program]).env("NOTIFY_FD", "7");
        command.env("LISTEN_FDNAMES", "attach:learn:show:told");
        command.stdin(Stdio::from(listener)).stdout(Stdio::from(notify)).stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        assert_eq!(sys::descriptor::wait_readable(ready.as_fd(), 20_000), Ok(true), "it is ready");
        let took = began.elapsed();
        child.kill().unwrap();
        child.wait().unwrap();
        u64::try_from(took.as_micros()).unwrap()
    };
    at.within(|| Cost::of(work))
}

/// `/etc/shg/network.toml` is `text`, for this test only.
fn configure(place: &Path, text: &str) {
    let etc = place.join("etc");
    fs::create_dir_all(etc.join("shg")).unwrap();
    fs::write(etc.join("shg/network.toml"), text).unwrap();
    run(&format!("mount --bind {} /etc", etc.display()));
}

/// What ip(8) is told.
fn ip_words(vlans: bool) -> String {
    let bridge = |name: &str| format!("link add {name} type bridge mcast_snooping 1\nlink set {name} up\n");
    let port = |name: &str, bridge: &str| {
        format!(
            "link set {name} master {bridge}\nlink set {name} type bridge_slave fastleave on\nlink set {name} up\n"
        )
    };
    let mut words = bridge("br-lan")
        + &port("eth1", "br-lan")
        + "address add 192.168.1.1/24 dev br-lan\nlink set lo up\nlink set eth0 up\n";
    let internet = if vlans { "eth0.10" } else { "eth0" };
    if vlans {
        let map = |priority: u32| (0..16).map(|from| format!(" {from}:{priority}")).collect::<String>();
        for (id, priority) in [(10, 0), (20, 5), (30, 4)] {
            words += &format!(
                "link add link eth0 name eth0.{id} type vlan id {id} egress-qos-map{}\nlink set eth0.{id} up\n",
                map(priority)
            );
        }
        words += &(bridge("br-guest")
            + "link add link eth1 name eth1.100 type vlan id 100\n"
            + &port("eth1.100", "br-guest"));
        words += "address add 192.168.2.1/24 dev br-guest\n";
        for (id, net, table, reaches, priority) in
            [(20, "100.64", 20, "198.51.100.0/24", 1_000), (30, "100.65", 30, "198.51.101.0/24", 1_020)]
        {
            words += &format!(
                "address add {net}.0.7/16 dev eth0.{id} noprefixroute\nroute add {net}.0.0/16 dev eth0.{id} table {table}\n"
            );
            words += &format!(
                "route add default via {net}.0.1 dev eth0.{id} table {table}\nroute add unreachable default metric 2147483647 table {table}\n"
            );
            words += &format!("-6 route add unreachable default metric 2147483647 table {table}\n");
            words += &format!(
                "rule add priority {priority} to {reaches} lookup {table}\nrule add priority {} from {net}.0.7 lookup {table}\n",
                priority + 10
            );
        }
    }
    words
        + &format!(
            "address add 203.0.113.7/24 dev {internet}\nroute add default via 203.0.113.1 dev {internet}\n"
        )
}

/// What tc(8) is told, from what it says of our queues.
fn tc_words(at: &Namespace, links: &[&str]) -> String {
    let mut words = String::new();
    for link in links {
        let queues = at.run(&format!("tc qdisc show dev {link}"));
        let classes = at.run(&format!("tc class show dev {link}"));
        for line in queues
            .lines()
            .filter(|line| line.contains(" htb ") || line.contains(" ingress ") || line.contains(" clsact "))
        {
            let kind: Vec<&str> = line.split_whitespace().collect();
            let place = if kind[1] == "htb" {
                format!("root handle {} htb", kind[2])
            } else {
                format!("{} {}", kind[1], "")
            };
            words += &format!("qdisc add dev {link} {place}\n");
        }
        for line in classes.lines().filter(|line| line.starts_with("class htb")) {
            let parts: Vec<&str> = line.split_whitespace().collect();
            let after =
                |word: &str| parts.iter().position(|part| *part == word).map(|place| parts[place + 1]);
            let parent = after("parent").map_or_else(String::new, |parent| format!("parent {parent}"));
            let parent = if parent.is_empty() {
                format!("parent {}:", parts[2].split(':').next().unwrap())
            } else {
                parent
            };
            words += &format!(
                "class add dev {link} {parent} classid {} htb rate {} ceil {}\n",
                parts[2],
                after("rate").unwrap(),
                after("ceil").unwrap()
            );
        }
        for line in queues.lines() {
            let kind: Vec<&str> = line.split_whitespace().collect();
            if let (["qdisc", queue, handle, "parent", class, ..], true) = (
                kind.as_slice(),
                !line.contains(" htb ") && !line.contains("ingress") && !line.contains("clsact"),
            ) {
                words += &format!("qdisc add dev {link} parent {class} handle {handle} {queue}\n");
            }
        }
    }
    words
}

fn theirs(at: &Namespace, files: &[PathBuf; 3]) -> Cost {
    let [ip, nft, tc] = files.each_ref().map(|file| file.display().to_string());
    let commands = [format!("ip -batch {ip}"), format!("nft -f {nft}"), format!("tc -batch {tc}")];
    let work = || {
        let began = Instant::now();
        for command in &commands {
            run(command);
        }
        u64::try_from(began.elapsed().as_micros()).unwrap()
    };
    at.within(|| Cost::of(work))
}

#[test]
fn a_whole_network_from_nothing() {
    if !enter("a_whole_network_from_nothing") {
        return;
    }
    let (vlans, place) = (has_vlans(), folder("apply"));
    configure(&place, &text(vlans));
    let model = fresh();
    ours(&model, &place);
    let rules = model.run("nft -s list ruleset");
    let files = ["ip", "nft", "tc"].map(|name| place.join(name));
    fs::write(&files[0], ip_words(vlans)).unwrap();
    fs::write(&files[1], &rules).unwrap();
    fs::write(&files[2], tc_words(&model, &["eth0"])).unwrap();
    let peer = fresh();
    theirs(&peer, &files);
    assert_eq!(peer.run("nft -s list ruleset"), rules, "the same firewall");
    assert_eq!(peer.run("ip -4 -br address show br-lan"), model.run("ip -4 -br address show br-lan"));
    // Beside these fq_codel lists flows that wait just now.
    let is_class = |line: &&str| line.starts_with("class htb");
    let classes = |at: &Namespace| at.run("tc class show dev eth0").lines().filter(is_class).count();
    assert_eq!(classes(&peer), classes(&model), "as many classes");
    if std::env::var_os("SHG_BENCH").is_none() {
        return;
    }
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        times[0].push(ours(&fresh(), &place));
        times[1].push(theirs(&fresh(), &files));
    }
    for (whose, times) in ["ours", "ip, nft, tc"].iter().zip(&mut times) {
        times.sort_unstable_by_key(|cost| cost.whole);
        // The kernel counts these in ticks: only what many rounds have in common says something.
        let mean = |part: fn(&Cost) -> u64| times.iter().map(part).sum::<u64>() / ROUNDS as u64;
        let (program, kernel) = (mean(|cost| cost.program), mean(|cost| cost.kernel));
        println!(
            "| row {whose}: {program} us of the processor in programs, {kernel} us in the kernel, in the mean"
        );
    }
    if !vlans {
        println!("skipped in part: a_whole_network_from_nothing: this kernel has no VLANs");
    }
    for (what, tenths) in [("median", 5), ("p10", 1)] {
        let [us, them] = times.each_ref().map(|times| times[times.len() * tenths / 10].whole);
        println!("figure apply_{what}_us {us} {them} at_most 200");
    }
}
