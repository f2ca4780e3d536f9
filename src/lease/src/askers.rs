//! The wire `leases`: who asks is told our own lease, and every lease that we gave.
//!
//! In:  clients of the wire. Out: rows, a few a turn, in the order of their addresses; then the word that it was all.
//!
//! A slow reader is never waited for, and never cut off for being slow: it gets the next rows when it has room.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use contract::leases::{Answer, Ask};
use heapless::Vec;
use nix::poll::PollFlags;
use wire::{Connection, Listener, Received};

use crate::table::{Row, Use};

/// Clients at a time: a few `ctl`. The eldest makes room.
pub const CLIENTS_MAX: usize = 8;
/// Rows of one turn: a socket that can be written has room for all of them (three quarters of its buffer, unix(7)).
const ROWS_A_TURN: usize = 32;

/// What there is to tell.
#[derive(Debug)]
pub struct Tale<'t> {
    /// Our own lease, where one is wanted.
    pub client: Option<Answer>,
    /// The server's rows, in any order.
    pub rows: &'t [Row],
    /// Now, in milliseconds after boot.
    pub now_ms: u64,
}

/// Where a client's answer has got to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It has not asked.
    Idle,
    /// Our own lease comes next.
    First,
    /// Rows behind this address come next.
    After(Ipv4Addr),
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
    pub fn turn(&mut self, ready: &[bool], tale: &Tale<'_>) {
        let mut ready = ready.iter().copied();
        let arrived = ready.next().unwrap_or(false);
        self.askers.retain_mut(|asker| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            match asker.place {
                Place::Idle => asker.hear(),
                Place::First | Place::After(_) => asker.tell(tale).is_ok(),
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
            Received::Message(Ask::Leases, _) => self.place = Place::First,
            Received::Nothing => {}
            Received::Gone => return false,
        }
        true
    }

    /// Tells the next rows.
    fn tell(&mut self, tale: &Tale<'_>) -> Result<(), wire::Error> {
        let mut after = match self.place {
            Place::After(address) => address,
            Place::Idle | Place::First => {
                if let Some(client) = &tale.client {
                    self.connection.send(client, &[])?;
                }
                Ipv4Addr::UNSPECIFIED
            }
        };
        for _ in 0..ROWS_A_TURN {
            let given = |row: &&Row| row.state == Use::Given && row.until_ms > tale.now_ms;
            let rest = tale.rows.iter().filter(given).filter(|row| row.address > after);
            let Some(row) = rest.min_by_key(|row| row.address) else {
                self.place = Place::Idle;
                return self.connection.send(&Answer::Done, &[]);
            };
            after = row.address;
            self.connection.send(&answer(row, tale.now_ms), &[])?;
        }
        self.place = Place::After(after);
        Ok(())
    }
}

fn answer(row: &Row, now_ms: u64) -> Answer {
    let remaining_s = u32::try_from(row.until_ms.saturating_sub(now_ms) / 1_000).unwrap_or(u32::MAX);
    Answer::Given { address: row.address, mac: row.guest.mac, host: row.guest.host.clone(), remaining_s }
}
