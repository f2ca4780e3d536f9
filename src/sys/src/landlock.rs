//! Landlock: rights over files that a process gives up for good.
//!
//! Source: landlock(7), landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2); linux/landlock.h.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;

/// What a ruleset is about: `struct landlock_ruleset_attr`. A kernel that is older takes what it does not know as long as it is 0.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Handled {
    /// Rights over files that are refused unless a rule gives them (`LANDLOCK_ACCESS_FS_`).
    pub files: u64,
    /// Rights over ports (`LANDLOCK_ACCESS_NET_`), ABI 4.
    pub ports: u64,
    /// What does not leave the domain (`LANDLOCK_SCOPE_`), ABI 6.
    pub scopes: u64,
}

/// The kernel's ABI: 1 and more.
///
/// # Errors
/// `ENOSYS`: the kernel has no Landlock. `EOPNOTSUPP`: it is switched off.
pub fn abi() -> Result<u32, Errno> {
    const VERSION: libc::c_uint = 1; // LANDLOCK_CREATE_RULESET_VERSION
    const NOTHING: usize = 0;
    // SAFETY: a null pointer and its size of 0, as the flag asks.
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<Handled>(), NOTHING, VERSION) };
    u32::try_from(Errno::result(answer)?).map_err(|_| Errno::EOVERFLOW)
}

/// A new ruleset; close-on-exec.
///
/// # Errors
/// `EINVAL`, `E2BIG`: a bit that the kernel does not know. As [`abi`].
pub fn ruleset(handled: Handled) -> Result<OwnedFd, Errno> {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: the struct is of the size that is given and lives until the call returns.
    let answer = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, size_of::<Handled>(), NO_FLAGS)
    };
    let number = RawFd::try_from(Errno::result(answer)?).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the call succeeded, so it is open, and no one else has it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: i32,
}

/// Gives `rights` over `parent` and all beneath it.
///
/// # Errors
/// `EINVAL`: rights that the ruleset does not handle, or that a file cannot have. `EBADFD`: a descriptor of no file system with paths.
pub fn allow_beneath(ruleset: BorrowedFd<'_>, parent: BorrowedFd<'_>, rights: u64) -> Result<(), Errno> {
    const PATH_BENEATH: libc::c_uint = 1; // LANDLOCK_RULE_PATH_BENEATH
    const NO_FLAGS: libc::c_uint = 0;
    let rule = Beneath { allowed: rights, parent: parent.as_raw_fd() };
    // SAFETY: the struct is the one of this kind of rule, and lives until the call returns.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            PATH_BENEATH,
            &raw const rule,
            NO_FLAGS,
        )
    };
    Errno::result(answer).map(drop)
}

/// Puts this thread, and all that come of it, behind the ruleset.
///
/// # Errors
/// `EPERM`: `no_new_privs` is not set and we lack `CAP_SYS_ADMIN`. `E2BIG`: 16 layers are on already.
pub fn restrict_self(ruleset: BorrowedFd<'_>) -> Result<(), Errno> {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: integers only.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), NO_FLAGS) };
    Errno::result(answer).map(drop)
}

#[cfg(test)]
mod tests {
    use super::{Handled, abi, allow_beneath, restrict_self, ruleset};
    use nix::errno::Errno;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::thread;

    #[test]
    fn a_thread_gives_up_what_no_rule_gives_it() {
        const READ_DIR: u64 = 1 << 3;
        match abi() {
            Ok(1..) => {}
            other => return println!("skipped: no Landlock here: {other:?}"),
        }
        let thread = thread::spawn(|| {
            let rules = ruleset(Handled { files: READ_DIR, ..Handled::default() }).unwrap();
            allow_beneath(rules.as_fd(), File::open("/usr").unwrap().as_fd(), READ_DIR).unwrap();
            nix::sys::prctl::set_no_new_privs().unwrap();
            restrict_self(rules.as_fd()).unwrap();
            (
                std::fs::read_dir("/usr").is_ok(),
                std::fs::read_dir("/etc").map(drop).map_err(|e| e.raw_os_error()),
            )
        });
        assert_eq!(thread.join().unwrap(), (true, Err(Some(Errno::EACCES as i32))));
        assert!(std::fs::read_dir("/etc").is_ok(), "another thread keeps what it has");
        assert_eq!(ruleset(Handled { files: 1 << 63, ..Handled::default() }).unwrap_err(), Errno::EINVAL);
    }
}
