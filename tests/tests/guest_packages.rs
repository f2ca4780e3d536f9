//! A bundle goes from a registry onto the gateway, runs, is updated, outlives deaths and a boot, and goes; all by `ctl`.
//!
//! In:  the test root with an operator's keys, a registry on this machine's loopback. Out: passed, failed, or `skipped: ` and why.
//!
//! Not here: what registries and bundles may not do (`src/package/tests`), what is mounted (`guest_bundles.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "guest_packages/visits.rs"]
mod visits;

use std::net::SocketAddr;
use std::time::Duration;

use lab::error::Error;
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::house::Scratch;
use lab::operator::{DESK, Operator, PROVIDER, Release};
use lab::root::Variant;
use lab::{facts, house::firmware};
use visits::{Visitor, Visits, fetch};

/// Where the one is at home that is visited while it changes.
const VISITED_AT: u16 = 8090;
/// A new connection may be refused for no longer than this while one version takes the other's place. Measured: 0.8 s, on a machine with
/// much other work, in steps of a quarter of this that a visitor waits for a packet that was lost.
const MOMENT: Duration = Duration::from_secs(3);
/// One visit, where none may be lost, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of one that is tried and never ready: without the old one beside it the service is away for so long.
const LONG_DEADLINE: Duration = Duration::from_secs(8);
/// How long the one that is never ready has for it.
const DEADLINE_MS: u64 = 4_000;
const MANIFEST: &str = include_str!("../../src/services/hello/manifest.toml");

/// hello under another name, which offers nothing.
fn manifest() -> String {
    let (head, _) = MANIFEST.split_once("[[serves]]").unwrap();
    head.replace("name = \"hello\"", "name = \"greeter\"")
}

fn publish(operator: &Operator, version: u64, manifest: &str, program: &str) -> Result<String, Error> {
    let program = firmware().join(program);
    operator
        .publish(Release { provider: PROVIDER, name: "greeter", version, manifest, program: &program }, DESK)
}

/// What is installed: name and version of each.
fn installed(guest: &mut Guest) -> Vec<String> {
    let said = guest.json("packages --json").unwrap();
    let row = |row: &serde_json::Value| format!("{} {}", row["name"].as_str().unwrap(), row["version"]);
    said.as_array().unwrap().iter().map(row).collect()
}

fn wait_state(guest: &mut Guest, state: &str) {
    let seen = guest.until("greeter", UP_LIMIT, |guest| {
        Ok((facts::process(guest, "greeter").is_ok_and(|one| one.state == state)).then_some(()))
    });
    assert!(
        seen.is_ok(),
        "{state} is wanted:\n{}\n{:#?}",
        guest.door("status").unwrap(),
        facts::log(guest, "supervisor")
    );
}

/// Waits until package serves and has read the disk.
fn wait_served(guest: &mut Guest) {
    let served =
        |guest: &mut Guest| Ok(guest.ask("packages").is_ok_and(|answer| answer.exit == 0).then_some(()));
    let seen = guest.until("package serves", UP_LIMIT, served);
    assert!(seen.is_ok(), "{:#?}", facts::log(guest, "package"));
}

/// Waits until the registry can be reached.
fn wait_wan(guest: &mut Guest) {
    guest.until("an address on the WAN", UP_LIMIT, facts::wan).unwrap();
}

fn order(guest: &mut Guest, words: &str) {
    let said = guest.door(words);
    assert!(said.is_ok(), "{words}: {said:?}\n{:#?}", facts::log(guest, "package"));
}

fn refused(guest: &mut Guest, words: &str, why: &str) {
    let answer = guest.ask(words).unwrap();
    println!("{words}: {}", answer.text.trim_end());
    assert!(answer.exit == 1 && answer.text.contains(why), "{words}: {}", answer.text);
}

/// Five releases: two that are as they should be, one that wants too much, one that is never ready, one that wants less.
fn releases(operator: &Operator) -> Result<[String; 5], Error> {
    let large = manifest().replace("floor_mib = 4", "floor_mib = 1000");
    let large = large.replace("ceiling_mib = 16", "ceiling_mib = 1000");
    let silent = manifest().replace("[\"/hello\"]", "[\"/chatter\", \"nap\", \"600000\"]");
    let silent = silent.replace("[cpu]", &format!("start_deadline_ms = {DEADLINE_MS}\n[cpu]"));
    let small = manifest().replace("floor_permille = 20", "floor_permille = 10");
    let hello = "hello";
    let all = [(manifest(), hello), (manifest(), hello), (large, hello), (silent, "chatter"), (small, hello)];
    let mut version = 0;
    let all = all.map(|(manifest, program)| {
        version += 1;
        publish(operator, version, &manifest, program)
    });
    let [first, second, third, fourth, fifth] = all;
    Ok([first?, second?, third?, fourth?, fifth?])
}

fn boot(operator: &Operator, page_at: u16) -> Option<Guest> {
    let files = operator.texts(DESK).unwrap().into_iter().map(|(path, bytes)| (path.to_owned(), bytes));
    let options = Options {
        variant: Variant::Test,
        around: Around::Emulated,
        page_at,
        files: files.collect(),
        ..Options::usual().unwrap()
    };
    let mut guest = Guest::boot(&options).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    wait_served(&mut guest);
    wait_wan(&mut guest);
    Some(guest)
}

#[test]
fn a_bundle_comes_runs_and_goes() {
    let scratch = Scratch::new().unwrap();
    let started = Operator::start(&scratch.file("operator"));
    let (operator, [first, second, large, silent, small]) =
        match started.and_then(|operator| releases(&operator).map(|all| (operator, all))) {
            Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
            other => other.unwrap(),
        };
    let Some(mut guest) = boot(&operator, 80) else { return };
    assert_eq!(installed(&mut guest), Vec::<String>::new());

    order(&mut guest, &format!("install {first} --tag first --slice demo --json"));
    wait_state(&mut guest, "up");
    assert_eq!(installed(&mut guest), ["greeter 1"]);
    let resident = facts::resident(&mut guest).unwrap();
    let package = resident.iter().find(|(name, _)| name == "package").unwrap().1;
    println!("figure of memory: package {package} KiB resident");
    assert!(package <= 3072, "{package} KiB");

    // What does not fit is not kept, and the one that is there runs on.
    refused(&mut guest, &format!("update greeter {large}"), "short of");
    refused(&mut guest, &format!("install {second}"), "ask for an update");
    assert_eq!(installed(&mut guest), ["greeter 1"]);
    wait_state(&mut guest, "up");
    order(&mut guest, &format!("update greeter {second}"));
    wait_state(&mut guest, "up");
    assert_eq!(installed(&mut guest), ["greeter 2"]);

    // What does not become ready gives way to what was there before, by itself.
    refused(&mut guest, &format!("update greeter {silent}"), &format!("not ready within {DEADLINE_MS} ms"));
    wait_state(&mut guest, "up");
    assert_eq!(installed(&mut guest), ["greeter 2"]);

    // package dies: nothing else does.
    let before = facts::process(&mut guest, "greeter").unwrap();
    order(&mut guest, "kill package");
    wait_served(&mut guest);
    assert_eq!(installed(&mut guest), ["greeter 2"]);
    let after = facts::process(&mut guest, "greeter").unwrap();
    assert_eq!((after.pid, after.restarts), (before.pid, before.restarts));

    // It outlives a boot, and starts by itself; or not, if somebody says so.
    guest.reset().unwrap();
    guest.wait_ready(UP_LIMIT).unwrap();
    wait_served(&mut guest);
    wait_wan(&mut guest);
    wait_state(&mut guest, "up");
    assert_eq!(installed(&mut guest), ["greeter 2"]);
    order(&mut guest, "autostart greeter off");
    order(&mut guest, &format!("update greeter {small}"));
    assert_eq!(installed(&mut guest), ["greeter 5"]);
    assert_eq!(guest.json("packages --json").unwrap()[0]["autostart"], false);

    order(&mut guest, "remove greeter");
    assert_eq!(installed(&mut guest), Vec::<String>::new());
    assert!(facts::process(&mut guest, "greeter").is_err(), "{}", guest.door("status").unwrap());
    refused(&mut guest, "remove greeter", "no such service");
}

/// What is visited: it serves the home, and is asked whether it is well. Its other version may be there at once, or not; it is ready, or never.
fn visited(overlaps: bool, is_ready: bool) -> (String, &'static str) {
    let manifest = MANIFEST.replace("name = \"hello\"", "name = \"greeter\"");
    let manifest = manifest.replace("at = 80", &format!("at = {VISITED_AT}"));
    let health = "[health]\nprobe = \"http\"\nport = 80\npath = \"/\"\nevery_ms = 1000\ntimeout_ms = 10000\n";
    let update = if overlaps { "update = \"overlap\"\n" } else { "" };
    let manifest = manifest.replace("[cpu]", &format!("{update}{health}\n[cpu]"));
    if is_ready {
        return (manifest, "hello");
    }
    let manifest = manifest.replace("[\"/hello\"]", "[\"/chatter\", \"nap\", \"600000\"]");
    let deadline = format!("start_deadline_ms = {}\nrestart", LONG_DEADLINE.as_millis());
    (manifest.replace("restart", &deadline), "chatter")
}

/// Does this while somebody visits.
fn while_visited(guest: &mut Guest, limit: Duration, what: impl FnOnce(&mut Guest)) -> Visits {
    let url = guest.page().unwrap();
    let address: SocketAddr = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let serves = |_: &mut Guest| Ok(fetch(address, PATIENCE).ok());
    guest.until("the page", UP_LIMIT, serves).unwrap();
    let visitor = Visitor::come(address, limit);
    what(guest);
    visitor.leave()
}

#[test]
fn a_version_takes_anothers_place_and_who_visits_is_answered_meanwhile() {
    let scratch = Scratch::new().unwrap();
    let operator = match Operator::start(&scratch.file("operator")) {
        Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
        started => started.unwrap(),
    };
    let mut version = 0;
    let releases = [(true, true), (true, true), (true, false), (false, true), (false, false)];
    let releases = releases.map(|(overlaps, is_ready)| {
        let (manifest, program) = visited(overlaps, is_ready);
        version += 1;
        publish(&operator, version, &manifest, program).unwrap()
    });
    let [first, second, silent, replacing, silent_replacing] = releases;
    let Some(mut guest) = boot(&operator, VISITED_AT) else { return };
    order(&mut guest, &format!("install {first} --tag first --slice demo --json"));
    wait_state(&mut guest, "up");
    let before = facts::process(&mut guest, "greeter").unwrap();

    // The new one is well before the old one ends.
    let visits = while_visited(&mut guest, MOMENT / 4, |guest| {
        order(guest, &format!("update greeter {second}"));
        assert_eq!(installed(guest), ["greeter 2"]);
    });
    let after = facts::process(&mut guest, "greeter").unwrap();
    println!("figure of updates: with overlap {} ms without an answer", visits.gap.as_millis());
    assert!(visits.gap <= MOMENT, "{visits:?}\n{:#?}", facts::log(&mut guest, "supervisor"));
    assert!(visits.answered > 0 && after.pid != before.pid, "{before:?}, {after:?}");
    assert_eq!((after.state.as_str(), after.restarts), ("up", 0));

    // One that never is goes, and nobody has noticed.
    let visits = while_visited(&mut guest, PATIENCE, |guest| {
        let why = format!("not ready within {} ms", LONG_DEADLINE.as_millis());
        refused(guest, &format!("update greeter {silent}"), &why);
    });
    let still = facts::process(&mut guest, "greeter").unwrap();
    assert!(visits.lost.is_empty(), "{visits:?}\n{:#?}", facts::log(&mut guest, "supervisor"));
    assert_eq!((still.pid, still.restarts), (after.pid, 0), "{still:?}");
    assert_eq!(installed(&mut guest), ["greeter 2"]);

    // Without a word of both that they overlap the old one ends first, and one that is never ready shows it.
    let visits =
        while_visited(&mut guest, MOMENT / 4, |guest| order(guest, &format!("update greeter {replacing}")));
    println!("figure of updates: without {} ms", visits.gap.as_millis());
    let visits = while_visited(&mut guest, MOMENT / 4, |guest| {
        refused(guest, &format!("update greeter {silent_replacing}"), "not ready within");
        wait_state(guest, "up");
    });
    println!("figure of updates: without, and never ready: {} ms", visits.gap.as_millis());
    assert!(visits.gap >= LONG_DEADLINE && !visits.lost.is_empty(), "{visits:?}");
}
