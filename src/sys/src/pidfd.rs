//! Descriptors on processes.
//!
//! Source: pidfd_open(2), pidfd_send_signal(2); proc_pid_fdinfo(5), `Pid:`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// Opens a descriptor that becomes readable when `pid` ends; close-on-exec.
///
/// # Errors
/// `ESRCH`: no such process. `EINVAL`: not a positive number. `EMFILE`: our table of descriptors is full.
pub fn open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: pidfd_open takes two integers and no pointer.
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let number = RawFd::try_from(Errno::result(answer)?).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the call succeeded, so it is open, and no one else has it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Sends `signal`.
///
/// # Errors
/// `ESRCH`: it has ended and was waited for. `EPERM`: we may not.
pub fn send_signal(process: BorrowedFd<'_>, signal: Signal) -> Result<(), Errno> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    let signal = signal as libc::c_int;
    // SAFETY: no pointer but a null one, which asks for the usual siginfo.
    let answer =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, no_info, 0) };
    Errno::result(answer).map(drop)
}

/// The number of the process, here; −1 once it has ended and was waited for.
///
/// # Errors
/// `EINVAL`: not such a descriptor. What reading `/proc` says.
pub fn pid<D: AsFd>(process: &D) -> Result<i32, Errno> {
    let path = format!("/proc/self/fdinfo/{}", process.as_fd().as_raw_fd());
    let text =
        std::fs::read_to_string(path).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    line.and_then(|number| number.trim().parse().ok()).ok_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    #[test]
    fn our_own_number_comes_back() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(super::pid(&super::open(own).unwrap()), Ok(own));
        assert_eq!(super::open(0).unwrap_err(), nix::errno::Errno::EINVAL);
    }
}
