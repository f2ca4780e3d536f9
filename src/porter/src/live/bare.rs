//! What a crash costs where nobody keeps a house: a bare parent that starts a service's program, hears that it is ready, kills it, waits for it
//! and starts it again. No sandbox, no cgroup, no record: the kernel's own part of the same.
//!
//! In:  a service that runs, its program as seen from inside, a word for it, a count. Out: as `live.rs` says it, from the signal to the ready word.
//!
//! Not here: the same of the supervisor's (`live::crashes`).
//!
//! Source: waitid(2), proc_pid_root(5).

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use ctl::Error;
use ctl::command::Out;

use super::{pid_of, rounds};

/// A child that does not outlive us.
struct Bare(Child);

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::Refused(format!("the bare program: {error}"))
}

/// Starts the program behind `path`, and waits until it has said a word: that is the first thing that it says where its word goes.
fn start(path: &str, word: &str) -> Result<Bare, Error> {
    let mut command = Command::new(path);
    command.arg(word).env_clear().env("NOTIFY_FD", "1");
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
    let mut child = Bare(child);
    let said = child.0.stdout.as_mut().map(|stdout| stdout.read(&mut [0; 1])).transpose().map_err(failed)?;
    match said {
        Some(1..) => Ok(child),
        Some(0) | None => Err(Error::Refused(format!("{path}: it has ended and said nothing"))),
    }
}

/// Kills the program and starts it again, `count` times.
pub(crate) fn crashes(name: &str, program: &str, word: &str, count: &str, out: Out<'_>) -> Result<(), Error> {
    // The same file as the service's own, so the same pages; it is in the service's root only.
    let program = File::open(format!("/proc/{}/root{program}", pid_of(name)?)).map_err(failed)?;
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    let mut child = start(&path, word)?;
    rounds(count, out, || {
        let begun = Instant::now();
        child.0.kill().map_err(failed)?;
        child.0.wait().map_err(failed)?;
        child = start(&path, word)?;
        Ok(begun.elapsed())
    })
}
