//! The supervisor's end of the wire `keep`: what PID 1 keeps for it, and what PID 1 says.
//!
//! In:  frames of `contract::keep`. Out: the same.
//!
//! Storing waits for room in the socket's queue, for a bounded time: PID 1 does little else than read it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::keep::{FRAME, Keep as Word, Label};
use log::error;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sys::{Errno, seqpacket};

use crate::Error;

/// How long PID 1 may take to read, in milliseconds, before something is not kept.
const ROOM_MS: u16 = 2_000;

/// The wire.
#[derive(Debug)]
pub struct Keep {
    socket: OwnedFd,
}

/// Something that was kept.
#[derive(Debug)]
pub struct Back {
    /// Under which label.
    pub label: Label,
    /// Whose process it is about, or 0.
    pub pid: i32,
    /// −1, or that process's wait status.
    pub status: i32,
    /// The descriptor.
    pub descriptor: OwnedFd,
}

impl Keep {
    /// The wire on `socket`.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Keeps `descriptor` under `kind.name`; `pid`: the process that it is about, or 0.
    pub fn store(&self, kind: &str, name: &str, pid: i32, descriptor: BorrowedFd<'_>) {
        match Label::new(kind, name) {
            Some(label) => self.say(Word::Store { label, pid }, &[descriptor]),
            None => error!("{kind}.{name} is no label"),
        }
    }

    /// Forgets `kind.name`.
    pub fn forget(&self, kind: &str, name: &str) {
        if let Some(label) = Label::new(kind, name) {
            self.say(Word::Drop { label }, &[]);
        }
    }

    /// Says `word`.
    pub fn say(&self, word: Word, descriptors: &[BorrowedFd<'_>]) {
        for _ in 0..2 {
            match seqpacket::send(self.socket.as_fd(), &word.encode(), descriptors) {
                Err(Errno::EAGAIN) => {
                    let mut wanted = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
                    let _ = poll(&mut wanted, PollTimeout::from(ROOM_MS));
                }
                Err(errno) => return error!("PID 1 does not listen: {}", errno.desc()),
                Ok(()) => return,
            }
        }
        error!("PID 1 has not read for {ROOM_MS} ms");
    }

    /// What PID 1 says, and the descriptor that came with it. `None`: nothing now.
    #[must_use]
    pub fn hear(&self) -> Option<(Word, Option<OwnedFd>)> {
        let mut frame = [0; FRAME];
        let (length, [descriptor, ..]) = seqpacket::receive(self.socket.as_fd(), &mut frame).ok()?;
        Word::decode(frame.get(..length)?).map(|word| (word, descriptor))
    }

    /// Everything that was kept in former lives. PID 1 says so at once; this waits for it, `limit_ms` at most for each word.
    ///
    /// # Errors
    /// [`Error::System`]: it did not say all of it in time. With a part of it, processes that run would pass for dead.
    pub fn take_back(&self, limit_ms: u16) -> Result<Vec<Back>, Error> {
        let mut backs = Vec::new();
        loop {
            match self.hear() {
                Some((Word::Back { label, pid, status }, Some(descriptor))) => {
                    backs.push(Back { label, pid, status, descriptor });
                }
                Some((Word::Done, _)) => return Ok(backs),
                Some(_) => {}
                None => match sys::descriptor::wait_readable(self.socket.as_fd(), limit_ms) {
                    Ok(true) => {}
                    Ok(false) => {
                        return Err(Error::System("PID 1 did not give everything back", Errno::ETIMEDOUT));
                    }
                    Err(errno) => return Err(Error::System("PID 1 cannot be heard", errno)),
                },
            }
        }
    }
}

impl AsFd for Keep {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::{Keep, Label, Word};
    use std::os::fd::AsFd;
    use sys::seqpacket;

    #[test]
    fn a_part_of_what_was_kept_is_not_taken_for_all_of_it() {
        let (socket, init) = seqpacket::pair().unwrap();
        let keep = Keep::new(socket);
        let back = Word::Back { label: Label::new("pid", "x").unwrap(), pid: 7, status: -1 };
        let say = |word: Word| seqpacket::send(init.as_fd(), &word.encode(), &[init.as_fd()]).unwrap();
        say(back);
        assert!(keep.take_back(10).is_err());
        say(back);
        say(Word::Done);
        assert_eq!(keep.take_back(10).unwrap().len(), 1);
    }
}
