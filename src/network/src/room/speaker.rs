//! The serving end of the wire `told`: each daemon hears its own truth, at once and at each change.
//!
//! In:  clients, what each should know. Out: frames; for `multicast` with the two sockets on which multicast routing was begun.
//!
//! We keep a twin of each socket, so multicast routes outlive a death of `multicast`. In a new life of ours `multicast` holds the old ones
//! and the kernel gives no second ones (`EADDRINUSE`): then none go along, and it goes on with those that it has.
//!
//! Not here: what is told (`told.rs`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::told::Told;
use log::{info, warn};
use sys::Errno;
use sys::mroute::{self, Family};

use super::Door;

/// The wire, and what was told last.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) door: Door,
    told: Vec<(u32, Told)>,
    sockets: Option<[OwnedFd; 2]>,
    refused: Option<Errno>,
}

impl Speaker {
    /// Nobody was told anything yet.
    pub(super) fn new(door: Door) -> Self {
        Self { door, told: Vec::new(), sockets: None, refused: None }
    }

    /// Lets clients in, and out. Is there a new one, who has to be told?
    pub(super) fn attend(&mut self) -> bool {
        let came = self.door.let_in();
        // They say nothing; what can be read is their end.
        self.door.clients.retain(|client| match client.receive::<()>() {
            wire::Received::Nothing => true,
            wire::Received::Message((), _) | wire::Received::Gone => false,
        });
        if came {
            let newest = self.door.clients.last().map(wire::Connection::uid);
            self.told.retain(|(uid, _)| Some(*uid) != newest); // It, and a former life of it, hears all.
        }
        came
    }

    /// Tells everybody what is new for him; `all` says what that is.
    pub(super) fn tell(&mut self, mut all: impl FnMut(u32) -> Option<Told>) {
        let mut uids: Vec<u32> = self.door.clients.iter().map(wire::Connection::uid).collect();
        uids.sort_unstable();
        uids.dedup();
        for uid in uids {
            let Some(told) = all(uid) else { continue };
            if self.told.iter().any(|(who, before)| *who == uid && *before == told) {
                continue;
            }
            if matches!(told, Told::Multicast(Some(_))) {
                self.open_sockets();
            }
            let sockets = self.sockets.iter().flatten().map(AsFd::as_fd);
            let along: Vec<BorrowedFd<'_>> = match told {
                Told::Multicast(Some(_)) => sockets.collect(),
                Told::Multicast(None) | Told::Names(_) | Told::Voice(_) | Told::Time(_) => Vec::new(),
            };
            self.door.clients.retain(|client| client.uid() != uid || client.send(&told, &along).is_ok());
            self.told.retain(|(who, _)| *who != uid);
            self.told.push((uid, told));
        }
    }

    fn open_sockets(&mut self) {
        if self.sockets.is_some() {
            return;
        }
        let both = mroute::open(Family::V4).and_then(|four| Ok([four, mroute::open(Family::V6)?]));
        match both {
            Ok(sockets) => self.sockets = Some(sockets),
            Err(errno) if self.refused == Some(errno) => {}
            Err(errno) => {
                self.refused = Some(errno);
                if errno == Errno::EADDRINUSE {
                    info!("multicast goes on with the sockets of our former life");
                } else {
                    warn!("multicast routing is not begun by us: {}", errno.desc());
                }
            }
        }
    }
}
