//! How a child ended. nix knows no realtime signals: of a child that one of them ended it answers `EINVAL`, for ever.
//!
//! Source: waitid(2); wait(2) for the status.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// A child that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its number.
    pub pid: i32,
    /// Its status, as wait(2) gives it: the code in the second byte, or the signal in the first.
    pub status: i32,
}

/// Has a child ended: that of `process`, or any? It stays as it is, its number taken, until it is waited for. Does not wait.
///
/// # Errors
/// `ECHILD`: there is no (such) child.
pub fn look(process: Option<BorrowedFd<'_>>) -> Result<Option<Ended>, Errno> {
    wait(process, libc::WNOWAIT)
}

/// As [`look`], and its number is free again.
///
/// # Errors
/// As [`look`].
pub fn take(process: Option<BorrowedFd<'_>>) -> Result<Option<Ended>, Errno> {
    wait(process, 0)
}

fn wait(process: Option<BorrowedFd<'_>>, flags: libc::c_int) -> Result<Option<Ended>, Errno> {
    let (kind, number) = match process {
        Some(process) => (libc::P_PIDFD, process.as_raw_fd().unsigned_abs()),
        None => (libc::P_ALL, 0),
    };
    let flags = flags | libc::WEXITED | libc::WNOHANG;
    // SAFETY: a plain C struct; all zero is a valid value of it, and says that nobody has ended.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is ours and lives until the call returns; the rest are integers.
    Errno::result(unsafe { libc::waitid(kind, number, &raw mut info, flags) })?;
    // SAFETY: waitid fills the fields of a child's end, or leaves them zero.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let number = unsafe { info.si_status() };
    let status = match info.si_code {
        libc::CLD_EXITED => (number & 0xff) << 8,
        libc::CLD_DUMPED => number | 0x80,
        _ => number, // CLD_KILLED
    };
    Ok((pid != 0).then_some(Ended { pid, status }))
}

#[cfg(test)]
mod tests {
    use super::{Ended, look, take};
    use crate::clone::clone;
    use crate::descriptor::wait_readable;
    use nix::errno::Errno;
    use nix::sched::CloneFlags;
    use std::os::fd::AsFd;

    #[test]
    fn every_end_is_told_that_of_a_realtime_signal_too() {
        let killed_by = |signal| {
            // SAFETY: an integer; whatever it does happens to the child that calls it.
            unsafe { libc::raise(signal) };
            0
        };
        for (name, code, signal, status) in [
            ("code", 7, 0, 7 << 8),
            ("signal", 0, libc::SIGKILL, 9),
            ("realtime signal", 0, libc::SIGRTMAX(), libc::SIGRTMAX()),
        ] {
            let child =
                clone(CloneFlags::empty(), None, || if signal == 0 { code } else { killed_by(signal) })
                    .unwrap();
            let process = Some(child.pidfd.as_fd());
            assert!(wait_readable(child.pidfd.as_fd(), 5_000).unwrap(), "{name}");
            let ended = Ok(Some(Ended { pid: child.pid, status }));
            assert_eq!(look(process), ended, "{name}");
            assert_eq!(take(process), ended, "{name}");
            assert_eq!(look(process), Err(Errno::ECHILD), "{name}");
        }
    }

    #[test]
    fn who_lives_has_not_ended() {
        let child = clone(CloneFlags::empty(), None, || {
            nix::unistd::pause();
            0
        })
        .unwrap();
        assert_eq!(look(Some(child.pidfd.as_fd())), Ok(None));
        crate::pidfd::send_signal(child.pidfd.as_fd(), nix::sys::signal::Signal::SIGKILL).unwrap();
        assert!(wait_readable(child.pidfd.as_fd(), 5_000).unwrap());
        assert_eq!(take(Some(child.pidfd.as_fd())), Ok(Some(Ended { pid: child.pid, status: 9 })));
    }
}
