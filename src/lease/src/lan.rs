//! The server of one link: the sockets around the answers of `server.rs`.
//!
//! In:  news of the link, packets, time. Out: packets.
//!
//! Answers go in frames to the link-layer address of whoever asked: no host has to have its address already, and the kernel needs
//! neither a route nor a neighbour. A UDP socket holds port 67, so that the kernel does not refuse what we have answered.
//!
//! Not here: what is answered (`server.rs`), which address (`table.rs`), when an offer may go (`offers.rs`).
//!
//! Source: RFC 2131 §4.1, §4.3.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};

use contract::learn;
use contract::leases::Answer;
use contract::limit::NAME_SERVERS;
use contract::name::Text;
use contract::resolve::Local;
use heapless::Vec;
use log::warn;
use sys::{Errno, packet};

use crate::link::{News, Watched};
use crate::message::{Mac, Message};
use crate::offers::{Due, Offers};
use crate::schedule::is_due;
use crate::server::{Server, Way};
use crate::side::{Side, Waits, waits};
use crate::socket::{self, CLIENT_PORT, EVERYBODY, PACKET_BYTES, SERVER_PORT};
use crate::table::{Change, Row};
use crate::{PACKETS_A_TURN, arp, datagram};

/// Where the rows of reservations begin: behind all addresses.
const KEPT_PLACE: u64 = 1 << 32;

/// A link that is served.
#[derive(Debug)]
pub struct Lan {
    link: Watched,
    server: Server,
    offers: Offers,
    /// Hears clients, as long as the link is there.
    packets: Option<OwnedFd>,
    /// Holds the port, as long as the link is there.
    port: Option<OwnedFd>,
    /// Hears other hosts, as long as offers wait.
    checks: Option<OwnedFd>,
    /// Somebody's name has changed.
    names: bool,
    /// When the first of the leases ends whose names were told, in milliseconds after boot.
    ends_ms: Option<u64>,
}

impl Lan {
    /// A server that knows nothing of its link yet.
    #[must_use]
    pub fn new(wanted: learn::Server) -> Self {
        Self {
            link: Watched::new(wanted.link.clone()),
            server: Server::new(wanted),
            offers: Offers::default(),
            packets: None,
            port: None,
            checks: None,
            names: true,
            ends_ms: None,
        }
    }

    /// What it knows of its guests.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Wants something else of it, on the same link.
    pub fn want(&mut self, wanted: learn::Server) {
        if *self.server.wanted() != wanted {
            self.offers.clear();
            self.server.want(wanted);
            self.names = true;
        }
    }

    /// Takes in what an earlier life has given.
    pub fn remember(&mut self, row: Row) {
        self.server.remember(row);
    }

    /// What has changed since this was last asked.
    pub fn take_change(&mut self) -> Option<Change> {
        let change = self.server.take_change();
        self.names |= change == Some(Change::Moved);
        change
    }

    /// From now on it tells these name servers, where the wish names none.
    pub fn set_name_servers(&mut self, name_servers: &Vec<Ipv4Addr, NAME_SERVERS>) {
        self.server.set_name_servers(name_servers);
    }

    /// A client's question to everybody or to us.
    fn question(&self, bytes: &[u8], status: packet::Status) -> Option<Message> {
        let datagram = datagram::read(bytes, status.checksum_unset).ok().filter(|_| !status.tagged)?;
        let to = *datagram.to.ip();
        if to != self.server.wanted().address && !to.is_broadcast() {
            return None;
        }
        Message::read(datagram.payload).ok()
    }

    fn answer(&mut self, message: &Message, now_ms: u64) {
        let Some((reply, way)) = self.server.answer(message, now_ms) else { return };
        // A refusal and the words for `INFORM` give no address: `yiaddr` is none.
        if self.server.is_only_offered(reply.yiaddr) {
            self.offers.put(reply, way, now_ms);
        } else {
            self.send(&reply, way);
        }
    }

    fn send(&self, reply: &Message, way: Way) {
        let (mac, to): (Mac, Ipv4Addr) = match way {
            Way::Broadcast => (EVERYBODY, Ipv4Addr::BROADCAST),
            Way::Frame(mac, address) => (mac, address),
            Way::Unicast(address) => (reply.chaddr, address),
            Way::Relay(relay) => return self.send_to_relay(reply, relay),
        };
        let from = SocketAddrV4::new(self.server.wanted().address, SERVER_PORT);
        let Some(bytes) = datagram::write(from, SocketAddrV4::new(to, CLIENT_PORT), &reply.write()) else {
            return;
        };
        self.put(self.packets.as_ref(), datagram::ETHER_TYPE, mac, &bytes);
    }

    /// A relay has its address, so the kernel finds it. Source: RFC 2131 §4.1 (port 67).
    fn send_to_relay(&self, reply: &Message, relay: Ipv4Addr) {
        let Some(port) = &self.port else { return };
        if let Err(errno) = socket::send(port, SocketAddrV4::new(relay, SERVER_PORT), &reply.write()) {
            self.warn("cannot answer a relay", errno);
        }
    }

    fn probe(&mut self, address: Ipv4Addr) {
        let Some(link) = self.link.link() else { return };
        let question = arp::probe(link.mac, address);
        if self.checks.is_none() {
            let opened = socket::arp(link);
            self.checks = opened.map_err(|errno| self.warn("cannot check an address", errno)).ok();
        }
        self.put(self.checks.as_ref(), arp::ETHER_TYPE, EVERYBODY, &question);
    }

    fn put(&self, socket: Option<&OwnedFd>, protocol: u16, to: Mac, bytes: &[u8]) {
        let (Some(socket), Some(link)) = (socket, self.link.link()) else { return };
        if let Err(errno) = packet::send(socket.as_fd(), link.index, protocol, to, bytes) {
            self.warn("cannot send", errno);
        }
    }

    fn warn(&self, what: &str, errno: Errno) {
        warn!("{}: {what}: {}", self.link.name(), errno.desc());
    }
}

impl Side for Lan {
    fn descriptors(&self) -> Waits<'_> {
        waits([&self.packets, &self.checks].into_iter().flatten().map(AsFd::as_fd))
    }

    fn due_ms(&self) -> Option<u64> {
        self.offers.due_ms().into_iter().chain(self.ends_ms).min()
    }

    fn hear(&mut self, news: &News, _now_ms: u64) {
        let before = self.link.link().map(|link| link.index);
        self.link.hear(news);
        let Some(link) = self.link.link() else {
            (self.packets, self.port, self.checks) = (None, None, None);
            self.offers.clear();
            return;
        };
        if before == Some(link.index) {
            return;
        }
        self.checks = None;
        let packets = socket::datagrams(link, SERVER_PORT);
        self.packets = packets.map_err(|errno| self.warn("cannot listen", errno)).ok();
        let port = socket::port(self.link.name(), SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SERVER_PORT));
        self.port = port.map_err(|errno| self.warn("cannot hold port 67", errno)).ok();
    }

    fn turn(&mut self, now_ms: u64) {
        let mut buffer = [0; PACKET_BYTES];
        for _ in 0..PACKETS_A_TURN {
            let Some(socket) = &self.packets else { break };
            let Some((bytes, status)) = socket::receive(socket, &mut buffer) else { break };
            if let Some(message) = self.question(bytes, status) {
                self.answer(&message, now_ms);
            }
        }
        for _ in 0..PACKETS_A_TURN {
            let (Some(socket), Some(link)) = (&self.checks, self.link.link()) else { break };
            let Some((bytes, _)) = socket::receive(socket, &mut buffer) else { break };
            let Some(arp) = arp::read(bytes) else { continue };
            if let Some(address) = self.offers.hear(&arp, link.mac) {
                warn!("{}: {address} is in use by somebody who has not asked for it", self.link.name());
                self.server.see(address, arp.sender, now_ms);
            }
        }
        while let Some(due) = self.offers.due(now_ms) {
            match due {
                Due::Probe(address) => self.probe(address),
                Due::Send(reply, way) => {
                    self.server.goes(&reply, now_ms);
                    self.send(&reply, way);
                }
            }
        }
        if self.offers.is_empty() {
            self.checks = None;
        }
        if is_due(self.ends_ms, now_ms) {
            (self.names, self.ends_ms) = (true, None);
        }
    }

    fn take_names(&mut self, now_ms: u64) -> bool {
        let names = self.server.wanted().names;
        let changed = names && std::mem::take(&mut self.names);
        if changed {
            let ends = self.server.table().given(now_ms).map(|row| row.until_ms);
            self.ends_ms = ends.min();
        }
        changed
    }

    /// Names of reservations, whether their hosts are there or not; then those that hosts have for themselves.
    fn names(&self, now_ms: u64, see: &mut dyn FnMut(Local)) {
        let wanted = self.server.wanted();
        if !wanted.names {
            return;
        }
        let link = || self.link.name().clone();
        for kept in wanted.reservations.iter().filter(|kept| !kept.name.is_empty()) {
            see(Local { name: kept.name.clone(), address: kept.address.into(), mac: kept.mac, link: link() });
        }
        for row in self.server.table().given(now_ms) {
            let (mac, address) = (contract::mac::Mac(row.guest.mac), row.address.into());
            let named = wanted.reservations.iter().any(|kept| kept.mac == mac && !kept.name.is_empty());
            if !named {
                see(Local { name: Text::from(row.guest.host.as_str()), address, mac, link: link() });
            }
        }
    }

    /// Leases, in the order of their addresses; then addresses that are kept for somebody who has none.
    fn row(&self, from: u64, now_ms: u64) -> Option<(u64, Answer)> {
        let place = |row: &&Row| u64::from(row.address.to_bits());
        let rest = self.server.table().given(now_ms).filter(|row| place(row) >= from);
        let link = self.link.name().clone();
        if let Some(row) = rest.min_by_key(place) {
            let remaining_s = u32::try_from(row.until_ms.saturating_sub(now_ms) / 1_000).unwrap_or(u32::MAX);
            let (address, mac, host) = (row.address, row.guest.mac, row.guest.host.clone());
            return Some((place(&row), Answer::Given { link, address, mac, host, remaining_s }));
        }
        let absent = |address| self.server.table().given(now_ms).all(|row| row.address != address);
        let kept = self.server.wanted().reservations.iter().zip(KEPT_PLACE..);
        let (kept, place) =
            kept.filter(|(_, place)| *place >= from).find(|(kept, _)| absent(kept.address))?;
        let (address, mac, name) = (kept.address, kept.mac, kept.name.clone());
        Some((place, Answer::Kept { link, address, mac, name }))
    }
}
