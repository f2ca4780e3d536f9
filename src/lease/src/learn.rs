//! Our end of the wire `learn`: `network` says what it wishes, we say what we learned.
//!
//! In:  a moment. Out: wishes; a connection that is made again whenever it breaks.
//!
//! Nothing here waits. While `network` is dead, what is learned is not kept: after a reconnect all is said again as it is then.

use std::os::fd::{AsFd, BorrowedFd};

use contract::learn::{Learned, Wish};
use contract::wires::LEARN;
use log::{info, warn};
use sys::seqpacket::Descriptors;
use wire::Client;

use crate::schedule::is_due;

/// The time from one dialling to the next, in milliseconds. A connection that held longer is made again at once.
const DIAL_EVERY_MS: u64 = 500;
/// Wishes that are read in one turn; only the last counts.
const WISHES_A_TURN: usize = 8;

/// The wire, connected or not.
#[derive(Debug, Default)]
pub struct Learn {
    client: Option<Client>,
    /// When to dial, where it is not connected.
    dial_ms: u64,
    /// The log has said that nobody is there.
    said: bool,
}

impl Learn {
    /// What it waits for.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().map(AsFd::as_fd)
    }

    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.client.is_none().then_some(self.dial_ms)
    }

    /// Dials if it is time. Is there a new connection, so that everything has to be said again?
    pub fn dial(&mut self, now_ms: u64) -> bool {
        if !is_due(self.due_ms(), now_ms) {
            return false;
        }
        self.dial_ms = now_ms.saturating_add(DIAL_EVERY_MS);
        match Client::dial(LEARN) {
            Ok(client) => {
                self.client = Some(client);
                if std::mem::take(&mut self.said) {
                    info!("network is back");
                }
            }
            Err(error) => self.hang_up(error),
        }
        self.client.is_some()
    }

    /// The newest wish, if one came, and the newest descriptors that came with one.
    pub fn hear(&mut self) -> Option<(Wish, Descriptors)> {
        let (mut newest, mut gifts) = (None, Descriptors::default());
        for _ in 0..WISHES_A_TURN {
            let Some(client) = &self.client else { break };
            match client.receive() {
                Ok(Some((wish, descriptors))) => {
                    newest = Some(wish);
                    if descriptors.iter().any(Option::is_some) {
                        gifts = descriptors;
                    }
                }
                Ok(None) => break,
                Err(error) => self.hang_up(error),
            }
        }
        newest.map(|wish| (wish, gifts))
    }

    /// Says what was learned, and hands over `gifts`, where anybody listens.
    pub fn say(&mut self, learned: &Learned, gifts: &[BorrowedFd<'_>]) {
        let sent = self.client.as_ref().map(|client| client.send(learned, gifts));
        if let Some(Err(error)) = sent {
            self.hang_up(error);
        }
    }

    fn hang_up(&mut self, error: wire::Error) {
        self.client = None;
        if !std::mem::replace(&mut self.said, true) {
            warn!("network does not listen: {error}; we go on as we were told last");
        }
    }
}
