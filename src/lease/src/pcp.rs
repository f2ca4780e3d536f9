//! PCP: hosts of the home ask for forwarded ports. Both versions, both families; off unless it is wanted.
//!
//! In:  news of the link, datagrams to port 5351, time. Out: datagrams; the list of mappings, for `network`.
//!
//! Mappings live in memory. `network` is told the whole list, at most ten times a second; it makes them true. A host is answered before
//! that: a few milliseconds in which a first packet may be lost.
//!
//! Not here: PEER, THIRD_PARTY, FILTER, DMZ (they are refused), UPnP IGD.
//!
//! Source: RFC 6887, RFC 6886.

pub mod answer;
pub mod message;
pub mod natpmp;
pub mod table;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use contract::learn::{Learned, Server};
use contract::leases::Answer;
use log::{info, warn};

use crate::PACKETS_A_TURN;
use crate::link::{News, Watched};
use crate::schedule::is_due;
use crate::side::{Side, Waits, waits};
use answer::Answerer;
use socket::{Datagram, Pair};

mod socket;

/// The server's port, and where hosts hear what is said unasked. Source: RFC 6887 §19.1.
pub const SERVER_PORT: u16 = 5_351;
/// See [`SERVER_PORT`].
pub const CLIENT_PORT: u16 = 5_350;
/// How often a new epoch is said unasked, and the first pause; each next one is twice as long. Source: RFC 6886 §3.2.1.
const ANNOUNCEMENTS: u32 = 10;
const ANNOUNCE_MS: u64 = 250;
/// The shortest time from one list of mappings to the next, in milliseconds.
const TELL_EVERY_MS: u64 = 100;

/// The PCP server of one network.
#[derive(Debug)]
pub struct Mapper {
    link: Watched,
    answerer: Answerer,
    sockets: Pair,
    /// Announcements that were made of this epoch, and when the next is due.
    announced: u32,
    announce_ms: u64,
    /// `network` is not told before, in milliseconds after boot.
    tell_ms: u64,
    news: bool,
}

impl Mapper {
    /// A server that knows nothing of its link yet.
    #[must_use]
    pub fn new(wanted: Server, now_ms: u64) -> Self {
        info!("{}: hosts may ask for ports", wanted.link);
        Self {
            link: Watched::new(wanted.link.clone()),
            sockets: Pair::new(wanted.address),
            answerer: Answerer::new(wanted, now_ms),
            announced: 0,
            announce_ms: now_ms,
            tell_ms: now_ms,
            news: false,
        }
    }

    /// Wants something else of it, on the same link.
    pub fn want(&mut self, wanted: Server, now_ms: u64) {
        if self.sockets.moves(wanted.address)
            && let Some(link) = self.link.link()
        {
            self.sockets.open(link);
        }
        if self.answerer.want(wanted, now_ms) {
            (self.announced, self.announce_ms) = (0, now_ms);
        }
    }

    fn announce(&mut self, now_ms: u64) {
        let everybody: [IpAddr; 2] =
            [Ipv4Addr::new(224, 0, 0, 1).into(), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into()];
        let [new, old] = self.answerer.announcements(now_ms);
        for to in everybody {
            let words = if to.is_ipv4() { &[&new, &old][..] } else { &[&new][..] };
            for bytes in words {
                self.sockets.send(SocketAddr::new(to, CLIENT_PORT), self.link.link(), bytes);
            }
        }
        self.announced = self.announced.saturating_add(1);
        let pause_ms = ANNOUNCE_MS.checked_shl(self.announced.saturating_sub(1)).unwrap_or(u64::MAX);
        self.announce_ms = now_ms.saturating_add(pause_ms);
    }

    /// When the next announcement is due.
    fn announcement_due_ms(&self) -> Option<u64> {
        let open = self.sockets.is_open() && self.announced < ANNOUNCEMENTS;
        open.then_some(self.announce_ms)
    }
}

impl Side for Mapper {
    fn descriptors(&self) -> Waits<'_> {
        waits(self.sockets.all().map(OwnedFd::as_fd))
    }

    fn due_ms(&self) -> Option<u64> {
        let tell = self.answerer.has_changed().then_some(self.tell_ms);
        let dues = [self.announcement_due_ms(), tell, self.answerer.table().due_ms()];
        dues.into_iter().flatten().min()
    }

    fn hear(&mut self, news: &News, _now_ms: u64) {
        let before = self.link.link().map(|link| link.index);
        self.link.hear(news);
        match self.link.link() {
            None => self.sockets.close(),
            Some(link) if before != Some(link.index) || !self.sockets.is_open() => self.sockets.open(link),
            Some(_) => {}
        }
    }

    fn turn(&mut self, now_ms: u64) {
        for _ in 0..PACKETS_A_TURN {
            let Some(Datagram { bytes, from, at }) = self.sockets.receive() else { break };
            if let Some(answer) = self.answerer.answer(&bytes, from.ip().to_canonical(), now_ms) {
                self.sockets.answer(from, at, &answer);
            }
        }
        self.answerer.trim(now_ms);
        if is_due(self.announcement_due_ms(), now_ms) {
            self.announce(now_ms);
        }
        if self.tell_ms <= now_ms && self.answerer.take_change() {
            self.news = true;
            self.tell_ms = now_ms.saturating_add(TELL_EVERY_MS);
        }
    }

    fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    fn learned(&self, _now_ms: u64) -> Option<Learned> {
        let mappings = self.answerer.table().entries().iter().map(|entry| entry.mapping).collect();
        Some(Learned::Mappings { link: self.link.name().clone(), mappings })
    }

    /// Mappings, in the order of their ports outside.
    fn row(&self, from: u64, now_ms: u64) -> Option<(u64, Answer)> {
        let entries = self.answerer.table().entries().iter().zip(0_u64..);
        // Two families, two protocols, many hosts: the number keeps those of one port apart.
        let placed =
            entries.map(|(entry, number)| (u64::from(entry.mapping.external_port) << 16 | number, entry));
        let (place, entry) = placed.filter(|(place, _)| *place >= from).min_by_key(|(place, _)| *place)?;
        let remaining_s = u32::try_from(entry.until_ms.saturating_sub(now_ms) / 1_000).unwrap_or(u32::MAX);
        Some((place, Answer::Mapping { link: self.link.name().clone(), mapping: entry.mapping, remaining_s }))
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        if !self.answerer.table().entries().is_empty() {
            warn!("{}: hosts may no longer ask for ports; theirs are closed", self.link.name());
        }
    }
}
