//! Our supervisor with ten services against runit, s6 and dinit: memory, crash to running again, an orderly end.
//!
//! In:  a kernel, the rehearsal root (its door is `src/porter`), the provider's guest, which has Debian's runit and s6; dinit where this machine
//! has one that runs there. Out: figures.
//!
//! Both guests are emulated on the same machine at the same time and asked in turns. What ours does for a service is more: its sandbox, made
//! anew and read back. A peer's service has none. How much is ours, and how much the kernel's, shows a bare parent in our own guest that kills the
//! same program and starts it again. Times are the emulated board's: ratios to the peers say something of the program, ratios to
//! the limits in milliseconds, which are the hardware's, how far an emulated board is from them (docs/numbers.md).
//!
//! The peers' side is `src/lab/setup/supervisors.sh`.

use std::fs;
use std::path::PathBuf;

use crate::bench::{Figure, Goal};
use crate::error::Error;
use crate::facts;
use crate::guest::{Around, BOOT_LIMIT, Guest, Options, UP_LIMIT};
use crate::house::Scratch;
use crate::kernel::Kernel;
use crate::provider::Provider;
use crate::root::Variant;
use crate::tool;

/// Services in each house.
const SERVICES: u64 = 10;
/// Crashes of each peer. Some wait a second for each, so there are few: their 99th of 100 is the slowest of them but one.
const CRASHES: usize = 20;
/// Crashes of ours, and of the bare parent's, for each of a peer's: with two peers it is 200, and the 99th of 100 is one of them.
const CRASHES_A_TURN: usize = 5;
/// What the bare parent runs: the program of `copy-1`, as seen from inside, and the port that it takes outside.
const BARE: &str = "bare copy-1 /hello 7099 1";
/// What ours may be resident with ten services, in KiB, and what one service more may cost, in bytes.
const RESIDENT_KIB_MAX: u64 = 1_228;
const PER_SERVICE_BYTES_MAX: u64 = 8 * 1024;
/// What the board may take, in microseconds: from a crash to running again, median and 99 of 100; to end ten services; until a hostile tree
/// is gone after its grace.
const CRASH_US_MAX: [u64; 2] = [8_000, 20_000];
const END_US_MAX: u64 = 100_000;
const TREE_US_MAX: u64 = 100_000;
/// Which of all values are told: their names, and the part of all, in thousandths, that is not over them.
const PARTS: [(&str, usize); 2] = [("median", 500), ("p99", 990)];
/// What ours may take beside the bare parent, which makes no sandbox, in thousandths: made anew, read back and written down.
const BARE_PERMILLE_MAX: u64 = 10_000;
/// The rehearsal's longest stop grace, in milliseconds: `chatter`'s.
const GRACE_MS: u64 = 5_000;

/// Measures.
///
/// # Errors
/// [`Error::Missing`]: something is not built, or no guest can run here.
pub fn measure(kernel: Kernel) -> Result<Vec<Figure>, Error> {
    let options = Options { variant: Variant::Rehearsal, around: Around::Nothing, ..Options::new(kernel) };
    let mut guest = Guest::boot_or_say(&options)?;
    let scratch = Scratch::new()?;
    let dinit = dinit();
    if let Err(why) = &dinit {
        eprintln!("»   without dinit: {why}");
    }
    let files: Vec<(&str, PathBuf)> = dinit.into_iter().map(|program| ("sbin/dinit", program)).collect();
    let mut provider = Provider::start_with(&scratch, &files)?;
    provider.wait_ready(BOOT_LIMIT)?;
    facts::wait_all_up(&mut guest)?;
    let (few, few_kib) = (up(&mut guest)?, resident(&mut guest)?);
    for number in 1..=SERVICES.saturating_sub(few) {
        guest.door(&format!("start copy-{number}"))?;
    }
    guest.until("ten services up", UP_LIMIT, |guest| Ok((up(guest)? == SERVICES).then_some(())))?;
    let ours_kib = resident(&mut guest)?;
    let growth = ours_kib.saturating_sub(few_kib) * 1024 / SERVICES.saturating_sub(few).max(1);

    let mut figures = vec![
        figure("supervisor_resident_kib_against_limit", ours_kib, RESIDENT_KIB_MAX),
        figure("supervisor_growth_bytes_per_service_against_limit", growth, PER_SERVICE_BYTES_MAX),
    ];
    let (mut crashes, mut bare) = (Vec::new(), Vec::new());
    for peer in ["runit", "s6", "dinit"].into_iter().take(2 + files.len()) {
        provider.run(&format!("supervisors begin {peer}"))?;
        let peer_kib = number(&provider.run("supervisors memory")?)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..CRASHES {
            for _ in 0..CRASHES_A_TURN {
                ours.push(number_before(&guest.door("crashes copy-1 1")?, " us")?);
                bare.push(number_before(&guest.door(BARE)?, " us")?);
            }
            theirs.push(number(&provider.run("supervisors crash")?)?);
        }
        eprintln!("»   crash to running again, us: ours {ours:?}, {peer} {theirs:?}");
        crashes.extend_from_slice(&ours);
        let end_us = number(&provider.run("supervisors end")?)?;
        figures.push(figure(&format!("resident_kib_of_ten_against_{peer}"), ours_kib, peer_kib));
        for (word, permille) in PARTS {
            let name = format!("crash_to_running_us_{word}_against_{peer}");
            figures.push(figure(&name, at(&mut ours, permille), at(&mut theirs, permille)));
        }
        figures.push(figure(&format!("end_of_ten_us_against_{peer}"), 0, end_us));
    }
    let tree_us = tree(&mut guest)?;
    let end_us = number_before(&guest.door("ends")?, " us")?;
    for figure in figures.iter_mut().filter(|figure| figure.name.starts_with("end_of_ten")) {
        figure.ours = end_us;
    }
    for ((word, permille), limit) in PARTS.into_iter().zip(CRASH_US_MAX) {
        let name = format!("crash_to_running_us_{word}_against_limit");
        figures.push(figure(&name, at(&mut crashes, permille), limit));
        let name = format!("crash_to_running_us_{word}_against_bare_parent");
        let goal = Goal::AtMost(BARE_PERMILLE_MAX);
        figures.push(Figure { goal, ..figure(&name, at(&mut crashes, permille), at(&mut bare, permille)) });
    }
    eprintln!("»   crashes of ours {}, of the bare parent's {}", crashes.len(), bare.len());
    figures.push(figure("end_of_ten_us_against_limit", end_us, END_US_MAX));
    figures.push(figure("tree_of_1000_gone_us_against_limit", tree_us, TREE_US_MAX));
    Ok(figures)
}

/// dinit, where this machine has one that runs in the provider's guest: that is i386, and has no libraries of C++.
fn dinit() -> Result<PathBuf, String> {
    let found = tool::run("sh", &["-c", "command -v dinit"]);
    let found =
        found.map_err(|_| "there is none here (Debian 12 has none; https://davmac.org/projects/dinit)")?;
    let path = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    match is_static_i386(&bytes) {
        true => Ok(path),
        false => Err(format!("{} is no static program for i386", path.display())),
    }
}

/// Is it a program for i386 that needs no library? Source: elf(5), Elf32_Ehdr and Elf32_Phdr.
fn is_static_i386(bytes: &[u8]) -> bool {
    const EM_386: u16 = 3;
    const PT_INTERP: u32 = 3;
    let short = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let long = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let place =
        |number: u16| Some(usize::try_from(long(28)?).ok()? + usize::from(short(42)?) * usize::from(number));
    let loads = |number: u16| place(number).and_then(long).is_none_or(|kind| kind == PT_INTERP);
    bytes.starts_with(b"\x7fELF\x01\x01")
        && short(18) == Some(EM_386)
        && !(0..short(44).unwrap_or(0)).any(loads)
}

/// A thousand processes whose first one hears nothing: from the end of the grace until they are gone, in microseconds.
fn tree(guest: &mut Guest) -> Result<u64, Error> {
    guest.door("start bush")?;
    let all = |guest: &mut Guest| {
        let log = facts::log(guest, "bush")?;
        Ok(log.iter().any(|line| line.contains("did Tree 1000 times")).then_some(()))
    };
    guest.until("a thousand processes", UP_LIMIT, all)?;
    number_before(&guest.door(&format!("tree bush {GRACE_MS}"))?, " us")
}

/// How many services are up.
fn up(guest: &mut Guest) -> Result<u64, Error> {
    let all = facts::processes(guest)?.into_iter();
    Ok(all.filter(|process| process.is_tenant && process.state == "up").map(|_| 1).sum())
}

/// What is resident of our supervisor, in KiB.
fn resident(guest: &mut Guest) -> Result<u64, Error> {
    let all = facts::resident(guest)?.into_iter();
    all.filter(|(name, _)| name == "supervisor").map(|(_, kib)| kib).next().ok_or_else(|| Error::Answer {
        who: "ctl procs --json".to_owned(),
        why: "no process supervisor".to_owned(),
    })
}

fn figure(name: &str, ours: u64, peer: u64) -> Figure {
    Figure { name: name.to_owned(), ours, peer, goal: Goal::AtMost(1000) }
}

/// The value that this part of all, in thousandths, is not over.
fn at(values: &mut [u64], permille: usize) -> u64 {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) * permille / 1000).copied().unwrap_or_default()
}

fn number(text: &str) -> Result<u64, Error> {
    let wrong = || Error::Answer { who: "supervisors.sh".to_owned(), why: text.to_owned() };
    text.trim().parse().map_err(|_| wrong())
}

/// The last number of the text that stands before `unit`.
fn number_before(text: &str, unit: &str) -> Result<u64, Error> {
    let word = text.trim_end().strip_suffix(unit).and_then(|rest| rest.rsplit(' ').next());
    number(word.unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::{at, is_static_i386, number_before};

    #[test]
    fn answers_are_read() {
        assert_eq!(number_before("done 1 of 1, median 7 us, p99 8 us, worst 9 us\n", " us").unwrap(), 9);
        assert_eq!(number_before("done 10, 12345 us\n", " us").unwrap(), 12345);
        assert!(number_before("refused\n", " us").is_err());
        assert_eq!(at(&mut [3, 1, 2], 500), 2);
        assert_eq!(at(&mut [3, 1, 2], 990), 2);
    }

    #[test]
    fn a_peer_has_to_run_in_the_providers_guest() {
        // The heads of a program for i386 with two segments, from elf(5).
        let mut static_one = [0; 52 + 2 * 32];
        static_one[..6].copy_from_slice(b"\x7fELF\x01\x01");
        (static_one[18], static_one[28], static_one[42], static_one[44]) = (3, 52, 32, 2);
        (static_one[52], static_one[84]) = (1, 4);
        assert!(is_static_i386(&static_one));
        let bent = |place: usize, byte: u8| {
            let mut other = static_one;
            other[place] = byte;
            is_static_i386(&other)
        };
        for (name, place, byte) in
            [("64 bits", 4, 2), ("amd64", 18, 62), ("it has an interpreter", 84, 3), ("cut", 44, 3)]
        {
            assert!(!bent(place, byte), "{name}");
        }
        assert!(!is_static_i386(b"#!/bin/sh"));
    }
}
