//! The loop: one thread, one poll.
//!
//! In:  questions on the wire `identify`; the data disk, when it comes. Out: answers.

use std::convert::Infallible;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use state::{Folder, RETRY_MS};
use sys::Errno;
use wire::{Askers, Listener};

use crate::Error;
use crate::answer::answer;
use crate::keeper::Keeper;

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Room {
    askers: Askers,
    keeper: Keeper,
}

impl Room {
    /// Serves `identify`.
    #[must_use]
    pub fn new(listener: Listener) -> Self {
        let keeper = Keeper::new(&Folder::of("identity"), Path::new("/"));
        Self { askers: Askers::new(listener), keeper }
    }

    /// Works for ever.
    ///
    /// # Errors
    /// [`Error::Poll`]: the kernel has no memory to wait with. [`Error::Key`]: no key can be made.
    pub fn run(&mut self) -> Result<Infallible, Error> {
        loop {
            // The disk is looked at before anybody is answered: who asks early gets the kept one, where it is there.
            self.keeper.attend()?;
            let keeper = &mut self.keeper;
            self.askers.turn(|ask, client| client.send(&answer(keeper, &ask, client.uid()), &[]));
            self.wait()?;
        }
    }

    fn wait(&self) -> Result<(), Error> {
        let limit = if self.keeper.is_kept() {
            PollTimeout::NONE
        } else {
            PollTimeout::try_from(RETRY_MS).unwrap_or(PollTimeout::MAX)
        };
        let mut wanted: Vec<PollFd<'_>> =
            self.askers.descriptors().map(|one| PollFd::new(one, PollFlags::POLLIN)).collect();
        match poll(&mut wanted, limit) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::Poll(errno)),
        }
    }
}
