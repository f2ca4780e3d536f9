//! The mount at `/data`: made, looked at, taken away.
//!
//! In:  a device that `block.rs` found good. Out: its file system at [`crate::DATA`], with our folders.
//!
//! Not here: when to do so (`disk.rs`), what the folders are (`folders.rs`), who is served next (`queue.rs`).
//!
//! Source: mount(2), umount(2); the kernel's Documentation/admin-guide/ext4.rst; proc_pid_mountinfo(5).

use std::fs;
use std::path::Path;

use log::warn;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::block::{Look, Places};
use crate::disk::{Mounts, Space};
use crate::uevent::{self, Device};
use crate::{DATA, Error, folders, queue, seed, services};

/// Nothing on it runs, is a device or gives rights.
const PLAIN: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);
/// Data reach the disk before the metadata that name them; after an error nothing more is written.
const OPTIONS: &str = "data=ordered,errors=remount-ro";
/// The same, and projects' limits are kept.
const WITH_PROJECTS: &str = "data=ordered,errors=remount-ro,prjquota";
/// The kernel's mounts.
#[derive(Debug)]
pub struct Volume;

impl Mounts for Volume {
    fn mounted(&self) -> Option<Device> {
        let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
        source(&table, DATA).and_then(|source| uevent::device(source.strip_prefix("/dev/")?))
    }

    fn mount(&self, device: &Device, read_only: bool) -> Result<(), Error> {
        let path = format!("/dev/{device}");
        let flags = if read_only { PLAIN | MsFlags::MS_RDONLY } else { PLAIN };
        let counts = matches!(Places::default().look(device), Look::Ours(found) if found.counts_projects);
        let options = if counts && !read_only { WITH_PROJECTS } else { OPTIONS };
        mount(Some(path.as_str()), DATA, Some("ext4"), flags, Some(options))
            .map_err(|errno| Error::system("file system", "cannot be mounted", errno))?;
        let settled = self.settle(read_only);
        if settled.is_err() {
            self.detach();
        }
        settled
    }

    fn settle(&self, read_only: bool) -> Result<(), Error> {
        folders::make(Path::new(DATA), read_only)?;
        if !read_only {
            services::share(Path::new(DATA));
        }
        seed::take(Path::new(DATA), &seed::Kernel);
        if let Some(device) = self.mounted()
            && let Err(error) = queue::order(&Places::default().descriptions, &device)
        {
            warn!("{device}: {error}; floors of the disk are not kept on it");
        }
        Ok(())
    }

    fn write_protect(&self) -> Result<(), Error> {
        let flags = PLAIN | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, DATA, None::<&str>, flags, None::<&str>)
            .map_err(|errno| Error::system(DATA, "cannot be made read-only", errno))
    }

    fn detach(&self) {
        if let Err(errno) = umount2(DATA, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            warn!("{DATA}: cannot be unmounted: {}", errno.desc());
        }
    }

    fn finish(&self) -> Result<(), Error> {
        seed::leave(Path::new(DATA), &seed::Kernel);
        nix::unistd::sync();
        match umount2(DATA, MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => Ok(()),
            // Somebody still holds a file. What was written is on the disk; nothing more may be.
            Err(Errno::EBUSY) => {
                let protected = self.write_protect();
                nix::unistd::sync();
                self.detach();
                protected
            }
            Err(errno) => Err(Error::system(DATA, "cannot be unmounted", errno)),
        }
    }

    #[allow(clippy::useless_conversion, reason = "some of these have 32 bits on the gateway, 64 on the desk")]
    fn space(&self) -> Option<Space> {
        let now = statvfs(DATA).ok()?;
        let unit = u64::from(now.fragment_size());
        Some(Space {
            size_bytes: u64::from(now.blocks()).saturating_mul(unit),
            // What root may still write is a reserve, not space.
            free_bytes: u64::from(now.blocks_available()).saturating_mul(unit),
            read_only: now.flags().contains(FsFlags::ST_RDONLY),
        })
    }
}

/// What is mounted at `place`, in the `table` that mountinfo is: the source of the topmost mount there.
fn source<'t>(table: &'t str, place: &str) -> Option<&'t str> {
    let at_place = table.lines().rev().find(|line| line.split(' ').nth(4) == Some(place))?;
    at_place.split_once(" - ")?.1.split(' ').nth(1)
}

#[cfg(test)]
mod tests {
    use super::source;

    #[test]
    fn the_topmost_mount_counts() {
        // cat /proc/self/mountinfo, shortened.
        let table = "22 28 0:21 / /sys rw,nosuid - sysfs sysfs rw\n\
            30 28 8:1 / /data rw,nosuid,nodev,noexec - ext4 /dev/sda1 rw\n\
            31 28 8:17 / /data rw,nosuid,nodev,noexec shared:3 - ext4 /dev/sdb1 rw\n\
            32 28 8:17 /x /data/x rw - ext4 /dev/sdc1 rw\n";
        assert_eq!(source(table, "/data"), Some("/dev/sdb1"));
        assert_eq!(source(table, "/dat"), None);
        assert_eq!(source("nonsense /data", "/data"), None);
        assert_eq!(source("", "/data"), None);
    }
}
