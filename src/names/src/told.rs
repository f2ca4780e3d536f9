//! Our end of the wire `told`: what `network` tells.
//!
//! In:  a moment. Out: what was told last; a connection that is made again whenever it breaks.
//!
//! Nothing here waits. While `network` is dead, what was told last holds.

use std::os::fd::AsFd;

use contract::told::{Names, Told};
use contract::wires::TOLD;
use log::{info, warn};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use wire::Client;

use crate::token::{Kind, Token};

/// The time from one dialling to the next, in milliseconds.
const DIAL_EVERY_MS: u64 = 500;
/// Frames that are read in one turn; only the last counts.
const FRAMES_A_TURN: usize = 8;

/// The wire, connected or not.
#[derive(Debug, Default)]
pub struct Line {
    client: Option<Client>,
    dial_ms: u64,
    said: bool,
}

impl Line {
    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.client.is_none().then_some(self.dial_ms)
    }

    /// Dials if it is time.
    pub fn dial(&mut self, epoll: &Epoll, now_ms: u64) {
        if self.due_ms().is_none_or(|due_ms| due_ms > now_ms) {
            return;
        }
        self.dial_ms = now_ms.saturating_add(DIAL_EVERY_MS);
        match Client::dial(TOLD) {
            Ok(client) => {
                let token = Token { kind: Kind::Told, place: 0, serial: 0 };
                let event = EpollEvent::new(EpollFlags::EPOLLIN, token.number());
                if epoll.add(client.as_fd(), event).is_ok() {
                    self.client = Some(client);
                }
                if std::mem::take(&mut self.said) {
                    info!("network is back");
                }
            }
            Err(error) => self.hang_up(error),
        }
    }

    /// What was told last, if anything was.
    pub fn hear(&mut self) -> Option<Names> {
        let mut newest = None;
        for _ in 0..FRAMES_A_TURN {
            match self.client.as_ref()?.receive::<Told>() {
                Ok(Some((Told::Names(names), _))) => newest = Some(names),
                Ok(Some((Told::Voice(_) | Told::Time(_) | Told::Multicast(_), _))) => {} // Not for us.
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
            warn!("network does not talk: {error}; we go on as we were told last");
        }
    }
}
