//! A folder of the kernel's (`/proc/<pid>`, a cgroup), and what files in it say.
//!
//! In:  a path, names. Out: texts as the kernel gave them; nothing where it gave none.
//!
//! Source: proc(5), cgroups(7).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::Mode;
use nix::unistd::read;

/// One that is open: a start waits until all is read, so the way to it is gone once.
pub(crate) struct Folder(OwnedFd);

impl Folder {
    pub(crate) fn open(path: &str) -> Option<Self> {
        openat(AT_FDCWD, path, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).ok().map(Self)
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// What a file in it says, whole. In pieces of a page: the kernel makes the text anew for each read.
    pub(crate) fn text(&self, file: &str) -> Option<String> {
        let file = openat(&self.0, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            match read(&file, &mut piece).ok()? {
                0 => return String::from_utf8(bytes).ok(),
                length => bytes.extend_from_slice(piece.get(..length)?),
            }
        }
    }

    /// Where a link in it leads.
    pub(crate) fn link(&self, name: &str) -> Option<String> {
        Some(readlinkat(&self.0, name).ok()?.to_string_lossy().into_owned())
    }
}

impl From<Folder> for OwnedFd {
    fn from(folder: Folder) -> Self {
        folder.0
    }
}
