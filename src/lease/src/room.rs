//! The loop: one thread, one poll.
//!
//! In:  wishes of `network`, news of links, packets of many links, questions on the wire `leases`, time.
//! Out: packets; what was learned; answers.
//!
//! Nothing here waits but the poll: not for `network`, not for a link, not for a slow client. What strangers send is read a bounded
//! number of packets a turn, so no side can keep another from its turn.
//!
//! What works on links are *sides* (`side.rs`): a play has a few (`play.rs` says how one hangs in), a network at home has a few
//! (`home.rs`). The loop knows nothing of what they speak.

use std::convert::Infallible;
use std::os::fd::AsFd;

use contract::learn::Wish;
use contract::limit::{HOMES, PLAYS};
use heapless::Vec;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sys::seqpacket::Descriptors;
use sys::{Errno, clock};
use wire::Listener;

use crate::Error;
use crate::askers::{Askers, CLIENTS_MAX};
use crate::home::{HOME_SIDES, Home};
use crate::learn::Learn;
use crate::links::Links;
use crate::play::{PLAY_SIDES, Play};
use crate::side::{SIDE_DESCRIPTORS, Side};

/// The wire `leases` and its clients.
const ASKERS: usize = CLIENTS_MAX + 1;
/// All sides that there can be.
const SIDES: usize = PLAYS * PLAY_SIDES + HOMES * HOME_SIDES;
/// All that is waited for: those, the wire `learn`, news of links.
const DESCRIPTORS: usize = ASKERS + 2 + SIDES * SIDE_DESCRIPTORS;

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Room {
    askers: Askers,
    learn: Learn,
    links: Links,
    plays: Vec<Play, PLAYS>,
    homes: Vec<Home, HOMES>,
}

impl Room {
    /// Serves `leases`. Nothing is wished of it yet.
    ///
    /// # Errors
    /// [`Error::Links`]: there is no socket for news of links.
    pub fn open(leases: Listener) -> Result<Self, Error> {
        let links = Links::open().map_err(Error::Links)?;
        let (plays, homes) = (Vec::new(), Vec::new());
        Ok(Self { askers: Askers::new(leases), learn: Learn::default(), links, plays, homes })
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
            for play in &mut self.plays {
                play.sides_mut().for_each(|side| side.turn(now_ms));
                play.agree(now_ms);
            }
            self.homes.iter_mut().flat_map(Home::sides_mut).for_each(|side| side.turn(now_ms));
            self.pass_on(now_ms);
            let sides: Vec<&dyn Side, SIDES> = sides(&self.plays, &self.homes).take(SIDES).collect();
            self.askers.turn(&ready, &sides, now_ms);
        }
    }

    /// Waits until there is something to do, and says which of the wire's clients are ready.
    fn wait(&self) -> Result<Vec<bool, ASKERS>, Error> {
        let dues = sides(&self.plays, &self.homes).map(Side::due_ms).chain([self.learn.due_ms()]);
        let now_ms = clock::boot_ms();
        let left_ms = dues.flatten().min().map(|due_ms| due_ms.saturating_sub(now_ms));
        // Longer than a timeout can be: it wakes up once more, and waits again.
        let limit = left_ms
            .map_or(PollTimeout::NONE, |left_ms| PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX));
        let others = self.learn.descriptor().into_iter().chain([self.links.as_fd()]);
        let others = others.chain(sides(&self.plays, &self.homes).flat_map(Side::descriptors));
        let others = others.map(|descriptor| (descriptor, PollFlags::POLLIN));
        let mut wanted: Vec<PollFd<'_>, DESCRIPTORS> = self
            .askers
            .descriptors()
            .chain(others)
            .take(DESCRIPTORS)
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
        if let Some((wish, gifts)) = self.learn.hear() {
            self.want(&wish, gifts, now_ms);
        }
        if connected {
            for side in sides(&self.plays, &self.homes) {
                if let Some(learned) = side.learned(now_ms) {
                    self.learn.say(&learned, &side.gifts());
                }
            }
        }
    }

    /// Takes a wish in: what it does not change goes on.
    fn want(&mut self, wish: &Wish, mut gifts: Descriptors, now_ms: u64) {
        self.plays.retain(|play| wish.clients.iter().any(|client| client.link == *play.link()));
        for client in &wish.clients {
            if !self.plays.iter().any(|play| *play.link() == client.link) {
                // There is room: there are no more than a wish can hold.
                let _ = self.plays.push(Play::new(client.link.clone()));
            }
            if let Some(play) = self.plays.iter_mut().find(|play| *play.link() == client.link) {
                play.want(client, &mut gifts);
            }
        }
        self.homes.retain(|home| wish.servers.iter().any(|server| server.link == *home.link()));
        for server in &wish.servers {
            if !self.homes.iter().any(|home| *home.link() == server.link) {
                let _ = self.homes.push(Home::new(server));
            }
            if let Some(home) = self.homes.iter_mut().find(|home| *home.link() == server.link) {
                home.want(server, now_ms);
            }
        }
        self.tell_name_servers(now_ms);
        self.links.ask();
    }

    fn attend_links(&mut self, now_ms: u64) {
        let Self { links, plays, homes, .. } = self;
        links.turn(|news| {
            let sides = plays.iter_mut().flat_map(Play::sides_mut);
            sides.chain(homes.iter_mut().flat_map(Home::sides_mut)).for_each(|side| side.hear(news, now_ms));
        });
    }

    /// What a side learned is told to `network`, and to the home.
    fn pass_on(&mut self, now_ms: u64) {
        let Self { plays, homes, learn, .. } = self;
        let sides = plays.iter_mut().flat_map(Play::sides_mut);
        let mut news = false;
        for side in sides.chain(homes.iter_mut().flat_map(Home::sides_mut)) {
            if side.take_news() {
                news = true;
                if let Some(learned) = side.learned(now_ms) {
                    learn.say(&learned, &side.gifts());
                }
            }
        }
        if news {
            self.tell_name_servers(now_ms);
        }
    }

    /// A home that is told no name servers in the wish is told those of the lease that the first play holds.
    fn tell_name_servers(&mut self, now_ms: u64) {
        let lease = self.plays.iter().find_map(Play::wan).and_then(|wan| wan.lease(now_ms));
        let name_servers = lease.map(|lease| lease.name_servers).unwrap_or_default();
        for lan in self.homes.iter_mut().filter_map(Home::lan_mut) {
            lan.set_name_servers(&name_servers);
        }
    }
}

/// Everything that works on a link.
fn sides<'r>(plays: &'r [Play], homes: &'r [Home]) -> impl Iterator<Item = &'r dyn Side> {
    plays.iter().flat_map(Play::sides).chain(homes.iter().flat_map(Home::sides))
}
