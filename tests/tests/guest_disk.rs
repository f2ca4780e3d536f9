//! Floors and ceilings of the data disk: two services that write all they can have what they are promised, and the same two have the same
//! without; two that read, and two that write, all they can have no more than they may, and far more where nobody holds them. Nobody waits for
//! what a writer is not allowed.
//!
//! In:  the rehearsal root with tenants that pour, draw, cut and note (`supervisor::catalogue::rehearsal`), a stick that is held to a rate. Out: passed,
//! failed, or `skipped: ` and why.
//!
//! What is measured is the kernel's own count of bytes. Of floors ratios count and amounts do not: a busy machine's stick is slower than it is
//! told. A ceiling is an amount.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "guest_bundles/disk.rs"]
#[allow(dead_code, reason = "each suite takes what it needs")]
mod disk;

use std::time::Duration;

use lab::facts;
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::kernel::Kernel;
use lab::root::Variant;
use lab::wait;

/// Who pours, and into which slice; floors are three to one, as the catalogue has them.
const POURERS: [(&str, &str, u64); 2] = [("pour-a", "north", 150), ("pour-b", "south", 50)];
/// What the stick carries, in bytes a second: less than an emulated processor can ask of it.
const STICK_BYTES_S: u32 = 2_000_000;
/// How long is measured, in guest milliseconds.
const MEASURE_MS: u64 = 15_000;
/// The same for readers: what their stick carries, and how long each is measured.
const READ_STICK_BYTES_S: u32 = 16_000_000;
const READ_MS: u64 = 10_000;
/// Ceilings in KiB a second: the service's of the catalogue, and the one that the test gives a slice.
const CEILING_KIB_S: u64 = 1_024;
const SLICE_CEILING_KIB_S: u64 = 2_048;
/// The same for writers.
const WRITE_STICK_BYTES_S: u32 = 4_000_000;
const WRITE_MS: u64 = 30_000;
const WRITE_CEILING_KIB_S: u64 = 512;
const SLICE_WRITE_CEILING_KIB_S: u64 = 768;
/// Who has no ceiling has more than so many times the larger one, on a busy machine, too.
const FREE: u64 = 2;
/// Who forces notes of a block.
const NOTER: (&str, &str) = ("note", "barn");
const NOTE_BYTES: u64 = 4_096;
/// How often a busy machine is given another chance.
const LOOKS_MAX: usize = 3;
/// Of floors of three to one, the least that is left by what is on its way in the stick.
const RATIO_MIN: f64 = 2.0;
/// Without floors neither has more than this of the other's.
const ALIKE_MAX: f64 = 1.5;

fn boot(stick_bytes_s: u32) -> Option<Guest> {
    let (variant, around, files) = (Variant::Floors, Around::Nothing, disk::Desk::new().files());
    let stick_bytes_s = Some(stick_bytes_s);
    let options = Options { variant, around, files, stick_bytes_s, ..Options::usual().unwrap() };
    let mut guest = Guest::boot(&options).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    let mounted = |guest: &mut Guest| Ok((guest.json("disk --json")?["state"] == "mounted").then_some(()));
    guest.until("the disk", UP_LIMIT, mounted).unwrap();
    Some(guest)
}

fn becomes(guest: &mut Guest, name: &str, state: &str) -> facts::Process {
    let seen = guest.until(&format!("{name} {state}"), UP_LIMIT, |guest| {
        let process = facts::process(guest, name)?;
        Ok((process.state == state).then_some(process))
    });
    assert!(seen.is_ok(), "{seen:?}\n{:?}\n{}", facts::process(guest, name), guest.last_lines());
    seen.unwrap()
}

/// What of the disk can be promised to slices, in thousandths.
fn promised(guest: &mut Guest) -> u64 {
    let rows = guest.json("slices --json").unwrap();
    rows[0]["all"][0]["disk_permille"].as_u64().unwrap()
}

/// When, and what the disk has done for a service: milliseconds after boot, and bytes that it has `rbytes=` read or `wbytes=` written.
fn done(guest: &mut Guest, (name, slice): (&str, &str), what: &str) -> (u64, u64) {
    let text = guest.ask(&format!("cgroup slices/{slice}/{name}/io.stat")).unwrap().text;
    let at_ms = text.lines().find_map(|line| line.strip_prefix("at_ms ")?.parse().ok()).unwrap();
    let bytes = text.split_whitespace().filter_map(|word| word.strip_prefix(what)?.parse().ok()).max();
    (at_ms, bytes.unwrap_or(0))
}

/// What is looked at, before and after a while.
fn over<T>(guest: &mut Guest, ms: u64, look: impl Fn(&mut Guest) -> (u64, T)) -> [(u64, T); 2] {
    let before = look(guest);
    let end_ms = before.0 + ms;
    let after = wait::until("the end of the measurement", Duration::from_secs(300), || {
        let now = look(guest);
        Ok((now.0 >= end_ms).then_some(now))
    });
    [before, after.unwrap()]
}

/// KiB a second that the disk reads for a service.
fn read_kib_s(guest: &mut Guest, who: (&str, &str)) -> u64 {
    let [before, after] = over(guest, READ_MS, |guest| done(guest, who, "rbytes="));
    let rate = (after.1 - before.1) * 1_000 / 1_024 / (after.0 - before.0);
    println!("{}: {rate} KiB/s", who.0);
    rate
}

/// KiB a second that the disk writes for a service, and how many notes a minute another one forces to it meanwhile.
fn written(guest: &mut Guest, who: (&str, &str)) -> (u64, u64) {
    let look = |guest: &mut Guest| {
        let (at_ms, notes) = done(guest, NOTER, "wbytes=");
        (at_ms, (done(guest, who, "wbytes=").1, notes))
    };
    let [(from_ms, before), (to_ms, after)] = over(guest, WRITE_MS, look);
    let rate = (after.0 - before.0) * 1_000 / 1_024 / (to_ms - from_ms);
    let notes = (after.1 - before.1) * 60_000 / NOTE_BYTES / (to_ms - from_ms);
    println!("{}: {rate} KiB/s, beside {notes} notes a minute", who.0);
    (rate, notes)
}

/// How much more the first has than the second, over a while.
fn ratio(guest: &mut Guest) -> f64 {
    let look = |guest: &mut Guest| {
        let both = POURERS.map(|(name, slice, _)| done(guest, (name, slice), "wbytes="));
        (both[0].0, both)
    };
    let [(_, before), (_, after)] = over(guest, MEASURE_MS, look);
    let [one, other] = [0, 1].map(|place: usize| {
        let (after, before) = (after[place], before[place]);
        (after.1 - before.1) * 1_000 / (after.0 - before.0)
    });
    println!("{one} and {other} bytes a second");
    #[allow(clippy::cast_precision_loss, reason = "a ratio of megabytes")]
    let ratio = one as f64 / other.max(1) as f64;
    ratio
}

/// The first ratio that is `good`, of a few.
fn look_until(guest: &mut Guest, what: &str, good: impl Fn(f64) -> bool) -> f64 {
    for look in 1..=LOOKS_MAX {
        let ratio = ratio(guest);
        println!("{what}: {ratio:.2} to one");
        if good(ratio) || look == LOOKS_MAX {
            return ratio;
        }
    }
    f64::NAN
}

#[test]
fn two_who_write_all_they_can_have_what_they_are_promised() {
    let Some(mut guest) = boot(STICK_BYTES_S) else { return };
    let guest = &mut guest;
    if promised(guest) == 0 {
        assert_ne!(Options::usual().unwrap().kernel, Kernel::Board, "the board's kernel divides it");
        // Nothing is promised that nobody keeps, and it is said.
        let refused = guest.ask("rent north cpu=100..2000 memory=8..64 disk=150").unwrap();
        assert!(refused.exit == 1 && refused.text.contains("short of 150 permille disk"), "{refused:?}");
        let log = facts::log(guest, "storage").unwrap();
        assert!(log.iter().any(|line| line.contains("no scheduler that keeps weights")), "{log:#?}");
        return println!("skipped in part: floors of the disk: this kernel does not divide it");
    }
    for (_, slice, floor) in POURERS {
        facts::rent(guest, &format!("{slice} cpu=100..2000 memory=8..64 disk={floor}")).unwrap();
    }
    // What is left of a quarter.
    let refused = guest.ask("rent barn cpu=10..1000 memory=1..2 disk=51").unwrap();
    assert!(refused.exit == 1 && refused.text.contains("short of 1 permille disk"), "{refused:?}");
    for (name, ..) in POURERS {
        guest.door(&format!("start {name}")).unwrap();
        becomes(guest, name, "up");
        let verified = guest.door(&format!("verify {name}")).unwrap();
        assert!(verified.contains("io.bfq.weight default 1000"), "{verified}");
    }

    let floors = look_until(guest, "with floors of three to one", |ratio| ratio >= RATIO_MIN);
    guest.door("divide ceilings").unwrap();
    let alike = |ratio: f64| (1.0 / ALIKE_MAX..=ALIKE_MAX).contains(&ratio);
    let none = look_until(guest, "without floors", alike);
    guest.door("divide floors").unwrap();
    assert!(floors >= RATIO_MIN, "floors are kept: {floors:.2} to one");
    assert!(alike(none), "and are what makes the difference: {none:.2} to one without them");

    // Both are told what they had; and who lacks what its floor needs does not start.
    let rows = guest.json("sla --json").unwrap();
    let row = rows.as_array().unwrap().iter().find(|row| row["service"] == "pour-a").unwrap();
    assert_eq!(row["disk_permille"], 150);
    assert!(row["windows"][1]["disk_bytes"].as_u64().unwrap() > u64::from(STICK_BYTES_S), "{row:#}");
    guest.door("stop pour-a").unwrap();
    becomes(guest, "pour-a", "down");
    guest.door("rehearse pour-a judge disk").unwrap();
    guest.door("start pour-a").unwrap();
    let failed = becomes(guest, "pour-a", "failed");
    assert!(failed.reason.contains("disk"), "{}", failed.reason);
}

/// Has it what it may, and no more? The kernel rounds to a tenth of a second, at each end of the ten.
fn is_held(kib_s: u64, ceiling_kib_s: u64) -> bool {
    kib_s * 100 <= ceiling_kib_s * 104 && kib_s * 100 >= ceiling_kib_s * 85
}

fn verified(guest: &mut Guest, name: &str) -> String {
    guest.door(&format!("verify {name}")).unwrap()
}

#[test]
fn two_who_read_all_they_can_have_no_more_than_they_may() {
    let Some(mut guest) = boot(READ_STICK_BYTES_S) else { return };
    let guest = &mut guest;
    let [held, free] = [("draw-a", "north"), ("draw-b", "south")];
    for (name, slice) in [held, free] {
        facts::rent(guest, &format!("{slice} cpu=100..2000 memory=8..64")).unwrap();
        guest.door(&format!("start {name}")).unwrap();
        becomes(guest, name, "up");
    }
    if Options::usual().unwrap().kernel != Kernel::Board {
        // It runs without, and that is said. The kernel was told nothing that would stop it.
        let log = guest.console();
        for said in ["does not bear ceilings", "draw-a: it runs without its ceiling"] {
            assert!(log.contains(said), "{said}");
        }
        assert!(verified(guest, held.0).contains("this kernel keeps no ceiling"));
        let told = guest.ask("cgroup slices/north/draw-a/io.max").unwrap().text;
        assert!(!told.contains("bps="), "{told}");
        return println!("skipped in part: ceilings of the disk: this kernel does not bear them");
    }
    assert!(verified(guest, held.0).contains("io.max 8:0 rbps=1048576"));
    let (own, none) = (read_kib_s(guest, held), read_kib_s(guest, free));
    assert!(is_held(own, CEILING_KIB_S), "its own ceiling: {own} KiB/s");
    assert!(none > FREE * SLICE_CEILING_KIB_S, "who has none: {none} KiB/s");

    // A slice's holds whoever is in it, at once; and is gone with the next word.
    facts::rent(guest, &format!("south cpu=100..2000 memory=8..64 reads={SLICE_CEILING_KIB_S}")).unwrap();
    let of_slice = read_kib_s(guest, free);
    assert!(is_held(of_slice, SLICE_CEILING_KIB_S), "its slice's ceiling: {of_slice} KiB/s");
    facts::rent(guest, "south cpu=100..2000 memory=8..64").unwrap();

    // The next life keeps it, and so does the next start; without it there is none.
    let lives = facts::lives(guest).unwrap();
    guest.door("kill supervisor").unwrap();
    let next = |guest: &mut Guest| Ok((facts::lives(guest).is_ok_and(|now| now > lives)).then_some(()));
    guest.until("another life", UP_LIMIT, next).unwrap();
    assert!(verified(guest, held.0).contains("io.max 8:0 rbps=1048576"));
    let gone = read_kib_s(guest, free);
    assert!(gone > FREE * SLICE_CEILING_KIB_S, "the slice's is gone: {gone} KiB/s");
    guest.door(&format!("stop {}", held.0)).unwrap();
    becomes(guest, held.0, "down");
    guest.door(&format!("start {}", held.0)).unwrap();
    becomes(guest, held.0, "up");
    assert!(verified(guest, held.0).contains("io.max 8:0 rbps=1048576"));
    guest.door(&format!("stop {}", held.0)).unwrap();
    becomes(guest, held.0, "down");
    guest.door(&format!("rehearse {} judge disk", held.0)).unwrap();
    guest.door(&format!("start {}", held.0)).unwrap();
    let failed = becomes(guest, held.0, "failed");
    assert!(failed.reason.contains("disk"), "{}", failed.reason);
}

/// As [`is_held`], of what is made dirty now and written some time: at each end some of it is on its way.
fn is_held_writing(kib_s: u64, ceiling_kib_s: u64) -> bool {
    kib_s * 100 <= ceiling_kib_s * 115 && kib_s * 100 >= ceiling_kib_s * 80
}

#[test]
fn two_who_write_and_cut_have_no_more_than_they_may_and_nobody_waits_for_it() {
    let Some(mut guest) = boot(WRITE_STICK_BYTES_S) else { return };
    let guest = &mut guest;
    let [held, free] = [("cut-a", "north"), ("cut-b", "south")];
    for (name, slice) in [NOTER, held] {
        facts::rent(guest, &format!("{slice} cpu=100..2000 memory=8..64")).unwrap();
        guest.door(&format!("start {name}")).unwrap();
        becomes(guest, name, "up");
    }
    if Options::usual().unwrap().kernel != Kernel::Board {
        assert!(guest.console().contains("cut-a: it runs without its ceiling"));
        assert!(verified(guest, held.0).contains("this kernel keeps no ceiling"));
        let told = guest.ask("cgroup slices/north/cut-a/io.max").unwrap().text;
        assert!(!told.contains("bps="), "{told}");
        return println!("skipped in part: ceilings of writes: this kernel does not bear them");
    }
    assert!(verified(guest, held.0).contains("io.max 8:0 rbps=max wbps=524288"));
    let (own, notes) = written(guest, held);
    guest.door(&format!("stop {}", held.0)).unwrap();
    becomes(guest, held.0, "down");
    facts::rent(guest, "south cpu=100..2000 memory=8..64").unwrap();
    guest.door(&format!("start {}", free.0)).unwrap();
    becomes(guest, free.0, "up");
    let (none, notes_beside_none) = written(guest, free);
    assert!(is_held_writing(own, WRITE_CEILING_KIB_S), "its own ceiling: {own} KiB/s");
    assert!(none > FREE * SLICE_WRITE_CEILING_KIB_S, "who has none: {none} KiB/s");
    assert!(notes > notes_beside_none, "{notes} notes a minute beside who is held, {notes_beside_none} else");

    // A slice's holds whoever is in it, at once.
    facts::rent(guest, &format!("south cpu=100..2000 memory=8..64 writes={SLICE_WRITE_CEILING_KIB_S}"))
        .unwrap();
    let (of_slice, _) = written(guest, free);
    assert!(is_held_writing(of_slice, SLICE_WRITE_CEILING_KIB_S), "its slice's ceiling: {of_slice} KiB/s");
}
