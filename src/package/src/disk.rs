//! What the store asks of a disk, and a folder that does it.
//!
//! In:  names and bytes. Out: files. Every step that matters for a power cut is one call, so that a test can cut between any two.
//!
//! Source: fsync(2), rename(2); `statvfs(3)`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use bundle::erofs::Source;
use nix::sys::statvfs::statvfs;

/// What a thread needs that only waits for the disk.
const STACK_BYTES: usize = 64 * 1024;

/// One of the two folders of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Images, by digest.
    Images,
    /// Records, by service.
    Records,
}

impl Place {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Images, Self::Records];

    fn folder(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Records => "records",
        }
    }
}

/// A disk. A name has no path in it: it is a digest or a service's name, and an ending of ours.
pub trait Disk {
    /// What is in a folder, with sizes in bytes.
    ///
    /// # Errors
    /// What the system says, as in all of these.
    fn list(&self, place: Place) -> io::Result<Vec<(String, u64)>>;
    /// Adds bytes at the end of a file, which is made if it is not there.
    ///
    /// # Errors
    /// See [`Disk::list`].
    fn append(&mut self, place: Place, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Waits until a file's bytes are on the disk.
    ///
    /// # Errors
    /// See [`Disk::list`].
    fn settle(&mut self, place: Place, name: &str) -> io::Result<()>;
    /// As [`Disk::settle`], and reads meanwhile: what `read` returns, and how settling went. Both are over when this returns.
    fn settle_beside<T>(
        &mut self,
        place: Place,
        name: &str,
        read: impl FnOnce(&Self) -> T,
    ) -> (T, io::Result<()>);
    /// Gives a file another name; what had that name is gone.
    ///
    /// # Errors
    /// See [`Disk::list`].
    fn rename(&mut self, place: Place, from: &str, to: &str) -> io::Result<()>;
    /// Takes a file away. That it is not there is no error.
    ///
    /// # Errors
    /// See [`Disk::list`].
    fn remove(&mut self, place: Place, name: &str) -> io::Result<()>;
    /// Waits until a folder's names are on the disk.
    ///
    /// # Errors
    /// See [`Disk::list`].
    fn settle_names(&mut self, place: Place) -> io::Result<()>;
    /// The first `limit` bytes of a file; more than that is an error.
    ///
    /// # Errors
    /// See [`Disk::list`].
    fn read(&self, place: Place, name: &str, limit: u64) -> io::Result<Vec<u8>>;
    /// A file, to be read from its beginning and at any place.
    ///
    /// # Errors
    /// See [`Disk::list`].
    fn open(&self, place: Place, name: &str) -> io::Result<Box<dyn Opened + '_>>;
    /// What may still be written, in bytes.
    ///
    /// # Errors
    /// See [`Disk::list`].
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file.
pub trait Opened: Source + Read {}
impl<T: Source + Read> Opened for T {}

/// A folder with the two folders in it.
#[derive(Debug, Clone)]
pub struct Folder {
    top: PathBuf,
}

impl Folder {
    /// The store in `top`; its folders are made if they are not there.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(top: &Path) -> io::Result<Self> {
        for place in Place::ALL {
            match fs::create_dir(top.join(place.folder())) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        File::open(top)?.sync_all()?;
        Ok(Self { top: top.to_path_buf() })
    }

    fn path(&self, place: Place, name: &str) -> PathBuf {
        self.top.join(place.folder()).join(name)
    }
}

impl Disk for Folder {
    fn list(&self, place: Place) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.top.join(place.folder()))? {
            let entry = entry?;
            let about = entry.metadata()?;
            // What is no file, or has a name that is none of ours, was not put here by us and is left alone.
            if let (true, Ok(name)) = (about.is_file(), entry.file_name().into_string()) {
                found.push((name, about.len()));
            }
        }
        found.sort();
        Ok(found)
    }

    fn append(&mut self, place: Place, name: &str, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).create(true).open(self.path(place, name))?.write_all(bytes)
    }

    fn settle(&mut self, place: Place, name: &str) -> io::Result<()> {
        File::open(self.path(place, name))?.sync_all()
    }

    fn settle_beside<T>(
        &mut self,
        place: Place,
        name: &str,
        read: impl FnOnce(&Self) -> T,
    ) -> (T, io::Result<()>) {
        let file = File::open(self.path(place, name));
        thread::scope(|scope| {
            let waits = thread::Builder::new().stack_size(STACK_BYTES);
            let waits = file.and_then(|file| waits.spawn_scoped(scope, move || file.sync_all()));
            let done = read(self);
            let settled = waits.and_then(|waits| {
                waits.join().unwrap_or_else(|_| Err(io::Error::other("the thread that waited has ended")))
            });
            (done, settled)
        })
    }

    fn rename(&mut self, place: Place, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(place, from), self.path(place, to))
    }

    fn remove(&mut self, place: Place, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(place, name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    fn settle_names(&mut self, place: Place) -> io::Result<()> {
        File::open(self.top.join(place.folder()))?.sync_all()
    }

    fn read(&self, place: Place, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.path(place, name))?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= limit);
        if fits { Ok(bytes) } else { Err(io::Error::other("longer than it may be")) }
    }

    fn open(&self, place: Place, name: &str) -> io::Result<Box<dyn Opened + '_>> {
        Ok(Box::new(File::open(self.path(place, name))?))
    }

    #[allow(clippy::useless_conversion, reason = "some of these have 32 bits on the gateway, 64 on the desk")]
    fn free_bytes(&self) -> io::Result<u64> {
        let now = statvfs(&self.top)?;
        Ok(u64::from(now.blocks_available()).saturating_mul(u64::from(now.fragment_size())))
    }
}

#[cfg(test)]
mod tests {
    use super::{Disk, Folder, Place};
    use std::io::ErrorKind;

    #[test]
    fn what_was_read_meanwhile_comes_back_and_so_does_how_settling_went() {
        let top = std::env::temp_dir().join(format!("shg-package-disk-{}", std::process::id()));
        std::fs::create_dir_all(&top).unwrap();
        let mut disk = Folder::new(&top).unwrap();
        disk.append(Place::Images, "a", b"bytes").unwrap();
        let read = |disk: &Folder| disk.read(Place::Images, "a", 9).unwrap();
        let (bytes, settled) = disk.settle_beside(Place::Images, "a", read);
        assert_eq!(bytes, b"bytes");
        settled.unwrap();
        let (bytes, settled) = disk.settle_beside(Place::Images, "none", read);
        assert_eq!(bytes, b"bytes");
        assert_eq!(settled.unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::remove_dir_all(&top).unwrap();
    }
}
