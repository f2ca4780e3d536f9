//! News of the configuration: another file in its folder, another disk.
//!
//! In:  folders. Out: descriptors to wait for, and whether something happened.
//!
//! A folder is watched, not a file: who writes a file well writes it beside and renames it.
//!
//! Source: inotify(7); proc_pid_mountinfo(5).

use std::os::fd::{AsFd, BorrowedFd};

use log::warn;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use state::Mounts;

use super::Places;

/// What is waited for.
#[derive(Debug)]
pub struct Watch {
    files: Option<Inotify>,
    mounts: Option<Mounts>,
}

impl Watch {
    /// Watches from now on. What cannot be watched is seen at the next turn.
    #[must_use]
    pub fn of(places: &Places) -> Self {
        let files =
            watch_folder(places).inspect_err(|errno| warn!("the configuration's folder: {}", errno.desc()));
        let mounts = Mounts::watch().inspect_err(|error| warn!("mounts: {error}"));
        Self { files: files.ok(), mounts: mounts.ok() }
    }

    /// Files: to be read when readable.
    #[must_use]
    pub fn files(&self) -> Option<BorrowedFd<'_>> {
        self.files.as_ref().map(AsFd::as_fd)
    }

    /// Mounts: to be polled for `POLLPRI`.
    #[must_use]
    pub fn mounts(&self) -> Option<BorrowedFd<'_>> {
        self.mounts.as_ref().map(AsFd::as_fd)
    }

    /// Has something happened in the folder? What was lost (`IN_Q_OVERFLOW`) has happened, too.
    #[must_use]
    pub fn heard(&self) -> bool {
        self.files.as_ref().is_some_and(|files| files.read_events().is_ok_and(|events| !events.is_empty()))
    }
}

fn watch_folder(places: &Places) -> Result<Inotify, sys::Errno> {
    let files = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let folder = places.shipped.parent().unwrap_or(&places.shipped);
    let news = AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_DELETE;
    files.add_watch(folder, news)?;
    Ok(files)
}
