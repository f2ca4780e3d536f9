//! The clock in the guest, which has one of its own: never before the image, and beyond 2038.
//!
//! In:  the test root, a stick. Out: passed, failed, or `skipped: ` and why.
//!
//! Not here: servers (`src/time/tests`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::facts;
use lab::guest::{Around, BOOT_LIMIT, Guest, Options, UP_LIMIT};

/// 1 November 2026: nothing was built before.
const FIRST_S: u64 = 1_793_491_200;
/// 1 June 2039, noon.
const BEYOND_S: u64 = 2_190_542_400;

fn boot(clock: &str) -> Option<Guest> {
    let clock = Some(clock.to_owned());
    let options = Options { around: Around::Nothing, clock, ..Options::usual().unwrap() };
    let mut guest = Guest::boot(&options).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    Some(guest)
}

fn now_s(guest: &mut Guest) -> u64 {
    guest.json("time --json").unwrap()["now_s"].as_u64().unwrap()
}

/// Waits until the time was kept: `identity` and `time` have their folders then.
fn wait_kept(guest: &mut Guest) -> String {
    let kept = guest.until("an identity that is kept", UP_LIMIT, |guest| {
        let identity = guest.json("identity --json")?;
        Ok((identity["kept"] == "disk").then_some(identity.to_string()))
    });
    kept.unwrap()
}

#[test]
fn the_clock_never_says_a_time_before_the_image() {
    let Some(mut guest) = boot("2001-01-01T00:00:00") else { return };
    let first_s = now_s(&mut guest);
    assert!(first_s >= FIRST_S, "{first_s}");
    let identity = wait_kept(&mut guest);
    // The identity, and the time, outlive a boot.
    guest.reset().unwrap();
    guest.wait_ready(BOOT_LIMIT).unwrap();
    facts::wait_all_up(&mut guest).unwrap();
    assert_eq!(wait_kept(&mut guest), identity);
    // Remembered, where the first life had the time to keep it: it is kept hourly, and when it is set (src/time has the tests).
    let state = guest.json("time --json").unwrap()["state"].clone();
    assert!(state == "built" || state == "remembered", "{state}");
    assert!(now_s(&mut guest) >= first_s);
}

#[test]
fn it_says_a_time_beyond_2038() {
    let Some(mut guest) = boot("2039-06-01T12:00:00") else { return };
    let now_s = now_s(&mut guest);
    assert!((BEYOND_S..BEYOND_S + 3_600).contains(&now_s), "{now_s}");
    wait_kept(&mut guest);
    guest.reset().unwrap();
    guest.wait_ready(BOOT_LIMIT).unwrap();
    facts::wait_all_up(&mut guest).unwrap();
    wait_kept(&mut guest);
}
