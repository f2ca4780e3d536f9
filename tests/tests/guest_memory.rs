//! Want of memory ends whoever it should, whole, and nobody else: a daemon that leaks, a service of two programs of which one eats.
//! And a service that is to be slowed down is held there, and ended by nobody.
//!
//! In:  the rehearsal root, whose door writes files of cgroups. Out: passed, failed, or `skipped: ` and why.
//!
//! A leak is played: `memory.max` of the daemon's group goes below what it has, and the kernel does the rest.
//!
//! Not here: that floors of memory hold (`guest_floors.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::facts::{self, Process};
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::root::Variant;

/// Who leaks, and its group.
const LEAKS: [&str; 2] = ["time", "network"];
/// The service of two programs, and its group.
const PAIR: &str = "pair";
const GROUP: &str = "slices/rehearsal/pair";
/// The service that is slowed down, and its group; from where on, and what it wants, in bytes.
const GREEDY: &str = "greedy";
const HELD: &str = "slices/rehearsal/greedy";
const WANTED_BYTES: u64 = 24 << 20;
/// A service without that word.
const FREE: &str = "slices/rehearsal/chatter";

fn boot() -> Option<Guest> {
    let options =
        Options { variant: Variant::Rehearsal, around: Around::Nothing, ..Options::usual().unwrap() };
    let mut guest = Guest::boot(&options).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    Some(guest)
}

/// A file of a cgroup.
fn group(guest: &mut Guest, file: &str) -> String {
    let said = guest.door(&format!("cgroup {file}")).unwrap();
    said.split_once('\n').unwrap().1.trim().to_owned()
}

fn score(guest: &mut Guest, name: &str) -> i32 {
    guest.door(&format!("look {name} oom_score_adj")).unwrap().trim().parse().unwrap()
}

/// What it says of itself, up again after `before`.
fn again(guest: &mut Guest, before: &Process) -> Process {
    let up = |guest: &mut Guest| {
        let now = facts::process(guest, &before.name)?;
        Ok((now.state == "up" && now.restarts > before.restarts && now.pid != before.pid).then_some(now))
    };
    let told = guest.until(&before.name, UP_LIMIT, up);
    assert!(told.is_ok(), "{before:?}: {:?}\n{}", facts::log(guest, "supervisor"), guest.last_lines());
    told.unwrap()
}

/// The states that it was told to have come into.
fn told(guest: &mut Guest, name: &str) -> Vec<String> {
    let events = guest.json("events --json").unwrap();
    let its = events.as_array().unwrap().iter().filter(|event| event["who"] == name);
    its.filter_map(|event| event["state"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_daemon_that_leaks_is_started_again_and_nobody_else() {
    let Some(mut guest) = boot() else { return };
    // What protects whom (design: −1000 for init and supervisor only, −900 with a ceiling for daemons, tenants by their floors).
    let protected: u64 = group(&mut guest, "gateway/memory.min").parse().unwrap();
    assert!(protected > 0, "nothing is protected");
    let scores = ["init", "supervisor"].map(|name| score(&mut guest, name));
    assert_eq!(scores, [-1_000, -1_000]);
    let before = facts::processes(&mut guest).unwrap();
    for process in before.iter().filter(|process| process.pid.is_some()) {
        let has = score(&mut guest, &process.name);
        if process.is_tenant {
            assert!((-100..=0).contains(&has), "{}: {has}", process.name);
        } else {
            let ceiling = group(&mut guest, &format!("gateway/{}/memory.max", process.name));
            assert!(has == -900 && ceiling.parse::<u64>().is_ok(), "{}: {has}, {ceiling}", process.name);
        }
    }

    let lives = facts::lives(&mut guest).unwrap();
    for name in LEAKS {
        let before = facts::processes(&mut guest).unwrap();
        let its = before.iter().find(|process| process.name == name).unwrap();
        let said = guest.door(&format!("starves {name} 4096")).unwrap();
        println!("{name}: {}", said.trim_end());
        assert!(said.starts_with("waiting: out of memory"), "{said}");
        let after = again(&mut guest, its);
        assert_eq!(after.exit.as_deref(), Some("signal 9"), "{after:?}");
        let told = told(&mut guest, name);
        assert!(told.iter().any(|state| state == "waiting"), "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("up"), "{told:?}");
        // Nobody else: neither another daemon nor a service was restarted, and the supervisor lives its life.
        let others = |all: Vec<Process>| -> Vec<_> {
            let all = all.into_iter().filter(|process| process.name != name);
            all.map(|process| (process.name, process.pid, process.restarts)).collect()
        };
        assert_eq!(others(facts::processes(&mut guest).unwrap()), others(before));
    }
    assert_eq!(facts::lives(&mut guest).unwrap(), lives, "the supervisor has died");
}

/// Processes of a group.
fn members(guest: &mut Guest) -> Vec<String> {
    group(guest, &format!("{GROUP}/life/cgroup.procs")).lines().map(str::to_owned).collect()
}

fn start(guest: &mut Guest, name: &str) -> Process {
    guest.door(&format!("start {name}")).unwrap();
    let up = |guest: &mut Guest| {
        let now = facts::process(guest, name)?;
        Ok((now.state == "up").then_some(now))
    };
    guest.until(name, UP_LIMIT, up).unwrap()
}

/// Starts the pair: who is in its group.
fn start_pair(guest: &mut Guest) -> (Process, Vec<String>) {
    let told = start(guest, PAIR);
    let all = members(guest);
    // The reaper, and the two.
    assert_eq!(all.len(), 3, "{all:?}");
    (told, all)
}

#[test]
fn a_service_dies_whole_when_one_of_its_programs_eats() {
    let Some(mut guest) = boot() else { return };
    // Without the word in its group the other one would live on: the eater is killed alone.
    let (before, _) = start_pair(&mut guest);
    guest.door(&format!("cgroup {GROUP}/memory.oom.group 0")).unwrap();
    let eaten = |guest: &mut Guest| Ok((members(guest).len() == 2).then_some(()));
    guest.until("half of it is left", UP_LIMIT, eaten).unwrap();
    let half = facts::process(&mut guest, PAIR).unwrap();
    assert_eq!((half.state.as_str(), half.pid), ("up", before.pid), "{half:?}");
    let floor = group(&mut guest, &format!("{GROUP}/memory.min"));
    guest.door(&format!("stop {PAIR}")).unwrap();
    let down = |guest: &mut Guest| Ok((facts::process(guest, PAIR)?.state == "down").then_some(()));
    guest.until("it is down", UP_LIMIT, down).unwrap();
    // Its floor is others' now, though its group stays and holds what it has read.
    assert_ne!(floor, "0");
    assert_eq!(group(&mut guest, &format!("{GROUP}/memory.min")), "0");

    // As the product has it: all of it goes, and all of it comes again.
    let (before, all) = start_pair(&mut guest);
    assert_eq!(group(&mut guest, &format!("{GROUP}/memory.oom.group")), "1");
    assert_eq!(group(&mut guest, &format!("{GROUP}/memory.min")), floor);
    let said = guest.door(&format!("starves {PAIR}")).unwrap();
    println!("{PAIR}: {}", said.trim_end());
    assert!(said.starts_with("waiting: out of memory"), "{said}");
    let after = again(&mut guest, &before);
    assert_eq!(after.exit.as_deref(), Some("signal 9"), "{after:?}");
    let now = members(&mut guest);
    assert!(all.iter().all(|pid| !now.contains(pid)), "{all:?}, {now:?}");
    assert_eq!(now.len(), 3, "{now:?}");
    let alive = guest.json("procs --json").unwrap();
    let pids = alive.as_array().unwrap().iter().filter_map(|row| row["pid"].as_u64());
    let pids: Vec<String> = pids.map(|pid| pid.to_string()).collect();
    assert!(now.iter().all(|pid| pids.contains(pid)), "{now:?} in {pids:?}");
    assert!(all.iter().all(|pid| !pids.contains(pid)), "{all:?} in {pids:?}");
}

/// How often that has happened to a group: `high`, `oom_kill`.
fn happened(guest: &mut Guest, of: &str, what: &str) -> u64 {
    let text = group(guest, &format!("{of}/memory.events"));
    let count = text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(' '));
    count.and_then(|count| count.parse().ok()).unwrap()
}

#[test]
fn a_service_is_slowed_down_where_it_asks_for_that() {
    let Some(mut guest) = boot() else { return };
    let before = start(&mut guest, GREEDY);
    let over = |guest: &mut Guest| Ok((happened(guest, HELD, "high") > 0).then_some(()));
    guest.until("it is over the line", UP_LIMIT, over).unwrap();
    // Slowed down, and no more: in its own time it has all that it wants, and nobody ends it.
    let all = |guest: &mut Guest| {
        let bytes: u64 = group(guest, &format!("{HELD}/memory.current")).parse().unwrap();
        Ok((bytes >= WANTED_BYTES).then_some(()))
    };
    guest.until("it has all", UP_LIMIT, all).unwrap();
    println!("{GREEDY}: over {} times", happened(&mut guest, HELD, "high"));
    let after = facts::process(&mut guest, GREEDY).unwrap();
    assert_eq!((after.pid, after.restarts, after.state.as_str()), (before.pid, 0, "up"), "{after:?}");
    assert_eq!(happened(&mut guest, HELD, "oom_kill"), 0);
    // Nor was anybody slowed down who has not asked for it.
    assert_eq!(happened(&mut guest, FREE, "high"), 0);
}
