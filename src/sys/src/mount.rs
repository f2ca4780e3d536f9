//! The mount calls that work on descriptors.
//!
//! Source: open_tree(2), move_mount(2), fsopen(2), fsconfig(2), fsmount(2), mount_setattr(2); linux/mount.h.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;

const AT_FDCWD: RawFd = libc::AT_FDCWD;
/// The path is empty: the descriptor itself is meant. fcntl.h
const AT_EMPTY_PATH: libc::c_uint = 0x1000;

/// Attributes of a mount: linux/mount.h.
pub mod attribute {
    /// Nothing can be written.
    pub const READ_ONLY: u64 = 0x1;
    /// Set-user-id bits and file capabilities mean nothing.
    pub const NO_SUID: u64 = 0x2;
    /// Device files mean nothing.
    pub const NO_DEV: u64 = 0x4;
    /// Nothing can be executed.
    pub const NO_EXEC: u64 = 0x8;
}

/// Takes the descriptor that a system call has just made.
fn taken(answer: libc::c_long) -> Result<OwnedFd, Errno> {
    let number = RawFd::try_from(Errno::result(answer)?).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the call succeeded, so it is open, and no one else has it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A detached copy of the mount at `path`, of that one file or folder; close-on-exec.
///
/// # Errors
/// `ENOENT`: no such path. `EINVAL`: its mount is not in our mount namespace. `EPERM`: we may not mount here.
pub fn copy(path: &CStr) -> Result<OwnedFd, Errno> {
    const OPEN_TREE_CLONE: libc::c_uint = 1;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC.unsigned_abs();
    // SAFETY: one null-terminated path; the rest are integers.
    taken(unsafe { libc::syscall(libc::SYS_open_tree, AT_FDCWD, path.as_ptr(), flags) })
}

/// Attaches the detached mount at `path`, which begins at `folder`. A link at its end is not followed.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`: no such place, or a file where a folder is needed. `EINVAL`: not a detached mount. `EPERM`.
pub fn attach(mount: BorrowedFd<'_>, folder: BorrowedFd<'_>, path: &CStr) -> Result<(), Errno> {
    const FROM_EMPTY_PATH: libc::c_uint = 4; // MOVE_MOUNT_F_EMPTY_PATH
    move_mount(mount, folder.as_raw_fd(), path, FROM_EMPTY_PATH)
}

/// Attaches the detached mount at `place` itself.
///
/// # Errors
/// As [`attach`].
pub fn attach_at(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    const BOTH_EMPTY_PATHS: libc::c_uint = 4 | 0x40; // MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH
    move_mount(mount, place.as_raw_fd(), c"", BOTH_EMPTY_PATHS)
}

fn move_mount(mount: BorrowedFd<'_>, to: RawFd, path: &CStr, flags: libc::c_uint) -> Result<(), Errno> {
    let empty = c"".as_ptr();
    // SAFETY: two null-terminated paths; the rest are integers.
    let answer =
        unsafe { libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), empty, to, path.as_ptr(), flags) };
    Errno::result(answer).map(drop)
}

/// A file system in the making: kind, then options, then the mount.
#[derive(Debug)]
pub struct Draft(OwnedFd);

impl Draft {
    /// Begins one of `kind`.
    ///
    /// # Errors
    /// `ENODEV`: the kernel does not know it. `EPERM`.
    pub fn new(kind: &CStr) -> Result<Self, Errno> {
        const FSOPEN_CLOEXEC: libc::c_uint = 1;
        // SAFETY: one null-terminated text and an integer.
        taken(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) }).map(Self)
    }

    fn configure(
        &self,
        command: libc::c_uint,
        key: *const libc::c_char,
        value: *const libc::c_char,
    ) -> Result<(), Errno> {
        // SAFETY: both are null or null-terminated texts, as the command asks; callers are below.
        let answer = unsafe { libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), command, key, value, 0) };
        Errno::result(answer).map(drop)
    }

    /// Sets a flag, such as `ro`.
    ///
    /// # Errors
    /// `EINVAL`: the file system does not know it.
    pub fn flag(&self, key: &CStr) -> Result<(), Errno> {
        const FSCONFIG_SET_FLAG: libc::c_uint = 0;
        self.configure(FSCONFIG_SET_FLAG, key.as_ptr(), ptr::null())
    }

    /// Sets an option, such as `source`.
    ///
    /// # Errors
    /// `EINVAL`: the file system does not know it, or not this value.
    pub fn set(&self, key: &CStr, value: &CStr) -> Result<(), Errno> {
        const FSCONFIG_SET_STRING: libc::c_uint = 1;
        self.configure(FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr())
    }

    /// Makes the file system, and a detached mount of it with `attributes`; close-on-exec.
    ///
    /// # Errors
    /// What the file system says of its source: `EINVAL`, `EUCLEAN`: it is damaged. `EIO`. `ENOTBLK`.
    pub fn mount(self, attributes: u64) -> Result<OwnedFd, Errno> {
        const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
        const FSMOUNT_CLOEXEC: libc::c_uint = 1;
        self.configure(FSCONFIG_CMD_CREATE, ptr::null(), ptr::null())?;
        let attributes = libc::c_uint::try_from(attributes).map_err(|_| Errno::EINVAL)?;
        // SAFETY: three integers.
        taken(unsafe { libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
    }
}

/// `struct mount_attr`.
#[repr(C, align(8))]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Sets `attributes` on the mount, and shows its owners as `user_namespace` maps them, where one is given (only on a detached mount
/// that was not mapped before).
///
/// # Errors
/// `EINVAL`: the file system cannot be mapped, or is mapped. `EPERM`.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: u64,
    user_namespace: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
    let (map, number) = match user_namespace {
        Some(descriptor) => (MOUNT_ATTR_IDMAP, u64::from(descriptor.as_raw_fd().unsigned_abs())),
        None => (0, 0),
    };
    let wanted = Attributes { set: attributes | map, clear: 0, propagation: 0, user_namespace: number };
    // SAFETY: the path is empty, as the flag says; the struct is of the size that is given and lives until the call returns.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            AT_EMPTY_PATH,
            &raw const wanted,
            size_of::<Attributes>(),
        )
    };
    Errno::result(answer).map(drop)
}
