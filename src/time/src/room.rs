//! The loop: one thread, one poll; a second thread while keys are agreed on.
//!
//! In:  the wire `told`, answers of servers, questions on the wire `clock`, time. Out: a clock; answers.

use std::convert::Infallible;
use std::path::Path;

use contract::clock::{Ask, SYNCHRONIZED};
use contract::told::Told;
use contract::wires::TOLD;
use log::warn;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use state::Folder;
use sys::Errno;
use wire::{Askers, Line, Listener};

use crate::Error;
use crate::clockwork::Kernel;
use crate::engine::Engine;
use crate::kept::Keeper;
use crate::servers::Servers;

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Room {
    askers: Askers,
    line: Line<Told>,
    engine: Engine<Kernel>,
}

impl Room {
    /// Serves `clock`. Nothing is told yet.
    #[must_use]
    pub fn new(clock: Listener) -> Self {
        let keeper = Keeper::new(&Folder::of("time"));
        let engine = Engine::new(Kernel, Servers::default(), keeper, Path::new(SYNCHRONIZED));
        Self { askers: Askers::new(clock), line: Line::new(TOLD), engine }
    }

    /// Works for ever.
    ///
    /// # Errors
    /// [`Error::Poll`]: the kernel has no memory to wait with.
    pub fn run(&mut self) -> Result<Infallible, Error> {
        loop {
            let now_ms = sys::clock::boot_ms();
            self.line.dial(now_ms);
            match self.line.hear() {
                Some((Told::Time(told), _)) => self.engine.tell(&told, now_ms),
                Some((Told::Names(_) | Told::Voice(_) | Told::Multicast(_), _)) => {
                    warn!("told: not meant for us");
                }
                None => {}
            }
            self.engine.turn(now_ms);
            let engine = &self.engine;
            self.askers.turn(|Ask::Clock, client| client.send_all(engine.answers(now_ms)));
            self.wait()?;
        }
    }

    fn wait(&self) -> Result<(), Error> {
        let now_ms = sys::clock::boot_ms();
        let due_ms = self.engine.due_ms().into_iter().chain(self.line.due_ms()).min();
        let left_ms = due_ms.map(|due_ms| due_ms.saturating_sub(now_ms));
        let limit = left_ms
            .map_or(PollTimeout::NONE, |left_ms| PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX));
        let all = self.askers.descriptors().chain(self.line.descriptor()).chain(self.engine.descriptors());
        let mut wanted: Vec<PollFd<'_>> = all.map(|one| PollFd::new(one, PollFlags::POLLIN)).collect();
        match poll(&mut wanted, limit) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::Poll(errno)),
        }
    }
}
