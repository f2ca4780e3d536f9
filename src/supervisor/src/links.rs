//! The supervisor's clients: it asks `storage` and `network` and never waits for them.
//!
//! In:  asks, each for one process. Out: answers, in order, with the process that asked.
//!
//! A daemon that dies takes its connection with it; whoever waited is told, and the next ask dials again (the socket's queue keeps
//! the connection until the daemon is back).

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use contract::wires::Wire;
use serde::{Serialize, de::DeserializeOwned};
use sys::seqpacket::Descriptors;
use wire::{Client, Error};

/// Asks that wait for their answer, at most: every process has one or two.
const WAITING_MAX: usize = 2 * contract::limit::PROCESSES;

/// One client.
#[derive(Debug)]
pub struct Link {
    wire: Wire,
    client: Option<Client>,
    waiting: VecDeque<usize>,
}

/// What a link has to say.
#[derive(Debug)]
pub enum Heard<T> {
    /// An answer for this process, and its descriptors.
    Answer(usize, T, Descriptors),
    /// The other end is gone; these waited.
    Gone(Vec<usize>),
    /// Nothing now.
    Nothing,
}

impl Link {
    /// A client of `wire`, not connected.
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        Self { wire, client: None, waiting: VecDeque::new() }
    }

    /// Asks for `process`.
    ///
    /// # Errors
    /// What dialling or sending says; nobody waits then.
    pub fn ask<T: Serialize>(
        &mut self,
        process: usize,
        ask: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Error> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(Error::Closed);
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::dial(self.wire)?,
        };
        // Where it fails the connection is of no use any more, and is dropped here.
        client.send(ask, descriptors)?;
        self.client = Some(client);
        self.waiting.push_back(process);
        Ok(())
    }

    /// What it has to say.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Heard<T> {
        let Some(client) = &self.client else { return self.gone() };
        match client.receive() {
            Ok(Some((answer, descriptors))) => match self.waiting.pop_front() {
                Some(process) => Heard::Answer(process, answer, descriptors),
                None => self.gone(), // It answers what nobody asked.
            },
            Ok(None) => Heard::Nothing,
            Err(_) => self.gone(),
        }
    }

    fn gone<T>(&mut self) -> Heard<T> {
        if self.client.take().is_none() && self.waiting.is_empty() {
            return Heard::Nothing;
        }
        Heard::Gone(self.waiting.drain(..).collect())
    }

    /// What to poll.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().map(AsFd::as_fd)
    }
}
