//! Folders of the data disk, opened from the one above by their descriptors: no link is followed, whoever puts one there.
//!
//! In:  a descriptor, a name. Out: a descriptor.
//!
//! Source: openat(2), `O_PATH`, `O_NOFOLLOW`; fchownat(2), `AT_EMPTY_PATH`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::NixPath;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Uid, fchownat};
use sys::Errno;

/// A folder, and nothing else.
const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Opens the folder at `path`.
///
/// # Errors
/// `ENOENT`; `ENOTDIR`, `ELOOP`: something else is there.
pub fn top(path: &Path) -> Result<OwnedFd, Errno> {
    openat(AT_FDCWD, path, FOLDER, Mode::empty())
}

/// Opens the folder `name` in `above`.
///
/// # Errors
/// As [`top`].
pub fn open<N: NixPath + ?Sized>(above: impl AsFd, name: &N) -> Result<OwnedFd, Errno> {
    openat(above, name, FOLDER, Mode::empty())
}

/// Makes the folder `name` in `above` ours, whosever it is, so that what is in it can be taken away.
///
/// # Errors
/// As [`top`]; `EROFS`, `EIO`.
pub fn seize<N: NixPath + ?Sized>(above: impl AsFd, name: &N) -> Result<OwnedFd, Errno> {
    let place = openat(above.as_fd(), name, FOLDER | OFlag::O_PATH, Mode::empty())?;
    fchownat(&place, "", Some(Uid::effective()), Some(Gid::effective()), AtFlags::AT_EMPTY_PATH)?;
    let folder = open(above, name)?;
    fchmod(&folder, Mode::S_IRWXU)?;
    Ok(folder)
}

/// Where an open folder can be found by a call that takes a path.
pub fn path(folder: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", folder.as_raw_fd()).into()
}
