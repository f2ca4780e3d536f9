//! The reaper with real services: how it ends, whom it reaps, what it passes on.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read};
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

/// Fifty programs whose parents are gone at once; then a look at whether a zombie is left: 42, or 1 where one stays.
const ORPHANS: &str = "i=0; while [ $i -lt 50 ]; do (true &); i=$((i+1)); done; \
    n=0; while grep -ls '^State:.Z' /proc/[0-9]*/status; do n=$((n+1)); [ $n -gt 300 ] && exit 1; done >/dev/null; exit 42";

#[test]
fn whoever_is_left_alone_is_reaped() {
    let inside = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(words).status().unwrap().code()
    };
    if inside(&["true"]) != Some(0) {
        return println!("skipped: this machine lets us make no namespaces");
    }
    // The control: a first process that waits for nobody but its own child.
    let careless = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))";
    assert_eq!(inside(&["python3", "-c", careless, "sh", "-c", ORPHANS]), Some(1), "zombies stay");
    assert_eq!(inside(&[env!("CARGO_BIN_EXE_reaper"), "/bin/sh", "-c", ORPHANS]), Some(42));
}

#[test]
fn a_probe_is_run_each_time_that_it_is_asked_for() {
    const ACK: u8 = 0x06;
    const NAK: u8 = 0x15;
    let folder = std::env::temp_dir().join(format!("shg-reaper-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let mark = folder.join("mark");
    let probe = format!(
        "case $(cat {0}) in well) exit 0;; hangs) exec tail -f /dev/null;; *) exit 1;; esac",
        mark.display()
    );
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec \"$0\" \"$@\" 3>&1", env!("CARGO_BIN_EXE_reaper")]);
    command.args(["--probe", "300", "3", "/bin/sh", "-c", &probe]);
    command.args(["/bin/sh", "-c", "trap 'exit 42' TERM; printf s >&3; read line; exit 1"]);
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().unwrap();
    let (input, mut said) = (child.stdin.take(), child.stdout.take().unwrap());
    let mut next = || {
        let mut byte = [0];
        said.read_exact(&mut byte).unwrap();
        byte[0]
    };
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    };
    assert_eq!(next(), b's');
    for (what, want) in [("well", ACK), ("ill", NAK), ("hangs", NAK), ("well", ACK)] {
        std::fs::write(&mark, what).unwrap();
        signal("-USR1");
        assert_eq!(next(), want, "{what}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    signal("-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(42), "the service was left alone");
    drop(input);
}

#[test]
fn a_probe_is_whole_or_wrong_usage() {
    for words in [
        &["--probe"][..],
        &["--probe", "0", "1", "/x", "/y"],
        &["--probe", "9", "2", "/x"],
        &["--probe", "9", "9", "/x"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reaper"));
        assert_eq!(command.args(words).status().unwrap().code(), Some(2), "{words:?}");
    }
}
