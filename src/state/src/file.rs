//! A daemon's folder and the files in it.
//!
//! In:  bytes. Out: bytes. Each call opens the folder anew, for the disk may have come, gone or changed since the last.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};

use crate::image::{self, HEAD, Image};
use crate::{Error, STATE};

/// Nothing but a plain file in our own folder is opened: no link, no pipe that would make us wait.
const PLAIN: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK);
/// The end of the name of the previous generation.
const OLD: &str = ".old";
/// The end of the name of what is being written.
const BESIDE: &str = ".new";
const ENDINGS: [&str; 3] = ["", OLD, BESIDE];

/// A daemon's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

/// One file of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    folder: PathBuf,
    name: &'static str,
    bytes_max: usize,
    keeps_old: bool,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The form of the bytes, as it was given to [`File::save`].
    pub version: u16,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The newest generation that was found.
struct Newest {
    generation: u64,
    /// It has not taken its place yet.
    is_beside: bool,
    kept: Kept,
}

impl Folder {
    /// The folder of `daemon` on the data disk, whenever there is one.
    #[must_use]
    pub fn of(daemon: &str) -> Self {
        Self::at(&Path::new(STATE).join(daemon))
    }

    /// A folder somewhere else: for tests.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Is it there?
    #[must_use]
    pub fn is_there(&self) -> bool {
        open(&self.path).is_ok()
    }

    /// Its file `name`, of at most `bytes_max` bytes.
    #[must_use]
    pub fn file(&self, name: &'static str, bytes_max: usize) -> File {
        File { folder: self.path.clone(), name, bytes_max, keeps_old: true }
    }
}

impl File {
    /// The same file without its previous generation: for what must never come back once it was replaced.
    #[must_use]
    pub fn without_old(self) -> Self {
        Self { keeps_old: false, ..self }
    }

    /// The newest generation that is whole; `None` where there never was one.
    ///
    /// # Errors
    /// [`Error::Absent`]: ask again when mounts change. [`Error::Broken`]: there is something, and none of it is whole.
    /// [`Error::System`]: the disk fails, perhaps.
    pub fn load(&self) -> Result<Option<Kept>, Error> {
        let newest = self.newest(&open(&self.folder)?)?;
        Ok(newest.map(|newest| newest.kept))
    }

    /// Keeps `bytes`, in the form `version`. When this returns they are on the disk; where it fails, or the power goes, what was kept
    /// before is found again, or these bytes are.
    ///
    /// # Errors
    /// [`Error::Absent`]: try again when mounts change. [`Error::Large`]: more than the file may have. [`Error::System`]: `EROFS`,
    /// `ENOSPC`, `EIO`.
    pub fn save(&self, version: u16, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() > self.bytes_max || u32::try_from(bytes.len()).is_err() {
            return Err(Error::Large(self.name, bytes.len()));
        }
        let folder = open(&self.folder)?;
        // What is broken is written over.
        let newest = match self.newest(&folder) {
            Err(Error::Broken(_)) => None,
            other => other?,
        };
        if newest.as_ref().is_some_and(|newest| newest.is_beside) {
            // The power went before it had its place; it may not be lost now.
            self.take_place(&folder)?;
        }
        let generation = newest.map_or(0, |newest| newest.generation).saturating_add(1);
        self.write_beside(&folder, &image::write(&Image { version, generation, bytes }))?;
        self.take_place(&folder)
    }

    /// What lies beside takes the place of the one before, for good.
    fn take_place(&self, folder: &OwnedFd) -> Result<(), Error> {
        let [now, old, new] = self.names();
        let step = |step, outcome: Result<(), Errno>| outcome.map_err(|errno| self.failed(step, errno));
        // What is broken is no generation: it is written over, and the one before it stays.
        let is_whole = self.read(folder, &now)?.is_some_and(|file| image::read(&file).is_some());
        if self.keeps_old && is_whole {
            // Until the next rename the newest is the one that lies beside: it is whole, and found.
            let aside = renameat(folder, now.as_str(), folder, old.as_str());
            step("the one before cannot be put aside", aside)?;
        }
        step("cannot take its place", renameat(folder, new.as_str(), folder, now.as_str()))?;
        step("its folder cannot be brought to the disk", fsync(folder))
    }

    fn names(&self) -> [String; 3] {
        ENDINGS.map(|ending| format!("{}{ending}", self.name))
    }

    fn failed(&self, step: &'static str, errno: Errno) -> Error {
        Error::System(self.name, step, errno)
    }

    /// Writes `whole` beside and brings it to the disk. What is in its way is of a power cut: taken away.
    fn write_beside(&self, folder: &OwnedFd, whole: &[u8]) -> Result<(), Error> {
        let [_, _, new] = self.names();
        match unlinkat(folder, new.as_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(self.failed("what lies in its way cannot be removed", errno)),
        }
        let flags = PLAIN | OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let beside = openat(folder, new.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| self.failed("cannot be made", errno))?;
        let mut beside = fs::File::from(beside);
        let written = beside.write_all(whole).and_then(|()| beside.sync_all());
        written.map_err(|error| {
            let _ = unlinkat(folder, new.as_str(), UnlinkatFlags::NoRemoveDir);
            self.failed("cannot be written", errno(&error))
        })
    }

    /// The newest generation that is whole.
    fn newest(&self, folder: &OwnedFd) -> Result<Option<Newest>, Error> {
        let (mut newest, mut broken) = (None::<Newest>, false);
        for (name, ending) in self.names().iter().zip(ENDINGS) {
            if ending == OLD && !self.keeps_old {
                continue;
            }
            let Some(file) = self.read(folder, name)? else { continue };
            let Some(found) = image::read(&file).filter(|image| image.bytes.len() <= self.bytes_max) else {
                // One that was being written when the power went was never kept.
                broken |= ending != BESIDE;
                continue;
            };
            if newest.as_ref().is_none_or(|newest| found.generation > newest.generation) {
                newest = Some(Newest {
                    generation: found.generation,
                    is_beside: ending == BESIDE,
                    kept: Kept { version: found.version, bytes: found.bytes.to_vec() },
                });
            }
        }
        if newest.is_none() && broken { Err(Error::Broken(self.name)) } else { Ok(newest) }
    }

    /// What `name` holds; `None` where there is no such file.
    fn read(&self, folder: &OwnedFd, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let file = match openat(folder, name, PLAIN | OFlag::O_RDONLY, Mode::empty()) {
            Ok(file) => fs::File::from(file),
            Err(Errno::ENOENT) => return Ok(None),
            // Whatever stands there, it is no file of ours.
            Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO) => return Ok(Some(Vec::new())),
            Err(errno) => return Err(self.failed("cannot be opened", errno)),
        };
        // One byte more than it may have tells that it has too many.
        let limit = u64::try_from(self.bytes_max.saturating_add(HEAD + 1)).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        match file.take(limit).read_to_end(&mut bytes) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if errno(&error) == Errno::EISDIR => Ok(Some(Vec::new())),
            Err(error) => Err(self.failed("cannot be read", errno(&error))),
        }
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Opens the folder at `path`; a link in its place is not followed.
fn open(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(AT_FDCWD, path, flags, Mode::empty()) {
        Ok(folder) => Ok(folder),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EACCES) => Err(Error::Absent),
        Err(errno) => Err(Error::System("folder", "cannot be opened", errno)),
    }
}
