//! Landlock: the child gives up every file but its own.
//!
//! In:  the ABI that the board names. Out: the fence is up, and was tried.
//!
//! The kernel shows a Landlock domain to nobody, so this layer is tried from inside: an empty folder that is on no list and is open until
//! exec could be read before and cannot be read after. That is what the fence is for: a descriptor that leads out, whoever forgot it,
//! leads nowhere (attacks 1 and 3). Rules are about files, not about mounts: a descriptor on the service's own image leads to that.
//!
//! Source: landlock(7); linux/landlock.h; Documentation/userspace-api/landlock.rst.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use sys::landlock::{self, Handled};
use sys::mount::{Draft, attribute};
use sys::{Errno, descriptor};

use super::ASIDE;
use crate::Error;

/// The ABI that rules are written for; a board may name an older one.
pub const ABI_MAX: u32 = 6;
/// The first that knows a right to move files between folders; before, there was no way to give it.
pub(super) const ABI_MIN: u32 = 2;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const MAKE_CHARACTER_DEVICE: u64 = 1 << 6;
const MAKE_BLOCK_DEVICE: u64 = 1 << 11;
const TRUNCATE: u64 = 1 << 14; // ABI 3
const IOCTL_DEVICE: u64 = 1 << 15; // ABI 5
/// Abstract Unix sockets and signals stay in the domain.
const SCOPES: u64 = 0b11; // ABI 6

/// Every right over files that `abi` knows.
fn files(abi: u32) -> u64 {
    match abi {
        0 | 1 => (1 << 13) - 1,
        2 => (1 << 14) - 1,
        3 | 4 => (1 << 15) - 1,
        5.. => (1 << 16) - 1,
    }
}

/// What is given where a service may keep files of its own.
fn keeping(abi: u32) -> u64 {
    files(abi) & !(EXECUTE | MAKE_CHARACTER_DEVICE | MAKE_BLOCK_DEVICE)
}

/// What is given, and where: the image can be read and run, devices used, `/tmp` filled.
fn gifts(abi: u32) -> [(&'static CStr, u64); 3] {
    let all = files(abi);
    [
        (c"/", EXECUTE | READ_FILE | READ_DIR),
        (c"/dev", all & (READ_FILE | WRITE_FILE | READ_DIR | TRUNCATE | IOCTL_DEVICE)),
        (c"/tmp", keeping(abi)),
    ]
}

/// Puts the fence up.
///
/// * `volume` — where the service's volume is.
/// * `reaper` — the one file outside that can be run, where it is.
/// * `outside` — a folder that must be out of reach afterwards.
pub(super) fn put_up(
    abi: u32,
    volume: Option<&CStr>,
    reaper: Option<BorrowedFd<'_>>,
    outside: BorrowedFd<'_>,
) -> Result<(), Errno> {
    look(outside)?;
    let scopes = if abi >= ABI_MAX { SCOPES } else { 0 };
    let rules = landlock::ruleset(Handled { files: files(abi), ports: 0, scopes })?;
    let volume = volume.map(|at| (at, keeping(abi)));
    for (path, rights) in gifts(abi).into_iter().chain(volume) {
        match open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(place) => landlock::allow_beneath(rules.as_fd(), place.as_fd(), rights)?,
            Err(Errno::ENOENT) => {} // An image without a folder for what it does not have.
            Err(errno) => return Err(errno),
        }
    }
    if let Some(reaper) = reaper {
        landlock::allow_beneath(rules.as_fd(), reaper, EXECUTE | READ_FILE)?;
    }
    landlock::restrict_self(rules.as_fd())?;
    match look(outside) {
        Err(Errno::EACCES) => Ok(()),
        Ok(_) => Err(Errno::ENOTRECOVERABLE),
        Err(errno) => Err(errno),
    }
}

/// An empty folder of nobody's. There is one for all services: to make and unmake one for each start would cost more than all that is done with it.
static SOMEWHERE_ELSE: OnceLock<OwnedFd> = OnceLock::new();

/// See [`SOMEWHERE_ELSE`]. For the parent to ask: the child has a copy.
pub(super) fn somewhere_else() -> Result<BorrowedFd<'static>, Errno> {
    if let Some(folder) = SOMEWHERE_ELSE.get() {
        return Ok(folder.as_fd());
    }
    let mount = Draft::new(c"tmpfs")?.mount(attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_DEV)?;
    let folder = descriptor::copy_above(mount.as_fd(), ASIDE)?;
    Ok(SOMEWHERE_ELSE.get_or_init(|| folder).as_fd())
}

/// Is this kernel's Landlock what the board names?
///
/// # Errors
/// [`Error::Landlock`]: it has less.
pub(super) fn check(wanted: u32) -> Result<(), Error> {
    let has = landlock::abi().unwrap_or(0);
    if has < wanted || !(ABI_MIN..=ABI_MAX).contains(&wanted) {
        return Err(Error::Landlock { has, wanted });
    }
    Ok(())
}

fn look(outside: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    openat(outside, c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::{ABI_MAX, ABI_MIN, files, gifts};

    #[test]
    fn nothing_is_given_that_an_abi_does_not_know() {
        for abi in ABI_MIN..=ABI_MAX {
            for (path, rights) in gifts(abi) {
                assert_eq!(rights & !files(abi), 0, "{path:?} in ABI {abi}");
            }
        }
        // Source: linux/landlock.h: REFER came with ABI 2, TRUNCATE with 3, IOCTL_DEV with 5.
        assert_eq!([2, 3, 4, 5, 6].map(files), [0x3fff, 0x7fff, 0x7fff, 0xffff, 0xffff]);
    }
}
