//! Our end of the wire `told`: `network` says which links, and hands the sockets over.
//!
//! In:  a moment. Out: what was told; a connection that is made again whenever it breaks. While `network` is dead we go on as we were told.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::told::{Multicast, Told};
use contract::wires::TOLD;
use log::{info, warn};
use wire::Client;

/// The time from one dialling to the next, in milliseconds.
const DIAL_EVERY_MS: u64 = 500;
/// Frames that are read in one turn; only the last counts.
const FRAMES_A_TURN: usize = 8;

/// What was told.
#[derive(Debug)]
pub struct Order {
    /// Which links and groups; `None`: no multicast is wanted.
    pub multicast: Option<Multicast>,
    /// The sockets of IPv4 and IPv6, where there are such.
    pub sockets: [Option<OwnedFd>; 2],
}

/// The wire, connected or not.
#[derive(Debug, Default)]
pub struct Line {
    client: Option<Client>,
    dial_ms: u64,
    said: bool,
}

impl Line {
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

    /// The newest that was told, if anything was.
    pub fn hear(&mut self, now_ms: u64) -> Option<Order> {
        if self.client.is_none() && self.dial_ms <= now_ms {
            self.dial_ms = now_ms.saturating_add(DIAL_EVERY_MS);
            match Client::dial(TOLD) {
                Ok(client) => self.client = Some(client),
                Err(error) => self.hang_up(error),
            }
        }
        let mut newest = None;
        for _ in 0..FRAMES_A_TURN {
            match self.client.as_ref()?.receive() {
                Ok(Some((Told::Multicast(multicast), descriptors))) => {
                    let [four, six, ..] = descriptors;
                    newest = Some(Order { multicast, sockets: [four, six] });
                    if std::mem::take(&mut self.said) {
                        info!("network is back");
                    }
                }
                Ok(Some((Told::Names(_) | Told::Voice(_) | Told::Time(_), _))) => {
                    self.hang_up(wire::Error::Closed);
                    break;
                }
                Ok(None) => break,
                Err(error) => {
                    self.hang_up(error);
                    break;
                }
            }
        }
        newest
    }

    fn hang_up(&mut self, error: wire::Error) {
        self.client = None;
        if !std::mem::replace(&mut self.said, true) {
            warn!("network does not speak: {error}; we go on as we were told last");
        }
    }
}
