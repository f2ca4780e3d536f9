//! When the book of leases is read, and when it is written: seldom, for the disk may be a stick that wears out, and soon, for the power
//! may go.
//!
//! In:  changes, the time, mounts that come. Out: bytes of the book, once; a file that is written beside the loop.
//!
//! The disk may come late, or never: then the tables live in memory, and are written when it comes. Nothing is written before what lies
//! there was read. A write waits for the disk, and the loop does not: a thread of its own does it, one at a time.
//!
//! Not here: what is in the book (`book.rs`), how it outlives a power cut (`state`).

use std::os::fd::{AsFd, BorrowedFd};
use std::thread::JoinHandle;

use log::{info, warn};
use state::{Error, File, Folder, Mounts};

use crate::book::{BOOK_BYTES_MAX, VERSION};
use crate::schedule::is_due;
use crate::table::Change;

/// Who has which address is written so soon, in milliseconds: hosts that come together are one write.
const MOVED_MS: u64 = 1_000;
/// More time for a lease is written so soon: at worst the book gives a lease five minutes less, and half of it is left when it is
/// renewed.
const RENEWED_MS: u64 = 300_000;
/// The shortest time from one write to the next: at most 8640 a day, and a home makes a few hundred.
const BETWEEN_MS: u64 = 10_000;
/// How soon to try again where the disk refused.
const AGAIN_MS: u64 = 30_000;
/// How often to look whether a write is done.
const LOOK_MS: u64 = 100;
/// The stack of the thread: it writes a file.
const STACK_BYTES: usize = 64 * 1024;

/// The file, and what waits to be written.
#[derive(Debug)]
pub struct Keep {
    file: File,
    mounts: Option<Mounts>,
    /// What lies on the disk was read, or is of no use.
    read: bool,
    /// When to write, in milliseconds after boot.
    due_ms: Option<u64>,
    /// When it was written last.
    written_ms: Option<u64>,
    writing: Option<JoinHandle<Result<(), Error>>>,
    /// The log has said what is wrong.
    said: Option<Error>,
}

impl Keep {
    /// The book in `folder`, whenever that is there.
    #[must_use]
    pub fn new(folder: &Folder) -> Self {
        let watched = Mounts::watch();
        let mounts = watched.map_err(|error| warn!("leases: no news of mounts: {error}")).ok();
        let file = folder.file("leases", BOOK_BYTES_MAX);
        Self { file, mounts, read: false, due_ms: None, written_ms: None, writing: None, said: None }
    }

    /// What tells that a disk has come or gone: to be polled for `POLLPRI`.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.mounts.as_ref().map(AsFd::as_fd)
    }

    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self, now_ms: u64) -> Option<u64> {
        if self.writing.is_some() {
            return Some(now_ms.saturating_add(LOOK_MS));
        }
        let blind = (!self.read && self.mounts.is_none()).then(|| now_ms.saturating_add(state::RETRY_MS));
        self.due_ms.filter(|_| self.read).into_iter().chain(blind).min()
    }

    /// The book that lies on the disk: once, as soon as there is a disk. To be asked at every turn until then.
    pub fn read(&mut self) -> Option<Vec<u8>> {
        if self.read {
            return None;
        }
        match self.file.load() {
            Ok(kept) => {
                self.read = true;
                let kept = kept?;
                if kept.version == VERSION {
                    return Some(kept.bytes);
                }
                warn!("leases: the book is of version {}, which we do not know: begun anew", kept.version);
            }
            Err(Error::Absent) => {}
            Err(error @ Error::Broken(_)) => {
                self.read = true;
                self.say(error);
            }
            Err(error @ (Error::Large(..) | Error::System(..))) => self.say(error),
        }
        None
    }

    /// Something has changed that is to be written.
    pub fn note(&mut self, change: Change, now_ms: u64) {
        let due_ms = due_ms(change, now_ms, self.written_ms);
        self.due_ms = Some(self.due_ms.map_or(due_ms, |old_ms| old_ms.min(due_ms)));
    }

    /// Writes what `book` says, if it is time, beside the loop.
    pub fn turn(&mut self, now_ms: u64, book: impl FnOnce() -> Vec<u8>) {
        if let Some(writing) = self.writing.take_if(|writing| writing.is_finished()) {
            match writing.join() {
                Ok(Ok(())) => {
                    if self.said.take().is_some() {
                        info!("leases: the book is written again");
                    }
                }
                Ok(Err(error)) => {
                    self.say(error);
                    self.again(now_ms);
                }
                Err(_) => self.again(now_ms),
            }
        }
        if !self.read || self.writing.is_some() || !is_due(self.due_ms, now_ms) {
            return;
        }
        (self.due_ms, self.written_ms) = (None, Some(now_ms));
        let (file, bytes) = (self.file.clone(), book());
        let thread = std::thread::Builder::new().name("book".to_owned()).stack_size(STACK_BYTES);
        match thread.spawn(move || file.save(VERSION, &bytes)) {
            Ok(writing) => self.writing = Some(writing),
            Err(error) => {
                warn!("leases: the book cannot be written now: {error}");
                self.again(now_ms);
            }
        }
    }

    fn again(&mut self, now_ms: u64) {
        self.due_ms.get_or_insert(now_ms.saturating_add(AGAIN_MS));
    }

    fn say(&mut self, error: Error) {
        if self.said.replace(error) != Some(error) {
            warn!("leases: the book: {error}; they live in memory");
        }
    }
}

/// Seconds of the calendar since 1970, right or wrong; 0 where it says no such time.
#[must_use]
pub fn calendar_s() -> u64 {
    // Not the standard library's, which has 32 bits of it on i686 (`sys::wall`).
    sys::wall::now_ns().ok().and_then(|now_ns| u64::try_from(now_ns / 1_000_000_000).ok()).unwrap_or(0)
}

/// When to write what has changed at `now_ms`, where the last write was at `written_ms`.
fn due_ms(change: Change, now_ms: u64, written_ms: Option<u64>) -> u64 {
    let soon_ms = match change {
        Change::Renewed => RENEWED_MS,
        Change::Moved => MOVED_MS,
    };
    let earliest_ms = written_ms.map_or(0, |written_ms| written_ms.saturating_add(BETWEEN_MS));
    now_ms.saturating_add(soon_ms).max(earliest_ms)
}

#[cfg(test)]
mod tests {
    use super::due_ms;
    use crate::table::Change;

    #[test]
    fn a_new_host_is_written_soon_and_no_write_follows_another_at_once() {
        let table = [
            ("the first", Change::Moved, 5_000, None, 6_000),
            ("right after a write", Change::Moved, 5_000, Some(4_000), 14_000),
            ("long after one", Change::Moved, 500_000, Some(4_000), 501_000),
            ("more time", Change::Renewed, 5_000, None, 305_000),
        ];
        for (what, change, now_ms, written_ms, want_ms) in table {
            assert_eq!(due_ms(change, now_ms, written_ms), want_ms, "{what}");
        }
    }
}
