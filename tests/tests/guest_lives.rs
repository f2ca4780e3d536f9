//! How services live: probes, ends in a row, one after the other, again and again; and that whoever watches misses nothing.
//!
//! In:  the rehearsal root, a data disk with services of bundles, each with a life of its own. Out: passed, failed, or `skipped: ` and why.
//!
//! Not here: every order of events (`src/supervisor/src/model.rs`), what becomes of the supervisor's deaths (`guest_life.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "guest_bundles/disk.rs"]
#[allow(dead_code, reason = "each suite takes what it needs")]
mod disk;

use std::time::{Duration, Instant};

use lab::facts::{self, Process};
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::kernel::Kernel;
use lab::root::{self, Variant};

/// Name, words of its command, and lines of its manifest before and after its first table.
const SERVICES: [(&str, &[&str], &str, &str); 12] = [
    ("base", &["hold", "1"], "", ""),
    ("after", &["hold", "1"], "after = [\"base\"]\n", ""),
    ("crasher", &["exit", "3"], "", ""),
    ("worker", &["exit", "0"], "again_s = 3\n", ""),
    ("mute", &["hold", "1"], "", "[health]\nprobe = \"notify\"\nevery_ms = 1000\nfails = 2\n"),
    ("deaf", &["hold", "1"], "", "[health]\nprobe = \"tcp\"\nport = 9\nevery_ms = 1000\nfails = 2\n"),
    (
        "ill",
        &["hold", "1"],
        "",
        "[health]\nprobe = \"exec\"\ncommand = [\"/hello\", \"exit\", \"3\"]\nevery_ms = 1000\nfails = 2\n",
    ),
    ("film", &["film", "64"], "devices = [\"camera\"]\n", ""),
    ("line", &["line", "64"], "devices = [\"serial\"]\n", ""),
    (STRAY, &["line", "64"], "devices = [\"camera\"]\n", ""),
    ("herald", &["herald", "60"], "start_deadline_ms = 60000\n", ""),
    ("well", &[], "", "[health]\nprobe = \"tcp\"\nport = 7000\nevery_ms = 1000\nfails = 2\n"),
];

/// Waits for an order: it reaches for what another one was granted.
const STRAY: &str = "stray";

/// So many services have had their turn by then, on a machine with other work.
const LIMIT: Duration = Duration::from_secs(3 * UP_LIMIT.as_secs());

fn manifest(name: &str, words: &[&str], before: &str, after: &str) -> String {
    let autostart = format!("autostart = {}", name != STRAY);
    let manifest = disk::manifest(name).replace("autostart = false", &autostart);
    let words: Vec<String> = words.iter().map(|word| format!(", \"{word}\"")).collect();
    let manifest = manifest.replace("[\"/hello\"]", &format!("[\"/hello\"{}]", words.concat()));
    let restart = match name {
        "worker" => "restart = \"never\"\nready = \"running\"\n",
        "ill" => "restart = \"never\"\n",
        _ => "",
    };
    let kept =
        |line: &&str| restart.is_empty() || !(line.starts_with("restart") || line.starts_with("ready"));
    let manifest: Vec<&str> = manifest.lines().filter(kept).collect();
    let manifest = manifest.join("\n").replace("floor_permille = 20", "floor_permille = 1");
    let manifest = manifest.replace("floor_mib = 4", "floor_mib = 0");
    format!("{}\n{after}", manifest.replacen("[cpu]", &format!("{restart}{before}[cpu]"), 1))
}

fn boot() -> Option<Guest> {
    let program = lab::house::firmware().join("chatter");
    let Ok(program) = std::fs::read(&program) else {
        println!("skipped: no {}: make firmware rehearsal", program.display());
        return None;
    };
    let mut desk = disk::Desk::new();
    for (name, words, before, after) in SERVICES {
        desk.install_program(name, &manifest(name, words, before, after), program.clone());
    }
    let files = root::keys(&desk.keys()).unwrap();
    let files = files.into_iter().map(|(place, bytes)| (place.to_owned(), bytes)).collect();
    let (variant, around, data) = (Variant::Rehearsal, Around::Nothing, Some(desk.data()));
    let serial = true;
    Guest::boot(&Options { variant, around, files, data, serial, ..Options::usual().unwrap() }).unwrap()
}

fn row(guest: &mut Guest, name: &str) -> Process {
    let all = facts::processes(guest).unwrap();
    all.into_iter().find(|process| process.name == name).unwrap_or_else(|| panic!("{name} is not there"))
}

fn becomes(guest: &mut Guest, name: &str, what: &str, is: impl Fn(&Process) -> bool) -> Process {
    let seen = guest.until(&format!("{name}: {what}"), LIMIT, |guest| {
        let all = facts::processes(guest)?;
        Ok(all.into_iter().find(|process| process.name == name && is(process)))
    });
    seen.unwrap_or_else(|error| panic!("{error}\n{}\n{}", guest.door("status").unwrap(), guest.last_lines()))
}

/// Lines of the supervisor about `name`, in order.
fn lines(guest: &Guest, name: &str) -> Vec<String> {
    let begin = format!("supervisor: {name}: ");
    let console = guest.console();
    console
        .lines()
        .filter_map(|line| line.split_once(&begin))
        .map(|(_, rest)| rest.trim_end().to_owned())
        .collect()
}

/// Numbers and names of all events that are remembered.
fn events(guest: &mut Guest) -> Vec<(u64, String)> {
    let said = guest.json("events --json").unwrap();
    let row =
        |row: &serde_json::Value| (row["number"].as_u64().unwrap(), row["who"].as_str().unwrap().to_owned());
    said.as_array().unwrap().iter().map(row).collect()
}

/// Who was granted a class of devices has those and no others; without one of the class it waits.
fn devices(guest: &mut Guest) {
    let up = |process: &Process| process.state == "up";
    let line = becomes(guest, "line", "without a serial port", |process| process.state == "waiting");
    assert!(line.reason.contains("has no serial"), "{line:?}");
    // The board's kernel has a camera without hardware (vivid), and the adapter's driver.
    if Kernel::from_environment().unwrap() != Kernel::Board {
        let film = becomes(guest, "film", "without a camera", |process| process.state == "waiting");
        return assert!(film.reason.contains("has no camera"), "{film:?}");
    }
    becomes(guest, "film", "up", up);
    let verified = guest.door("verify film").unwrap();
    assert!(verified.contains("its program is attached, video"), "{verified}");

    let mut cable = guest.plug_serial().unwrap();
    becomes(guest, "line", "up", up);
    let verified = guest.door("verify line").unwrap();
    assert!(verified.contains("its program is attached, ttyUSB0"), "{verified}");
    cable.send("21 degrees").unwrap();
    let deadline = Instant::now() + LIMIT;
    // The port echoes what it takes.
    let answer =
        std::iter::repeat_with(|| cable.next(deadline).unwrap()).find(|said| said.starts_with("heard: "));
    assert_eq!(answer.as_deref(), Some("heard: 21 degrees"));
    assert!(guest.door("log line").unwrap().contains("heard: 21 degrees"));

    // There is a port now, and yet none for one that was granted cameras.
    guest.door("start stray").unwrap();
    let said = |guest: &mut Guest| {
        let log = guest.door("log stray")?;
        Ok(log.contains("/dev/ttyUSB0: ").then_some(log))
    };
    let log = guest.until("the word of one without a port", LIMIT, said).unwrap();
    assert!(log.contains("/dev/ttyUSB0: No such file or directory"), "{log}");
}

#[test]
fn each_service_lives_as_its_manifest_says() {
    let Some(mut guest) = boot() else { return };
    let guest = &mut guest;
    let up = |process: &Process| process.state == "up";

    let base = becomes(guest, "base", "up", up);
    let after = becomes(guest, "after", "up", up);
    assert!(after.ready_ms > base.ready_ms, "{base:?} {after:?}");
    let console = guest.console();
    let place = |word: &str| console.find(word).unwrap();
    assert!(place(" base: ready") < place(" after: process"), "{console}");

    // Nothing came by its descriptor.
    becomes(guest, "herald", "up", up);
    assert!(guest.door("log herald").unwrap().contains("heard: {\"done\":1}"));

    // The third end in a row waits, and each one after it twice as long.
    becomes(guest, "crasher", "five times again", |process| process.restarts >= 5);
    let pauses: Vec<String> =
        lines(guest, "crasher").into_iter().filter(|line| line.starts_with("next start in")).collect();
    assert_eq!(pauses[..2], ["next start in 1000 ms", "next start in 2000 ms"], "{pauses:?}");
    assert_eq!(row(guest, "crasher").exit.as_deref(), Some("code 3"));

    // Each by its own probe.
    for (name, words) in [("mute", "it did not say that it is"), ("deaf", "its port takes no connection")] {
        becomes(guest, name, "ended and back", |process| process.restarts >= 1);
        let said = lines(guest, name);
        assert!(said.iter().any(|line| line.contains(&format!("not well: {words}, 2 times"))), "{said:#?}");
    }
    becomes(guest, "ill", "ended", |process| process.state == "down" && process.exit.is_some());
    let said = lines(guest, "ill");
    let words = "not well: its program did not end with 0 in time, 2 times in a row";
    assert!(said.iter().any(|line| line == words), "{said:#?}");
    becomes(guest, "well", "up", up);
    let said = lines(guest, "well");
    assert!(!said.iter().any(|line| line.starts_with("not well")), "{said:#?}");

    devices(guest);

    // Done, and begun again three seconds later.
    let ends = |guest: &mut Guest| {
        let ends = lines(guest, "worker").iter().filter(|line| *line == "ended").count();
        Ok((ends >= 3).then_some(()))
    };
    guest.until("the worker's third end", LIMIT, ends).unwrap();
    guest.door("stop worker").unwrap();
    let ends = lines(guest, "worker").iter().filter(|line| *line == "ended").count();

    // A loop ends as failed, and its log says what happened.
    let crasher = guest.until("the crasher has failed", LIMIT, |guest| {
        let all = facts::processes(guest)?;
        Ok(all.into_iter().find(|process| process.name == "crasher" && process.state == "failed"))
    });
    let crasher = crasher.unwrap_or_else(|error| panic!("{error}\n{}", guest.last_lines()));
    assert_eq!(crasher.reason, "ended 10 times in a row, last by code 3", "{crasher:?}");
    let log = guest.door("log crasher").unwrap();
    assert_eq!(log.matches("ends with 3").count(), 10, "{log}");

    // No event is missing, and the last ones are of those who come and go, not of those who wait for devices.
    let events = events(guest);
    assert!(events.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "{events:?}");
    assert!(events.iter().any(|(_, who)| who == "deaf"), "{events:?}");
    assert_eq!(
        lines(guest, "worker").iter().filter(|line| *line == "ended").count(),
        ends,
        "a stop is a stop"
    );
}
