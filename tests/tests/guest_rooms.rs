//! Suites of `network` on the gateway's own kernel, which has what the desk's may lack: VLANs, flowtables, all of the queues.
//!
//! In:  suites, built for the gateway, in a guest beside Debian's ip, nft and tc. Out: passed, failed, or `skipped: ` and why. What a test
//! printed is printed.
//!
//! Not here: suites with peers or files that this guest has not, or with floods that an emulated processor cannot send (they run on the desk);
//! the gateway as a whole (`guest_triple.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use lab::error::Error;
use lab::kernel::Kernel;
use lab::room_guest::RoomGuest;

const SUITES: [(&str, &str); 6] = [
    ("network", "flows"),
    ("network", "queues"),
    ("network", "families"),
    ("network", "packets"),
    ("network", "tagged"),
    ("network", "shares"),
];
/// How long one test may take: that of shares measures three times, and five where the machine is busy; the others need a fifth of it.
const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn rooms_hold_on_the_gateways_own_kernel() {
    let kernel = Kernel::from_environment().unwrap();
    if kernel != Kernel::Board {
        return println!(
            "skipped: rooms_hold_on_the_gateways_own_kernel: it is about the board kernel: KERNEL=board"
        );
    }
    let mut guest = match RoomGuest::boot(kernel, &SUITES, &[]) {
        Ok(guest) => guest,
        Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
        Err(error) => panic!("{error}"),
    };
    let mut faults = Vec::new();
    for suite in SUITES {
        let tests = guest.tests(suite).unwrap();
        assert!(!tests.is_empty(), "{suite:?} has tests");
        for test in tests {
            eprintln!("» {}/{test}", suite.1);
            let outcome = guest.run(suite, &format!("{test} --exact"), "", LIMIT).unwrap();
            let told = outcome.said.lines().filter(|line| line.starts_with("| "));
            told.for_each(|line| println!("numbers: {}/{test}: {line}", suite.1));
            // Nothing is lacking here: a test that was skipped has proven nothing.
            if !outcome.passed || outcome.said.lines().any(|line| line.starts_with("skipped: ")) {
                faults.push(format!("{}/{test}:\n{}", suite.1, outcome.said));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
