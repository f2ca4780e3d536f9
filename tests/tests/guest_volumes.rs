//! Services' volumes on the data disk: limited, whoever writes; found again by another range of owners; gone when they are dropped.
//!
//! In:  the rehearsal root with a stick. Out: passed, failed, or `skipped: ` and why.
//!
//! Not here: what a stranger may leave in a volume (`src/storage/tests/volumes.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use contract::limit::SERVICES;
use contract::wires::{TENANT_UID_BASE, TENANT_UID_COUNT};
use lab::facts;
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::root::Variant;

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
    let (bytes, full) = done(&say(guest, &format!("fill hello file {}", 10 * MIB)));
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
