//! The three plays at once, each in its VLAN, on the real, 32-bit kernel: a call and a channel beside a line that is full both ways.
//!
//! In:  the test root, a provider with VLANs, a network with queues. Out: passed, failed, or `skipped: ` and why. The numbers are printed.
//!
//! The emulated Ethernet port hears nothing for a second after its list of groups was changed (QEMU's hw/net/e1000.c, `set_rx_control`), unless
//! its driver gives it new buffers meanwhile, as it does while little comes. So channels are changed on a board with ports of the next
//! generation, which have no such pause; all else is about the board's own kind.
//!
//! Not here: how steady a call is (`voice_load.rs`), other access (`clients_pppoe.rs`), trying and taking back (`guest_plays.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod call;

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use call::{ROLE, play, read, words};
use lab::board::Nic;
use lab::guest::{Around, Guest, Options, UP_LIMIT, VLANS};
use lab::kernel::Kernel;
use lab::topology::{Side, Topology, WEB_ADDRESS};
use lab::{facts, namespace, tool, wait};
use testbed::Talker;

const SHIPPED: &str = include_str!("../../rootfs/etc/shg/network.toml");
/// The other plays. Source of addresses: RFC 5737, RFC 6598.
const PLAYS: &str = r#"
[voice]
access = { vlan = 20, priority = 5, ipv4 = "dhcp" }
reaches = ["192.0.2.0/24"]

[tv]
access = { vlan = 30, priority = 4, ipv4 = "dhcp" }
reaches = ["100.64.31.0/24"]
groups = ["239.0.0.0/8"]
"#;
/// Queues of a line that an emulated board can carry.
const QUEUES: &str = r#"
[qos]
up_kbit_s = 6000
down_kbit_s = 12000
tv_kbit_s = 3000
services_kbit_s = 1000
"#;
const DOWN_KBIT_S: u32 = 12_000;
const UP_KBIT_S: u64 = 6_000;
/// The same without queues lies in the gateway.
const PLAIN: &str = "etc/shg/plain.toml";
/// Priorities of the plays' VLANs, as above.
const PRIORITIES: [u8; 3] = [0, 5, 4];
/// The other end of calls.
const PLATFORM: &str = "192.0.2.10";
/// A set-top box, and a station of a hundred packets a second.
const VIEWER: &str = include_str!("../../src/multicast/tests/data/viewer.py");
const STATION: &str = include_str!("../../src/multicast/tests/data/station.py");
const CHANNELS: [&str; 2] = ["239.1.1.1", "239.1.1.2"];
const PORT: &str = "5004";
/// From one channel to the next, in milliseconds, and how often it is changed.
const ZAP_MS: u64 = 300;
const ZAPS: usize = 10;
/// How long the line is full, in seconds, and by how many flows each way.
const LOAD_S: u64 = 15;
const FLOWS: u32 = 8;

#[test]
fn worker() {
    if let Ok(role) = std::env::var(ROLE) {
        play(&role);
    }
}

/// What we ship, with the Internet in its VLAN and the other plays beside it; no queues.
fn network() -> String {
    assert!(SHIPPED.contains("ipv4 = \"dhcp\""));
    SHIPPED.replace("ipv4 = \"dhcp\"", &format!("vlan = {}\nipv4 = \"dhcp\"", VLANS[0])) + PLAYS
}

/// What the provider has behind the VLANs: addresses for voice and TV, a platform for calls, a line that is no faster than was said.
fn provide(topology: &mut Topology) {
    let link = |play: usize| format!("eth{}", VLANS[play]);
    for (at, address) in
        [(link(1), "100.64.20.1/24"), (link(2), "100.64.30.1/24"), ("lo".to_owned(), "192.0.2.10/32")]
    {
        topology.run(Side::Isp, &["ip", "address", "add", address, "dev", &at]).unwrap();
    }
    let leases = format!("--dhcp-leasefile={}", topology.file("plays.leases").display());
    let mut server = vec!["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-hosts", "--no-resolv"];
    server.extend(["--port=0", "--bind-interfaces", "--dhcp-authoritative", "--no-ping", &leases]);
    let listens = [1, 2].map(|play| format!("--interface={}", link(play)));
    let ranges = [20, 30].map(|net| format!("--dhcp-range=100.64.{net}.50,100.64.{net}.50,2m"));
    server.extend(listens.iter().chain(&ranges).map(String::as_str));
    topology.start(Side::Isp, &server).unwrap();
    let (internet, rate) = (link(0), format!("{DOWN_KBIT_S}kbit"));
    let line = ["tc", "qdisc", "add", "dev", &internet, "root", "tbf", "rate", &rate, "burst", "5000"];
    topology.run(Side::Isp, &[line.as_slice(), &["limit", "200000"]].concat()).unwrap();
}

/// Starts a role of `call` at the home.
fn at_home(topology: &Topology, role: &str) -> Child {
    let words = words(role);
    let mut command = topology.command(Side::Lan, &words.iter().map(String::as_str).collect::<Vec<_>>());
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

fn start_at_provider(topology: &mut Topology, role: &str) {
    let words = words(role);
    topology.start(Side::Isp, &words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
}

/// Changes the channel so many times, and returns how long the picture took, in milliseconds, in order of size.
fn zap(viewer: &mut Talker) -> Vec<u64> {
    let mut times = Vec::new();
    for turn in 0..ZAPS {
        let (channel, before) = (CHANNELS[(turn + 1) % 2], CHANNELS[turn % 2]);
        viewer.tell(&format!("leave {before}"));
        viewer.hears(&format!("left {before}"));
        viewer.tell(&format!("join {channel}"));
        let said = viewer.hears(&format!("first {channel} "));
        times.push(said.split(' ').next_back().unwrap().parse().unwrap());
    }
    times.sort_unstable();
    times
}

/// Packets of the first channel since the last count, and how many were lost.
fn count(viewer: &mut Talker) -> (u64, u64) {
    viewer.tell(&format!("count {}", CHANNELS[0]));
    let said = viewer.hears(&format!("{} ", CHANNELS[0]));
    let numbers: Vec<u64> = said.split(' ').skip(1).map(|word| word.parse().unwrap()).collect();
    (numbers[0], numbers[1])
}

/// Do two seconds of the first channel come?
fn is_steady(viewer: &mut Talker) -> bool {
    let mut came = 0;
    let steady = wait::until("a steady channel", UP_LIMIT, || {
        came += count(viewer).0;
        Ok((came > 200).then_some(()))
    });
    steady.is_ok()
}

/// All plays have what they need, and nothing differs.
fn settle(guest: &mut Guest) {
    guest.until("an address on the WAN", UP_LIMIT, facts::wan).unwrap();
    let mut last = String::new();
    let settled = guest.until("all plays", UP_LIMIT, |guest| {
        let answer = guest.json("network --json")?;
        let text = answer["observed"].to_string();
        last = answer.to_string();
        let has = |words: [&str; 2]| words.iter().all(|word| text.contains(word));
        let plays = has(["eth0.20 up, 100.64.20.50/24", "eth0.30 up, 100.64.30.50/24"])
            && text.contains("eth0.10 up, 203.0.113.50/24");
        Ok((plays && answer["differs"].as_array().is_some_and(Vec::is_empty)).then_some(()))
    });
    assert!(settled.is_ok(), "{last}\n{:#?}", facts::log(guest, "network"));
}

/// What a class has carried, in packets.
fn packets(guest: &mut Guest, link: &str, class: &str) -> u64 {
    let answer = guest.json("network --json").unwrap();
    let rows = answer["traffic"].as_array().unwrap();
    let row = rows.iter().find(|row| row["link"] == link && row["class"] == class);
    row.unwrap()["packets"].as_u64().unwrap()
}

/// A gateway with all plays and a provider who has them; `None`: not here, and why was said.
fn boot(name: &str, nic: Nic) -> Option<Guest> {
    if let Err(why) = tool::need("python3", "python3").and_then(|()| tool::need("tc", "iproute2")) {
        println!("skipped: {why}");
        return None;
    }
    let options = Options {
        around: Around::Tagged,
        nic,
        network: Some(network() + QUEUES),
        files: vec![(PLAIN.to_owned(), network().into_bytes())],
        ..Options::usual().unwrap()
    };
    if options.kernel != Kernel::Board {
        println!("skipped: {name}: promises count on the board kernel: KERNEL=board");
        return None;
    }
    let mut guest = Guest::boot(&options).unwrap()?;
    provide(guest.topology().unwrap());
    settle(&mut guest);
    guest.topology().unwrap().lan_lease(UP_LIMIT).unwrap();
    Some(guest)
}

/// A station at the provider, and a set-top box that watches its first channel.
fn watch(topology: &mut Topology) -> Talker {
    let seconds = (LOAD_S + 120).to_string();
    let (link, groups) = (format!("eth{}", VLANS[2]), CHANNELS);
    let station = [["python3", "-c", STATION, &link, PORT, &seconds].as_slice(), &groups].concat();
    topology.start(Side::Isp, &station).unwrap();
    let mut viewer = Talker::start("lan", &["python3", "-c", VIEWER, "eth0", PORT]);
    viewer.hears("ready");
    viewer.tell(&format!("join {}", CHANNELS[0]));
    viewer.hears("first ");
    viewer
}

/// Begins to fill the line both ways; how many bytes went is written to `bytes`.
fn fill(topology: &mut Topology, bytes: &Path) -> Child {
    start_at_provider(topology, "sink");
    at_home(topology, &format!("flows {WEB_ADDRESS} {FLOWS} {LOAD_S} {}", bytes.display()))
}

/// Waits for the end of the load, and says what it was: kbit/s up and down. Up it was as much as the line has, or nothing was proven.
fn rates(mut flows: Child, bytes: &Path) -> Vec<u64> {
    wait::until("the end of the load", Duration::from_secs(LOAD_S * 4), || {
        Ok(flows.try_wait().unwrap().map(|status| assert!(status.success())))
    })
    .unwrap();
    let rates = fs::read_to_string(bytes).unwrap();
    let rates: Vec<u64> =
        rates.split(' ').map(|bytes| bytes.parse::<u64>().unwrap() * 8 / 1_000 / LOAD_S).collect();
    assert!(rates[0] * 2 >= UP_KBIT_S, "the line was full: {rates:?}");
    rates
}

#[test]
fn voice_and_tv_hold_in_their_vlans_beside_a_full_line() {
    let name = "voice_and_tv_hold_in_their_vlans_beside_a_full_line";
    let Some(()) = namespace::enter(name).unwrap() else { return };
    let Some(mut guest) = boot(name, Nic::E1000) else { return };

    let topology = guest.topology().unwrap();
    let mut viewer = watch(topology);
    // The port hears again when two seconds of the channel have come.
    count(&mut viewer);
    assert!(is_steady(&mut viewer));
    let [home, away, bytes] = ["home", "away", "bytes"].map(|name| topology.file(name));
    start_at_provider(topology, &format!("answer {PLATFORM} {LOAD_S} {}", away.display()));
    let mut call = at_home(topology, &format!("call {PLATFORM} {LOAD_S} {}", home.display()));
    let flows = fill(topology, &bytes);
    let rates = rates(flows, &bytes);
    let (seen, lost) = count(&mut viewer);
    assert!(call.wait().unwrap().success());
    wait::until("the other end", UP_LIMIT, || Ok(away.exists().then_some(()))).unwrap();

    let ways = [read(&home, &away), read(&away, &home)];
    println!(
        "numbers: flows of {rates:?} kbit/s up and down; a call of {:?} packets, {:?} came; a channel of {seen} packets, {lost} lost",
        ways.each_ref().map(|way| way.0),
        ways.each_ref().map(|way| way.1.len()),
    );
    for (sent, came) in &ways {
        assert_eq!(came.len(), *sent, "no packet of the call is lost");
    }
    assert!(seen > LOAD_S * 50 && lost == 0, "{seen} packets of the channel, {lost} lost");
    held_in_their_vlans(&mut guest, ways.map(|way| way.0));
}

#[test]
fn channels_change_at_once_in_silence_and_beside_a_full_line() {
    let name = "channels_change_at_once_in_silence_and_beside_a_full_line";
    let Some(()) = namespace::enter(name).unwrap() else { return };
    let Some(mut guest) = boot(name, Nic::E1000E) else { return };

    let topology = guest.topology().unwrap();
    let mut viewer = watch(topology);
    let calm = zap(&mut viewer);
    let bytes = topology.file("bytes");
    let mut flows = fill(topology, &bytes);
    let full = zap(&mut viewer);
    assert!(flows.try_wait().unwrap().is_none(), "the line was full all the time");
    let rates = rates(flows, &bytes);
    println!(
        "numbers: from channel to channel, ms: in silence {calm:?}, beside flows of {rates:?} kbit/s {full:?}"
    );
    for times in [calm, full] {
        assert!(times[ZAPS / 2] <= ZAP_MS, "{times:?}");
    }
}

#[test]
fn a_channel_goes_on_when_queues_go_and_come() {
    let name = "a_channel_goes_on_when_queues_go_and_come";
    let Some(()) = namespace::enter(name).unwrap() else { return };
    let Some(mut guest) = boot(name, Nic::E1000E) else { return };

    let mut viewer = watch(guest.topology().unwrap());
    for order in ["network", &format!("network apply /{PLAIN} --confirm 200"), "network revert"] {
        assert_eq!(guest.ask(order).unwrap().exit, 0, "{order}");
        count(&mut viewer);
        assert!(is_steady(&mut viewer), "{order}\n{:#?}", facts::log(&mut guest, "network"));
    }
}

/// Classes have counted it, each VLAN has its priority, and by voice's went nothing but the call.
fn held_in_their_vlans(guest: &mut Guest, sent: [usize; 2]) {
    let [up, down] = sent.map(|sent| u64::try_from(sent).unwrap());
    assert!(packets(guest, "eth0", "voice") >= up && packets(guest, "ifb-wan", "voice") >= down);
    assert!(packets(guest, "ifb-wan", "tv") > 0);
    assert_eq!(guest.json("network --json").unwrap()["differs"].as_array().unwrap().len(), 0);
    let tags = guest.topology().unwrap().tags();
    println!("numbers: frames by VLAN and priority: {tags:?}");
    for (vlan, priority) in VLANS.iter().zip(PRIORITIES) {
        assert!(tags.contains_key(&(*vlan, priority)), "{tags:?}");
        assert!(tags.keys().all(|key| key.0 != *vlan || key.1 == priority), "{tags:?}");
    }
    // Beside the call: DHCP and ARP.
    assert!((up..up + 100).contains(&tags[&(VLANS[1], PRIORITIES[1])]), "{up} packets of the call: {tags:?}");
}
