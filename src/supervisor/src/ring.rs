//! A process's log: a pipe to write to, and a memory file that holds the last of what was written.
//!
//! In:  what the process writes. Out: the last [`LOG_RING_BYTES`] of it, by position from its first byte ever.
//!
//! Bytes go from the pipe to the file by splice(2) without an offset: they and the file's position move in one system call. So the
//! position is the number of bytes ever written, whoever asks, and there is no instant at which the supervisor's death loses any.
//! What is older than the ring is punched out of the file; the file's length is only a number.
//!
//! Source: splice(2), fallocate(2) `FALLOC_FL_PUNCH_HOLE`, memfd_create(2); docs/decisions/0006-logs.md.

use std::os::fd::{AsFd, OwnedFd};

use contract::limit::{LOG_CHUNK_BYTES, LOG_RING_BYTES};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, SpliceFFlags, fallocate, splice};
use nix::sys::uio::pread;
use nix::unistd::{Whence, ftruncate, lseek, pipe2};
use sys::{descriptor, seqpacket};

use crate::Error;

/// The most that is moved in one turn, so that who writes much keeps nobody waiting.
const MOVE_BYTES: usize = 32 * 1024;
/// Holes are whole pages.
const PAGE_BYTES: u64 = 4096;

/// A log.
#[derive(Debug)]
pub struct Ring {
    /// The file.
    pub file: OwnedFd,
    /// The pipe's end that we read.
    pub reader: OwnedFd,
    /// The pipe's end that the process writes. We hold it too, so that the pipe outlives the process.
    pub writer: OwnedFd,
}

impl Ring {
    /// A new one, empty.
    ///
    /// # Errors
    /// [`Error::System`]: a table of descriptors is full, or there is no memory.
    pub fn new() -> Result<Self, Error> {
        let failed = |errno| Error::System("no log", errno);
        let file = seqpacket::memory_file(c"log").map_err(failed)?;
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        descriptor::set_nonblocking(reader.as_fd()).map_err(failed)?;
        Ok(Self { file, reader, writer })
    }

    /// The same log, for another process that writes to it, too.
    ///
    /// # Errors
    /// [`Error::System`]: a table of descriptors is full.
    pub fn again(&self) -> Result<Self, Error> {
        let copy = |end: &OwnedFd| {
            let failed = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
            end.try_clone().map_err(|error| Error::System("no log", failed(error)))
        };
        Ok(Self { file: copy(&self.file)?, reader: copy(&self.reader)?, writer: copy(&self.writer)? })
    }

    /// Moves what was written since the last time, or a first part of it. Was there anything?
    pub fn pump(&self) -> bool {
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
        match splice(&self.reader, None, &self.file, None, MOVE_BYTES, flags) {
            Ok(0) | Err(Errno::EAGAIN) => false,
            Ok(_) => {
                self.forget_old();
                true
            }
            Err(errno) => {
                // The end of numbers (2^44 bytes on 32 bits: two months of a flood; 2^63 on 64): it begins anew.
                if matches!(errno, Errno::EFBIG | Errno::EINVAL) && ftruncate(&self.file, 0).is_ok() {
                    let _ = lseek(&self.file, 0, Whence::SeekSet);
                }
                true
            }
        }
    }

    /// How many bytes were ever written.
    #[must_use]
    pub fn written(&self) -> u64 {
        lseek(&self.file, 0, Whence::SeekCur)
            .ok()
            .and_then(|position| u64::try_from(position).ok())
            .unwrap_or(0)
    }

    /// The first byte that is still there.
    fn oldest(&self) -> u64 {
        self.written().saturating_sub(LOG_RING_BYTES as u64)
    }

    fn forget_old(&self) {
        let pages = self.oldest() / PAGE_BYTES * PAGE_BYTES;
        if let (Ok(length @ 1..), flags) =
            (i64::try_from(pages), FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE)
        {
            // Where it fails the log is longer than it should be, until the next time.
            let _ = fallocate(&self.file, flags, 0, length);
        }
    }

    /// Reads a piece from byte `from` on, or from the oldest that is there, into `piece`. Returns how long it is and the byte after
    /// its last.
    pub fn read(&self, from: u64, piece: &mut [u8; LOG_CHUNK_BYTES]) -> (usize, u64) {
        let (from, end) = (from.max(self.oldest()), self.written());
        let room = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX).min(piece.len());
        let read = i64::try_from(from).map_err(|_| Errno::EOVERFLOW).and_then(|from| {
            let room = piece.get_mut(..room).unwrap_or_default();
            pread(&self.file, room, from)
        });
        let length = read.unwrap_or(0);
        (length, from + length as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::{LOG_CHUNK_BYTES, LOG_RING_BYTES, Ring};
    use std::fmt::Write as _;

    fn text(ring: &Ring, mut from: u64) -> String {
        let mut text = Vec::new();
        loop {
            let mut piece = [0; LOG_CHUNK_BYTES];
            let (length, next) = ring.read(from, &mut piece);
            if length == 0 {
                return String::from_utf8(text).unwrap();
            }
            text.extend(&piece[..length]);
            from = next;
        }
    }

    #[test]
    fn the_last_lines_are_there_and_no_byte_is_lost() {
        let ring = Ring::new().unwrap();
        let mut all = String::new();
        for number in 0..20_000 {
            let line = format!("line {number}\n");
            sys::descriptor::write(&ring.writer, line.as_bytes()).unwrap();
            all.write_str(&line).unwrap();
            if number % 100 == 0 {
                ring.pump();
            }
        }
        while ring.written() < all.len() as u64 {
            ring.pump();
        }
        assert_eq!(ring.written(), all.len() as u64);
        assert_eq!(text(&ring, 0), all[all.len() - LOG_RING_BYTES..]);
        assert_eq!(text(&ring, all.len() as u64 - 11), all[all.len() - 11..]);
        assert_eq!(text(&ring, u64::MAX), "");
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn at_the_end_of_numbers_it_begins_anew() {
        let ring = Ring::new().unwrap();
        assert!(!ring.pump(), "nothing was written");
        nix::unistd::lseek(&ring.file, i64::MAX - 4, nix::unistd::Whence::SeekSet).unwrap();
        sys::descriptor::write(&ring.writer, b"0123456789").unwrap();
        assert!(ring.pump() && ring.pump());
        assert_eq!(text(&ring, 0), "0123456789");
    }

    #[test]
    fn another_life_goes_on_where_this_one_stopped() {
        let ring = Ring::new().unwrap();
        sys::descriptor::write(&ring.writer, b"before\n").unwrap();
        ring.pump();
        let next = ring.again().unwrap();
        sys::descriptor::write(&ring.writer, b"between\n").unwrap();
        drop(ring);
        next.pump();
        assert_eq!(text(&next, 0), "before\nbetween\n");
    }
}
