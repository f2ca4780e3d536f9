//! News that something was mounted or unmounted: how a daemon learns that the data disk has come.
//!
//! In:  nothing. Out: a descriptor.
//!
//! Source: `proc_pid_mountinfo(5)`: "poll(2) … `POLLPRI`".

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Our mounts. Poll it for `POLLPRI` (`PollFlags::POLLPRI`; it can always be read): the poll returns once for each time that something has
/// changed since the poll before, and nothing has to be read.
#[derive(Debug)]
pub struct Mounts(File);

impl Mounts {
    /// Listens from now on.
    ///
    /// # Errors
    /// What the system says: there is no `/proc`, or our table of descriptors is full.
    pub fn watch() -> io::Result<Self> {
        // Of the thread, which may have mounts of its own; a daemon has but one.
        File::open("/proc/thread-self/mountinfo").map(Self)
    }
}

impl AsFd for Mounts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::Mounts;
    use nix::mount::{MsFlags, mount, umount};
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sched::{CloneFlags, unshare};
    use std::os::fd::AsFd;

    fn news(mounts: &Mounts) -> bool {
        let mut wanted = [PollFd::new(mounts.as_fd(), PollFlags::POLLPRI)];
        poll(&mut wanted, PollTimeout::ZERO).unwrap() > 0
    }

    #[test]
    fn a_mount_is_news_once() {
        // This thread alone leaves for mounts of its own.
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNS) {
            return println!("skipped: no mounts of our own: {}", errno.desc());
        }
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let mounts = Mounts::watch().unwrap();
        assert!(!news(&mounts));
        let place = std::env::temp_dir().join(format!("shg-state-mounts-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        mount(Some("none"), &place, Some("tmpfs"), MsFlags::empty(), none).unwrap();
        assert!(news(&mounts), "mounted");
        assert!(!news(&mounts), "once");
        umount(&place).unwrap();
        assert!(news(&mounts), "unmounted");
        std::fs::remove_dir(&place).unwrap();
    }
}
