//! The hardware watchdog: who opens it must feed it, or the machine is reset.
//!
//! Source: linux/watchdog.h; Documentation/watchdog/watchdog-api.rst.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

mod raw {
    #![allow(missing_docs, reason = "made by a macro of nix, for the wrapper below")]
    nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
}

/// An open watchdog. Dropping it does not stop it: that takes the letter `V`, which nobody here writes.
#[derive(Debug)]
pub struct Watchdog(OwnedFd);

impl Watchdog {
    /// Takes `device` and sets its limit, in seconds; returns what the hardware made of it.
    ///
    /// # Errors
    /// `EINVAL`: no such limit. `ENOTTY`, `EOPNOTSUPP`: it has none, or is no watchdog.
    pub fn start(device: OwnedFd, limit_s: u16) -> Result<(Self, u16), (OwnedFd, Errno)> {
        let mut limit = libc::c_int::from(limit_s);
        // SAFETY: the descriptor is open and `limit` is the int that the ioctl reads and writes.
        match unsafe { raw::set_timeout(device.as_raw_fd(), &raw mut limit) } {
            Ok(_) => Ok((Self(device), u16::try_from(limit).unwrap_or(limit_s))),
            Err(errno) => Err((device, errno)),
        }
    }

    /// Feeds it.
    pub fn feed(&self) {
        // If this fails the machine is reset, which is what a watchdog is for.
        let _ = crate::descriptor::write(&self.0, b"1");
    }
}

impl AsFd for Watchdog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
