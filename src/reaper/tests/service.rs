//! The reaper with real services: how it ends, whom it reaps, what it passes on.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn reaper(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reaper"));
    command.args(["/bin/sh", "-c", script]);
    command
}

#[test]
fn it_ends_as_the_service_ended() {
    for (what, script, code) in [("well", "exit 0", 0), ("code", "exit 7", 7), ("signal", "kill -9 $$", 137)]
    {
        assert_eq!(reaper(script).status().unwrap().code(), Some(code), "{what}");
    }
    let nothing = Command::new(env!("CARGO_BIN_EXE_reaper")).status().unwrap();
    assert_eq!(nothing.code(), Some(2), "no program");
    let missing = Command::new(env!("CARGO_BIN_EXE_reaper")).arg("/no/such").status().unwrap();
    assert_eq!(missing.code(), Some(126), "no such program");
}

#[test]
fn a_signal_is_passed_on() {
    let mut command = reaper("trap 'exit 42' TERM; echo ready; read line; exit 1");
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().unwrap();
    // Held until the end: waiting would close it, and the script would read its end before the signal came.
    let input = child.stdin.take();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let stop = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(stop.success());
    assert_eq!(child.wait().unwrap().code(), Some(42));
    drop(input);
}
