//! The supervisor's clients: it asks `storage` and `network` and never waits for them.
//!
//! In:  asks, each with what it is for. Out: answers, in order, with what was asked for. A process is named by its number, which no
//! other one of this life ever has: one that is gone meanwhile is not taken for another.
//!
//! A daemon that dies takes its connection with it; whoever waited is told, and only then the next ask dials again (the socket's queue
//! keeps the connection until the daemon is back): else an answer on the new connection would pass for one on the old.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use contract::wires::Wire;
use serde::{Serialize, de::DeserializeOwned};
use sys::seqpacket::Descriptors;
use wire::{Client, Error};

use crate::process::Id;

/// Asks that wait for their answer, at most: every process has one, two or three.
const WAITING_MAX: usize = 3 * contract::limit::PROCESSES;

/// What an ask is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The start of this process, and which preparation of it: an answer to an earlier one does not count.
    Start(Id, u32),
    /// This process, which runs since that preparation.
    Again(Id, u32),
    /// The volume that this process needs, and for which preparation of a start.
    Volume(Id, u32),
    /// This process, which is being taken away.
    Leave(Id),
    /// A slice's part of the line.
    Slice,
    /// The volume that package has dropped.
    Drop,
    /// What the disk can promise.
    Disk,
    /// The machine's end.
    End,
}

/// One client.
#[derive(Debug)]
pub struct Link {
    wire: Wire,
    client: Option<Client>,
    waiting: VecDeque<For>,
    /// A connection broke while we asked, and nobody was told yet.
    lost: bool,
}

/// What a link has to say.
#[derive(Debug)]
pub enum Heard<T> {
    /// What was asked for, the answer, and its descriptors.
    Answer(For, T, Descriptors),
    /// The other end is gone; these waited.
    Gone(Vec<For>),
    /// Nothing now.
    Nothing,
}

impl Link {
    /// A client of `wire`, not connected.
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        Self { wire, client: None, waiting: VecDeque::new(), lost: false }
    }

    /// Asks.
    ///
    /// # Errors
    /// What dialling or sending says; nobody waits then. [`Error::Closed`], too, from a break until [`Link::hear`] has told of it.
    pub fn ask<T: Serialize>(
        &mut self,
        what: For,
        ask: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Error> {
        if self.lost || self.waiting.len() >= WAITING_MAX {
            return Err(Error::Closed);
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::dial(self.wire)?,
        };
        // Where it fails the connection is of no use any more, and is dropped here.
        client.send(ask, descriptors).inspect_err(|_| self.lost = true)?;
        self.client = Some(client);
        self.waiting.push_back(what);
        Ok(())
    }

    /// What it has to say.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Heard<T> {
        let Some(client) = &self.client else { return self.gone() };
        match client.receive() {
            Ok(Some((answer, descriptors))) => match self.waiting.pop_front() {
                Some(what) => Heard::Answer(what, answer, descriptors),
                None => self.gone(), // It answers what nobody asked.
            },
            Ok(None) => Heard::Nothing,
            Err(_) => self.gone(),
        }
    }

    fn gone<T>(&mut self) -> Heard<T> {
        let lost = std::mem::take(&mut self.lost);
        if self.client.take().is_none() && self.waiting.is_empty() && !lost {
            return Heard::Nothing;
        }
        Heard::Gone(self.waiting.drain(..).collect())
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What to poll.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().map(AsFd::as_fd)
    }
}

#[cfg(test)]
mod tests {
    use super::{For, Heard, Link};
    use crate::process::Id;
    use contract::mount::{Answer, Ask};
    use contract::wires::MOUNT;
    use std::os::fd::OwnedFd;
    use wire::{Client, Error};

    /// A link that is connected, and the other end.
    fn connected() -> (Link, OwnedFd) {
        let path = std::env::temp_dir().join(format!(
            "shg-links-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let listener = sys::seqpacket::listen(&path).unwrap();
        let client = Client::dial_at(MOUNT, &path).unwrap();
        std::fs::remove_file(path).unwrap();
        let other = sys::seqpacket::accept(std::os::fd::AsFd::as_fd(&listener)).unwrap();
        (Link { client: Some(client), ..Link::new(MOUNT) }, other)
    }

    #[test]
    fn a_break_that_an_ask_finds_is_told_once() {
        let (mut link, other) = connected();
        drop(other);
        assert!(link.ask(For::End, &Ask::Disk, &[]).is_err());
        assert!(matches!(link.hear::<Answer>(), Heard::Gone(waiting) if waiting.is_empty()));
        assert!(matches!(link.hear::<Answer>(), Heard::Nothing));
    }

    #[test]
    fn nobody_gets_an_answer_that_was_for_another() {
        let (mut link, other) = connected();
        let one = For::Start(Id::next(), 1);
        link.ask(one, &Ask::Disk, &[]).unwrap();
        drop(other);
        assert!(link.ask(For::Leave(Id::next()), &Ask::Disk, &[]).is_err());
        assert_eq!(link.ask(For::End, &Ask::Disk, &[]), Err(Error::Closed), "it dials only when 1 was told");
        assert!(matches!(link.hear::<Answer>(), Heard::Gone(waiting) if waiting == [one]));
        assert!(link.client.is_none() && !link.lost);
    }
}
