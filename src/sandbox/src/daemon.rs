//! Starting a core daemon: its user, its capabilities, its descriptors, its cgroup.
//!
//! In:  a description and descriptors. Out: a process that waits for its last word before it becomes the daemon.
//!
//! A daemon is part of the gateway: it shares the gateway's namespaces. What it gets is one user and few rights.
//!
//! Source: capabilities(7); sd_listen_fds(3) for numbers and names of its sockets.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use caps::{CapSet, Capability, CapsHashSet};
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, close, pipe2, read, setgroups, setresgid, setresuid, setsid};
use sys::{Errno, clone, descriptor, exec, privilege};

use crate::Error;

/// Where the first of its sockets lies: `SD_LISTEN_FDS_START`.
const FIRST: i32 = 3;
/// As shells say that a program is there and cannot be run.
const CANNOT_RUN: u8 = 126;
/// Copies of descriptors go here first, out of the way of the numbers that are placed.
const ASIDE: i32 = 64;

/// What a daemon is.
#[derive(Debug, Clone, Copy)]
pub struct Daemon<'d> {
    /// Its program.
    pub program: &'d CStr,
    /// Its user and group.
    pub uid: u32,
    /// The capabilities that it has: all that it can ever have.
    pub capabilities: &'d [Capability],
    /// Names of the wires that it serves.
    pub wires: &'d [&'static str],
}

/// What it gets.
#[derive(Debug, Clone, Copy)]
pub struct Given<'d> {
    /// Its cgroup, where there are cgroups.
    pub cgroup: Option<BorrowedFd<'d>>,
    /// Standard output and error.
    pub output: BorrowedFd<'d>,
    /// Where it says that it is ready.
    pub notify: BorrowedFd<'d>,
    /// The wires that it serves, in the order of their names.
    pub listeners: &'d [BorrowedFd<'d>],
}

/// A process that waits for its last word.
#[derive(Debug)]
pub struct Started {
    /// Its number.
    pub pid: i32,
    /// A descriptor on it.
    pub pidfd: OwnedFd,
    go: OwnedFd,
}

impl Started {
    /// The last word: it becomes the daemon.
    ///
    /// # Errors
    /// [`Error::Outside`]: it is gone.
    pub fn go(&self) -> Result<(), Error> {
        let word = descriptor::write(&self.go, b"g");
        word.map(drop).map_err(|errno| Error::Outside("the child is gone", errno))
    }
}

/// Makes the process. Until [`Started::go`] it does nothing, and it ends if the supervisor dies before.
///
/// For programs with one thread.
///
/// # Errors
/// [`Error::Outside`]: a call failed; nothing is left behind.
pub fn start(daemon: Daemon<'_>, given: Given<'_>) -> Result<Started, Error> {
    let (hear, go) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| Error::Outside("no pipe", errno))?;
    let names = CString::new(format!("LISTEN_FDNAMES={}", daemon.wires.join(":"))).unwrap_or_default();
    let count = CString::new(format!("LISTEN_FDS={}", daemon.wires.len())).unwrap_or_default();
    let notify_number = FIRST + i32::try_from(given.listeners.len()).unwrap_or(0);
    let notify = CString::new(format!("NOTIFY_FD={notify_number}")).unwrap_or_default();
    let environment = [names.as_c_str(), count.as_c_str(), notify.as_c_str(), c"PATH=/sbin:/bin"];
    let child = clone::clone(CloneFlags::empty(), given.cgroup, || {
        // The copy of the parent's end: while it were open here, the parent's death would go unseen.
        let _ = close(go.as_raw_fd());
        let mut word = [0];
        if read(&hear, &mut word) != Ok(1) {
            return CANNOT_RUN;
        }
        match prepare(&daemon, &given, notify_number) {
            Ok(()) => drop(exec::path(daemon.program, &[daemon.program], &environment)),
            Err(errno) => drop(descriptor::write(&given.output, errno.desc().as_bytes())),
        }
        CANNOT_RUN
    });
    let child = child.map_err(|errno| Error::Outside("no process", errno))?;
    Ok(Started { pid: child.pid, pidfd: child.pidfd, go })
}

fn prepare(daemon: &Daemon<'_>, given: &Given<'_>, notify_number: i32) -> Result<(), Errno> {
    let _ = setsid();
    exec::clean_signals()?;
    place(given, notify_number)?;
    rights(daemon)
}

fn place(given: &Given<'_>, notify_number: i32) -> Result<(), Errno> {
    let null = std::fs::File::open("/dev/null")
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let standard = [(null.as_fd(), 0), (given.output, 1), (given.output, 2), (given.notify, notify_number)];
    let wires = given.listeners.iter().copied().zip(FIRST..);
    let mut aside = Vec::with_capacity(standard.len() + given.listeners.len());
    for (descriptor, number) in standard.into_iter().chain(wires) {
        aside.push((descriptor::copy_above(descriptor, ASIDE)?, number));
    }
    for (copy, number) in &aside {
        descriptor::place(copy.as_fd(), *number)?;
    }
    descriptor::close_on_exec_from(notify_number.unsigned_abs() + 1)
}

/// Its user, and of all rights only its own.
fn rights(daemon: &Daemon<'_>) -> Result<(), Errno> {
    let refused = |_| Errno::EPERM;
    let wanted: CapsHashSet = daemon.capabilities.iter().copied().collect();
    for capability in caps::read(None, CapSet::Bounding).map_err(refused)?.difference(&wanted) {
        caps::drop(None, CapSet::Bounding, *capability).map_err(refused)?;
    }
    privilege::keep_capabilities()?;
    let (user, group) = (Uid::from_raw(daemon.uid), Gid::from_raw(daemon.uid));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::set(None, set, &wanted).map_err(refused)?;
    }
    if daemon.uid != 0 {
        caps::set(None, CapSet::Ambient, &wanted).map_err(refused)?;
    }
    prctl::set_no_new_privs()
}
