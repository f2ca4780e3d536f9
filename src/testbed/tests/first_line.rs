//! What a test says first counts like all that it says later: that it was skipped, a number.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

/// Says this inside.
const SAID: &str = "| what is said first";

#[test]
fn says_one_line() {
    if testbed::enter("says_one_line", &[], "true") {
        println!("{SAID}");
    }
}

#[test]
fn what_is_said_first_inside_is_a_line_outside() {
    // The harness' words for a guest, where nobody keeps what is said, either.
    let words = ["says_one_line", "--exact", "--nocapture", "--test-threads=1"];
    let output = Command::new(std::env::current_exe().unwrap()).args(words).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    if let Some(why) = said.lines().find(|line| line.starts_with("skipped: ")) {
        return println!("{why}");
    }
    assert!(output.status.success() && said.lines().any(|line| line == SAID), "{said}");
}
