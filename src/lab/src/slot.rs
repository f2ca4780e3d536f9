//! A place at the emulator: only so many guests run at a time, whoever starts them.
//!
//! In:  nothing. Out: a place, given back when dropped or when the process ends.
//!
//! Source: flock(2).

use std::fs::{File, OpenOptions};
use std::thread::available_parallelism;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::error::Error;
use crate::{house, wait};

/// Processors that one guest keeps busy while it boots.
const PROCESSORS_EACH: usize = 2;
/// More guests than this need more memory than a small machine has.
const GUESTS_MAX: usize = 2;
/// How long it may take until one of the others is done.
const LIMIT: Duration = Duration::from_secs(1800);

/// A place; the lock is held as long as it lives.
#[derive(Debug)]
pub struct Slot {
    _lock: Flock<File>,
}

impl Slot {
    /// Waits for a free place.
    ///
    /// # Errors
    /// [`Error::Late`]: none got free. [`Error::Io`]: the cache cannot be written.
    pub fn take() -> Result<Self, Error> {
        let folder = house::cache().join("guests");
        house::make_folder(&folder)?;
        let processors = available_parallelism().map_or(1, usize::from);
        let places = (processors / PROCESSORS_EACH).clamp(1, GUESTS_MAX);
        let mut said = false;
        wait::until("a free place for a guest", LIMIT, || {
            for place in 0..places {
                let path = folder.join(format!("place-{place}.lock"));
                let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
                let file = file.map_err(Error::path(&path))?;
                if let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                    return Ok(Some(Self { _lock: lock }));
                }
            }
            if !std::mem::replace(&mut said, true) {
                eprintln!("» waiting until another guest on this machine has ended");
            }
            Ok(None)
        })
    }
}
