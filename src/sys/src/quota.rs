//! Projects of a file system: what a folder and all that is made in it count for, and how much that may be.
//!
//! Source: ioctl_fsxattr (linux/fs.h, `struct fsxattr`); quotactl(2), `quotactl_fd` since Linux 5.14; linux/quota.h, `struct if_dqblk`.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// `struct fsxattr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
    padding: [u8; 8],
}

/// `struct if_dqblk`.
#[repr(C)]
#[derive(Default)]
struct Block {
    hard_kib: u64,
    soft_kib: u64,
    used_bytes: u64,
    hard_inodes: u64,
    soft_inodes: u64,
    used_inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
}

const _: () = assert!(size_of::<Attributes>() == 28);
/// The block's command: `QCMD(command, PRJQUOTA)`.
const fn command(number: u32) -> u32 {
    const PROJECT: u32 = 2;
    number << 8 | PROJECT
}

/// The project of the file or folder. 0: none.
///
/// # Errors
/// `ENOTTY`: the file system knows no projects.
pub fn project(file: BorrowedFd<'_>) -> Result<u32, Errno> {
    const FS_IOC_FSGETXATTR: u32 = 2 << 30 | 28 << 16 | 0x58 << 8 | 31;
    let mut found = Attributes::default();
    // SAFETY: the kernel writes a `struct fsxattr`, which `found` is, alive until the call returns.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSGETXATTR as _, &raw mut found) };
    Errno::result(answer).map(|_| found.project)
}

/// Makes `folder`, and all that is made in it from now on, count for `project`. Its other attributes of this kind are taken away.
///
/// # Errors
/// `EOPNOTSUPP`, `ENOTTY`: the file system knows no projects. `EPERM`: it is not ours. `EDQUOT`: the project has no room for it.
pub fn set_project(folder: BorrowedFd<'_>, project: u32) -> Result<(), Errno> {
    const FS_IOC_FSSETXATTR: u32 = 1 << 30 | 28 << 16 | 0x58 << 8 | 32;
    const FS_XFLAG_PROJINHERIT: u32 = 0x200;
    let wanted = Attributes { flags: FS_XFLAG_PROJINHERIT, project, ..Attributes::default() };
    // SAFETY: the kernel reads a `struct fsxattr`, which `wanted` is, alive until the call returns.
    let answer = unsafe { libc::ioctl(folder.as_raw_fd(), FS_IOC_FSSETXATTR as _, &raw const wanted) };
    Errno::result(answer).map(drop)
}

fn quotactl(file: BorrowedFd<'_>, number: u32, project: u32, block: *mut Block) -> Result<(), Errno> {
    // SAFETY: `block` is a whole `struct if_dqblk` of a caller below, alive until the call returns; the rest are integers.
    let answer =
        unsafe { libc::syscall(libc::SYS_quotactl_fd, file.as_raw_fd(), command(number), project, block) };
    Errno::result(answer).map(drop)
}

/// Lets `project` have at most so many bytes and inodes of the file system that `file` is on.
///
/// # Errors
/// `ESRCH`: it keeps no account of projects. `ENOSYS`: the kernel does not. `EPERM`.
pub fn set_limits(file: BorrowedFd<'_>, project: u32, bytes: u64, inodes: u64) -> Result<(), Errno> {
    const Q_SETQUOTA: u32 = 0x80_0008;
    const LIMITS: u32 = 1 | 4; // QIF_BLIMITS, QIF_ILIMITS
    let mut block =
        Block { hard_kib: bytes.div_ceil(1024), hard_inodes: inodes, valid: LIMITS, ..Block::default() };
    quotactl(file, Q_SETQUOTA, project, &raw mut block)
}

/// Bytes and inodes of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Those that it has.
    pub used: (u64, u64),
    /// Those that it may have; 0: all that there are.
    pub limits: (u64, u64),
}

/// What `project` has and may have of the file system that `file` is on.
///
/// # Errors
/// As [`set_limits`].
pub fn account(file: BorrowedFd<'_>, project: u32) -> Result<Account, Errno> {
    const Q_GETQUOTA: u32 = 0x80_0007;
    let mut block = Block::default();
    quotactl(file, Q_GETQUOTA, project, &raw mut block)?;
    let limits = (block.hard_kib.saturating_mul(1024), block.hard_inodes);
    Ok(Account { used: (block.used_bytes, block.used_inodes), limits })
}

#[cfg(test)]
mod tests {
    use super::{account, project, set_limits};
    use nix::errno::Errno;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_file_system_without_projects_says_so() {
        // procfs has none on any kernel.
        let file = File::open("/proc/self/status").unwrap();
        assert_eq!(project(file.as_fd()), Err(Errno::ENOTTY));
        let refused = [set_limits(file.as_fd(), 7, 1 << 20, 9), account(file.as_fd(), 7).map(drop)];
        for answer in refused {
            assert!(matches!(answer, Err(Errno::ENOSYS | Errno::ESRCH | Errno::EPERM)), "{answer:?}");
        }
    }
}
