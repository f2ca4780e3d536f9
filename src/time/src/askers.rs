//! The wire `clock`: who asks is told what the clock says, and who says so.
//!
//! In:  clients of the wire. Out: all rows, then the word that it was all. Who does not read is dropped.

use std::os::fd::{AsFd, BorrowedFd};

use contract::clock::{Answer, Ask};
use wire::{Connection, Listener, Received};

/// Clients at a time: a few `ctl`. The eldest makes room.
pub const CLIENTS_MAX: usize = 4;

/// The wire and its clients.
#[derive(Debug)]
pub struct Askers {
    listener: Listener,
    clients: Vec<Connection>,
}

impl Askers {
    /// Serves `listener`.
    #[must_use]
    pub fn new(listener: Listener) -> Self {
        Self { listener, clients: Vec::new() }
    }

    /// What it waits for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.clients.iter().map(AsFd::as_fd))
    }

    /// Lets one in, and answers everybody who has asked.
    pub fn turn(&mut self, answers: impl Fn() -> Vec<Answer>) {
        if let Some(client) = self.listener.accept() {
            if self.clients.len() >= CLIENTS_MAX {
                self.clients.remove(0);
            }
            self.clients.push(client);
        }
        self.clients.retain(|client| match client.receive() {
            Received::Message(Ask::Clock, _) => answers().iter().all(|row| client.send(row, &[]).is_ok()),
            Received::Nothing => true,
            Received::Gone => false,
        });
    }
}
