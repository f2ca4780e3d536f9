//! Where things lie on the desk: the checkout, what was built in it, the cache; folders that vanish when we are done.
//!
//! In:  `XDG_CACHE_HOME`, `HOME`, `TMPDIR`. Out: paths.

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::{Flock, FlockArg};

use crate::error::Error;

/// The target of everything that runs on the gateway.
pub const TARGET: &str = "i686-unknown-linux-musl";

/// Where the repository begins.
#[must_use]
pub fn top() -> PathBuf {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab.ancestors().nth(2).unwrap_or(lab).to_path_buf()
}

/// The gateway's programs, stripped, as `make firmware` leaves them.
#[must_use]
pub fn firmware() -> PathBuf {
    top().join("target/firmware").join(TARGET).join("firmware")
}

/// What the lab itself builds in this checkout.
#[must_use]
pub fn built() -> PathBuf {
    top().join("target/lab")
}

/// What was fetched or built once, for every checkout.
#[must_use]
pub fn cache() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache");
    let base = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map_or_else(home, PathBuf::from);
    base.join("shg")
}

/// Makes `path` and what it lies in.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::path(path))
}

/// Puts what `make` writes at `path`, whole or not at all, whoever else puts something there at the same time: the last one's stays.
///
/// # Errors
/// [`Error::Io`] with the path; whatever `make` says.
pub fn put(path: &Path, make: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    sweep(folder);
    // In the same folder, and so in the same file system: a rename is whole.
    let scratch = Scratch::within(folder)?;
    let beside = scratch.file("new");
    make(&beside)?;
    fs::rename(&beside, path).map_err(Error::path(path))
}

/// A folder of our own that is removed with all that is in it when this is dropped. Who is killed removes nothing; the next one does,
/// for the folder's lock ends with its process.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: Flock<File>,
}

/// What every scratch folder's name begins with; then the process, then a number.
const SCRATCH: &str = "shg-scratch-";

impl Scratch {
    /// Makes one, short enough in name for a socket's path (108 bytes, unix(7)).
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn new() -> Result<Self, Error> {
        static FIRST: Once = Once::new();
        let base = env::temp_dir();
        FIRST.call_once(|| sweep(&base));
        Self::within(&base)
    }

    fn within(base: &Path) -> Result<Self, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // A process in a namespace of its own has number 1 there, as others in theirs: so the name is tried until it is free.
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("{SCRATCH}{}-{number}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < 10_000 => continue,
                Err(error) => return Err(Error::path(&path)(error)),
            }
            // Somebody who sweeps may have found it before it was locked, and then it is gone.
            let lock = lock(&path, FlockArg::LockExclusive);
            if let Some(lock) = lock.filter(|_| path.exists()) {
                return Ok(Self { path, _lock: lock });
            }
        }
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Locks a folder; `None`: it is gone, not ours, or locked.
pub(crate) fn lock(path: &Path, how: FlockArg) -> Option<Flock<File>> {
    Flock::lock(File::open(path).ok()?, how).ok()
}

/// Removes scratch folders of processes that were killed.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let is_scratch = entry.file_name().to_string_lossy().starts_with(SCRATCH);
        if is_scratch && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if let Some(_lock) = lock(&path, FlockArg::LockExclusiveNonblock) {
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_begins_where_its_manifest_is() {
        assert!(top().join("rootfs/etc/shg/network.toml").exists());
    }

    #[test]
    fn a_scratch_folder_vanishes() {
        let (one, other) = (Scratch::new().unwrap(), Scratch::new().unwrap());
        let file = one.file("x");
        fs::write(&file, "x").unwrap();
        assert_ne!(file, other.file("x"));
        drop(one);
        assert!(!file.exists() && !file.parent().unwrap().exists());
    }

    #[test]
    fn many_put_the_same_file_at_once() {
        let folder = Scratch::new().unwrap();
        let path = folder.file("deep/x");
        let together = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let make = |beside: &Path| {
                        fs::write(beside, "x").map_err(Error::path(beside))?;
                        together.wait();
                        Ok(())
                    };
                    put(&path, make).unwrap();
                });
            }
        });
        assert_eq!(fs::read(&path).unwrap(), b"x");
        assert!(put(&path, |_| Err(Error::path(&path)(ErrorKind::Other.into()))).is_err());
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "a failure leaves the old one and nothing beside it: {left:?}");
    }

    #[test]
    fn what_a_killed_process_left_is_swept_away_and_nothing_else() {
        let base = Scratch::new().unwrap();
        let [dead, alive, other] = [format!("{SCRATCH}7-0"), format!("{SCRATCH}8-0"), "other".to_owned()]
            .map(|name| base.file(&name));
        for folder in [&dead, &alive, &other] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("x"), "x").unwrap();
        }
        let _lock = lock(&alive, FlockArg::LockExclusive).unwrap();
        sweep(&base.file("."));
        assert_eq!([&dead, &alive, &other].map(|folder| folder.exists()), [false, true, true]);
    }
}
