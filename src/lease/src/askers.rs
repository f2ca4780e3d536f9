//! The wire `leases`: who asks is told what every side has to show: our own leases, and every lease that we gave.
//!
//! In:  clients of the wire. Out: rows, a few a turn, side after side in their order; then the word that it was all.
//!
//! A slow reader is never waited for, and never cut off for being slow: it gets the next rows when it has room.

use std::os::fd::{AsFd, BorrowedFd};

use contract::leases::{Answer, Ask};
use heapless::Vec;
use nix::poll::PollFlags;
use wire::{Connection, Listener, Received};

use crate::side::Side;

/// Clients at a time: a few `ctl`. The eldest makes room.
pub const CLIENTS_MAX: usize = 8;
/// Rows of one turn: a socket that can be written has room for all of them (three quarters of its buffer, unix(7)).
const ROWS_A_TURN: usize = 32;

/// Where a client's answer has got to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It has not asked.
    Idle,
    /// The rows of this side come next, from this place on.
    At(usize, u64),
}

#[derive(Debug)]
struct Asker {
    connection: Connection,
    place: Place,
}

/// Everybody who asks.
#[derive(Debug)]
pub struct Askers {
    listener: Listener,
    askers: Vec<Asker, CLIENTS_MAX>,
}

impl Askers {
    /// Serves `listener`.
    #[must_use]
    pub fn new(listener: Listener) -> Self {
        Self { listener, askers: Vec::new() }
    }

    /// What it waits for: the listener, and each client until it asks, or until it has room for more.
    pub fn descriptors(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let askers = self.askers.iter().map(|asker| {
            let flags = if asker.place == Place::Idle { PollFlags::POLLIN } else { PollFlags::POLLOUT };
            (asker.connection.as_fd(), flags)
        });
        [(self.listener.as_fd(), PollFlags::POLLIN)].into_iter().chain(askers)
    }

    /// Lets one client in, and gives each that is `ready` (in the order of [`Askers::descriptors`]) its next rows.
    pub fn turn(&mut self, ready: &[bool], sides: &[&dyn Side], now_ms: u64) {
        let mut ready = ready.iter().copied();
        let arrived = ready.next().unwrap_or(false);
        self.askers.retain_mut(|asker| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            match asker.place {
                Place::Idle => asker.hear(),
                Place::At(side, from) => asker.tell(sides, (side, from), now_ms).is_ok(),
            }
        });
        if arrived && let Some(connection) = self.listener.accept() {
            if self.askers.is_full() {
                self.askers.remove(0);
            }
            let _ = self.askers.push(Asker { connection, place: Place::Idle });
        }
    }
}

impl Asker {
    /// Hears a question. Is the client still there?
    fn hear(&mut self) -> bool {
        match self.connection.receive() {
            Received::Message(Ask::Leases, _) => self.place = Place::At(0, 0),
            Received::Nothing => {}
            Received::Gone => return false,
        }
        true
    }

    /// Tells the next rows. A side that went meanwhile has told its last.
    fn tell(&mut self, sides: &[&dyn Side], at: (usize, u64), now_ms: u64) -> Result<(), wire::Error> {
        let (mut number, mut from) = at;
        for _ in 0..ROWS_A_TURN {
            let Some(side) = sides.get(number) else {
                self.place = Place::Idle;
                return self.connection.send(&Answer::Done, &[]);
            };
            match side.row(from, now_ms) {
                Some((place, answer)) => {
                    self.connection.send(&answer, &[])?;
                    from = place.saturating_add(1);
                }
                None => (number, from) = (number.saturating_add(1), 0),
            }
        }
        self.place = Place::At(number, from);
        Ok(())
    }
}
