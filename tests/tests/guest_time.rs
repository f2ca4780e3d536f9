//! The clock in the guest, which has one of its own: never before the image, and beyond 2038.
//!
//! In:  the test root, a stick. Out: passed, failed, or `skipped: ` and why.
//!
//! Not here: servers (`src/time/tests`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::guest::{Around, BOOT_LIMIT, END_LIMIT, Guest, Options, UP_LIMIT};
use lab::{facts, tool};

/// 1 November 2026: nothing was built before.
const FIRST_S: u64 = 1_793_491_200;
/// 1 June 2039, noon.
const BEYOND_S: u64 = 2_190_542_400;

/// How long the first life is before there is a disk, in seconds: longer than a boot takes until it looks at one.
const LIFE_S: u64 = 60;

fn boot(clock: &str, around: Around, stick: bool) -> Option<Guest> {
    let clock = Some(clock.to_owned());
    let options = Options { around, clock, stick, ..Options::usual().unwrap() };
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
    let Some(mut guest) = boot("2001-01-01T00:00:00", Around::Nothing, false) else { return };
    let begun_s = now_s(&mut guest);
    assert!(begun_s >= FIRST_S, "{begun_s}");
    guest
        .until("a long life", UP_LIMIT * 3, |guest| Ok((now_s(guest) >= begun_s + LIFE_S).then_some(())))
        .unwrap();
    guest.plug_stick().unwrap();
    let identity = wait_kept(&mut guest);
    let kept = |guest: &mut Guest| {
        let log = facts::log(guest, "time")?;
        Ok(log.iter().any(|line| line.contains("the time is kept")).then_some(()))
    };
    guest.until("the time is kept", UP_LIMIT, kept).unwrap();
    // The identity, and the time, outlive a boot.
    guest.reset().unwrap();
    guest.wait_ready(BOOT_LIMIT).unwrap();
    facts::wait_all_up(&mut guest).unwrap();
    assert_eq!(wait_kept(&mut guest), identity);
    let remembered =
        |guest: &mut Guest| Ok((guest.json("time --json")?["state"] == "remembered").then_some(()));
    guest.until("the time of the last boot", UP_LIMIT, remembered).unwrap();
    assert!(now_s(&mut guest) >= begun_s + LIFE_S, "as late as it was, at least");
}

#[test]
fn it_works_beyond_2038() {
    // 32 bits of seconds end on 19 January 2038: docs/decisions/0005-musl.md.
    let Some(mut guest) = boot("2039-06-01T12:00:00", Around::Emulated, true) else { return };
    let now_s = now_s(&mut guest);
    assert!((BEYOND_S..BEYOND_S + 3_600).contains(&now_s), "{now_s}");
    guest.until("an address on the WAN", UP_LIMIT, facts::wan).unwrap();
    let url = guest.page().unwrap();
    let page = ["-sS", "--fail", "--noproxy", "*", "--max-time", "10", &url];
    guest.until("the page", UP_LIMIT, |_| Ok(tool::run("curl", &page).ok())).unwrap();
    wait_kept(&mut guest);
    guest.reset().unwrap();
    guest.wait_ready(BOOT_LIMIT).unwrap();
    facts::wait_all_up(&mut guest).unwrap();
    wait_kept(&mut guest);
    guest.power_button().unwrap();
    guest.wait_off(END_LIMIT).unwrap();
}
