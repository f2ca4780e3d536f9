//! The clients of a wire on which one asks and gets all of the answer at once.
//!
//! In:  who connects. Out: each question, with the connection that its answer goes to. Who does not read is dropped.
//!
//! Not here: answers that are longer than a socket's queue (`lease`), or that an epoll waits for (`names`).

use std::os::fd::{AsFd, BorrowedFd};

use serde::de::DeserializeOwned;

use crate::{Connection, Error, Listener, Received};

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

    /// Lets one in, and lets `answer` answer one question of each.
    pub fn turn<A: DeserializeOwned>(&mut self, mut answer: impl FnMut(A, &Connection) -> Result<(), Error>) {
        if let Some(client) = self.listener.accept() {
            if self.clients.len() >= CLIENTS_MAX {
                self.clients.remove(0);
            }
            self.clients.push(client);
        }
        self.clients.retain(|client| match client.receive() {
            Received::Message(question, _) => answer(question, client).is_ok(),
            Received::Nothing => true,
            Received::Gone => false,
        });
    }
}
