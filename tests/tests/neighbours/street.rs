//! Where the matrix plays: the gateway on its line, a provider with TV in a VLAN of its own, a home that watches a channel.
//!
//! In:  the rehearsal root on the board kernel. Out: a guest whose victims can be asked, or `skipped: ` and why.
//!
//! The modem's line is the Internet's VLAN. TV has another: operators carry it beside the line, so nothing that the Internet sends stands before
//! it (docs/qos.md). The board has ports of the next generation: its own kind is deaf for a second and more, as emulated, after its list of groups was
//! changed (`guest_triple.rs`), and each column changes the network.

use lab::board::Nic;
use lab::guest::{Around, Guest, Options, UP_LIMIT, VLANS};
use lab::kernel::Kernel;
use lab::root::Variant;
use lab::topology::{ISP_ADDRESS, Side, Topology};
use lab::{facts, tool};

use crate::matrix::Aim;

pub(crate) const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/orders/victim.py");
const SHIPPED: &str = include_str!("../../../rootfs/etc/shg/network.toml");
/// TV beside the Internet. Source of addresses: RFC 6598.
const TV: &str = r#"
[tv]
access = { vlan = 30, ipv4 = "static", static = { address = "100.64.30.50", prefix_length = 24, router = "100.64.30.1" } }
reaches = ["100.64.31.0/24"]
groups = ["239.0.0.0/8"]
"#;
/// The line both ways, as a modem has it: in kbit/s, and how many bytes wait in it. A fifth of a second.
const LINE_KBIT_S: u32 = 10_000;
const MODEM_BYTES: u32 = 250_000;
/// The provider's servers, and their codepoints: none, EF. Source: RFC 4594.
const SERVERS: [[&str; 3]; 2] = [["echo", "9000", "0"], ["echo", "9001", "184"]];
/// Who takes every connection and holds it; and who opens them, the word for it and where to.
const HOLD_PORT: &str = "7";
pub(crate) const CONNECT: &str = "connect 203.0.113.1:7";
/// A channel, and its port.
const CHANNEL: [&str; 2] = ["239.1.1.1", "5004"];
/// Who works for the home, and who writes; their ports.
pub(crate) const AT_WORK: [&str; 2] = ["worker", "writer"];
const WORKER_PORT: &str = "7020";
const WRITER_PORT: &str = "7021";
/// A record of the diary, in bytes.
const RECORD_BYTES: &str = "512";
/// What the data disk carries, in bytes a second: a cheap USB stick's. The emulated one is as fast as the memory of this machine.
const STICK_BYTES_S: u32 = 4_000_000;
/// A slice for those who work: floors and ceilings of processor and memory, none of the line, a floor of the disk. And that of the mob, which writes no
/// more than an eighth of what the stick carries, however many they are.
const RENTED: [&str; 2] =
    ["demo cpu=350..2000 memory=24..64 disk=100", "rehearsal cpu=300..2000 memory=64..256 writes=512"];

/// Victims: name, how late they may be, and the words that ask for it.
pub(crate) type Victims = [(&'static str, Aim, Vec<String>); 6];

/// Each victim for so many seconds; the service works so many turns.
pub(crate) fn victims(seconds: u64, turns: u64) -> Victims {
    let (seconds, turns) = (seconds.to_string(), turns.to_string());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let [group, port] = CHANNEL;
    [
        ("ping", Aim::Home, words(&["flow", ISP_ADDRESS, "9000", &seconds, "0"])),
        ("call", Aim::Home, words(&["flow", ISP_ADDRESS, "9001", &seconds, "184"])),
        ("tv", Aim::Home, words(&["tv", "eth0", group, port, &seconds])),
        ("dns", Aim::Home, words(&["dns", "192.168.1.1", &seconds])),
        ("web", Aim::Home, words(&["web", "192.168.1.1", WORKER_PORT, &seconds, &turns])),
        ("write", Aim::Disk, words(&["write", "192.168.1.1", WRITER_PORT, &seconds, RECORD_BYTES])),
    ]
}

/// What we ship, with the Internet in its VLAN and TV beside it; with queues, and without.
fn networks() -> [String; 2] {
    let access = format!("vlan = {}\nipv4 = \"dhcp\"", VLANS[0]);
    let plain = SHIPPED.replace("ipv4 = \"dhcp\"", &access) + TV;
    let qos = format!(
        "\n[qos]\nup_kbit_s = {LINE_KBIT_S}\ndown_kbit_s = {LINE_KBIT_S}\ntv_kbit_s = 3000\nservices_kbit_s = 2000\n"
    );
    [plain.clone() + &qos, plain]
}

/// The provider's side: a line that is no faster than was said, servers, a channel; and somebody at home who watches it.
fn provide(topology: &mut Topology) {
    let [internet, _, tv] = VLANS.map(|vlan| format!("eth{vlan}"));
    topology.run(Side::Isp, &["ip", "address", "add", "100.64.30.1/24", "dev", &tv]).unwrap();
    let (rate, room) = (format!("{LINE_KBIT_S}kbit"), MODEM_BYTES.to_string());
    let line = |link: &str| {
        let words = [
            "tc", "qdisc", "add", "dev", link, "root", "tbf", "rate", &rate, "burst", "5000", "limit", &room,
        ];
        words.map(str::to_owned)
    };
    let up = line(&format!("isp{}", VLANS[0]));
    tool::run("tc", &up.each_ref().map(String::as_str)[1..]).unwrap();
    topology.run(Side::Isp, &line(&internet).each_ref().map(String::as_str)).unwrap();
    let [group, port] = CHANNEL;
    let mut start = |side, words: &[&str]| {
        topology.start(side, &[["python3", SCRIPT].as_slice(), words].concat()).unwrap();
    };
    SERVERS.iter().for_each(|server| start(Side::Isp, server));
    start(Side::Isp, &["hold", HOLD_PORT]);
    start(Side::Isp, &["station", &tv, group, port]);
    start(Side::Lan, &["watch", "eth0", group, port]);
}

/// The guest with its neighbours, and who works in it; `None`: it cannot run here.
pub(crate) fn boot() -> Option<Guest> {
    let [queues, plain] = networks();
    let file = |name: &str, text: &str| (format!("etc/shg/{name}"), text.as_bytes().to_vec());
    let mut files = crate::disk::Desk::new().files();
    files.extend([
        file("rehearsal", "neighbours\n"),
        file("queues.toml", &queues),
        file("plain.toml", &plain),
    ]);
    let options = Options {
        variant: Variant::Rehearsal,
        around: Around::Tagged,
        nic: Nic::E1000E,
        network: Some(queues),
        stick_bytes_s: Some(STICK_BYTES_S),
        files,
        ..Options::usual().unwrap()
    };
    if options.kernel != Kernel::Board {
        println!("skipped: promises count on the board kernel: make test T=neighbours KERNEL=board");
        return None;
    }
    let mut guest = Guest::boot(&options).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    guest.until("an address on the WAN", UP_LIMIT, facts::wan).unwrap();
    let topology = guest.topology().unwrap();
    topology.lan_lease(UP_LIMIT).unwrap();
    provide(topology);
    RENTED.iter().for_each(|slice| facts::rent(&mut guest, slice).unwrap());
    Some(guest)
}

/// Packets that have come by the WAN link until now.
pub(crate) fn came(guest: &mut Guest) -> u64 {
    // Where nobody has floors the door, too, may have died and be opened anew.
    let looked = guest.until("what has come", UP_LIMIT, |guest| Ok(guest.door("look network net/dev").ok()));
    let text = looked.unwrap();
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("eth0:"));
    // Bytes, packets. Source: proc_pid_net(5), `/proc/net/dev`.
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap()
}
