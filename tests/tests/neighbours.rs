//! The noisy-neighbour matrix: what the home notices while hosted services do their worst.
//!
//! In:  the rehearsal root on the board kernel with a mob and a worker (`supervisor::catalogue::rehearsal`), a provider and a host at home on a
//! line of 10 Mbit/s. Out: a table, a row for each antagonist and victim; passed, failed, or `skipped: ` and why. `LONG=1`: every antagonist,
//! longer. `make report` shows the last table.
//!
//! Columns: the gateway at *rest*; *none*, the same programs on an undivided machine (`src/porter/src/{divide,wild}.rs`), without queues;
//! *ceilings*, sandboxes with ceilings that together are more than there is, everybody alike, without queues; *floors*, the product. What the
//! home notices is asked by `orders/victim.py` from its own side of the wire.
//!
//! The emulated board has no time of its own, so nothing here is absolute: each cell is compared with the gateway at rest a moment earlier.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::kernel::Kernel;
use lab::root::Variant;
use lab::topology::{ISP_ADDRESS, Side, WAN_ADDRESS};
use lab::{facts, namespace, tool, wait};

mod orders;

#[path = "neighbours/matrix.rs"]
mod matrix;

use matrix::{Cell, Row, Verdict};
use orders::Orders;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/orders/victim.py");
const SHIPPED: &str = include_str!("../../rootfs/etc/shg/network.toml");
/// The line both ways, as a modem has it: in kbit/s, and how many bytes wait in it. A fifth of a second.
const LINE_KBIT_S: u32 = 10_000;
const MODEM_BYTES: u32 = 250_000;
/// The provider's servers, and their codepoints: none, EF, CS4. Source: RFC 4594.
const SERVERS: [[&str; 3]; 3] = [["echo", "9000", "0"], ["echo", "9001", "184"], ["films", "9002", "128"]];
/// The mob, and the port before that of the first.
const MOB: [&str; 4] = ["mob-1", "mob-2", "mob-3", "mob-4"];
const MOB_PORT: u16 = 7010;
/// Who works for the home, his port, and how long a piece of work takes him when nobody is in his way: an eighth of a thread, half his floor.
const WORKER: &str = "worker";
const WORKER_PORT: &str = "7020";
const WORK_US: u64 = 12_500;
/// Programs without a sandbox.
const WILD: usize = 8;
/// Antagonists, those of the short run first.
const ANTAGONISTS: [&str; 8] = [
    "spin",
    "flood 203.0.113.1:9",
    "packets 10.64.0.1:9",
    "fork",
    "memory",
    "files",
    "ports 198.51.100.80:9",
    FROM_OUTSIDE,
];
const SHORT: usize = 2;
/// The one that is no service: small packets from the Internet at the gateway's own address.
const FROM_OUTSIDE: &str = "from-outside";
/// How often a cell by floors is looked at again, where the machine below may have been busy.
const LOOKS_MAX: usize = 3;

fn long() -> bool {
    std::env::var_os("LONG").is_some_and(|value| value == "1")
}

/// Waits until so much time is over.
fn pass(what: &str, time: Duration) {
    let begun = Instant::now();
    wait::until(what, time * 2, || Ok((begun.elapsed() >= time).then_some(()))).unwrap();
}

/// The matrix's guest, and what is asked of it.
struct Stage {
    guest: Guest,
    seconds: u64,
    turns: u64,
}

impl Stage {
    /// Victims: name, and what asks for it.
    fn victims(&self) -> [(&'static str, Vec<String>); 5] {
        let seconds = self.seconds.to_string();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        [
            ("ping", words(&["flow", ISP_ADDRESS, "9000", &seconds, "0"])),
            ("call", words(&["flow", ISP_ADDRESS, "9001", &seconds, "184"])),
            ("film", words(&["film", ISP_ADDRESS, "9002", &seconds])),
            ("dns", words(&["dns", "192.168.1.1", &seconds])),
            ("work", words(&["work", "192.168.1.1", WORKER_PORT, &seconds, &self.turns.to_string()])),
        ]
    }

    /// What every victim notices in the next seconds, all at once.
    fn notice(&mut self) -> Vec<Cell> {
        let victims = self.victims();
        let topology = self.guest.topology().unwrap();
        let start = |words: &Vec<String>| {
            let words: Vec<&str> =
                ["python3", SCRIPT].into_iter().chain(words.iter().map(String::as_str)).collect();
            topology.command(Side::Lan, &words).stdout(Stdio::piped()).spawn().unwrap()
        };
        let programs: Vec<_> = victims.iter().map(|(_, words)| start(words)).collect();
        let read = |program: std::process::Child| {
            let output = program.wait_with_output().unwrap();
            Cell::parse(&String::from_utf8_lossy(&output.stdout)).unwrap()
        };
        programs.into_iter().map(read).collect()
    }

    /// As the product divides it, with queues; or worse, without.
    fn divide(&mut self, how: &str) {
        let network = if how == "floors" { "queues" } else { "plain" };
        self.guest.door(&format!("network apply /etc/shg/{network}.toml")).unwrap();
        self.guest.door(&format!("divide {how}")).unwrap();
    }

    /// What the home notices while `antagonist` rages in a machine that is divided `how`.
    fn column(&mut self, how: &str, antagonist: &str) -> Vec<Cell> {
        let rage_s = self.seconds + 4;
        self.divide(how);
        let mut mob = Vec::new();
        let topology = self.guest.topology().unwrap();
        if antagonist == FROM_OUTSIDE {
            let words = ["python3", SCRIPT, "flood", WAN_ADDRESS, "9", &rage_s.to_string()];
            topology.start(Side::Isp, &words).unwrap();
        } else if how == "none" {
            self.guest.door(&format!("wild {WILD} {rage_s} {antagonist}")).unwrap();
        } else {
            mob.extend((1..=4).map(|number| Orders::open(topology, MOB_PORT + number)));
            mob.iter_mut().for_each(|orders| orders.rage(rage_s, antagonist));
        }
        let begun = Instant::now();
        pass("the beginning of a rage", Duration::from_secs(1));
        let cells = self.notice();
        let rest = Duration::from_secs(rage_s + 1).saturating_sub(begun.elapsed());
        pass("the end of a rage", rest);
        self.divide("floors");
        drop(mob);
        self.all_up();
        cells
    }

    /// Everybody is there again, those too that have died of what they did.
    fn all_up(&mut self) {
        for name in MOB.iter().chain(&[WORKER]) {
            let up = |guest: &mut Guest| Ok((facts::process(guest, name)?.state == "up").then_some(()));
            let told = self.guest.until(name, UP_LIMIT, up);
            let guest = &mut self.guest;
            assert!(told.is_ok(), "{name}: {:?}\n{}", facts::process(guest, name), guest.last_lines());
        }
    }

    /// How often those were started again whom nobody may hurt.
    fn restarts(&mut self) -> u64 {
        let all = facts::processes(&mut self.guest).unwrap();
        all.iter().filter(|one| !MOB.contains(&one.name.as_str())).map(|one| one.restarts).sum()
    }

    /// All columns of one antagonist; those by floors again, if the machine below was busy.
    fn row(&mut self, antagonist: &str) -> Row {
        let first = self.notice();
        let [none, ceilings] = ["none", "ceilings"].map(|how| self.column(how, antagonist));
        // Other work of the machine below comes and goes: what is at rest is the worse of two looks.
        let rest: Vec<Cell> = first.iter().zip(self.notice()).map(|(one, other)| one.worse(other)).collect();
        let before = self.restarts();
        let mut floors = self.column("floors", antagonist);
        for _ in 1..LOOKS_MAX {
            if rest
                .iter()
                .zip(&floors)
                .all(|(rest, cell)| [Verdict::Spared, Verdict::Void].contains(&cell.verdict(rest)))
            {
                break;
            }
            let again = self.column("floors", antagonist);
            floors = floors
                .iter()
                .zip(again)
                .zip(&rest)
                .map(|((one, other), rest)| one.better(other, rest))
                .collect();
        }
        assert_eq!(self.restarts(), before, "{antagonist}: nobody was restarted");
        Row { antagonist: orders::told(antagonist).to_owned(), columns: [rest, none, ceilings, floors] }
    }
}

/// The guest with its neighbours on their line; `None`: it cannot run here.
fn stage() -> Option<Stage> {
    let qos = format!(
        "\n[qos]\nup_kbit_s = {LINE_KBIT_S}\ndown_kbit_s = {LINE_KBIT_S}\ntv_kbit_s = 3000\nservices_kbit_s = 2000\n"
    );
    let queues = format!("{SHIPPED}{qos}");
    let file = |name: &str, text: &str| (format!("etc/shg/{name}"), text.as_bytes().to_vec());
    let files =
        vec![file("rehearsal", "neighbours\n"), file("queues.toml", &queues), file("plain.toml", SHIPPED)];
    let options = Options {
        variant: Variant::Rehearsal,
        around: Around::Topology,
        network: Some(queues),
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
    let (rate, room) = (format!("{LINE_KBIT_S}kbit"), MODEM_BYTES.to_string());
    let line = |link| {
        ["tc", "qdisc", "add", "dev", link, "root", "tbf", "rate", &rate, "burst", "5000", "limit", &room]
    };
    tool::run("tc", &line("isp0")[1..]).unwrap();
    topology.run(Side::Isp, &line("eth0")).unwrap();
    for server in SERVERS {
        topology.start(Side::Isp, &[["python3", SCRIPT].as_slice(), &server].concat()).unwrap();
    }
    guest.door("rent demo 300 2000 16 64").unwrap();
    for name in MOB.iter().chain(&[WORKER]) {
        guest.door(&format!("start {name}")).unwrap();
    }
    let mut stage = Stage { guest, seconds: if long() { 10 } else { 4 }, turns: 20 };
    stage.all_up();
    // The first look finds everything cold; the second shows how fast this machine is.
    let _ = stage.notice();
    let worked = stage.notice()[4];
    stage.turns = (stage.turns * WORK_US / worked.median_us.max(1)).max(1);
    println!("a piece of work: {} turns", stage.turns);
    Some(stage)
}

#[test]
fn neighbours_do_not_hurt_the_home() {
    let Some(()) = namespace::enter("neighbours_do_not_hurt_the_home").unwrap() else { return };
    if let Err(why) = tool::need("tc", "iproute2") {
        return println!("skipped: {why}");
    }
    let Some(mut stage) = stage() else { return };
    let names: Vec<&str> = stage.victims().iter().map(|(name, _)| *name).collect();
    let chosen = if long() { &ANTAGONISTS[..] } else { &ANTAGONISTS[..SHORT] };
    let mut rows = Vec::new();
    for antagonist in chosen {
        let row = stage.row(antagonist);
        print!("{}", row.text(&names));
        rows.push(row);
    }
    let text: String = rows.iter().map(|row| row.text(&names)).collect();
    lab::report::keep("neighbours", Kernel::Board, &format!("{}{text}", matrix::HEAD)).unwrap();
    let faults: Vec<String> = rows.iter().flat_map(|row| row.faults(&names)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
