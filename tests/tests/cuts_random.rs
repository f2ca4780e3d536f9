//! A gateway that installs, updates or removes is killed at a random instant and boots again, over and over. `make test T=cuts`.
//!
//! In:  the instants, from a seed that is printed; `SEED` says another, so that a run of many kills can be done in parts, each with its own, and
//! one that failed can be met again. Out: after each boot the old or the new is there, as the gateway itself says; at the end
//! so say programs that we did not write (`cuts/after.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "cuts/after.rs"]
mod after;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lab::facts;
use lab::guest::{END_LIMIT, Guest, UP_LIMIT};
use lab::house::Scratch;
use tests::fuzz::Random;

use after::Sticks;

/// How often it is killed, in the short and in the long run. `KILLS` says another number.
const KILLS: [u64; 2] = [2, 500];

/// The version that the gateway says is installed: 0 for none.
fn version(guest: &mut Guest) -> u64 {
    let said = guest.json("packages --json").unwrap();
    said.as_array().unwrap().first().map_or(0, |row| row["version"].as_u64().unwrap())
}

#[test]
fn it_is_killed_at_any_instant() {
    let scratch = Scratch::new().unwrap();
    let Some((operator, sources)) = after::operator(&scratch) else { return };
    let Some(mut guest) = after::boot(&operator, false) else { return };
    // How long each takes when nothing happens.
    let lasts = [0, 1, 2].map(|version| {
        let begun = Instant::now();
        let (order, _) = after::order(version, &sources);
        assert!(guest.door(&order).is_ok(), "{order}: {:#?}", facts::log(&mut guest, "package"));
        begun.elapsed()
    });
    let is_long = std::env::var_os("LONG").is_some();
    let kills = std::env::var("KILLS").map_or(KILLS[usize::from(is_long)], |said| said.parse().unwrap());
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = std::env::var("SEED").map_or(clock, |said| said.parse().unwrap());
    let mut random = Random::new(seed);
    println!("SEED={seed}");
    let (mut before, mut done) = (0, 0);
    for kill in 0..kills {
        let (order, next) = after::order(before, &sources);
        let part = u32::try_from(random.below(1200)).unwrap();
        let instant = lasts[usize::try_from(before).unwrap()] * part / 1000;
        guest.reset_under(&order, instant).unwrap();
        guest.wait_ready(UP_LIMIT).unwrap();
        after::wait_served(&mut guest);
        let found = version(&mut guest);
        let what = format!("kill {kill}, {order}, after {} ms", instant.as_millis());
        println!("{what}: version {before} before, {found} after");
        assert!([before, next].contains(&found), "{what}: {found}\n{:#?}", facts::log(&mut guest, "package"));
        done += u32::from(found == next);
        before = found;
    }
    println!("killed {kills} times; {done} times it was done");
    let stick = guest.file("stick.img");
    guest.power_button().unwrap();
    guest.wait_off(END_LIMIT).unwrap();
    assert_eq!(Sticks::of(&operator).version(&stick, "at the end"), before);
}
