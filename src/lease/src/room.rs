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
use contract::wires::LEARN;
use heapless::Vec;
use log::info;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use state::Folder;
use sys::seqpacket::Descriptors;
use sys::{Errno, clock};
use wire::{Line, Listener};

use crate::Error;
use crate::askers::{Askers, CLIENTS_MAX};
use crate::book::{self, Entry};
use crate::home::{HOME_SIDES, Home};
use crate::introduction::Introduction;
use crate::keep::{self, Keep};
use crate::links::Links;
use crate::locals::{self, Locals};
use crate::play::{PLAY_SIDES, Play};
use crate::side::{SIDE_DESCRIPTORS, Side};
use crate::usp::Device;

/// The wire `leases` and its clients.
const ASKERS: usize = CLIENTS_MAX + 1;
/// All sides that there can be.
const SIDES: usize = PLAYS * PLAY_SIDES + HOMES * HOME_SIDES;
/// All that is waited for: those, the wires `learn`, `resolve` and `identify`, news of links and of mounts.
const DESCRIPTORS: usize = ASKERS + 5 + SIDES * SIDE_DESCRIPTORS;

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Room {
    askers: Askers,
    learn: Line<Wish>,
    locals: Locals,
    keep: Keep,
    /// What lies on the disk of networks that nobody has wished for yet.
    remembered: std::vec::Vec<Entry>,
    folder: Folder,
    links: Links,
    plays: Vec<Play, PLAYS>,
    homes: Vec<Home, HOMES>,
    introduction: Introduction,
    /// Who we are, once somebody has asked.
    device: Option<Device>,
}

impl Room {
    /// Serves `leases`, and keeps in `folder` what shall outlive a power cut. Nothing is wished of it yet.
    ///
    /// # Errors
    /// [`Error::Links`]: there is no socket for news of links.
    pub fn open(leases: Listener, folder: &Folder) -> Result<Self, Error> {
        let links = Links::open().map_err(Error::Links)?;
        let (plays, homes) = (Vec::new(), Vec::new());
        let (learn, locals, keep) = (Line::new(LEARN), Locals::default(), Keep::new(folder));
        let (remembered, folder) = (std::vec::Vec::new(), folder.clone());
        let (askers, introduction, device) = (Askers::new(leases), Introduction::default(), None);
        Ok(Self {
            askers,
            learn,
            locals,
            keep,
            remembered,
            folder,
            links,
            plays,
            homes,
            introduction,
            device,
        })
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
            self.attend_identity(now_ms);
            self.attend_links(now_ms);
            for play in &mut self.plays {
                play.sides_mut().for_each(|side| side.turn(now_ms));
                play.agree(now_ms);
            }
            self.homes.iter_mut().flat_map(Home::sides_mut).for_each(|side| side.turn(now_ms));
            self.pass_on(now_ms);
            self.attend_book(now_ms);
            self.attend_names(now_ms);
            let sides: Vec<&dyn Side, SIDES> = sides(&self.plays, &self.homes).take(SIDES).collect();
            self.askers.turn(&ready, &sides, now_ms);
        }
    }

    /// Waits until there is something to do, and says which of the wire's clients are ready.
    fn wait(&self) -> Result<Vec<bool, ASKERS>, Error> {
        let now_ms = clock::boot_ms();
        let own = [
            self.learn.due_ms(),
            self.locals.due_ms(),
            self.keep.due_ms(now_ms),
            self.introduction.due_ms(self.asks_who_we_are()),
        ];
        let dues = sides(&self.plays, &self.homes).map(Side::due_ms).chain(own);
        let left_ms = dues.flatten().min().map(|due_ms| due_ms.saturating_sub(now_ms));
        // Longer than a timeout can be: it wakes up once more, and waits again.
        let limit = left_ms
            .map_or(PollTimeout::NONE, |left_ms| PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX));
        let mounts = self.keep.descriptor().into_iter().map(|mounts| (mounts, PollFlags::POLLPRI));
        let wires = [self.learn.descriptor(), self.locals.descriptor(), self.introduction.descriptor()];
        let others = wires.into_iter().flatten();
        let others = others.chain([self.links.as_fd()]);
        let others = others.chain(sides(&self.plays, &self.homes).flat_map(Side::descriptors));
        let others = others.map(|descriptor| (descriptor, PollFlags::POLLIN));
        let mut wanted: Vec<PollFd<'_>, DESCRIPTORS> = self
            .askers
            .descriptors()
            .chain(mounts)
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

    fn asks_who_we_are(&self) -> bool {
        self.plays.iter().any(Play::asks_who_we_are)
    }

    /// Servers that are to know who we are are told with the next message after `identity` has said it.
    fn attend_identity(&mut self, now_ms: u64) {
        let asks = self.asks_who_we_are();
        if let Some(device) = self.introduction.turn(asks, now_ms) {
            self.device = Some(device);
        }
        if let Some(device) = self.device.as_ref().filter(|_| asks) {
            self.plays.iter_mut().for_each(|play| play.introduce(device));
        }
    }

    /// Takes a wish in: what it does not change goes on.
    fn want(&mut self, wish: &Wish, mut gifts: Descriptors, now_ms: u64) {
        self.plays.retain(|play| wish.clients.iter().any(|client| client.link == *play.link()));
        for client in &wish.clients {
            if !self.plays.iter().any(|play| *play.link() == client.link) {
                // There is room: there are no more than a wish can hold.
                let _ = self.plays.push(Play::new(client.link.clone(), &self.folder));
            }
            if let Some(play) = self.plays.iter_mut().find(|play| *play.link() == client.link) {
                play.want(client, &mut gifts, now_ms);
            }
        }
        self.homes.retain(|home| wish.servers.iter().any(|server| server.link == *home.link()));
        for server in &wish.servers {
            if !self.homes.iter().any(|home| *home.link() == server.link) {
                let _ = self.homes.push(Home::new(server, &self.folder));
            }
            if let Some(home) = self.homes.iter_mut().find(|home| *home.link() == server.link) {
                home.want(server, now_ms);
            }
        }
        self.tell_name_servers(now_ms);
        self.remember();
        self.links.ask();
    }

    /// What an earlier life has given is taken in by the networks that there are now.
    fn remember(&mut self) {
        for home in &mut self.homes {
            let link = home.link().clone();
            let Some(lan) = home.lan_mut() else { continue };
            for entry in self.remembered.extract_if(.., |entry| entry.link == link) {
                lan.remember(entry.row);
            }
        }
    }

    /// The book of leases is read once, and written when it is time.
    fn attend_book(&mut self, now_ms: u64) {
        if let Some(bytes) = self.keep.read() {
            self.remembered = book::read(&bytes, now_ms, keep::calendar_s());
            info!("leases: {} are known from before", self.remembered.len());
            self.remember();
        }
        for lan in self.homes.iter_mut().filter_map(Home::lan_mut) {
            if let Some(change) = lan.take_change() {
                self.keep.note(change, now_ms);
            }
        }
        let Self { keep, homes, remembered, .. } = self;
        keep.turn(now_ms, || {
            let lans = homes.iter().filter_map(|home| Some((home.link(), home.lan()?)));
            let rows =
                lans.flat_map(|(link, lan)| lan.server().table().rows().iter().map(move |row| (link, row)));
            let others = remembered.iter().map(|entry| (&entry.link, &entry.row));
            book::write(rows.chain(others), now_ms, keep::calendar_s())
        });
    }

    /// Names of hosts are told to `names`, where they have changed or it has come back.
    fn attend_names(&mut self, now_ms: u64) {
        let mut due = self.locals.dial(now_ms);
        for side in self.homes.iter_mut().flat_map(Home::sides_mut) {
            due |= side.take_names(now_ms);
        }
        if due && self.locals.descriptor().is_some() {
            let mut all = std::vec::Vec::new();
            for side in self.homes.iter().flat_map(Home::sides) {
                side.names(now_ms, &mut |local| all.push(local));
            }
            self.locals.say(&locals::choose(all));
        }
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
