//! Ends `storage` at a chosen instant: right after its n-th `ioctl` of a mount.
//!
//! In:  the wish for a mount, a number. Out: how many devices were left at that instant.
//!
//! Loop and device-mapper devices are made by `ioctl` and by nothing else, so these are all the instants at which something can be left.
//!
//! Source: ptrace(2); `proc_pid_syscall(5)`.

use std::fs;

use contract::mount::{Answer, Ask};
use contract::wires::MOUNT;
use ctl::Error;
use ctl::command::Out;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use wire::Client;

use crate::images;

/// `SYS_ioctl` of i386. Source: arch/x86/entry/syscalls/syscall_32.tbl.
const IOCTL: &str = "54";
/// The most stops of one mount: a mount makes some hundreds of calls, each of which stops it twice.
const STOPS_MAX: usize = 100_000;

fn failed(errno: Errno) -> Error {
    Error::Refused(format!("storage cannot be followed: {}", errno.desc()))
}

/// The process of `storage`.
fn storage() -> Result<Pid, Error> {
    let entries = fs::read_dir("/proc")?.flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_storage =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "storage\n");
    pids.find(is_storage).map(Pid::from_raw).ok_or_else(|| Error::Refused("storage: no process".to_owned()))
}

/// Is it in an `ioctl`?
fn in_ioctl(pid: Pid) -> bool {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    call.split(' ').next() == Some(IOCTL)
}

/// Says `wish` and kills storage when its `wanted`-th `ioctl` has returned; or, if it makes fewer, lets it go.
pub(crate) fn after(wish: &Ask, wanted: usize, out: Out<'_>) -> Result<(), Error> {
    let lost = |error| Error::Wire("storage", error);
    let pid = storage()?;
    ptrace::seize(pid, Options::PTRACE_O_TRACESYSGOOD).map_err(failed)?;
    ptrace::interrupt(pid).map_err(failed)?;
    let client = Client::dial(MOUNT).map_err(lost)?;
    client.send(wish, &[]).map_err(lost)?;
    let (mut calls, mut enters) = (0, false);
    for _ in 0..STOPS_MAX {
        let signal = match waitpid(pid, Some(WaitPidFlag::__WALL)).map_err(failed)? {
            WaitStatus::PtraceSyscall(_) => {
                enters = !enters;
                calls += usize::from(!enters && in_ioctl(pid));
                None
            }
            WaitStatus::Stopped(_, signal) => Some(signal).filter(|signal| *signal != Signal::SIGTRAP),
            WaitStatus::PtraceEvent(..) => None,
            ended @ (WaitStatus::Exited(..)
            | WaitStatus::Signaled(..)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive) => return Err(Error::Refused(format!("storage: {ended:?}"))),
        };
        if calls == wanted {
            kill(pid, Signal::SIGKILL).map_err(failed)?;
            // Its end is ours to see, too: then its descriptors are closed.
            while !matches!(
                waitpid(pid, Some(WaitPidFlag::__WALL)).map_err(failed)?,
                WaitStatus::Signaled(..)
            ) {}
            writeln!(out, "killed after {calls}")?;
            return images::devices(out);
        }
        if !enters && let Some((answer, _)) = client.receive::<Answer>().map_err(lost)? {
            ptrace::detach(pid, None).map_err(failed)?;
            return Ok(writeln!(out, "{answer:?} after {calls}")?);
        }
        ptrace::syscall(pid, signal).map_err(failed)?;
    }
    Err(Error::Refused("storage: no end of it".to_owned()))
}
