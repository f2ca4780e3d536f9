//! The noisy-neighbour matrix: what the home notices while hosted services do their worst.
//!
//! In:  the rehearsal root on the board kernel with a mob, a worker and a writer (`supervisor::catalogue::rehearsal`), a provider and a host at
//! home (`neighbours/street.rs`). Out: a table, a row for each antagonist and victim; passed, failed, or `skipped: ` and why. `LONG=1`: every
//! antagonist, longer; `ANTAGONIST=a,b`: these alone, and they take their places in the table that is kept. `make report` shows and draws it.
//!
//! Columns: the gateway at *rest*; *none*, the same programs on an undivided machine (`src/porter/src/{divide,wild}.rs`), without queues;
//! *ceilings*, sandboxes with ceilings that together are more than there is, everybody alike, without queues and slices; *floors*, the product. What the
//! home notices is asked by `orders/victim.py` from its own side of the wire.
//!
//! The emulated board has no time of its own, so nothing here is absolute: each cell is compared with the gateway at rest a moment earlier.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "guest_bundles/disk.rs"]
#[allow(dead_code, reason = "each suite takes what it needs")]
mod disk;

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lab::guest::{Guest, UP_LIMIT};
use lab::kernel::Kernel;
use lab::others::Ticks;
use lab::report;
use lab::topology::{Side, WAN_ADDRESS};
use lab::{facts, namespace, tool, wait};

mod orders;

#[path = "neighbours/matrix.rs"]
mod matrix;
#[path = "neighbours/street.rs"]
mod street;

use matrix::{Aim, Cell, Look, Row};
use orders::Orders;
use street::{AT_WORK, SCRIPT};

/// The mob, and the port before that of the first.
const MOB: [&str; 4] = ["mob-1", "mob-2", "mob-3", "mob-4"];
const MOB_PORT: u16 = 7010;
/// How long a page takes when nobody is in its way: an eighth of a thread, half of the worker's floor.
const WEB_US: u64 = 12_500;
const WEB: usize = 4;
/// What a victim says before it waits for the others.
const READY: &[u8] = b"ready\n";
/// Programs without a sandbox.
const WILD: usize = 8;
/// Antagonists, those of the short run first.
const ANTAGONISTS: [&str; 14] = [
    "spin",
    "flood 203.0.113.1:9",
    "fsync",
    "packets 10.64.0.1:9",
    "fork",
    "memory",
    "files",
    "cache",
    "fill",
    "ports 198.51.100.80:9",
    street::CONNECT,
    matrix::OUTSIDE[0],
    matrix::OUTSIDE[1],
    matrix::OUTSIDE[2],
];
const SHORT: usize = 3;
/// Those that are no services: small packets from the Internet at this port of the gateway's address, nobody's or that of the first of the mob, so
/// many a second; 0: all that the line carries.
const OUTSIDE: [[&str; 2]; 3] = [["9", "1000"], ["7011", "1000"], ["9", "0"]];
/// How often a column by floors is looked at again, where the machine below may have been busy.
const LOOKS_MAX: usize = 3;

fn long() -> bool {
    std::env::var_os("LONG").is_some_and(|value| value == "1")
}

/// Those that are asked for; all must be known.
fn chosen() -> Vec<&'static str> {
    let Ok(names) = std::env::var("ANTAGONIST") else {
        return ANTAGONISTS[..if long() { ANTAGONISTS.len() } else { SHORT }].to_vec();
    };
    let known = |name: &str| ANTAGONISTS.into_iter().find(|antagonist| orders::told(antagonist) == name);
    let chosen: Vec<_> = names.split(',').map(|name| known(name).ok_or(name)).collect();
    chosen.into_iter().collect::<Result<_, _>>().unwrap()
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
    /// The victims' programs, each of which has said that it is ready.
    fn victims(&mut self) -> Vec<Child> {
        let topology = self.guest.topology().unwrap();
        let start = |words: &[String]| {
            let words: Vec<&str> =
                ["python3", SCRIPT].into_iter().chain(words.iter().map(String::as_str)).collect();
            topology.command(Side::Lan, &words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
        };
        let victims = street::victims(self.seconds, self.turns);
        let mut programs: Vec<Child> = victims.iter().map(|(_, _, words)| start(words)).collect();
        for program in &mut programs {
            let mut word = [0; READY.len()];
            program.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
            assert_eq!(word, READY);
        }
        programs
    }

    /// What they notice in the next seconds, all at once.
    fn notice(&mut self, victims: Vec<Child>) -> Look {
        let (came, before, begun) = (street::came(&mut self.guest), Ticks::now().unwrap(), Instant::now());
        let mut victims = victims;
        victims.iter_mut().for_each(|victim| drop(victim.stdin.take()));
        let read = |(victim, (_, aim, _)): (Child, (_, Aim, _))| {
            let output = victim.wait_with_output().unwrap();
            Cell::parse(&String::from_utf8_lossy(&output.stdout), aim).unwrap()
        };
        let cells = victims.into_iter().zip(street::victims(0, 0)).map(read).collect();
        let others_permille = Ticks::now().unwrap().others_permille(&before);
        let came = street::came(&mut self.guest) - came;
        Look { cells, others_permille, came_s: came / begun.elapsed().as_secs().max(1) }
    }

    /// The same while nobody rages.
    fn rest(&mut self) -> Look {
        let victims = self.victims();
        self.notice(victims)
    }

    /// As the product divides it, with queues; or worse, without. Who has floors again has them before `network` is asked, and a machine that
    /// is still busy is asked again.
    fn divide(&mut self, how: &str) {
        let (network, divide) = if how == "floors" { ("queues", true) } else { ("plain", false) };
        let [network, how] = [format!("network apply /etc/shg/{network}.toml"), format!("divide {how}")];
        for order in if divide { [&how, &network] } else { [&network, &how] } {
            let done = |guest: &mut Guest| Ok(guest.door(order).ok().map(drop));
            self.guest.until(order, UP_LIMIT, done).unwrap();
        }
    }

    /// Lets it rage for so many seconds; orders go on until they are dropped.
    fn rage(&mut self, how: &str, antagonist: &str, rage_s: u64) -> Vec<Orders> {
        let topology = self.guest.topology().unwrap();
        if let Some(place) = matrix::OUTSIDE.iter().position(|outside| *outside == antagonist) {
            let [port, packets_s] = OUTSIDE[place];
            let words = ["python3", SCRIPT, "flood", WAN_ADDRESS, port, &rage_s.to_string(), packets_s];
            topology.start(Side::Isp, &words).unwrap();
            return Vec::new();
        }
        if how == "none" {
            self.guest.door(&format!("wild {WILD} {rage_s} {antagonist}")).unwrap();
            return Vec::new();
        }
        let mut mob: Vec<_> = (1..=4).map(|number| Orders::open(topology, MOB_PORT + number)).collect();
        mob.iter_mut().for_each(|orders| orders.rage(rage_s, antagonist));
        mob
    }

    /// What the home notices while `antagonist` rages in a machine that is divided `how`.
    fn column(&mut self, how: &str, antagonist: &str) -> Look {
        let rage_s = self.seconds + 4;
        self.divide(how);
        let victims = self.victims();
        let mob = self.rage(how, antagonist, rage_s);
        let begun = Instant::now();
        pass("the beginning of a rage", Duration::from_secs(1));
        let look = self.notice(victims);
        let rest = Duration::from_secs(rage_s + 1).saturating_sub(begun.elapsed());
        pass("the end of a rage", rest);
        self.divide("floors");
        drop(mob);
        self.all_up();
        println!("{antagonist}, {how}: others had {} permille", look.others_permille);
        look
    }

    /// Everybody is there again, those too that have died of what they did.
    fn all_up(&mut self) {
        for name in MOB.iter().chain(&AT_WORK) {
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

    /// All columns of one antagonist; the one by floors again, if the machine below was busy.
    fn row(&mut self, antagonist: &str) -> Row {
        let first = self.rest();
        let [none, ceilings] = ["none", "ceilings"].map(|how| self.column(how, antagonist));
        // Other work of the machine below comes and goes: what is at rest is the worse of two looks.
        let rest = first.worse(self.rest());
        let before = self.restarts();
        let mut floors = self.column("floors", antagonist);
        for _ in 1..LOOKS_MAX {
            if floors.holds(&rest) {
                break;
            }
            floors = floors.better(self.column("floors", antagonist), &rest);
        }
        assert_eq!(self.restarts(), before, "{antagonist}: nobody was restarted");
        Row { antagonist: orders::told(antagonist).to_owned(), columns: [rest, none, ceilings, floors] }
    }
}

/// The guest with its neighbours on their line; `None`: it cannot run here.
fn stage() -> Option<Stage> {
    let mut guest = street::boot()?;
    for name in MOB.iter().chain(&AT_WORK) {
        guest.door(&format!("start {name}")).unwrap();
    }
    let mut stage = Stage { guest, seconds: if long() { 10 } else { 4 }, turns: 20 };
    stage.all_up();
    // The first look finds everything cold; the second shows how fast this machine is.
    let _ = stage.rest();
    let worked = stage.rest().cells[WEB];
    stage.turns = (stage.turns * WEB_US / worked.median_us.max(1)).max(1);
    println!("a page: {} turns", stage.turns);
    Some(stage)
}

#[test]
fn neighbours_do_not_hurt_the_home() {
    let Some(()) = namespace::enter("neighbours_do_not_hurt_the_home").unwrap() else { return };
    if let Err(why) = tool::need("tc", "iproute2").and_then(|()| tool::need("python3", "python3")) {
        return println!("skipped: {why}");
    }
    let chosen = chosen();
    let Some(mut stage) = stage() else { return };
    let names = street::victims(0, 0).map(|(name, _, _)| name);
    // What was asked for alone takes its place among what there is.
    let mut table = match std::env::var_os("ANTAGONIST") {
        Some(_) => report::kept("neighbours", Kernel::Board).unwrap_or_default(),
        None => String::new(),
    };
    let mut faults = Vec::new();
    for antagonist in chosen {
        let row = stage.row(antagonist);
        print!("{}", row.text(&names));
        table = matrix::merged(&table, &row, &names, &ANTAGONISTS.map(orders::told));
        report::keep("neighbours", Kernel::Board, &table).unwrap();
        faults.extend(row.faults(&names));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
