//! Descriptors that this process was started with: the one place where a number becomes an owned descriptor.
//!
//! Source: sd_listen_fds(3) for the numbers and names; the s6 `notification-fd` protocol for readiness.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Which numbers have been taken already: one bit each, for the first 64.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Takes descriptor `number`, which our parent left open for us, and makes it close-on-exec.
///
/// `None` where it is not open, is one of the standard three, is 64 or more, or was taken before. To be called at the head of
/// `main`, before this process opens anything itself: until then every open number was left by the parent.
pub fn inherited(number: RawFd) -> Option<OwnedFd> {
    let bit = 1_u64.checked_shl(u32::try_from(number).ok().filter(|number| *number > 2)?)?;
    // SAFETY: the number is only looked at; F_SETFD below fails with EBADF where it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    if TAKEN.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return None;
    }
    // SAFETY: it is open, our parent left it to us, and the bit above says that nobody has taken it before.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Puts a copy of `descriptor` at `number`, to be kept over exec. What was open there is closed. For the moment between clone and
/// exec: nothing in this process may own `number`.
///
/// # Errors
/// `EBADF`: `number` is out of range.
pub fn place(descriptor: BorrowedFd<'_>, number: RawFd) -> Result<(), Errno> {
    if descriptor.as_raw_fd() == number {
        // dup2 onto itself does nothing, so the close-on-exec flag would stay.
        return fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty())).map(drop);
    }
    // SAFETY: two integers; a wrong one comes back as an error. Our caller promises that nobody here owns `number`.
    Errno::result(unsafe { libc::dup2(descriptor.as_raw_fd(), number) }).map(drop)
}

/// A copy of `descriptor` with a number of at least `lowest`, close-on-exec: out of the way of numbers that are to be [`place`]d.
///
/// # Errors
/// `EMFILE`: our table of descriptors is full.
pub fn copy_above(descriptor: BorrowedFd<'_>, lowest: RawFd) -> Result<OwnedFd, Errno> {
    let number = fcntl(descriptor, FcntlArg::F_DUPFD_CLOEXEC(lowest))?;
    // SAFETY: fcntl has just made it for us, and no one else has it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Marks every descriptor from `first` on close-on-exec.
///
/// # Errors
/// `ENOSYS`: Linux before 5.11.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4; // linux/close_range.h
    // SAFETY: three integers; nothing is closed now.
    let answer =
        unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    Errno::result(answer).map(drop)
}

/// Closes every descriptor from `first` on, but for `kept`. For the moment between clone and exec: nothing here may use, or close again,
/// what it owned.
///
/// # Errors
/// `ENOSYS`: Linux before 5.9.
pub fn close_from<const N: usize>(first: u32, kept: [BorrowedFd<'_>; N]) -> Result<(), Errno> {
    let mut kept = kept.map(|descriptor| descriptor.as_raw_fd().unsigned_abs());
    kept.sort_unstable();
    let mut first = first;
    for last in kept.into_iter().chain([libc::c_uint::MAX]) {
        // Up to the next that is kept; up to the last number there is, in the end.
        let end = if last == libc::c_uint::MAX { last } else { last.saturating_sub(1) };
        if first <= end {
            // SAFETY: three integers. Our caller promises that nobody here uses or closes again what is closed now.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, end, 0) })?;
        }
        first = first.max(last.saturating_add(1));
    }
    Ok(())
}

/// Makes reads and writes on `descriptor` answer `EAGAIN` instead of waiting.
///
/// # Errors
/// None that a descriptor which is open can cause.
pub fn set_nonblocking(descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}

/// Waits until `descriptor` can be read, or its other end is gone, at most `limit_ms` milliseconds. Can it?
///
/// # Errors
/// `ENOMEM`: the kernel has no memory.
pub fn wait_readable(descriptor: BorrowedFd<'_>, limit_ms: u16) -> Result<bool, Errno> {
    let mut wanted = [PollFd::new(descriptor, PollFlags::POLLIN)];
    loop {
        match poll(&mut wanted, PollTimeout::from(limit_ms)) {
            Err(Errno::EINTR) => {}
            other => return other.map(|count| count > 0),
        }
    }
}

/// Writes `bytes`, or a first part of them, and returns how many.
///
/// # Errors
/// write(2)'s, but for `EINTR`.
pub fn write<D: AsFd>(descriptor: &D, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        match nix::unistd::write(descriptor, bytes) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{close_from, copy_above, inherited};
    use nix::sched::CloneFlags;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::Pid;
    use std::os::fd::{AsFd, AsRawFd, IntoRawFd};

    #[test]
    fn what_is_kept_stays_open_and_all_else_is_closed() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let [one, other, kept] = [100, 101, 103].map(|number| copy_above(null.as_fd(), number).unwrap());
        let is_open = |number: i32| nix::fcntl::fcntl(raw(number), nix::fcntl::FcntlArg::F_GETFD).is_ok();
        let child = crate::clone::clone(CloneFlags::empty(), None, || {
            let done = close_from(100, [kept.as_fd(), one.as_fd()]).is_ok();
            let [one, other, kept] = [&one, &other, &kept].map(|descriptor| is_open(descriptor.as_raw_fd()));
            u8::from(!(done && one && !other && kept))
        });
        let pid = Pid::from_raw(child.unwrap().pid);
        assert_eq!(waitpid(pid, None), Ok(WaitStatus::Exited(pid, 0)));
    }

    fn raw(number: i32) -> std::os::fd::BorrowedFd<'static> {
        // SAFETY: the number is only looked at.
        unsafe { std::os::fd::BorrowedFd::borrow_raw(number) }
    }

    #[test]
    fn a_number_is_taken_once() {
        let file = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        assert!(inherited(file).is_some());
        assert!(inherited(file).is_none(), "twice");
        assert!(inherited(1).is_none(), "standard output");
        assert!(inherited(63).is_none(), "not open");
        assert!(inherited(64).is_none(), "too high");
        assert!(inherited(-1).is_none(), "negative");
    }
}
