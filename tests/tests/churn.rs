//! Lives come and go by the thousand: none is lost, nothing is left behind, nothing grows.
//!
//! In:  the rehearsal root, whose door (`porter`) makes lives without the serial port in between. Out: passed, failed, or `skipped: ` and why.
//!
//! `LONG=1`: 10 000 exits, 1 000 cycles, 1 000 crashes, 100 000 restarts; with `PART=100` the hundredth part of the restarts, which alone are
//! hours of an emulated board. Else what fits into a minute of it. 100 000 restarts without the kernel's part: `src/supervisor/src/model/many.rs`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::root::Variant;
use lab::{facts, namespace, wait};

mod orders;

/// In one request to the door: a start takes an emulated board beside other work up to three seconds, and the door a minute at most.
const BATCH: usize = 10;
/// How long a state has to stay as it is: duplicate address detection takes up to two seconds. Source: RFC 4862 §5.4.
const REST: Duration = Duration::from_secs(4);
/// A line for so many, in a long run.
const SAY_EVERY: usize = 500;
/// What the supervisor may have grown by after all of it, in KiB.
const GROWN_KIB_MAX: u64 = 64;
/// All services of the house that stay: the first one, the one for tests, and copies.
const SERVICES: usize = 10;
const COPIES: usize = 8;
/// The daemons beside PID 1 and the supervisor, and the door of roots for tests: a process each, in a group of its name.
const DAEMONS: [&str; 11] = [
    "storage",
    "network",
    "lease",
    "names",
    "multicast",
    "voice",
    "time",
    "identity",
    "agent",
    "package",
    "door",
];

/// So many in the long run, and so many in the short one.
fn count(whole: usize, short: usize) -> usize {
    if std::env::var_os("LONG").is_some_and(|value| value == "1") { whole } else { short }
}

/// Restarts in the long run, or the part of them that was asked for.
fn restarts() -> usize {
    100_000 / std::env::var("PART").map_or(1, |part| part.parse().unwrap())
}

fn boot(around: Around) -> Option<Guest> {
    let options = Options { variant: Variant::Rehearsal, around, ..Options::usual().unwrap() };
    let mut guest = Guest::boot(&options).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    Some(guest)
}

/// `verb NAME COUNT` in batches, and the slowest median of them, in microseconds.
fn many(guest: &mut Guest, verb: &str, name: &str, all: usize) -> u64 {
    let mut slowest = 0;
    for done in (0..all).step_by(BATCH) {
        let batch = BATCH.min(all - done);
        let text = guest.door(&format!("{verb} {name} {batch}")).unwrap_or_else(|error| {
            let log = facts::log(guest, name).unwrap_or_default();
            unreachable!("{verb} {name}, after {done}: {error}\n{log:?}\n{}", guest.last_lines())
        });
        assert!(text.starts_with(&format!("done {batch} of {batch},")), "{text}");
        let median = text.split("median ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        slowest = slowest.max(median.parse().unwrap());
        if done > 0 && done % SAY_EVERY == 0 {
            println!("{done} of {all} {verb} of {name}");
        }
    }
    println!("{all} {verb} of {name}: slowest median of {BATCH} is {slowest} us");
    slowest
}

fn supervisor_kib(guest: &mut Guest) -> u64 {
    let all = facts::resident(guest).unwrap();
    all.iter().find(|(name, _)| name == "supervisor").unwrap().1
}

/// The machine's state, as lines and how often each is there.
fn state(guest: &mut Guest) -> BTreeMap<String, i32> {
    let text = guest.door("state").unwrap();
    assert!(text.lines().count() > 300, "it looks at the machine: {}", text.lines().count());
    assert!(!text.contains(" unreadable\n"), "it sees what daemons hold:\n{text}");
    let mut lines = BTreeMap::new();
    for line in text.lines() {
        *lines.entry(line.to_owned()).or_insert(0) += 1;
    }
    lines
}

/// The machine's state once it rests: for so long nothing has moved. Who was asked something may still hang up, and a link that was just made has its
/// route to itself when nobody else has answered for its address.
fn rested(guest: &mut Guest) -> BTreeMap<String, i32> {
    let (mut last, mut since) = (state(guest), Instant::now());
    let rests = guest.until("a state that rests", UP_LIMIT, |guest| {
        let now = state(guest);
        if !changes(&last, &now).is_empty() {
            since = Instant::now();
        }
        last = now;
        Ok((since.elapsed() >= REST).then_some(()))
    });
    rests.map(|()| last).unwrap()
}

/// Lines that are there more often (+) or less often (-) than before.
fn changes(before: &BTreeMap<String, i32>, after: &BTreeMap<String, i32>) -> Vec<String> {
    let count = |lines: &BTreeMap<String, i32>, line: &str| lines.get(line).copied().unwrap_or(0);
    let lines: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |line: &&String| count(after, line) - count(before, line);
    lines.iter().filter(|line| change(line) != 0).map(|line| format!("{:+} {line}", change(line))).collect()
}

/// A restart leaves a service's network namespace, group, link and queues alone. Its process is another one, and so is the group of its life:
/// docs/decisions/0141-a-cgroup-for-each-life.md.
fn a_link_outlives_its_process(guest: &mut Guest) {
    let look = |guest: &mut Guest, name: &str| -> (Vec<String>, Vec<String>) {
        let text = guest.door(&format!("lasts {name}")).unwrap();
        text.lines()
            .map(str::to_owned)
            .partition(|line| line.starts_with("pid ") || line.starts_with("life "))
    };
    let (anew, kept) = look(guest, "chatter");
    let is_there = |kind: &&str| kept.iter().any(|line| line.starts_with(*kind));
    assert!(["network ", "group ", "link svc-", "queue svc-"].iter().all(is_there), "{kept:?}");
    many(guest, "restarts", "chatter", 1);
    let (anew_again, kept_still) = look(guest, "chatter");
    assert_eq!(kept, kept_still, "what a restart leaves alone");
    assert!(anew.iter().zip(&anew_again).all(|(one, other)| one != other), "{anew:?}, {anew_again:?}");
    // The control: another service's network is another one.
    assert_ne!(kept, look(guest, "hello").1);
}

/// Processes outside the sandboxes that should not be there (+), and those that should be and are not (-).
fn strangers(guest: &mut Guest) -> Vec<String> {
    let known = ["process init /", "process supervisor /gateway/supervisor"].map(str::to_owned).into_iter();
    let known = known.chain(DAEMONS.map(|name| format!("process {name} /gateway/{name}/life")));
    let mut outside = state(guest);
    outside.retain(|line, _| line.starts_with("process ") && !group(line).starts_with("/slices/"));
    changes(&known.map(|line| (line, 1)).collect(), &outside)
}

/// The group at the end of a line about a process.
fn group(line: &str) -> &str {
    line.rsplit(' ').next().unwrap()
}

/// Ten services run in ten groups, and outside of these nothing but what runs without them: none has a helper there.
fn no_service_has_a_helper_outside(guest: &mut Guest) {
    for number in 1..=COPIES {
        guest.door(&format!("start copy-{number}")).unwrap();
    }
    let up = |guest: &mut Guest| {
        let all = facts::processes(guest)?.into_iter();
        let up = all.filter(|process| process.is_tenant && process.state == "up").count();
        Ok((up == SERVICES).then_some(()))
    };
    guest.until("ten services up", UP_LIMIT, up).unwrap();
    let state = state(guest);
    let processes = state.keys().filter(|line| line.starts_with("process ")).map(|line| group(line));
    let groups: BTreeSet<&str> = processes.filter(|group| group.starts_with("/slices/")).collect();
    assert_eq!(groups.len(), SERVICES, "{groups:?}");
    assert_eq!(strangers(guest), [""; 0]);
    // The control: one that sleeps is seen.
    guest.door("leak process").unwrap();
    assert_eq!(strangers(guest), ["+1 process door /gateway/door/life"]);
}

/// The control: what is left behind in a table of the kernel's is seen. Nothing takes it away again.
fn leaks_are_seen(guest: &mut Guest) {
    let leaks = [
        ("rule", "+1 rule leak leak"),
        ("queue", "+1 queue lo pfifo ffffffff"),
        ("descriptor", "+1 descriptor voice socket /run/wire/calls"),
    ];
    for (what, line) in leaks {
        let before = rested(guest);
        guest.door(&format!("leak {what}")).unwrap();
        let mut last = Vec::new();
        let seen = guest.until(&format!("a leaked {what}"), UP_LIMIT, |guest| {
            last = changes(&before, &state(guest));
            Ok(last.iter().any(|change| change == line).then_some(()))
        });
        assert!(seen.is_ok(), "a leaked {what}, as {line:?}: {last:#?}");
    }
}

#[test]
fn lives_by_the_thousand_leave_nothing_behind() {
    let Some(mut guest) = boot(Around::Nothing) else { return };
    // Once around, so that what is made at a first start (a cgroup of the provider, a link) is there before the first look.
    many(&mut guest, "exits", "quitter", 2);
    many(&mut guest, "cycles", "copy-1", 2);
    many(&mut guest, "restarts", "chatter", 2);
    let (before, kib) = (rested(&mut guest), supervisor_kib(&mut guest));

    many(&mut guest, "exits", "quitter", count(10_000, 20));
    many(&mut guest, "cycles", "copy-1", count(1_000, 5));
    many(&mut guest, "restarts", "chatter", count(restarts(), 10));
    many(&mut guest, "crashes", "chatter", count(1_000, 5));

    // What is ended in its own time (a namespace's links) may still be on its way out.
    let mut left = Vec::new();
    let same = guest.until("the same state as before", Duration::from_secs(30), |guest| {
        left = changes(&before, &state(guest));
        Ok(left.is_empty().then_some(()))
    });
    assert!(same.is_ok(), "left behind, or gone:\n{}", left.join("\n"));
    assert!(!before.keys().any(|line| line.starts_with("zombie")), "{before:?}");
    let grown = supervisor_kib(&mut guest).saturating_sub(kib);
    println!("the supervisor: {kib} KiB, grown by {grown}");
    a_link_outlives_its_process(&mut guest);
    no_service_has_a_helper_outside(&mut guest);
    leaks_are_seen(&mut guest);
    assert!(grown <= GROWN_KIB_MAX, "the supervisor has grown by {grown} KiB of {kib}");
}

#[test]
fn floods_and_bombs_are_bounded() {
    let Some(()) = namespace::enter("floods_and_bombs_are_bounded").unwrap() else { return };
    let Some(mut guest) = boot(Around::Topology) else { return };
    guest.topology().unwrap().lan_lease(UP_LIMIT).unwrap();
    guest.door("start tame").unwrap();
    facts::wait_all_up(&mut guest).unwrap();
    let (before, kib) = (rested(&mut guest), supervisor_kib(&mut guest));
    for antagonist in ["log", "fork", "zombies", "notify"] {
        let mut orders = orders::Orders::open(guest.topology().unwrap(), orders::TAME);
        orders.rage(4, antagonist);
        // The gateway answers while that goes on, and hello, its neighbour, is up and stays so.
        let hello = facts::process(&mut guest, "hello").unwrap();
        assert_eq!((hello.state.as_str(), hello.restarts), ("up", 0), "{antagonist}");
        let done = format!("did {}", orders::told(antagonist));
        wait::until(antagonist, UP_LIMIT, || {
            let log = facts::log(&mut guest, "tame")?;
            Ok(log.iter().any(|line| line.to_lowercase().starts_with(&done)).then_some(()))
        })
        .unwrap();
        drop(orders);
        assert_eq!(facts::process(&mut guest, "tame").unwrap().restarts, 0, "{antagonist}: it lives on");
    }
    // Stuck: it hears no order, and is gone after its grace all the same.
    guest.door("kill tame STOP").unwrap();
    guest.door("stop tame").unwrap();
    let down = |guest: &mut Guest| Ok((facts::process(guest, "tame")?.state == "down").then_some(()));
    guest.until("the end of a stuck process", Duration::from_secs(30), down).unwrap();
    guest.door("start tame").unwrap();
    facts::wait_all_up(&mut guest).unwrap();
    let mut left = Vec::new();
    let same = guest.until("the same state as before", Duration::from_secs(30), |guest| {
        left = changes(&before, &state(guest));
        Ok(left.is_empty().then_some(()))
    });
    assert!(same.is_ok(), "left behind, or gone:\n{}", left.join("\n"));
    let grown = supervisor_kib(&mut guest).saturating_sub(kib);
    assert!(grown <= GROWN_KIB_MAX, "the supervisor has grown by {grown} KiB");
}
