//! Attacks on processes: what others have open, others' lives, a place before them.

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::kill;
use nix::unistd::{Pid, getpid, getppid};

use crate::call;

/// Numbers that are asked after: more than the gateway has after a boot.
const NUMBERS: i32 = 2_000;

/// A user namespace of its own, the way to every right over the kernel's dark corners (CVE-2022-0185, CVE-2023-0386, CVE-2024-1086).
pub(super) fn nested() -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_NEWUSER)
}

/// Every process but this one and its reaper. Through with the first that answers.
fn any_other(mut ask: impl FnMut(Pid) -> Result<(), Errno>) -> Result<(), Errno> {
    let mut answer = Errno::ESRCH;
    for number in 1..NUMBERS {
        let pid = Pid::from_raw(number);
        if pid == getpid() || pid == getppid() {
            continue;
        }
        match ask(pid) {
            Ok(()) => return Ok(()),
            Err(Errno::ESRCH) => {}
            Err(errno) => answer = errno,
        }
    }
    Err(answer)
}

/// A copy of what another has open, by way of a descriptor on it. Source: pidfd_open(2), pidfd_getfd(2).
pub(super) fn descriptors_of(pid: Pid) -> Result<(), Errno> {
    let descriptor = call::numbers(libc::SYS_pidfd_open, [pid.as_raw().into(), 0, 0, 0, 0])?;
    let copy = call::numbers(libc::SYS_pidfd_getfd, [descriptor, 0, 0, 0, 0]);
    let _ = call::numbers(libc::SYS_close, [descriptor, 0, 0, 0, 0]);
    match copy {
        Ok(_) => Ok(()),
        // It has nothing open there: a thread of the kernel's, which is nobody.
        Err(Errno::EBADF) => Err(Errno::ESRCH),
        Err(errno) => Err(errno),
    }
}

pub(super) fn descriptors_of_others() -> Result<(), Errno> {
    any_other(descriptors_of)
}

/// Another's life in our hands. It is not stopped by that, and is free again with our end. Source: ptrace(2), PTRACE_SEIZE.
pub(super) fn trace(pid: Pid) -> Result<(), Errno> {
    const SEIZE: libc::c_long = 0x4206;
    call::numbers(libc::SYS_ptrace, [SEIZE, pid.as_raw().into(), 0, 0, 0]).map(drop)
}

/// A word into another's memory, at an address where nothing is. Source: process_vm_writev(2): EFAULT comes after the rights.
pub(super) fn write(pid: Pid) -> Result<(), Errno> {
    match call::write_at_nothing(pid.as_raw()) {
        Err(Errno::EFAULT) => Ok(()),
        other => other,
    }
}

/// Signal 0: may it send one, and is somebody there?
pub(super) fn signals() -> Result<(), Errno> {
    any_other(|pid| kill(pid, None))
}

/// Before everybody else on the processor.
pub(super) fn nice() -> Result<(), Errno> {
    const PROCESS: libc::c_long = 0; // PRIO_PROCESS
    call::numbers(libc::SYS_setpriority, [PROCESS, 0, -20, 0, 0]).map(drop)
}

/// Before everybody else, and never taken off.
pub(super) fn realtime() -> Result<(), Errno> {
    const FIFO: libc::c_long = 1; // SCHED_FIFO
    let mut priority = [1];
    // The policy is the second argument and the priority's address the third.
    call::realtime(FIFO, &mut priority)
}
