//! The wire `groups`: who asks is told who watches what, and which streams pass.
//!
//! In:  clients of the wire. Out: all rows, then the word that it was all. Who does not read is dropped.

use std::os::fd::{AsFd, BorrowedFd};

use contract::groups::{Answer, Ask};
use wire::{Connection, Listener, Received};

use crate::household::Household;

/// Clients at a time: a few `ctl`. The eldest makes room.
pub const CLIENTS_MAX: usize = 4;
/// Rows of one answer: what a socket's queue holds (unix(7)); what is beyond is left off.
const ROWS_MAX: usize = 250;

/// The wire and its clients.
#[derive(Debug)]
pub struct Askers {
    listener: Listener,
    clients: Vec<Connection>,
}

impl Askers {
    /// Serves `listener`.
    #[must_use]
    pub fn new(listener: Listener) -> Self {
        Self { listener, clients: Vec::new() }
    }

    /// What it waits for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.clients.iter().map(AsFd::as_fd))
    }

    /// Lets one in, and answers everybody who has asked.
    pub fn turn(&mut self, households: &[Household], now_ms: u64) {
        if let Some(client) = self.listener.accept() {
            if self.clients.len() >= CLIENTS_MAX {
                self.clients.remove(0);
            }
            self.clients.push(client);
        }
        self.clients.retain(|client| match client.receive() {
            Received::Message(Ask::Groups, _) => {
                let rows = households.iter().flat_map(|household| rows(household, now_ms)).take(ROWS_MAX);
                rows.chain([Answer::Done]).all(|row| client.send(&row, &[]).is_ok())
            }
            Received::Nothing => true,
            Received::Gone => false,
        });
    }
}

fn rows(household: &Household, now_ms: u64) -> Vec<Answer> {
    let groups = household.places().iter().flat_map(|place| {
        place.members.groups().into_iter().filter_map(move |group| {
            let filter = place.members.filter(group)?;
            let hosts = || place.members.rows().iter().filter(move |row| row.group == group);
            let until_ms = hosts().map(|row| row.until_ms).max().unwrap_or(0);
            Some(Answer::Group {
                link: place.name.clone(),
                group,
                only: filter.only,
                sources: filter.sources.iter().copied().take(contract::groups::SOURCES_SHOWN).collect(),
                hosts: u16::try_from(hosts().count()).unwrap_or(u16::MAX),
                remaining_s: u32::try_from(until_ms.saturating_sub(now_ms) / 1_000).unwrap_or(u32::MAX),
            })
        })
    });
    let streams = household.streams().rows().iter().map(|stream| Answer::Stream {
        source: stream.route.source,
        group: stream.route.group,
        from: household.name(stream.route.from).cloned().unwrap_or_default(),
        to: household.leaves(&stream.route).take(contract::limit::HOMES).cloned().collect(),
        packets: household
            .kernel()
            .packets(stream.route.source, stream.route.group)
            .unwrap_or(stream.packets),
    });
    groups.chain(streams).collect()
}
