//! All that a gateway writes to its stick while a bundle comes, is updated and goes is recorded; then the power goes after any of it.
//! `make test T=cuts`.
//!
//! In:  the log of one guest's writes. Out: how many sticks were looked at (`cuts/after.rs`): what is there is the old or the new, whole,
//! and what was answered is there.
//!
//! A disk loses what it was not told to keep, in any order: beside each prefix there are sticks that lack some writes since the last flush.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "cuts/after.rs"]
mod after;

use std::path::{Path, PathBuf};

use lab::guest::{Guest, WRITES};
use lab::house::Scratch;
use lab::writes::{self, Write};
use lab::{facts, stick, tool};

use after::Sticks;

/// So many prefixes are looked at; in the long run all of them.
const PREFIXES: usize = 60;

/// An order, from one count of writes to another.
struct Step {
    from: usize,
    to: usize,
    /// Which version may be there before it is answered, and which one is when it is.
    may_be: [u64; 2],
    is: u64,
}

fn count(guest: &Guest) -> usize {
    writes::read(&guest.file(WRITES)).unwrap().len()
}

/// Installs, updates, removes.
fn live(guest: &mut Guest, sources: &[String; 2]) -> Vec<Step> {
    let step = |version| {
        let (order, is) = after::order(version, sources);
        let from = count(guest);
        let said = guest.door(&order);
        assert!(said.is_ok(), "{order}: {said:?}\n{:#?}", facts::log(guest, "package"));
        Step { from, to: count(guest), may_be: [version, is], is }
    };
    [0, 1, 2].map(step).into()
}

/// Numbers that are the same in every run. Source: xorshift64, G. Marsaglia 2003.
struct Numbers(u64);

impl Numbers {
    fn coin(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.is_multiple_of(2)
    }
}

/// A copy of `base` with these writes.
fn with<'w>(base: &Path, to: PathBuf, more: impl IntoIterator<Item = &'w Write>) -> PathBuf {
    tool::run("cp", &["--sparse=always", base.to_str().unwrap(), to.to_str().unwrap()]).unwrap();
    writes::replay(&to, more).unwrap();
    to
}

#[test]
fn the_power_goes_after_any_write() {
    let scratch = Scratch::new().unwrap();
    let Some((operator, sources)) = after::operator(&scratch) else { return };
    let Some(mut guest) = Guest::boot(&after::options(&operator)).unwrap() else { return };
    after::wait_served(&mut guest);
    let steps = live(&mut guest, &sources);
    let written = writes::read(&guest.file(WRITES)).unwrap();
    drop(guest);

    let (first, last) = (steps[0].from, steps[2].to);
    let flushes = written[first..last].iter().filter(|write| write.flushes).count();
    println!("{} writes and {flushes} flushes", last - first - flushes);
    assert!(flushes > 10, "{flushes}: without flushes nothing is on the disk");
    let is_long = std::env::var_os("LONG").is_some();
    let every = if is_long { 1 } else { (last - first).div_ceil(PREFIXES) };
    // What was flushed is in the base; what came since is not certain.
    let base = scratch.file("base.img");
    stick::fresh(&base).unwrap();
    let (mut sticks, mut numbers, mut done) = (Sticks::of(&operator), Numbers(0x5348_475f_4355_5453), 0);
    for end in 1..=last {
        if written[end - 1].flushes {
            writes::replay(&base, &written[done..end]).unwrap();
            done = end;
        }
        let Some(step) = steps.iter().find(|step| (step.from..=step.to).contains(&end)) else { continue };
        if (end - first) % every != 0 && end != step.to {
            continue;
        }
        let may_be: &[u64] = if end == step.to { &[step.is] } else { &step.may_be };
        let since = &written[done..end];
        let some: Vec<&Write> = since.iter().filter(|_| numbers.coin()).collect();
        let lost = since.len() - some.len();
        let mut look = |image: PathBuf, what: String| {
            let found = sticks.version(&image, &what);
            assert!(may_be.contains(&found), "{what}: version {found}, not {may_be:?}");
        };
        look(with(&base, scratch.file("cut.img"), since), format!("after {end} writes"));
        if lost > 0 {
            let what = format!("after {end} writes, {lost} of the last {} lost", since.len());
            look(with(&base, scratch.file("cut.img"), some), what);
        }
    }
    println!("{} sticks looked at, {} with a journal to replay", sticks.looked, sticks.replayed);
    assert!(sticks.looked > 20 && sticks.replayed > 10, "{} and {}", sticks.looked, sticks.replayed);
}
