//! Services' volumes: a folder for each service, with a limit on bytes and on files.
//!
//! In:  a service, its range of owners, limits. Out: a detached, writable mount of its folder whose owner 0 is shown as the service's.
//!
//! A volume is `services/<service>.<provider>` on the data disk: who takes the name of another's service does not get its data. The limits are ext4's project quotas, kept by the kernel: a folder belongs to a project of its
//! own, and so does all that is made in it. Limits are promises: together they are at most a half of the disk, and bundles have the other half
//! ([`share`]), so nobody's room is filled by somebody else. Of a service that was taken away only what its volume has is counted. On the disk files belong to owners from 0 on, so a service that gets another range finds them all.
//!
//! A volume that is dropped is out of its place at once, as `services/.gone/<number>`, and is taken apart bit by bit, between questions: what is
//! in it was made by a stranger, and may be deep, wide and somebody's. A folder in it is moved beside, so that depth costs nothing.
//!
//! Not here: which service has how much (`supervisor`).
//!
//! Source: the kernel's Documentation/filesystems/ext4; quotactl(2); mount_setattr(2).

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use contract::Name;
use contract::limit::SERVICES;
use contract::mount::{VOLUMES, volume_folder};
use log::{info, warn};
use nix::fcntl::renameat;
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{UnlinkatFlags, unlinkat};
use sys::mount::{attribute, copy, set_attributes};
use sys::{Errno, quota};

use crate::folders::BUNDLES;
use crate::owner::Owners;
use crate::{Error, errno, folder};

/// In the folder of volumes: what was dropped, each thing under a number. No service has such a name.
const GONE: &str = ".gone";
/// Between a service and its provider; no name has it.
const POINT: char = '.';
/// Names that are looked at for the numbers of projects: of services that were here once, too.
const VOLUMES_MAX: usize = 8 * SERVICES;
/// The number of the first project: below are those that people count for themselves.
const PROJECT_FIRST: u32 = 0x5347;
/// The project of bundles and of what fetches them.
const PROJECT_BUNDLES: u32 = PROJECT_FIRST - 1;
/// Of so many parts of the disk one is for volumes, and one for bundles.
const PARTS: u64 = 2;
/// Files that are taken away between two questions.
const STEP: usize = 64;

/// How much may be in a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In bytes.
    pub bytes: u64,
    /// Files, folders and links.
    pub inodes: u64,
}

/// Whose volume.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'n> {
    /// The service.
    pub service: &'n Name,
    /// The provider.
    pub provider: &'n Name,
}

impl Whose<'_> {
    fn folder(self) -> String {
        volume_folder(self.service, self.provider).to_string()
    }
}

/// All volumes.
#[derive(Debug)]
pub struct Volumes {
    top: PathBuf,
    /// There may be something that was dropped.
    dropped: bool,
    /// The number of the next thing that is dropped.
    next: u64,
}

fn failed(service: &Name, step: &'static str) -> impl Fn(Errno) -> Error {
    let what = format!("volume {service}");
    move |errno| Error::system(&what, step, errno)
}

/// What a file system says that keeps no account of projects.
const NO_PROJECTS: [Errno; 4] = [Errno::ENOTTY, Errno::EOPNOTSUPP, Errno::ESRCH, Errno::ENOSYS];

fn no_account(service: &Name, step: &'static str) -> impl Fn(Errno) -> Error {
    let failed = failed(service, step);
    let service = service.clone();
    move |errno| {
        if NO_PROJECTS.contains(&errno) { Error::Quota { service: service.clone() } } else { failed(errno) }
    }
}

impl Volumes {
    /// Those of the data disk at `top`.
    #[must_use]
    pub fn new(top: &Path) -> Self {
        Self { top: top.to_path_buf(), dropped: true, next: 0 }
    }

    fn folder(&self) -> Result<OwnedFd, Errno> {
        folder::top(&self.top).and_then(|top| folder::open(top, VOLUMES))
    }

    /// A detached mount of the volume of `service`, which is made if it is not there, shown as `owners`' and limited from now on.
    ///
    /// # Errors
    /// [`Error::System`]: there is no data disk, or it fails. [`Error::Quota`]: it keeps no account of projects. [`Error::Limits`]: they are none.
    /// [`Error::Short`]: there is no room for them beside those of others.
    pub fn open(&self, whose: Whose<'_>, owners: Owners, limits: Limits) -> Result<OwnedFd, Error> {
        let (service, name) = (whose.service, whose.folder());
        if limits.bytes == 0 || limits.inodes == 0 {
            return Err(Error::Limits { service: service.clone() });
        }
        let all = self.folder().map_err(failed(service, "there is no data disk"))?;
        self.promise(whose, &all, limits)?;
        match mkdirat(&all, name.as_str(), Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed(service, "cannot be made")(errno)),
        }
        let volume = folder::open(&all, name.as_str()).map_err(failed(service, "cannot be opened"))?;
        self.limit(service, &all, &volume, limits)?;
        let path = CString::new(folder::path(&volume).as_os_str().as_bytes()).unwrap_or_default();
        let mount = copy(&path).map_err(failed(service, "cannot be mounted"))?;
        let attributes = attribute::NO_SUID | attribute::NO_DEV | attribute::NO_EXEC;
        let namespace = owners.namespace()?;
        set_attributes(mount.as_fd(), attributes, Some(namespace.as_fd()))
            .map_err(failed(service, "its owners cannot be mapped"))?;
        Ok(mount)
    }

    /// Is there room for these limits, beside those of all other volumes?
    fn promise(&self, whose: Whose<'_>, all: &OwnedFd, limits: Limits) -> Result<(), Error> {
        let none = no_account(whose.service, "the disk cannot be asked");
        let room = room(all).map_err(&none)?;
        let promised = promised(all, &whose.folder()).map_err(none)?;
        let short = |has: u64, wants: u64, of: u64| has.saturating_add(wants).saturating_sub(of);
        let bytes = short(promised.bytes, limits.bytes, room.bytes);
        let inodes = short(promised.inodes, limits.inodes, room.inodes);
        if bytes == 0 && inodes == 0 {
            return Ok(());
        }
        Err(Error::Short { service: whose.service.clone(), bytes, inodes })
    }

    /// What can be promised to volumes, and what is, in bytes; nothing where the disk keeps no account of them.
    #[must_use]
    pub fn promises(&self) -> (u64, u64) {
        let all = self.folder();
        let both = all.and_then(|all| {
            quota::account(all.as_fd(), PROJECT_BUNDLES)?; // Is there any account?
            Ok((room(&all)?.bytes, promised(&all, "")?.bytes))
        });
        both.unwrap_or_default()
    }

    /// The service was taken away: what its volume has not filled is free for others.
    pub fn rest(&self, service: &Name) {
        let rested = self.folder().and_then(|all| {
            let its = |name: &OsString| {
                name.to_str()
                    .and_then(|name| name.split_once(POINT))
                    .is_some_and(|name| name.0 == service.as_str())
            };
            let names = names(&all, VOLUMES_MAX)?.into_iter().map(|(name, _)| name).filter(its);
            names.into_iter().try_for_each(|name| limit_to_used(&folder::open(&all, name.as_os_str())?))
        });
        match rested {
            Err(errno) if errno != Errno::ENOENT && !NO_PROJECTS.contains(&errno) => {
                warn!("volume {service}: its room stays promised: {}", errno.desc());
            }
            Ok(()) | Err(_) => {} // It may have none, or there is no disk.
        }
    }

    /// Makes `volume` count for a project of its own, with these limits.
    fn limit(&self, service: &Name, all: &OwnedFd, volume: &OwnedFd, limits: Limits) -> Result<(), Error> {
        let none = no_account(service, "cannot be limited");
        let mut project = quota::project(volume.as_fd()).map_err(&none)?;
        if project == 0 {
            project = next_project(all).map_err(failed(service, "has no number"))?;
            quota::set_project(volume.as_fd(), project).map_err(&none)?;
        }
        quota::set_limits(volume.as_fd(), project, limits.bytes, limits.inodes).map_err(none)
    }

    /// Takes a volume away. That there is none is no error. Its bytes are free a while later.
    ///
    /// # Errors
    /// [`Error::System`]: the disk fails, or cannot be written to.
    pub fn drop(&mut self, whose: Whose<'_>) -> Result<(), Error> {
        let service = whose.service;
        let all = match self.folder() {
            Err(Errno::ENOENT) => return Ok(()),
            other => other.map_err(failed(service, "cannot be found"))?,
        };
        let gone = gone(&all).map_err(failed(service, "cannot be put aside"))?;
        match self.put_aside(&all, &gone, OsStr::new(&whose.folder())) {
            Ok(()) => {
                info!("volume {service}: dropped");
                Ok(())
            }
            Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(failed(service, "cannot be dropped")(errno)),
        }
    }

    /// Moves the folder `name` of `above` to `gone`, under a number.
    fn put_aside(&mut self, above: &OwnedFd, gone: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
        // To be moved elsewhere a folder has to be writable: it says in it what is above.
        folder::seize(above, name)?;
        self.dropped = true;
        loop {
            let number = self.next.to_string();
            self.next += 1;
            match renameat(above, name, gone, number.as_str()) {
                // One of a life before.
                Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
                other => return other,
            }
        }
    }

    /// Is there something to do for [`Volumes::tidy`]?
    #[must_use]
    pub fn has_dropped(&self) -> bool {
        self.dropped
    }

    /// Another disk may have come, and something dropped may be on it.
    pub fn look_again(&mut self) {
        self.dropped = true;
    }

    /// Takes away some of what was dropped.
    pub fn tidy(&mut self) {
        let more =
            self.folder().and_then(|all| folder::open(all, GONE)).and_then(|gone| self.take_apart(&gone));
        self.dropped = match more {
            Ok(more) => more,
            Err(Errno::ENOENT) => false,
            Err(errno) => {
                warn!("volumes: what was dropped cannot be taken away: {}", errno.desc());
                false
            }
        };
    }

    /// Takes away some files of one thing that was dropped. Is there more?
    fn take_apart(&mut self, gone: &OwnedFd) -> Result<bool, Errno> {
        let Some((name, is_folder)) = names(gone, 1)?.pop() else { return Ok(false) };
        if !is_folder {
            return unlinkat(gone, name.as_os_str(), UnlinkatFlags::NoRemoveDir).map(|()| true);
        }
        let folder = folder::seize(gone, name.as_os_str())?;
        let inside = names(&folder, STEP)?;
        for (name, is_folder) in &inside {
            if *is_folder {
                self.put_aside(&folder, gone, name)?;
            } else {
                unlinkat(&folder, name.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
            }
        }
        if inside.is_empty() {
            unlinkat(gone, name.as_os_str(), UnlinkatFlags::RemoveDir)?;
        }
        Ok(true)
    }
}

/// The folder of what was dropped, made if it is not there.
fn gone(all: &OwnedFd) -> Result<OwnedFd, Errno> {
    match mkdirat(all, GONE, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => folder::open(all, GONE),
        Err(errno) => Err(errno),
    }
}

/// The first names in `folder`, `limit` at most, and whether each is a folder.
fn names(folder: &OwnedFd, limit: usize) -> Result<Vec<(OsString, bool)>, Errno> {
    let entries = fs::read_dir(folder::path(folder)).map_err(|error| errno(&error))?;
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name(), entry.file_type()?.is_dir()))
    };
    entries.take(limit).map(name).collect::<std::io::Result<_>>().map_err(|error| errno(&error))
}

/// Nothing more than what is there.
fn limit_to_used(volume: &OwnedFd) -> Result<(), Errno> {
    let project = quota::project(volume.as_fd())?;
    if project == 0 {
        return Ok(());
    }
    let (bytes, inodes) = quota::account(volume.as_fd(), project)?.used;
    // 0 would be no limit at all.
    quota::set_limits(volume.as_fd(), project, bytes.max(1), inodes.max(1))
}

/// What can be promised to all volumes of the disk that `all` is on.
#[allow(clippy::useless_conversion, reason = "some of these have 32 bits on the gateway, 64 on the desk")]
fn room(all: &OwnedFd) -> Result<Limits, Errno> {
    let disk = fstatvfs(all)?;
    let bytes = u64::from(disk.blocks()).saturating_mul(disk.fragment_size().into());
    Ok(Limits { bytes: bytes / PARTS, inodes: u64::from(disk.files()) / PARTS })
}

/// What all volumes are promised but that of `but`.
fn promised(all: &OwnedFd, but: &str) -> Result<Limits, Errno> {
    let mut sum = Limits { bytes: 0, inodes: 0 };
    for (name, is_folder) in names(all, VOLUMES_MAX)? {
        if !is_folder || name == GONE || name == but {
            continue;
        }
        let volume = folder::open(all, name.as_os_str())?;
        let project = quota::project(volume.as_fd())?;
        // One that was made and not limited any more: a life ended in between.
        if project != 0 {
            let account = quota::account(volume.as_fd(), project)?;
            sum.bytes = sum.bytes.saturating_add(account.limits.0);
            sum.inodes = sum.inodes.saturating_add(account.limits.1);
        }
    }
    Ok(sum)
}

/// Limits bundles on the disk at `top` to their part of it, so that they never fill what volumes are promised. What was there before is not
/// counted.
pub(crate) fn share(top: &Path) {
    match limit_bundles(top) {
        Err(errno) if !NO_PROJECTS.contains(&errno) => {
            warn!("bundles: cannot be limited to their part of the disk: {}", errno.desc());
        }
        Ok(()) | Err(_) => {}
    }
}

fn limit_bundles(top: &Path) -> Result<(), Errno> {
    let top = folder::top(top)?;
    let bundles = folder::open(&top, BUNDLES)?;
    let part = room(&top)?;
    for name in ["images", "records", "."] {
        let folder = folder::open(&bundles, name)?;
        if quota::project(folder.as_fd())? != PROJECT_BUNDLES {
            quota::set_project(folder.as_fd(), PROJECT_BUNDLES)?;
        }
    }
    quota::set_limits(bundles.as_fd(), PROJECT_BUNDLES, part.bytes, part.inodes)
}

/// A project's number that no volume has.
fn next_project(all: &OwnedFd) -> Result<u32, Errno> {
    let mut last = PROJECT_FIRST - 1;
    for (name, is_folder) in names(all, VOLUMES_MAX)? {
        if is_folder {
            let number =
                folder::open(all, name.as_os_str()).and_then(|folder| quota::project(folder.as_fd()))?;
            last = last.max(number);
        }
    }
    last.checked_add(1).ok_or(Errno::EOVERFLOW)
}
