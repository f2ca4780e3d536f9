//! The real daemon, started as the supervisor starts it: its wire at 3, its notify descriptor at 4, and no right beyond its own.
//!
//! In:  the program, the wire that it serves, its rights, its words. Out: it runs and has said that it is ready.
//!
//! Source: setpriv(1); docs/architecture.md.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use contract::wires::Wire;

use crate::program::Program;

/// Starts `program` (a suite says `env!("CARGO_BIN_EXE_…")`) with these `rights`, as setpriv(1) writes them: `""`, or `+net_raw,+…`.
pub fn daemon(program: &str, wire: &Wire, rights: &str, words: &[&str]) -> Program {
    let _ = fs::remove_file(wire.path);
    let listener = sys::seqpacket::listen(Path::new(wire.path)).unwrap();
    let (ready, notify): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
    let rights = if rights.is_empty() { "-all".to_owned() } else { format!("-all,{rights}") };
    let mut command = Command::new("sh");
    let line = "exec 3<&0 4>&1 </dev/null >&2; exec setpriv --no-new-privs --bounding-set=\"$0\" --inh-caps=-all \"$@\"";
    command.args(["-c", line, &rights, program]).args(words);
    command.env("LISTEN_FDNAMES", wire.name).env("NOTIFY_FD", "4");
    let child = command.stdin(Stdio::from(listener)).stdout(Stdio::from(notify)).spawn().unwrap();
    // With it goes our copy of the pipe's end: a daemon that dies before it is ready is seen at once.
    drop(command);
    let said = sys::descriptor::wait_readable(ready.as_fd(), 5_000);
    assert_eq!(said, Ok(true), "{program} is ready");
    Program(child)
}
