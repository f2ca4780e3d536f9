//! The wire `packages`: who has asked something and waits, and who follows.
//!
//! In:  frames. Out: orders, one of a client at a time and in the order in which they came; rows, and one end for each. Who does not read is
//! dropped; what he has ordered is done all the same.
//!
//! Not here: what is answered (`room.rs`).

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use contract::name::Text;
use contract::packages::{Answer, Ask};
use sys::seqpacket::Descriptors;
use wire::{Connection, Listener, Received};

use crate::failure::Failure;

/// Clients at a time: the agent has two or three, and then there are a few `ctl`.
const CLIENTS_MAX: usize = 16;
/// Orders of one client that wait for the one before.
const ORDERS_MAX: usize = 8;

/// A client.
pub(crate) type Id = u64;

/// What a client is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Its next order may be done.
    Nothing,
    /// It waits for the end of its order.
    Waiting,
    /// It hears of every change.
    Following,
}

#[derive(Debug)]
struct Client {
    id: Id,
    connection: Connection,
    doing: Doing,
    orders: VecDeque<(Ask, Descriptors)>,
    /// Nobody is there any more; what was ordered is still to be done.
    gone: bool,
}

/// All of them, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Asked {
    listener: Listener,
    clients: Vec<Client>,
    next: Id,
}

impl Client {
    /// Takes what it has said.
    fn fill(&mut self) {
        while !self.gone {
            match self.connection.receive::<Ask>() {
                Received::Message(ask, along)
                    if self.orders.len() < ORDERS_MAX && self.doing != Doing::Following =>
                {
                    self.orders.push_back((ask, along));
                }
                Received::Nothing => return,
                // Too many at a time, or more behind a follow: it is no client of this wire.
                Received::Message(..) | Received::Gone => self.gone = true,
            }
        }
    }
}

impl Asked {
    pub(crate) fn new(listener: Listener) -> Self {
        Self { listener, clients: Vec::new(), next: 0 }
    }

    /// What it waits for.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let clients =
            self.clients.iter().filter(|client| !client.gone).map(|client| client.connection.as_fd());
        std::iter::once(self.listener.as_fd()).chain(clients)
    }

    /// Lets in whoever waits, and takes what was said.
    pub(crate) fn fill(&mut self) {
        while let Some(connection) = self.listener.accept() {
            if self.clients.len() >= CLIENTS_MAX {
                // One who waits for nothing, if there is one; else the eldest.
                let idle = self.clients.iter().position(|client| client.doing == Doing::Nothing);
                self.clients.remove(idle.unwrap_or(0));
            }
            self.next += 1;
            let (id, orders) = (self.next, VecDeque::new());
            self.clients.push(Client { id, connection, doing: Doing::Nothing, orders, gone: false });
        }
        self.clients.iter_mut().for_each(Client::fill);
        self.clients.retain(|client| !client.gone || !client.orders.is_empty());
    }

    /// The next order that may be done.
    pub(crate) fn next(&mut self) -> Option<(Id, Ask, Descriptors)> {
        let mut free = self.clients.iter_mut().filter(|client| client.doing == Doing::Nothing);
        let (client, order) =
            free.find_map(|client| client.orders.pop_front().map(|order| (client, order)))?;
        client.doing = Doing::Waiting;
        Some((client.id, order.0, order.1))
    }

    fn send(&mut self, id: Id, answers: &mut dyn Iterator<Item = Answer>) {
        let found = self.clients.iter_mut().find(|client| client.id == id && !client.gone);
        if let Some(client) = found
            && client.connection.send_all(answers).is_err()
        {
            client.gone = true;
        }
    }

    /// Sends rows to one who waits.
    pub(crate) fn rows(&mut self, id: Id, mut rows: impl Iterator<Item = Answer>) {
        self.send(id, &mut rows);
    }

    /// Ends the order of one who waits.
    pub(crate) fn end(&mut self, id: Id, outcome: &Result<(), Failure>) {
        let answer = match outcome {
            Ok(()) => Answer::Done,
            Err(failure) => Answer::Refused(failure.fault, Text::format(format_args!("{failure}"))),
        };
        self.send(id, &mut std::iter::once(answer));
        self.now(id, Doing::Nothing);
    }

    /// From now on it hears of every change.
    pub(crate) fn follow(&mut self, id: Id) {
        self.now(id, Doing::Following);
    }

    fn now(&mut self, id: Id, doing: Doing) {
        self.clients.iter_mut().filter(|client| client.id == id).for_each(|client| client.doing = doing);
    }

    /// Is there anybody who follows?
    pub(crate) fn has_followers(&self) -> bool {
        self.clients.iter().any(|client| client.doing == Doing::Following)
    }

    /// Says rows to all who follow.
    pub(crate) fn tell_followers(&mut self, rows: &[Answer]) {
        for client in self.clients.iter_mut().filter(|client| client.doing == Doing::Following) {
            client.gone |= client.connection.send_all(rows.iter()).is_err();
        }
        self.clients.retain(|client| !client.gone || !client.orders.is_empty());
    }
}
