//! The wire `calls`: who asks is told which phones are registered, and which calls there are.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use contract::calls::{Answer, Ask};
use wire::{Connection, Listener, Received};

use crate::proxy::Proxy;

/// Clients at a time: a few `ctl`. The eldest makes room.
pub const CLIENTS_MAX: usize = 4;

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
    pub fn turn(&mut self, proxy: Option<&Proxy>, now_ms: u64) {
        if let Some(client) = self.listener.accept() {
            if self.clients.len() >= CLIENTS_MAX {
                self.clients.remove(0);
            }
            self.clients.push(client);
        }
        self.clients.retain(|client| match client.receive() {
            Received::Message(Ask::Calls, _) => {
                let rows = proxy.into_iter().flat_map(|proxy| rows(proxy, now_ms));
                rows.chain([Answer::Done]).all(|row| client.send(&row, &[]).is_ok())
            }
            Received::Nothing => true,
            Received::Gone => false,
        });
    }
}

fn rows(proxy: &Proxy, now_ms: u64) -> Vec<Answer> {
    let phones = proxy.bindings().rows().iter().filter_map(|phone| {
        let until_ms = phone.registered_until_ms.filter(|until_ms| *until_ms > now_ms)?;
        Some(Answer::Phone {
            contact: phone.contact.as_str().into(),
            address: *phone.address.ip(),
            remaining_s: u32::try_from((until_ms - now_ms) / 1_000).unwrap_or(u32::MAX),
        })
    });
    let host = |end: &crate::media::End| end.to.map_or(Ipv4Addr::UNSPECIFIED, |to| *to.ip());
    let calls = proxy.media().rows().iter().map(|call| Answer::Call {
        id: call.call.as_str().into(),
        phone: host(&call.home),
        peer: host(&call.play),
        sent: call.home.packets,
        received: call.play.packets,
        age_s: u32::try_from(now_ms.saturating_sub(call.began_ms) / 1_000).unwrap_or(u32::MAX),
    });
    phones.chain(calls).collect()
}
