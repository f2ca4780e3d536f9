//! From the names that we were told to servers that can be asked: addresses are looked up, and keys agreed on.
//!
//! In:  what `network` tells, answers of name servers, agreements. Out: sources to ask.
//!
//! A name may have several addresses (a pool): each is a server of its own. A name of which no server answers any more is looked up anew.
//! What fails is tried again after 10 s, 20 s, … and at last every hour.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use contract::Text;
use contract::told::Time;
use log::{info, warn};

use crate::dns;
use crate::keyed::{Keyed, Outcome, Wish};
use crate::packet;
use crate::resolver::Resolver;
use crate::seal::Jar;
use crate::source::Source;

/// Servers that are asked at a time, at most: a majority of them is easily found, and four names of pools have sixteen.
pub const SOURCES_MAX: usize = 12;
/// The first wait after something failed, in milliseconds, and the longest.
const RETRY_MS: u64 = 10_000;
const RETRY_MS_MAX: u64 = 3_600_000;

/// What the clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// In seconds since 1970.
    pub seconds: u64,
    /// It was set by somebody.
    pub believed: bool,
}

/// Where a name is on its way.
#[derive(Debug)]
enum Stage {
    /// To be looked up when it is due.
    Due,
    /// Looked up.
    Lookup,
    /// Keys are to be agreed on, at one of these addresses.
    Unkeyed(Vec<IpAddr>),
    /// They are being agreed on.
    Agreeing,
    /// The keys are for a server of this name and port, which is looked up.
    Elsewhere(Text<63>, u16, Jar),
    /// There are sources of it.
    Known,
}

/// A name that we were told.
#[derive(Debug)]
struct Server {
    name: Text<63>,
    sealed: bool,
    stage: Stage,
    due_ms: u64,
    retry_ms: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Servers {
    all: Vec<Server>,
    resolver: Resolver,
    keyed: Keyed,
    online: bool,
}

impl Servers {
    /// Trusting other anchors than the image's: for tests.
    #[must_use]
    pub fn trusting(anchors: trust::anchors::Anchors) -> Self {
        Self { keyed: Keyed::trusting(anchors), ..Self::default() }
    }

    /// Takes in what we were told: what it does not change goes on.
    pub fn tell(&mut self, told: &Time, sources: &mut Vec<Source>, now_ms: u64) {
        let plain = told.servers.iter().map(|name| (name, false));
        let wanted: Vec<(&Text<63>, bool)> = plain.chain(told.nts.iter().map(|name| (name, true))).collect();
        self.all.retain(|server| wanted.contains(&(&server.name, server.sealed)));
        for (name, sealed) in wanted {
            if !self.all.iter().any(|server| server.name == *name && server.sealed == sealed) {
                let (name, stage) = (name.clone(), Stage::Due);
                self.all.push(Server { name, sealed, stage, due_ms: now_ms, retry_ms: RETRY_MS });
            }
        }
        let all = &self.all;
        sources.retain(|source| {
            all.iter().any(|server| server.name == source.name && server.sealed == source.is_sealed())
        });
        self.resolver.tell(&told.name_servers);
        if told.online && !std::mem::replace(&mut self.online, told.online) {
            for server in &mut self.all {
                (server.due_ms, server.retry_ms) = (now_ms, RETRY_MS);
            }
            sources.iter_mut().for_each(|source| source.begin_anew(now_ms));
        }
        self.online = told.online;
    }

    /// Does asking make sense?
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.online
    }

    /// Names of which it is not known yet what servers they have.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.all.iter().filter(|server| !matches!(server.stage, Stage::Known)).count()
    }

    /// Are there some to be asked by NTS?
    #[must_use]
    pub fn any_sealed(&self) -> bool {
        self.all.iter().any(|server| server.sealed)
    }

    /// Were we told of none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What is waited for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.resolver.descriptor().into_iter().chain(self.keyed.descriptor())
    }

    /// When there is something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        if !self.online {
            return None;
        }
        let due = |server: &Server| match server.stage {
            Stage::Due => Some(server.due_ms),
            Stage::Unkeyed(_) if !self.keyed.is_busy() => Some(0),
            Stage::Unkeyed(_) | Stage::Lookup | Stage::Agreeing | Stage::Elsewhere(..) | Stage::Known => None,
        };
        self.all.iter().filter_map(due).chain(self.resolver.due_ms()).min()
    }

    /// Goes on.
    pub fn turn(&mut self, sources: &mut Vec<Source>, now: Now, now_ms: u64) {
        if let Some(outcome) = self.keyed.turn() {
            self.agreed(outcome, sources, now_ms);
        }
        if !self.online {
            return;
        }
        for server in &mut self.all {
            server.look_after(sources, &mut self.resolver, now_ms);
        }
        if let Some((name, addresses)) = self.resolver.turn(now_ms) {
            for server in &mut self.all {
                server.found(&name, &addresses, sources, now_ms);
            }
        }
        self.agree(now, now_ms);
    }

    /// Begins to agree on keys with the first that waits for it.
    fn agree(&mut self, now: Now, now_ms: u64) {
        if self.keyed.is_busy() {
            return;
        }
        let unkeyed = |server: &&mut Server| matches!(server.stage, Stage::Unkeyed(_));
        let Some(server) = self.all.iter_mut().find(unkeyed) else { return };
        let Stage::Unkeyed(addresses) = std::mem::replace(&mut server.stage, Stage::Agreeing) else { return };
        let wish = Wish { name: server.name.clone(), addresses, now_s: now.seconds, believed: now.believed };
        if let Err(why) = self.keyed.begin(wish) {
            server.fail(&why, now_ms);
        }
    }

    fn agreed(&mut self, outcome: Outcome, sources: &mut Vec<Source>, now_ms: u64) {
        let agreeing =
            |server: &&mut Server| server.name == outcome.name && matches!(server.stage, Stage::Agreeing);
        // Nobody wants it any more, perhaps.
        let Some(server) = self.all.iter_mut().find(agreeing) else { return };
        let (address, jar, agreement) = match outcome.answer {
            Ok(answer) => answer,
            Err(why) => return server.fail(&why, now_ms),
        };
        info!("{}: keys agreed on, {} cookies", server.name, jar.len());
        let port = agreement.port.unwrap_or(packet::PORT);
        let literal = agreement.server.parse().ok().filter(dns::is_somebody);
        if agreement.server.is_empty() || agreement.server == server.name {
            server.add(&[(address, port).into()], Some(jar), sources, now_ms);
        } else if let Some(address) = literal {
            server.add(&[(address, port).into()], Some(jar), sources, now_ms);
        } else {
            self.resolver.ask(&agreement.server);
            server.stage = Stage::Elsewhere(agreement.server, port, jar);
        }
    }
}

impl Server {
    /// Begins a lookup where one is due; gives sources up that are of no use any more.
    fn look_after(&mut self, sources: &mut Vec<Source>, resolver: &mut Resolver, now_ms: u64) {
        let ours = |source: &Source| source.name == self.name && source.is_sealed() == self.sealed;
        match self.stage {
            Stage::Due if self.due_ms <= now_ms => match self.name.parse::<IpAddr>() {
                Ok(address) => self.have(&[address], sources, now_ms),
                Err(_) => {
                    resolver.ask(&self.name);
                    self.stage = Stage::Lookup;
                }
            },
            Stage::Known => {
                // As long as one of them answers, a pool is as good as it was.
                let (mut any, mut all_given_up) = (false, true);
                for source in sources.iter().filter(|source| ours(source) && !source.pace.is_denied()) {
                    any = true;
                    all_given_up &= source.is_given_up();
                }
                if any && all_given_up {
                    sources.retain(|source| !ours(source) || source.pace.is_denied());
                    self.fail("nobody of this name answers", now_ms);
                }
            }
            Stage::Due | Stage::Lookup | Stage::Unkeyed(_) | Stage::Agreeing | Stage::Elsewhere(..) => {}
        }
    }

    /// `name` was looked up.
    fn found(&mut self, name: &Text<63>, addresses: &[IpAddr], sources: &mut Vec<Source>, now_ms: u64) {
        match std::mem::replace(&mut self.stage, Stage::Known) {
            Stage::Lookup if self.name == *name => self.have(addresses, sources, now_ms),
            Stage::Elsewhere(other, port, jar) if other == *name => match addresses.first() {
                Some(address) => self.add(&[(*address, port).into()], Some(jar), sources, now_ms),
                None => self.fail("the server that it names has no address", now_ms),
            },
            stage @ (Stage::Due
            | Stage::Lookup
            | Stage::Unkeyed(_)
            | Stage::Agreeing
            | Stage::Elsewhere(..)
            | Stage::Known) => self.stage = stage,
        }
    }

    /// Its addresses are known.
    fn have(&mut self, addresses: &[IpAddr], sources: &mut Vec<Source>, now_ms: u64) {
        if addresses.is_empty() {
            self.fail("it has no address", now_ms);
        } else if self.sealed {
            self.stage = Stage::Unkeyed(addresses.to_vec());
        } else {
            let addresses = addresses.iter().take(dns::ADDRESSES);
            let addresses: Vec<SocketAddr> =
                addresses.map(|address| (*address, packet::PORT).into()).collect();
            self.add(&addresses, None, sources, now_ms);
        }
    }

    /// Servers at `addresses` are asked from now on.
    fn add(&mut self, addresses: &[SocketAddr], jar: Option<Jar>, sources: &mut Vec<Source>, now_ms: u64) {
        for address in addresses {
            let known = sources.iter().any(|source| source.address == *address);
            if !known && sources.len() < SOURCES_MAX {
                sources.push(Source::new(self.name.clone(), *address, jar.clone(), now_ms));
            }
        }
        self.stage = Stage::Known;
        self.retry_ms = RETRY_MS;
    }

    /// It did not work: later again.
    fn fail(&mut self, why: &str, now_ms: u64) {
        warn!("{}: {why}; again in {} s", self.name, self.retry_ms / 1_000);
        self.stage = Stage::Due;
        self.due_ms = now_ms.saturating_add(self.retry_ms);
        self.retry_ms = self.retry_ms.saturating_mul(2).min(RETRY_MS_MAX);
    }
}
