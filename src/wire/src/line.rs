//! A client's end that only listens: the server says all of what it has to say, again at each change.
//!
//! In:  a moment. Out: the newest that was said; a connection that is made again whenever it breaks. While nobody serves the wire we go on
//! as we were told last.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use contract::wires::Wire;
use log::{info, warn};
use serde::de::DeserializeOwned;
use sys::seqpacket::Descriptors;

use crate::{Client, Error};

/// The time from one dialling to the next, in milliseconds. A connection that held longer is made again at once.
const DIAL_EVERY_MS: u64 = 500;
/// Frames that are read in one turn; only the last counts.
const FRAMES_A_TURN: usize = 8;

/// The wire, connected or not; `T` is what the server says.
#[derive(Debug)]
pub struct Line<T> {
    wire: Wire,
    client: Option<Client>,
    /// When to dial, where it is not connected, in milliseconds after boot.
    dial_ms: u64,
    /// The log has said that nobody is there.
    said: bool,
    says: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Line<T> {
    /// Not connected yet; it dials at the first [`Line::hear`].
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        Self { wire, client: None, dial_ms: 0, said: false, says: PhantomData }
    }

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

    /// Dials where it is time, and returns the newest that was said, with what came along, if anything was.
    pub fn hear(&mut self, now_ms: u64) -> Option<(T, Descriptors)> {
        if self.client.is_none() && self.dial_ms <= now_ms {
            self.dial_ms = now_ms.saturating_add(DIAL_EVERY_MS);
            match Client::dial(self.wire) {
                Ok(client) => self.client = Some(client),
                Err(error) => self.hang_up(error),
            }
        }
        let mut newest = None;
        for _ in 0..FRAMES_A_TURN {
            match self.client.as_ref()?.receive() {
                Ok(Some(said)) => newest = Some(said),
                Ok(None) => break,
                Err(error) => {
                    self.hang_up(error);
                    break;
                }
            }
        }
        if newest.is_some() && std::mem::take(&mut self.said) {
            info!("{} is back", self.wire.server);
        }
        newest
    }

    fn hang_up(&mut self, error: Error) {
        self.client = None;
        if !std::mem::replace(&mut self.said, true) {
            warn!("{} does not speak: {error}; we go on as we were told last", self.wire.server);
        }
    }
}
