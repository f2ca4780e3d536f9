//! The loop: one thread, one poll.
//!
//! In:  wishes of `network`, news of links, packets of two links, questions on the wire `leases`, time.
//! Out: packets; what was learned; answers.
//!
//! Nothing here waits but the poll: not for `network`, not for a link, not for a slow client. What strangers send is read a bounded
//! number of packets a turn, so neither side can keep the other from its turn.

use std::convert::Infallible;
use std::os::fd::AsFd;

use contract::learn::Wish;
use heapless::Vec;
use log::info;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sys::{Errno, clock};
use wire::Listener;

use crate::Error;
use crate::askers::{Askers, CLIENTS_MAX, Tale};
use crate::lan::Lan;
use crate::learn::Learn;
use crate::links::Links;
use crate::wan::Wan;

/// The wire `leases` and its clients.
const ASKERS: usize = CLIENTS_MAX + 1;
/// All that is waited for: that, the wire `learn`, news of links, and two sockets on each side.
const DESCRIPTORS: usize = ASKERS + 1 + 1 + 4;

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Room {
    askers: Askers,
    learn: Learn,
    links: Links,
    wan: Option<Wan>,
    lan: Option<Lan>,
}

impl Room {
    /// Serves `leases`. Nothing is wished of it yet.
    ///
    /// # Errors
    /// [`Error::Links`]: there is no socket for news of links.
    pub fn open(leases: Listener) -> Result<Self, Error> {
        let links = Links::open().map_err(Error::Links)?;
        Ok(Self { askers: Askers::new(leases), learn: Learn::default(), links, wan: None, lan: None })
    }

    /// Works for ever.
    ///
    /// # Errors
    /// [`Error::Poll`]: the kernel has no memory to wait with.
    pub fn run(&mut self) -> Result<Infallible, Error> {
        loop {
            let ready = self.wait()?;
            let now_ms = clock::boot_ms();
            self.attend_network(now_ms);
            self.attend_links(now_ms);
            if let Some(wan) = &mut self.wan {
                wan.turn(now_ms);
            }
            self.pass_on(now_ms);
            if let Some(lan) = &mut self.lan {
                lan.turn(now_ms);
            }
            let client = self.wan.as_ref().map(|wan| wan.answer(now_ms));
            let rows = self.lan.as_ref().map(|lan| lan.server().table().rows()).unwrap_or_default();
            self.askers.turn(&ready, &Tale { client, rows, now_ms });
        }
    }

    /// Waits until there is something to do, and says which of the wire's clients are ready.
    fn wait(&self) -> Result<Vec<bool, ASKERS>, Error> {
        let dues = [
            self.learn.due_ms(),
            self.wan.as_ref().and_then(Wan::due_ms),
            self.lan.as_ref().and_then(Lan::due_ms),
        ];
        let now_ms = clock::boot_ms();
        let left_ms = dues.into_iter().flatten().min().map(|due_ms| due_ms.saturating_sub(now_ms));
        // Longer than a timeout can be: it wakes up once more, and waits again.
        let limit = left_ms
            .map_or(PollTimeout::NONE, |left_ms| PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX));
        let others = self.learn.descriptor().into_iter().chain([self.links.as_fd()]);
        let others = others.chain(self.wan.iter().flat_map(Wan::descriptors));
        let others = others.chain(self.lan.iter().flat_map(Lan::descriptors));
        let others = others.map(|descriptor| (descriptor, PollFlags::POLLIN));
        let mut wanted: Vec<PollFd<'_>, DESCRIPTORS> = self
            .askers
            .descriptors()
            .chain(others)
            .map(|(descriptor, flags)| PollFd::new(descriptor, flags))
            .collect();
        match poll(&mut wanted, limit) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::Poll(errno)),
        }
        let askers = self.askers.descriptors().count();
        Ok(wanted.iter().take(askers).map(|fd| fd.any().unwrap_or(false)).collect())
    }

    fn attend_network(&mut self, now_ms: u64) {
        let connected = self.learn.dial(now_ms);
        if let Some(wish) = self.learn.hear() {
            self.want(&wish, now_ms);
        }
        if connected && let Some(learned) = self.wan.as_ref().and_then(|wan| wan.learned(now_ms)) {
            self.learn.say(&learned);
        }
    }

    /// Takes a wish in: what it does not change goes on.
    fn want(&mut self, wish: &Wish, now_ms: u64) {
        let client = wish.clients.iter().find(|client| client.ipv4).map(|client| client.link.clone());
        let server = wish.servers.iter().find(|server| server.pool.is_some()).cloned();
        if client.as_ref() != self.wan.as_ref().map(Wan::name) {
            self.wan = client.map(Wan::new);
            if let Some(wan) = &self.wan {
                info!("{}: a lease is wanted", wan.name());
            }
        }
        let same_link =
            |lan: &&mut Lan| server.as_ref().is_some_and(|wanted| wanted.link == lan.server().wanted().link);
        match (self.lan.as_mut().filter(same_link), server) {
            (Some(lan), Some(wanted)) => lan.want(wanted),
            (_, wanted) => {
                if let Some(wanted) = &wanted {
                    info!("{}: leases are given, as {}", wanted.link, wanted.address);
                }
                self.lan = wanted.map(|wanted| Lan::new(wanted, now_ms));
                self.tell_name_servers(now_ms);
            }
        }
        self.links.ask();
    }

    fn attend_links(&mut self, now_ms: u64) {
        let Self { links, wan, lan, .. } = self;
        links.turn(|news| {
            if let Some(wan) = wan {
                wan.hear(news, now_ms);
            }
            if let Some(lan) = lan {
                lan.hear(news);
            }
        });
    }

    /// What one side learned is told to `network` and to the other side.
    fn pass_on(&mut self, now_ms: u64) {
        let Some(wan) = &mut self.wan else { return };
        if !wan.take_news() {
            return;
        }
        if let Some(learned) = wan.learned(now_ms) {
            self.learn.say(&learned);
        }
        self.tell_name_servers(now_ms);
    }

    /// The LAN is told the name servers of the lease that we hold. Without one it is told none, and its leases are short.
    fn tell_name_servers(&mut self, now_ms: u64) {
        let lease = self.wan.as_ref().and_then(|wan| wan.lease(now_ms));
        let name_servers = lease.map(|lease| lease.name_servers).unwrap_or_default();
        if let Some(lan) = &mut self.lan {
            lan.set_name_servers(&name_servers);
        }
    }
}
