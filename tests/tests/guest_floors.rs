//! What is promised is kept: floors of the processor when everybody runs, floors of memory when they are touched, and no more is promised
//! than there is.
//!
//! In:  the rehearsal root with tenants that want everything (`supervisor::catalogue::rehearsal`). Out: passed, failed, or `skipped: ` and why.
//!
//! What is measured is read from the kernel's own counters, not from the supervisor. Promises count on the board kernel.
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

/// Spinners: name, cgroup, floor and ceiling in thousandths of a thread, as the catalogue has them.
const SPINNERS: [(&str, &str, u64, u64); 4] = [
    ("spin-a", "slices/north/spin-a", 300, 2_000),
    ("spin-b", "slices/north/spin-b", 100, 2_000),
    ("spin-c", "slices/south/spin-c", 200, 2_000),
    ("spin-d", "slices/south/spin-d", 100, 150),
];
/// What all have together on a machine that has time for its guest: the rest are interrupts, which the kernel counts by themselves.
const ALL_PERMILLE_MIN: u64 = 1_600;
/// How often is measured at most.
const MEASURES_MAX: usize = 3;
/// The gateway and the slices with what they are promised, in thousandths of a thread.
const GROUPS: [(&str, u64); 3] = [("gateway", 1_200), ("slices/north", 400), ("slices/south", 300)];
/// Two per cent.
const ERROR_PERMILLE: u64 = 20;
/// How long is measured, in guest milliseconds.
const MEASURE_MS: u64 = 20_000;
const HOLDER_MIB: u64 = 48;
const HELD_BYTES: u64 = 46 << 20;

fn boot() -> Option<Guest> {
    let (variant, around, files) = (Variant::Floors, Around::Nothing, disk::Desk::new().files());
    let options = Options { variant, around, files, ..Options::usual().unwrap() };
    let mut guest = Guest::boot(&options).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    Some(guest)
}

/// Slices of the others give back what their services do not need, while these run.
fn make_room(guest: &mut Guest) {
    facts::rent(guest, "demo cpu=20..1000 memory=4..64").unwrap();
    facts::rent(guest, "rehearsal cpu=20..2000 memory=4..256").unwrap();
}

fn start(guest: &mut Guest, name: &str) {
    guest.door(&format!("start {name}")).unwrap();
    let up = |guest: &mut Guest| Ok((facts::process(guest, name)?.state == "up").then_some(()));
    let told = guest.until(name, UP_LIMIT, up);
    assert!(told.is_ok(), "{name}: {:?}\n{}", facts::process(guest, name), guest.last_lines());
}

/// When, and how much time a cgroup has had: milliseconds after boot, and microseconds.
fn usage(guest: &mut Guest, group: &str) -> (u64, u64) {
    let text = guest.ask(&format!("cgroup {group}/cpu.stat")).unwrap().text;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap()
    };
    (value("at_ms"), value("usage_usec"))
}

/// What the gateway, or a slice, can promise of memory, in MiB: all, and what of it is promised.
fn memory_mib(guest: &mut Guest, slice: &str) -> (u64, u64) {
    let rows = guest.json("slices --json").unwrap();
    let row = rows.as_array().unwrap().iter().find(|row| row["slice"].as_str().unwrap_or("") == slice);
    let row = row.unwrap();
    let amount = |what: &str| row[what][0]["memory_mib"].as_u64().unwrap();
    (amount("all"), amount("promised"))
}

#[test]
fn admission_keeps_floors_of_the_processor_when_all_run() {
    let Some(mut guest) = boot() else { return };
    // The first ceiling is everybody's, holds nobody back, and is there before anybody runs: decision 131.
    let ceiling = guest.ask("cgroup slices/cpu.max").unwrap();
    assert!(ceiling.text.contains("400000 100000"), "{ceiling:?}");
    make_room(&mut guest);
    facts::rent(&mut guest, "north cpu=400..2000 memory=8..32").unwrap();
    facts::rent(&mut guest, "south cpu=300..2000 memory=8..32").unwrap();
    for (name, ..) in SPINNERS {
        start(&mut guest, name);
    }
    guest.door("burn 2 120").unwrap();
    let groups: Vec<&str> =
        SPINNERS.iter().map(|(_, group, ..)| *group).chain(GROUPS.map(|(group, _)| group)).collect();
    // A machine that is busy with something else can only take away; what is not kept three times is not kept.
    let error = error_permille(Kernel::from_environment().unwrap());
    let mut kept = Ok(());
    for _ in 0..MEASURES_MAX {
        kept = judge(&measure(&mut guest, &groups), error);
        match &kept {
            Ok(()) => break,
            Err(why) => println!("{why}: this machine may be busy with something else"),
        }
    }
    kept.unwrap();
}

/// How much less than its floor a group may have, in thousandths of the floor, or else of a thread.
#[derive(Debug, Clone, Copy)]
enum Tolerance {
    OfFloor(u64),
    OfThread(u64),
}

/// Promises count on the board kernel.
fn error_permille(kernel: Kernel) -> Tolerance {
    match kernel {
        Kernel::Board => Tolerance::OfFloor(ERROR_PERMILLE),
        Kernel::Quick => Tolerance::OfThread(ERROR_PERMILLE),
    }
}

/// Whether everybody had what he is promised, and not more than he may; `shares` as [`measure`] gives them.
fn judge(shares: &[u64], tolerance: Tolerance) -> Result<(), String> {
    let left = all(shares);
    if left < ALL_PERMILLE_MIN {
        return Err(format!("all together had {left} permille of 2000"));
    }
    let least = |floor: u64| match tolerance {
        Tolerance::OfFloor(error) => floor * (1_000 - error) / 1_000,
        Tolerance::OfThread(error) => floor.saturating_sub(error),
    };
    let floors = SPINNERS.iter().map(|(name, _, floor, _)| (*name, *floor)).chain(GROUPS);
    for ((name, floor), has) in floors.zip(shares) {
        // Interrupts come before everybody (decision 40): a floor is of what they leave, and a ceiling of the machine.
        let of_left = has * 2_000 / left;
        if of_left < least(floor) {
            return Err(format!("{name} had {of_left} permille, floor {floor}, {tolerance:?}"));
        }
    }
    let over = SPINNERS.iter().zip(shares).find(|((.., ceiling), has)| **has > ceiling + ERROR_PERMILLE);
    over.map_or(Ok(()), |((name, ..), has)| Err(format!("{name} had {has} permille, more than its ceiling")))
}

#[test]
fn what_is_not_kept_is_seen() {
    let kept = [300, 100, 200, 100, 1_240, 400, 300];
    let table = [
        ("all have theirs", kept, Tolerance::OfFloor(20), true),
        ("three per cent less", [300, 94, 206, 100, 1_240, 400, 300], Tolerance::OfFloor(20), false),
        ("of a thread that is little", [300, 94, 206, 100, 1_240, 400, 300], Tolerance::OfThread(20), true),
        ("a slice has less", [300, 100, 200, 100, 1_240, 360, 300], Tolerance::OfThread(20), false),
        ("the gateway has less", [350, 150, 200, 100, 1_140, 500, 300], Tolerance::OfFloor(20), false),
        ("more than a ceiling", [300, 100, 200, 180, 1_200, 400, 380], Tolerance::OfFloor(20), false),
        ("a busy machine", [150, 50, 100, 50, 620, 200, 150], Tolerance::OfFloor(20), false),
    ];
    for (name, shares, tolerance, wanted) in table {
        let got = judge(&shares, tolerance);
        assert_eq!(got.is_ok(), wanted, "{name}: {got:?}");
    }
}

/// What each of these groups had for a while, in thousandths of a thread.
fn measure(guest: &mut Guest, groups: &[&str]) -> Vec<u64> {
    let before: Vec<_> = groups.iter().map(|group| usage(guest, group)).collect();
    let end_ms = before[0].0 + MEASURE_MS;
    wait::until("the end of the measurement", Duration::from_secs(300), || {
        Ok((usage(guest, "gateway").0 >= end_ms).then_some(()))
    })
    .unwrap();
    let share = |(group, (at_ms, usec)): (&&str, &(u64, u64))| {
        let (later_ms, more_usec) = usage(guest, group);
        (more_usec - usec) / (later_ms - at_ms)
    };
    let shares: Vec<u64> = groups.iter().zip(&before).map(share).collect();
    println!("shares in permille of a thread, of 2000: {:?}", groups.iter().zip(&shares).collect::<Vec<_>>());
    shares
}

/// What services and gateway had together.
fn all(shares: &[u64]) -> u64 {
    shares[..=SPINNERS.len()].iter().sum()
}

#[test]
fn admission_fills_the_box_with_floors_of_memory_and_refuses_the_next() {
    let Some(mut guest) = boot() else { return };
    make_room(&mut guest);
    let (all, promised) = memory_mib(&mut guest, "");
    let fits = (all - promised) / HOLDER_MIB;
    println!("{all} MiB can be promised, {promised} are: {fits} services of {HOLDER_MIB} MiB fit");
    assert!(all / HOLDER_MIB >= 12 && fits == all / HOLDER_MIB, "a dozen services of 48 MiB on 1 GiB");

    // The slice itself is admitted, or refused with what is short.
    let memory = (fits + 1) * HOLDER_MIB;
    let refused = guest.ask(&format!("rent barn cpu=200..2000 memory={memory}..{memory}")).unwrap();
    let short = memory - (all - promised);
    assert!(
        refused.exit == 1 && refused.text.contains(&format!("short of {short} MiB memory")),
        "{refused:?}"
    );
    let memory = fits * HOLDER_MIB;
    facts::rent(&mut guest, &format!("barn cpu=200..2000 memory={memory}..{memory}")).unwrap();

    for number in 1..=fits {
        start(&mut guest, &format!("hold-{number}"));
    }
    let next = format!("hold-{}", fits + 1);
    let refused = guest.ask(&format!("start {next}")).unwrap();
    println!("{}", refused.text.trim_end());
    assert!(
        refused.exit == 1 && refused.text.contains("slice barn is short of 48 MiB memory"),
        "{refused:?}"
    );
    assert_eq!(facts::process(&mut guest, &next).unwrap().state, "down");

    // All of them still hold what they have touched, and nobody was restarted, gateway included.
    let rows = guest.json("status --json").unwrap();
    let rows = rows.as_array().unwrap();
    let held =
        rows.iter().filter(|row| row["name"].as_str().unwrap().starts_with("hold-") && row["state"] == "up");
    let held: Vec<u64> = held.map(|row| row["memory_bytes"].as_u64().unwrap()).collect();
    assert_eq!(u64::try_from(held.len()).unwrap(), fits);
    assert!(held.iter().all(|bytes| *bytes >= HELD_BYTES), "{held:?}");
    for row in rows {
        assert_eq!(row["restarts"], 0, "{row}");
    }

    // One leaves: the next is let in.
    guest.door("stop hold-1").unwrap();
    let down = |guest: &mut Guest| Ok((facts::process(guest, "hold-1")?.state == "down").then_some(()));
    guest.until("hold-1 down", UP_LIMIT, down).unwrap();
    start(&mut guest, &next);
}

/// Longer than it takes until somebody is known to be starved, or to be starved no longer: a minute, and samples (docs/sla.md).
const SEEN_LIMIT: Duration = Duration::from_secs(400);
/// What may be owed over a minute, in thousandths of a thread (docs/sla.md).
const OWED_PERMILLE: u64 = 20;
/// How long the gateway works at a time, in seconds: the most that its door takes.
const BURN_S: u64 = 120;

/// What `ctl sla` says of a service.
fn compliance(guest: &mut Guest, service: &str) -> serde_json::Value {
    let rows = guest.json("sla --json").unwrap();
    rows.as_array().unwrap().iter().find(|row| row["service"] == service).unwrap().clone()
}

/// What it is owed over the last minute, in thousandths of a thread.
fn owed_permille(row: &serde_json::Value) -> u64 {
    let number = |key: &str| row["windows"][0][key].as_u64().unwrap();
    number("owed_us") / number("span_ms").max(1)
}

/// Waits until the row of a service is like that, while the gateway wants all the processor, too.
fn until(
    guest: &mut Guest,
    what: &str,
    service: &str,
    is: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    let mut burns_until_ms = 0;
    let seen = guest.until(what, SEEN_LIMIT, |guest| {
        let now_ms = usage(guest, "gateway").0;
        if now_ms >= burns_until_ms {
            guest.door(&format!("burn 2 {BURN_S}"))?;
            burns_until_ms = now_ms + BURN_S * 1_000;
        }
        let row = compliance(guest, service);
        Ok(is(&row).then_some(row))
    });
    assert!(seen.is_ok(), "{seen:?}: {}", compliance(guest, service));
    seen.unwrap()
}

#[test]
fn admission_that_is_not_kept_is_a_breach_and_told() {
    const SERVICE: &str = "spin-a";
    let Some(mut guest) = boot() else { return };
    make_room(&mut guest);
    facts::rent(&mut guest, "north cpu=400..2000 memory=8..32").unwrap();
    facts::rent(&mut guest, "south cpu=200..2000 memory=8..32").unwrap();
    for (name, ..) in SPINNERS.iter().filter(|(_, _, _, ceiling)| *ceiling == 2_000) {
        start(&mut guest, name);
    }
    // A machine that was busy with their starts may owe something for a while: floors pay it back.
    let is_well = |row: &serde_json::Value| {
        row["windows"][0]["span_ms"].as_u64() >= Some(30_000) && owed_permille(row) <= OWED_PERMILLE / 2
    };
    let kept = until(&mut guest, "it has its floor", SERVICE, is_well);
    println!("with floors: {kept}");

    // The same groups, as a runtime has them that knows no floors: everybody wants all, and each counts alike.
    guest.door("divide ceilings").unwrap();
    let more = |row: &serde_json::Value| row["breaches"].as_u64() > kept["breaches"].as_u64();
    let broken = until(&mut guest, "the breach", SERVICE, more);
    println!("without floors: {broken}");
    assert_eq!((&broken["cause"], &broken["promised"]), (&"starved".into(), &300.into()), "{broken}");
    assert!(broken["got"].as_u64().unwrap() <= 300 - OWED_PERMILLE, "{broken}");
    let events = guest.json("events --json").unwrap();
    let mut events = events.as_array().unwrap().iter().rev();
    let event = events.find(|event| event["cause"] == "starved" && event["who"] == SERVICE);
    let told = event.map(|event| (&event["promised"], &event["got"]));
    assert_eq!(told, Some((&300.into(), &broken["got"])), "the last one is that one: {event:?}");

    // With floors it is well again, under the same load, and what was stays said.
    guest.door("divide floors").unwrap();
    let well = until(&mut guest, "it is well again", SERVICE, is_well);
    println!("with floors again: {well}");
    assert_eq!((&well["breaches"], &well["cause"]), (&broken["breaches"], &"starved".into()), "{well}");
    assert_eq!(facts::process(&mut guest, SERVICE).unwrap().restarts, 0);
}
