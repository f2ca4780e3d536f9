//! Our own lease on one link: the sockets around the table of `client.rs`.
//!
//! In:  news of the link, packets, time. Out: packets; what is to be told to `network`.
//!
//! Before there is an address, and when any server will do, packets go by `AF_PACKET`; more time is asked for by the kernel's UDP,
//! from the address that `network` has put on the link. Answers are heard by `AF_PACKET` always.
//!
//! Not here: what follows what (`client.rs`), what is in a message (`request.rs`, `terms.rs`).
//!
//! Source: RFC 2131 §4.1, §4.4; RFC 5227 §2.1.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};

use contract::learn::{Learned, Lease};
use contract::leases::Answer;
use contract::wanted::LinkName;
use contract::wanted::access::Dhcp;
use log::{info, warn};
use sys::{Errno, packet};

use crate::client::{self, Action, Event, Say, State};
use crate::dice::Dice;
use crate::link::{Link, News, Watched};
use crate::message::{Mac, Message};
use crate::request::{self, Way, Words};
use crate::schedule::is_due;
use crate::side::{Side, Waits, waits};
use crate::socket::{self, CLIENT_PORT, EVERYBODY, PACKET_BYTES, SERVER_PORT};
use crate::usp::Device;
use crate::{PACKETS_A_TURN, arp, datagram, terms};

/// The client of one link.
#[derive(Debug)]
pub struct Wan {
    link: Watched,
    /// What the operator wants to be told.
    dhcp: Dhcp,
    /// Who we are, where it is to be told.
    device: Device,
    /// The address of the link when it was last there: what our lease was given to.
    mac: Option<Mac>,
    state: State,
    dice: Dice,
    /// Hears servers, as long as the link is there.
    packets: Option<OwnedFd>,
    /// Hears other hosts, as long as an address is checked.
    checks: Option<OwnedFd>,
    /// Asks a server for more time, and holds the port until it is asked again.
    renewal: Option<OwnedFd>,
    /// A lease was lost and none was got since.
    lost: bool,
    /// There is something to tell.
    news: bool,
    /// What was said last in the log, so that a renewal is no line.
    logged: Option<(Ipv4Addr, Ipv4Addr)>,
}

impl Wan {
    /// A client that knows nothing of its link yet.
    #[must_use]
    pub fn new(name: LinkName, dhcp: Dhcp) -> Self {
        Self {
            link: Watched::new(name),
            dhcp,
            device: Device::default(),
            mac: None,
            state: State::Down { held: None },
            dice: Dice::default(),
            packets: None,
            checks: None,
            renewal: None,
            lost: false,
            news: false,
            logged: None,
        }
    }

    /// Servers are told from now on who we are.
    pub fn introduce(&mut self, device: &Device) {
        self.device = device.clone();
    }

    /// Its link's name.
    #[must_use]
    pub fn name(&self) -> &LinkName {
        self.link.name()
    }

    /// The lease that it holds, with what is left of it.
    #[must_use]
    pub fn lease(&self, now_ms: u64) -> Option<Lease> {
        let held = self.state.held()?;
        Some(Lease { lease_s: held.remaining_s(now_ms), ..held.terms.lease(self.name()) })
    }

    /// A lease was given to a link-layer address. Where that has changed we hold nothing, and begin anew.
    fn is_given_to(&mut self, link: Option<&Link>) {
        let Some(link) = link else { return };
        let other = self.mac.replace(link.mac).is_some_and(|mac| mac != link.mac);
        if other && self.state.held().is_some() {
            self.state = State::Down { held: None };
            self.act(&Action::Lost);
        }
    }

    /// What a server says to us in a packet.
    fn reply(&self, bytes: &[u8], status: packet::Status) -> Option<Event> {
        let datagram = datagram::read(bytes, status.checksum_unset).ok().filter(|_| !status.tagged)?;
        let message = Message::read(datagram.payload).ok()?;
        let (xid, reply) = terms::reply(&message, self.link.link()?.mac)?;
        Some(Event::Heard { xid, reply })
    }

    fn is_conflict(&self, bytes: &[u8]) -> bool {
        let (Some(address), Some(link)) = (self.checked(), self.link.link()) else { return false };
        arp::read(bytes).is_some_and(|arp| arp::is_conflict(&arp, link.mac, address))
    }

    /// The address that is being checked.
    fn checked(&self) -> Option<Ipv4Addr> {
        match &self.state {
            State::Checking { granted, .. } => Some(granted.address()),
            State::Down { .. }
            | State::Init { .. }
            | State::Selecting { .. }
            | State::Requesting { .. }
            | State::Bound { .. }
            | State::Renewing { .. }
            | State::Rebinding { .. }
            | State::Rebooting { .. } => None,
        }
    }

    /// One event, and all that follows from it.
    fn happen(&mut self, event: Event, now_ms: u64) {
        let state = std::mem::replace(&mut self.state, State::Down { held: None });
        let (state, actions) = client::next(state, event, self.dice.moment(now_ms));
        self.state = state;
        for action in &actions {
            self.act(action);
        }
        if self.checked().is_none() {
            self.checks = None;
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Send(say) => self.say(*say),
            Action::Probe(address) => self.probe(*address),
            Action::Announce(address) => {
                self.arp(|link| arp::announcement(link.mac, *address));
            }
            Action::Got(terms) => {
                (self.lost, self.news) = (false, true);
                let what = (terms.address, terms.server);
                if self.logged.replace(what) != Some(what) {
                    let (address, length) = (terms.address, terms.prefix_length);
                    let (server, lease_s) = (terms.server, terms.lease_s);
                    info!("{}: {address}/{length} from {server} for {lease_s} s", self.name());
                }
            }
            Action::Lost => {
                (self.lost, self.news, self.logged) = (true, true, None);
                warn!("{}: the lease is lost", self.name());
            }
        }
    }

    fn say(&mut self, say: Say) {
        let Some(link) = self.link.link().cloned() else { return };
        let words = Words::new(&self.dhcp, self.name(), link.mac).of(&self.device);
        let (message, way) = request::message(say, &words);
        let payload = message.write();
        let sent = match way {
            Way::Broadcast { from } => self.broadcast(&link, from, &payload),
            Way::Unicast { from, to } => self.unicast(from, to, &payload),
        };
        if let Err(errno) = sent {
            self.warn("cannot ask", errno);
        }
        if let Say::Decline(_, address, server) = say {
            warn!("{}: somebody else uses {address}, which {server} gave us", self.name());
        }
    }

    fn broadcast(&self, link: &Link, from: Ipv4Addr, payload: &[u8]) -> Result<(), Errno> {
        let socket = self.packets.as_ref().ok_or(Errno::ENOTCONN)?;
        let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
        let bytes = datagram::write(SocketAddrV4::new(from, CLIENT_PORT), to, payload);
        let bytes = bytes.ok_or(Errno::EMSGSIZE)?;
        packet::send(socket.as_fd(), link.index, datagram::ETHER_TYPE, EVERYBODY, &bytes)
    }

    fn unicast(&mut self, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Result<(), Errno> {
        self.renewal = None; // It has the port.
        let socket = socket::port(self.name(), SocketAddrV4::new(from, CLIENT_PORT))?;
        socket::send(&socket, SocketAddrV4::new(to, SERVER_PORT), payload)?;
        self.renewal = Some(socket);
        Ok(())
    }

    fn probe(&mut self, address: Ipv4Addr) {
        if let (None, Some(link)) = (&self.checks, self.link.link()) {
            let opened = socket::arp(link);
            self.checks = opened.map_err(|errno| self.warn("cannot check the address", errno)).ok();
        }
        self.arp(|link| arp::probe(link.mac, address));
    }

    fn arp(&self, make: impl FnOnce(&Link) -> [u8; arp::PACKET_BYTES]) {
        let (Some(socket), Some(link)) = (&self.checks, self.link.link()) else { return };
        let sent = packet::send(socket.as_fd(), link.index, arp::ETHER_TYPE, EVERYBODY, &make(link));
        if let Err(errno) = sent {
            self.warn("cannot send ARP", errno);
        }
    }

    fn warn(&self, what: &str, errno: Errno) {
        warn!("{}: {what}: {}", self.name(), errno.desc());
    }
}

impl Side for Wan {
    fn descriptors(&self) -> Waits<'_> {
        waits([&self.packets, &self.checks].into_iter().flatten().map(AsFd::as_fd))
    }

    fn due_ms(&self) -> Option<u64> {
        self.state.due_ms()
    }

    fn hear(&mut self, news: &News, now_ms: u64) {
        let before = self.link.link().map(|link| (link.index, link.mac));
        if !self.link.hear(news) {
            return;
        }
        let link = self.link.link().cloned();
        if before != link.as_ref().map(|link| (link.index, link.mac)) {
            // Another link, or another address of it: what was asked in its name is over.
            (self.packets, self.checks, self.renewal) = (None, None, None);
            self.happen(Event::Down, now_ms);
            self.is_given_to(link.as_ref());
            self.packets = link.as_ref().and_then(|link| {
                let opened = socket::datagrams(link, CLIENT_PORT);
                opened.map_err(|errno| self.warn("cannot listen", errno)).ok()
            });
        }
        let carrier = link.is_some_and(|link| link.carrier);
        self.happen(if carrier { Event::Up } else { Event::Down }, now_ms);
    }

    fn turn(&mut self, now_ms: u64) {
        let mut buffer = [0; PACKET_BYTES];
        for _ in 0..PACKETS_A_TURN {
            let Some(socket) = &self.packets else { break };
            let Some((bytes, status)) = socket::receive(socket, &mut buffer) else { break };
            if let Some(event) = self.reply(bytes, status) {
                self.happen(event, now_ms);
            }
        }
        for _ in 0..PACKETS_A_TURN {
            let Some(socket) = &self.checks else { break };
            let Some((bytes, status)) = socket::receive(socket, &mut buffer) else { break };
            if !status.tagged && self.is_conflict(bytes) {
                self.happen(Event::Conflict, now_ms);
            }
        }
        if is_due(self.due_ms(), now_ms) {
            self.happen(Event::Time, now_ms);
        }
    }

    fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    fn learned(&self, now_ms: u64) -> Option<Learned> {
        match self.lease(now_ms) {
            Some(lease) => Some(Learned::Lease(lease)),
            None => self.lost.then(|| Learned::Lost { link: self.name().clone() }),
        }
    }

    /// State and lease.
    fn row(&self, from: u64, now_ms: u64) -> Option<(u64, Answer)> {
        let lease = self.lease(now_ms);
        let remaining_s = lease.as_ref().map_or(0, |lease| lease.lease_s);
        let (link, state) = (self.name().clone(), self.state.word().into());
        let held = self.state.held().filter(|_| self.dhcp.usp);
        let (controller, domain) =
            held.map(|held| (held.terms.controller.clone(), held.terms.domain.clone())).unwrap_or_default();
        (from == 0).then_some((0, Answer::Client { link, state, lease, remaining_s, controller, domain }))
    }
}
