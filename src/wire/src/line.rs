//! A client's end that is told: the server says all of what it has to say, again at each change.
//!
//! In:  a moment. Out: the newest that was said; a connection that is made again whenever it breaks. While nobody serves the wire we go on
//! as we were told last, and what we would say is not kept: at the next connection it is said as it is then.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use contract::wires::Wire;
use log::{info, warn};
use serde::{Serialize, de::DeserializeOwned};
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
    /// Not connected yet; it dials at the first [`Line::dial`].
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

    /// Dials where it is time. Is there a new connection, so that what we have to say has to be said again?
    pub fn dial(&mut self, now_ms: u64) -> bool {
        if self.due_ms().is_none_or(|due_ms| due_ms > now_ms) {
            return false;
        }
        self.dial_ms = now_ms.saturating_add(DIAL_EVERY_MS);
        match Client::dial(self.wire) {
            Ok(client) => self.client = Some(client),
            Err(error) => self.hang_up(error),
        }
        self.client.is_some()
    }

    /// The newest that was said, if anything was, and the newest descriptors that came along.
    pub fn hear(&mut self) -> Option<(T, Descriptors)> {
        let (mut newest, mut gifts) = (None, Descriptors::default());
        for _ in 0..FRAMES_A_TURN {
            let Some(client) = &self.client else { break };
            match client.receive() {
                Ok(Some((said, descriptors))) => {
                    newest = Some(said);
                    if descriptors.iter().any(Option::is_some) {
                        gifts = descriptors;
                    }
                }
                Ok(None) => break,
                Err(error) => self.hang_up(error),
            }
        }
        let newest = newest?;
        if std::mem::take(&mut self.said) {
            info!("{} is back", self.wire.server);
        }
        Some((newest, gifts))
    }

    /// Says something, with `gifts`, where anybody listens.
    pub fn say<S: Serialize>(&mut self, message: &S, gifts: &[BorrowedFd<'_>]) {
        let sent = self.client.as_ref().map(|client| client.send(message, gifts));
        if let Some(Err(error)) = sent {
            self.hang_up(error);
        }
    }

    fn hang_up(&mut self, error: Error) {
        self.client = None;
        if !std::mem::replace(&mut self.said, true) {
            warn!("{} does not speak: {error}; we go on as we were told last", self.wire.server);
        }
    }
}
