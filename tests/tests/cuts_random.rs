//! The mains of a gateway are cut at random instants, over and over: while it installs, updates, removes, or finds its stick again.
//! `make test T=cuts`.
//!
//! In:  the instants, from a seed that is printed; `SEED` says another, so that a run of many cuts can be done in parts, each with its own, and
//! one that failed can be met again. Out: after each cut the old or the new is there, and the new if that was answered: so say programs that
//! we did not write (`cuts/after.rs`), and then the next gateway itself.
//!
//! The emulator is killed, and with it the guest's memory. Its file has all that it was given; a stick would not. So the next gateway gets
//! another file: what was flushed, and of the rest nothing, all, or each block by chance, from a log of all writes (`cuts/loss.rs`).
//!
//! Most gateways do not boot (`cuts/house.rs`), so that a cut costs seconds; every [`BOOT_EVERY`]th does.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "cuts/after.rs"]
mod after;
#[path = "cuts/house.rs"]
mod house;
#[path = "cuts/loss.rs"]
mod loss;
#[path = "cuts/tally.rs"]
mod tally;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lab::facts;
use lab::guest::Guest;
use lab::house::Scratch;
use tests::fuzz::Random;

use after::Sticks;
use house::{House, Left};
use loss::Loss;
use tally::{TENTHS, Tally, Work};

/// How often it is cut, in the short and in the long run. `KILLS` says another number.
const KILLS: [u64; 2] = [2, 500];
/// One in so many gateways boots.
const BOOT_EVERY: u64 = 25;
/// One in so many is cut before `package` has read its stick.
const RECOVER_EVERY: usize = 8;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|said| said.parse().unwrap())
}

/// What stays the same from cut to cut, and what is learned.
struct Run {
    house: House,
    sources: [String; 2],
    random: Random,
    sticks: Sticks,
    tally: Tally,
    /// How long each [`Work`] lasts.
    lasts: [Duration; 4],
    /// What is installed.
    version: u64,
}

impl Run {
    /// One cut.
    fn cut(&mut self, kill: u64) {
        let begun = Instant::now();
        let boots = kill % BOOT_EVERY == 1;
        let recovers = !boots && self.random.below(RECOVER_EVERY) == 0;
        let work = if recovers { Work::Recover } else { Work::next(self.version) };
        let part = u32::try_from(self.random.below(TENTHS * 100)).unwrap();
        let lasts = self.lasts[work as usize];
        let instant = lasts * part / 1000;
        let (guest, next, is_answered) =
            if recovers { (self.recover(instant), self.version, false) } else { self.order(boots, instant) };
        let loss = Loss::draw(&mut self.random);
        let left = self.house.take_stick(&guest, loss, &mut self.random);
        drop(guest);
        let Left { writes, flushes, lost } = left;
        let how = if boots { "booted" } else { "went on" };
        let what = format!(
            "kill {kill}, {work:?}, {how}, after {} of {} ms, {writes} writes, {flushes} flushes, {loss:?} lost: {lost} blocks",
            instant.as_millis(),
            lasts.as_millis(),
        );
        let found = self.sticks.version(&self.house.copy_of_stick(), &what);
        println!(
            "{what}: version {} before, {found} after{}; {} ms",
            self.version,
            if is_answered { ", answered" } else { "" },
            begun.elapsed().as_millis()
        );
        let may_be: &[u64] = if is_answered { &[next] } else { &[self.version, next] };
        assert!(may_be.contains(&found), "{what}: {found}");
        self.tally.add(work, usize::try_from(part / 100).unwrap(), found != self.version);
        self.version = found;
    }

    /// A gateway that was cut so long after it got its stick.
    fn recover(&mut self, instant: Duration) -> Guest {
        let mut guest = self.house.begin(false);
        guest.cut_after(instant);
        guest
    }

    /// A gateway that was cut so long after the order that comes next, where that leads, and whether it was answered.
    fn order(&mut self, boots: bool, instant: Duration) -> (Guest, u64, bool) {
        let (mut guest, lasted) = self.serve(boots);
        if !boots {
            self.lasts[Work::Recover as usize] = lasted;
        }
        let (order, next) = after::order(self.version, &self.sources);
        let begun = Instant::now();
        let answer = guest.cut_under(&order, instant).unwrap();
        // One that was not done by then lasts longer than was thought.
        let lasts = &mut self.lasts[Work::next(self.version) as usize];
        match &answer {
            Some(answer) => {
                assert_eq!(answer.exit, 0, "{order}: {}", answer.text);
                *lasts = begun.elapsed();
            }
            None if instant > *lasts => *lasts = instant * 5 / 4,
            None => {}
        }
        (guest, next, answer.is_some())
    }

    /// A gateway that has read its stick, and says that on it is what others found there.
    fn serve(&mut self, boots: bool) -> (Guest, Duration) {
        let (mut guest, found, lasted) = self.house.serve(boots);
        assert_eq!(found, self.version, "what the gateway says: {:#?}", facts::log(&mut guest, "package"));
        (guest, lasted)
    }
}

#[test]
fn the_mains_are_cut_at_any_instant() {
    let scratch = Scratch::new().unwrap();
    let Some((operator, sources)) = after::operator(&scratch) else { return };
    let Some((house, mut guest)) = House::make(&operator, &scratch) else { return };
    // How long each takes when nothing happens.
    let measure = |version| {
        let begun = Instant::now();
        let (order, _) = after::order(version, &sources);
        assert!(guest.door(&order).is_ok(), "{order}: {:#?}", facts::log(&mut guest, "package"));
        begun.elapsed()
    };
    let [install, update, remove] = [0, 1, 2].map(measure);
    guest.cut();
    let seed =
        number("SEED").unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    println!("SEED={seed}");
    let mut random = Random::new(seed);
    house.take_stick(&guest, Loss::All, &mut random);
    drop(guest);
    let lasts = [install, update, remove, install];
    let sticks = Sticks::of(&operator);
    let mut run = Run { house, sources, random, sticks, tally: Tally::default(), lasts, version: 0 };
    let is_long = std::env::var_os("LONG").is_some();
    for kill in 0..number("KILLS").unwrap_or(KILLS[usize::from(is_long)]) {
        run.cut(kill);
    }
    run.serve(false);
    println!("{}", run.tally);
    println!("{} sticks looked at, {} with a journal to replay", run.sticks.looked, run.sticks.replayed);
}
