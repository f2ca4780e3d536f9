//! A user namespace that nobody lives in: only its map is wanted, to show owners of a mount under other numbers.
//!
//! Source: user_namespaces(7); mount_setattr(2), "ID-mapped mounts".

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};

use crate::{clone, pidfd};

/// Makes a user namespace that maps ids from 0 on to `base` and the following `count`.
///
/// For programs with one thread: a child holds the namespace until it is open here.
///
/// # Errors
/// `EPERM`: we lack `CAP_SETUID` or `CAP_SETGID`. `EAGAIN`, `ENOSPC`: no process, or no namespace more.
pub fn mapped(base: u32, count: u32) -> Result<OwnedFd, Errno> {
    let child = clone::clone(CloneFlags::CLONE_NEWUSER, None, || {
        nix::unistd::pause(); // Until it is killed, below.
        0
    })?;
    let system = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    let map = format!("0 {base} {count}\n");
    let written = ["uid_map", "gid_map"]
        .iter()
        .try_for_each(|file| fs::write(format!("/proc/{}/{file}", child.pid), &map).map_err(system));
    let namespace = File::open(format!("/proc/{}/ns/user", child.pid)).map_err(system);
    pidfd::send_signal(child.pidfd.as_fd(), Signal::SIGKILL)?;
    waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED)?;
    written.and(namespace).map(OwnedFd::from)
}
