//! The wire `identify`: who asks is told who this gateway is, or gets a signature.
//!
//! In:  clients of the wire, which has checked who they are. Out: one answer to each question. Who does not read is dropped.

use std::os::fd::{AsFd, BorrowedFd};

use contract::Text;
use contract::identify::{Answer, Ask};
use log::warn;
use wire::{Connection, Listener, Received};

use crate::Error;
use crate::keeper::Keeper;

/// Clients at a time. The eldest makes room.
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

    /// Lets one in, and answers one question of each.
    pub fn turn(&mut self, keeper: &mut Keeper) {
        if let Some(client) = self.listener.accept() {
            if self.clients.len() >= CLIENTS_MAX {
                self.clients.remove(0);
            }
            self.clients.push(client);
        }
        self.clients.retain(|client| match client.receive::<Ask>() {
            Received::Message(ask, _) => client.send(&answer(keeper, &ask), &[]).is_ok(),
            Received::Nothing => true,
            Received::Gone => false,
        });
    }
}

fn answer(keeper: &mut Keeper, ask: &Ask) -> Answer {
    let answer: Result<Answer, Error> = match ask {
        Ask::Who => keeper.who().map(Answer::Who),
        Ask::Sign { message } => {
            keeper.sign(message).map(|signature| Answer::Signature(signature.into_iter().collect()))
        }
    };
    answer.unwrap_or_else(|error| {
        warn!("{error}");
        Answer::Refused(Text::format(format_args!("{error}")))
    })
}
