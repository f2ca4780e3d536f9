//! Services' volumes on the data disk: limited, whoever writes; found again by another range of owners; gone when they are dropped.
//!
//! In:  the rehearsal root with a stick. Out: passed, failed, or `skipped: ` and why.
//!
//! Not here: what a stranger may leave in a volume (`src/storage/tests/volumes.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "guest_bundles/disk.rs"]
#[allow(dead_code, reason = "each suite takes what it needs")]
mod disk;

use contract::limit::SERVICES;
use contract::wires::{TENANT_UID_BASE, TENANT_UID_COUNT};
use lab::facts;
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::root::{self, Variant};

const MIB: u64 = 1 << 20;

fn boot() -> Option<Guest> {
    let options =
        Options { variant: Variant::Rehearsal, around: Around::Nothing, ..Options::usual().unwrap() };
    let mut guest = Guest::boot(&options).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    let mounted = |guest: &mut Guest| Ok((guest.json("disk --json")?["state"] == "mounted").then_some(()));
    guest.until("the disk", UP_LIMIT, mounted).unwrap();
    Some(guest)
}

fn say(guest: &mut Guest, words: &str) -> String {
    let said = guest.door(&format!("volume {words}"));
    assert!(said.is_ok(), "{words}: {said:?}\n{:#?}", facts::log(guest, "storage"));
    said.unwrap().trim_end().to_owned()
}

/// How much was done of what was asked, and whether that was all that the quota lets.
fn done(said: &str) -> (u64, bool) {
    let count = said.split(' ').next().unwrap().parse().unwrap();
    // EDQUOT.
    (count, said.contains("os error 122"))
}

/// The first uid of the range that the door calls `slot`.
fn uid(slot: u32) -> u32 {
    TENANT_UID_BASE + (u32::try_from(SERVICES).unwrap() - 1 - slot) * TENANT_UID_COUNT
}

fn free(guest: &mut Guest) -> u64 {
    guest.json("disk --json").unwrap()["free_bytes"].as_u64().unwrap()
}

#[test]
fn a_volume_has_its_limits_and_goes_when_it_is_dropped() {
    let Some(mut guest) = boot() else { return };
    let guest = &mut guest;
    let before = free(guest);
    say(guest, &format!("open hello 0 {} 100", 4 * MIB));
    let (bytes, full) = done(&say(guest, &format!("fill hello file {}", 9 * MIB)));
    assert!(full && (3 * MIB..=4 * MIB).contains(&bytes), "{bytes} bytes");
    assert_eq!(say(guest, "show hello file"), format!("owner {} bytes {bytes}", uid(0)));
    // Its neighbour has limits of its own, and does not feel this one's.
    say(guest, &format!("open other 1 {MIB} 20"));
    assert_eq!(done(&say(guest, &format!("fill other file {}", MIB / 2))), (MIB / 2, false));
    let (files, full) = done(&say(guest, "make other small 50"));
    assert!(full && (15..20).contains(&files), "{files} files");

    // Another range of owners finds the same files; more room counts at once.
    say(guest, &format!("open hello 2 {} 100", 8 * MIB));
    assert_eq!(say(guest, "show hello file"), format!("owner {} bytes {bytes}", uid(2)));
    assert_eq!(done(&say(guest, &format!("fill hello more {}", 2 * MIB))), (2 * MIB, false));

    // storage dies: the volume stays in use, and is found again.
    let restarts = facts::process(guest, "storage").unwrap().restarts;
    guest.door("kill storage").unwrap();
    let up = |guest: &mut Guest| {
        let now = facts::process(guest, "storage")?;
        Ok((now.state == "up" && now.restarts > restarts).then_some(()))
    };
    guest.until("storage up again", UP_LIMIT, up).unwrap();
    assert_eq!(done(&say(guest, &format!("fill hello more {MIB}"))), (MIB, false));
    say(guest, &format!("open hello 0 {} 100", 4 * MIB));
    let (_, full) = done(&say(guest, &format!("fill hello less {MIB}")));
    assert!(full, "less room counts at once, too");

    // Dropped: what its owner made deep goes, too, and the room is there again.
    say(guest, &format!("open hello 0 {} 100", 8 * MIB));
    assert_eq!(done(&say(guest, "deepen hello deep 60")), (60, false));
    say(guest, "drop hello");
    say(guest, "drop other");
    say(guest, "drop none");
    let freed =
        guest.until("the room", UP_LIMIT, |guest| Ok((free(guest) + MIB / 4 >= before).then_some(())));
    assert!(freed.is_ok(), "{} of {before}\n{:#?}", free(guest), facts::log(guest, "storage"));
    say(guest, &format!("open hello 0 {} 100", 4 * MIB));
    assert_eq!(guest.ask("volume show hello file").unwrap().exit, 1, "it begins with nothing");
    let refused = guest.ask("volume open hello 0 0 1").unwrap();
    assert!(refused.text.contains("it needs a limit"), "{}", refused.text);
}

/// A service of a bundle that fills its volume.
fn keeper(name: &str, mib: u32, volume: &str) -> String {
    let manifest = disk::manifest(name).replace("autostart = false", "autostart = true");
    let command = format!("command = [\"/hello\", \"keep\", \"{mib}\"]");
    let manifest = manifest.replace("command = [\"/hello\"]", &command);
    let manifest = manifest.replace("[cpu]", "environment = [\"VOLUME=/kept\"]\n[cpu]");
    let manifest = manifest
        .replace("floor_permille = 20", "floor_permille = 1")
        .replace("floor_mib = 4", "floor_mib = 0");
    format!("{manifest}[volume]\nat = \"/kept\"\n{volume}")
}

fn becomes(guest: &mut Guest, name: &str, state: &str) -> facts::Process {
    let seen = guest.until(&format!("{name} {state}"), UP_LIMIT, |guest| {
        let all = facts::processes(guest)?;
        Ok(all.into_iter().find(|process| process.name == name && process.state == state))
    });
    seen.unwrap_or_else(|error| panic!("{error}\n{}\n{}", guest.door("status").unwrap(), guest.console()))
}

/// What a line of its log says.
fn said(guest: &mut Guest, name: &str, begin: &str) -> String {
    let log = facts::log(guest, name).unwrap();
    let line = log.iter().rev().find_map(|line| line.strip_prefix(begin));
    line.unwrap_or_else(|| panic!("{begin}: {log:#?}")).to_owned()
}

fn promised(guest: &mut Guest) -> u64 {
    guest.json("disk --json").unwrap()["promised_bytes"].as_u64().unwrap()
}

/// Can a volume of this name be found on the disk, with what its service wrote?
fn is_there(guest: &mut Guest, name: &str) -> bool {
    say(guest, &format!("open {name} 0 {} 100", 4 * MIB));
    let answer = guest.ask(&format!("volume show {name} lives")).unwrap();
    say(guest, &format!("drop {name}"));
    answer.exit == 0
}

#[test]
fn a_service_keeps_what_it_writes_and_loses_it_as_was_said() {
    let program = || std::fs::read(lab::house::firmware().join("chatter"));
    let Ok(program) = program() else { return println!("skipped: no chatter: make firmware rehearsal") };
    let mut desk = disk::Desk::new();
    for (name, mib, volume) in [
        ("keeper", 6, "size_mib = 4\ninodes = 40\nkept = true\n"),
        ("cache", 2, "size_mib = 4\n"),
        ("diary", 1, "size_mib = 1\nkept = true\n"),
        ("notes", 1, "size_mib = 1\nkept = true\n"),
        ("huge", 1, "size_mib = 1000\n"),
    ] {
        desk.install_program(name, &keeper(name, mib, volume), program.clone());
    }
    let files = root::keys(&desk.keys()).unwrap();
    let files = files.into_iter().map(|(place, bytes)| (place.to_owned(), bytes)).collect();
    let (variant, around, data) = (Variant::Rehearsal, Around::Nothing, Some(desk.data()));
    let options = Options { variant, around, files, data, ..Options::usual().unwrap() };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    let guest = &mut guest;

    // Bounded by bytes and by files, and read back from outside.
    for life in 1..=2 {
        for name in ["keeper", "cache", "diary", "notes"] {
            becomes(guest, name, "up");
        }
        assert_eq!(said(guest, "keeper", "life "), life.to_string());
        let (bytes, full) = done(&said(guest, "keeper", "wrote "));
        assert!(full && (3 * MIB..=4 * MIB).contains(&bytes), "{bytes} bytes");
        let (count, full) = done(&said(guest, "keeper", "made "));
        assert!(full && (30..40).contains(&count), "{count} files");
        assert_eq!(promised(guest), 10 * MIB);
        let verified = guest.door("verify keeper").unwrap();
        assert!(
            verified.contains("/kept rw,nosuid,nodev,noexec of 4194304 bytes and 40 files"),
            "{verified}"
        );
        assert!(guest.ask("verify keeper").unwrap().exit == 0, "{verified}");
        // What the disk has no room for waits, and says how much is missing.
        let short = guest.until("huge", UP_LIMIT, |guest| {
            let all = facts::processes(guest)?;
            Ok(all
                .into_iter()
                .find(|one| one.name == "huge" && one.reason.contains("the data disk is short of")))
        });
        println!("huge: {}", short.unwrap().reason);
        if life == 1 {
            guest.reset().unwrap();
            guest.wait_ready(UP_LIMIT).unwrap();
        }
    }

    what_stays_is_seen_and_goes(guest);

    // It goes with the service, or stays, as the manifest or whoever removes it says.
    for (order, name, stays) in
        [("keeper", "keeper", true), ("cache", "cache", false), ("diary --drop-data", "diary", false)]
    {
        let said = guest.door(&format!("remove {order}"));
        assert!(said.is_ok(), "{order}: {said:?}\n{:#?}", facts::log(guest, "package"));
        assert_eq!(is_there(guest, name), stays, "{name}");
    }
    assert_eq!(promised(guest), 0);
}

/// Volumes whose services are gone, by their services.
fn kept(guest: &mut Guest) -> Vec<String> {
    let rows = guest.json("kept --json").unwrap();
    rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

fn what_stays_is_seen_and_goes(guest: &mut Guest) {
    let before = promised(guest);
    guest.door("remove notes").unwrap();
    assert_eq!(kept(guest), ["notes"]);
    let used = before - promised(guest);
    assert!(used <= MIB, "only what is in it is promised: {used} bytes less");
    guest.reset().unwrap();
    guest.wait_ready(UP_LIMIT).unwrap();
    becomes(guest, "keeper", "up");
    assert_eq!(kept(guest), ["notes"]);
    assert!(guest.ask("drop keeper demo").unwrap().text.contains("in use"));
    guest.door("drop notes demo").unwrap();
    assert_eq!(kept(guest), Vec::<String>::new());
    let gone = |guest: &mut Guest| Ok((promised(guest) == before - MIB).then_some(()));
    guest.until("its room", UP_LIMIT, gone).unwrap();
    assert!(!is_there(guest, "notes"));
}
