//! A new process, straight into its cgroup and namespaces, with a descriptor that cannot come to mean another process.
//!
//! Source: clone(2), `clone3`; `CLONE_INTO_CGROUP` since Linux 5.7.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;

/// `struct clone_args`, its second version and the field that 5.7 added.
#[repr(C, align(8))]
#[derive(Default)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// linux/sched.h
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A process that was just made.
#[derive(Debug)]
pub struct Child {
    /// Its number, here.
    pub pid: i32,
    /// A descriptor on it, close-on-exec.
    pub pidfd: OwnedFd,
}

/// Makes a process with `namespaces` in `cgroup`; it runs `child` and ends with the status that this returns.
///
/// For programs with one thread: the child has only this one. Until it becomes another program it should ask for no memory, and must
/// not panic (on musl an abort would be sent to the parent's thread number).
///
/// # Errors
/// `EAGAIN`: no more processes (a `pids.max`, perhaps). `EPERM`: we may not make such a namespace. `EBUSY`, `EOPNOTSUPP`: the cgroup
/// holds controllers that forbid processes in it. `ENOSYS`: no clone3.
pub fn clone(
    namespaces: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> u8,
) -> Result<Child, Errno> {
    let mut pidfd: RawFd = -1;
    let namespaces = u64::from(namespaces.bits().unsigned_abs());
    let mut arguments = Arguments {
        flags: namespaces | CLONE_PIDFD,
        pidfd: (&raw mut pidfd).addr() as u64,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        ..Arguments::default()
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: the arguments are of the size that is given, live until the call returns, and share no memory and no stack with the
    // child (no CLONE_VM), which goes on as a copy, as after fork.
    let answer = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<Arguments>()) };
    #[allow(clippy::useless_conversion, reason = "a long has 32 bits on one target and 64 on the other")]
    let pid = i32::try_from(Errno::result(answer)?).map_err(|_| Errno::EOVERFLOW)?;
    if pid == 0 {
        let status = child();
        // SAFETY: it only ends this process; no destructor or handler of the parent's runs twice.
        unsafe { libc::_exit(i32::from(status)) }
    }
    // SAFETY: the call succeeded with CLONE_PIDFD, so `pidfd` is open, and no one else has it yet.
    Ok(Child { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
}

#[cfg(test)]
mod tests {
    use super::clone;
    use nix::sched::CloneFlags;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::Pid;

    #[test]
    fn a_child_ends_with_its_status() {
        let child = clone(CloneFlags::empty(), None, || 7).unwrap();
        let pid = Pid::from_raw(child.pid);
        assert_eq!(crate::pidfd::pid(&child.pidfd), Ok(child.pid));
        assert_eq!(waitpid(pid, None), Ok(WaitStatus::Exited(pid, 7)));
    }
}
