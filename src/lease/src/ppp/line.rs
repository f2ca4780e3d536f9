//! The session of one play: sockets and descriptors around the table of `session.rs`.
//!
//! In:  news of the link, packets, descriptors of `network`, time. Out: packets; what is to be told to `network`.
//!
//! Not here: what follows what (`session.rs`), the kernel's calls (`kernel.rs`).
//!
//! Source: docs/pppoe.md.

use std::os::fd::{AsFd, OwnedFd};

use contract::learn::{Client, Ipv6Wish, Learned};
use contract::leases::Answer;
use contract::wanted::LinkName;
use contract::wanted::access::Pppoe;
use log::{info, warn};
use sys::packet;
use sys::seqpacket::Descriptors;

use super::discovery::DISCOVERY;
use super::kernel::{self, Kernel};
use super::memory::Memory;
use super::packet::PACKET_BYTES_MAX;
use super::session::{Action, Carrier, Event, Session, Wants};
use crate::PACKETS_A_TURN;
use crate::dice::Dice;
use crate::link::{News, Watched};
use crate::schedule::is_due;
use crate::side::{Side, Waits, waits};

/// The session of one link.
#[derive(Debug)]
pub struct Line {
    link: Watched,
    session: Session,
    dice: Dice,
    /// Hears concentrators, as long as the link is there.
    discovery: Option<OwnedFd>,
    /// Hears sessions of a former life, as long as the link is there.
    strays: Option<OwnedFd>,
    kernel: Option<Kernel>,
    /// What came by the socket before the kernel turned to the channel.
    early: Vec<Vec<u8>>,
    /// What is remembered of the session that is up.
    memory: Option<OwnedFd>,
    /// A session has ended and `network` has to know: its descriptors are of no use.
    lost: bool,
    /// There is something to tell.
    news: bool,
}

impl Line {
    /// A session that is wanted, on a link of which nothing is known yet.
    #[must_use]
    pub fn new(name: LinkName, pppoe: &Pppoe, ipv6: Ipv6Wish) -> Self {
        let mut dice = Dice::default();
        let uniq = dice.moment(0).random;
        Self {
            link: Watched::new(name),
            session: Session::new(wants(pppoe, ipv6), uniq),
            dice,
            discovery: None,
            strays: None,
            kernel: None,
            early: Vec::new(),
            memory: None,
            lost: false,
            news: false,
        }
    }

    /// Does it do what `client` wants? If not, another one has to take its place.
    #[must_use]
    pub fn serves(&self, client: &Client) -> bool {
        client.pppoe.as_ref().is_some_and(|pppoe| *self.session.wants() == wants(pppoe, client.ipv6))
    }

    /// Takes descriptors that came with a wish: those of the PPP link that we asked for, or the four of a session that is up.
    pub fn take(&mut self, gifts: &mut Descriptors, now_ms: u64) {
        let [channel, unit, socket, memory] = std::mem::take(gifts);
        let (Some(channel), Some(unit)) = (channel, unit) else { return };
        match (socket, memory) {
            (Some(socket), Some(memory)) => {
                // Else we hold them ourselves, or have just let go of them.
                if self.kernel.is_none() && !self.lost {
                    self.adopt([channel, unit, socket, memory], now_ms);
                }
            }
            _ => self.bound(channel, unit, now_ms),
        }
    }

    /// The session has a PPP link.
    fn bound(&mut self, channel: OwnedFd, unit: OwnedFd, now_ms: u64) {
        let Some(kernel) = self.kernel.as_mut().filter(|kernel| kernel.asks().is_some()) else { return };
        if let Err(errno) = kernel.bind(channel, unit) {
            let why = format!("the PPP link: {}", errno.desc());
            return self.happen(&Event::Broken(&why), now_ms);
        }
        self.happen(&Event::Bound, now_ms);
        for bytes in std::mem::take(&mut self.early).iter().filter(|bytes| !bytes.is_empty()) {
            self.happen(&Event::Control(bytes), now_ms);
        }
    }

    fn adopt(&mut self, [channel, unit, socket, memory]: [OwnedFd; 4], now_ms: u64) {
        let wants = self.session.wants().clone();
        let recalled = Memory::recall(&memory)
            .filter(|recalled| recalled.told.link == *self.link.name() && recalled.user == wants.pppoe.user);
        let kernel = recalled.as_ref().and_then(|_| Kernel::adopted(socket, channel, unit));
        let (Some(recalled), Some(kernel)) = (recalled, kernel) else {
            // It has ended, or belongs to somebody else: `network` lets go of it.
            (self.lost, self.news) = (true, true);
            return;
        };
        info!("{}: session {} of an earlier life goes on", self.link.name(), recalled.session);
        let uniq = self.dice.moment(now_ms).random;
        self.session = Session::adopted(wants, uniq, &recalled, now_ms);
        (self.kernel, self.memory, self.news) = (Some(kernel), Some(memory), true);
    }

    /// What `network` has to know of the session, once it is up.
    #[must_use]
    pub fn told(&self) -> Option<contract::learn::Session> {
        let ppp = self.kernel.as_ref().filter(|kernel| kernel.is_bound())?.link();
        self.session.live()?.told(self.link.name(), &ppp)
    }

    /// One event, and all that follows from it.
    fn happen(&mut self, event: &Event<'_>, now_ms: u64) {
        let actions = self.session.happen(event, self.dice.moment(now_ms));
        let mut broken = None;
        for action in &actions {
            broken = broken.or(self.act(action).err());
        }
        // What follows from this asks nothing of the kernel.
        if let Some(why) = broken {
            self.happen(&Event::Broken(&why), now_ms);
        }
    }

    /// Does one thing. The error is the session's end.
    fn act(&mut self, action: &Action) -> Result<(), String> {
        let name = self.link.name();
        match action {
            Action::Discover(to, bytes) => {
                if let (Some(socket), Some(link)) = (&self.discovery, self.link.link()) {
                    let sent = packet::send(socket.as_fd(), link.index, DISCOVERY, *to, bytes);
                    // It is repeated; while the cable is out, nobody wonders.
                    let _ = sent.map_err(|errno| info!("{name}: cannot send: {}", errno.desc()));
                }
            }
            Action::Connect(session, peer) => {
                let kernel = Kernel::connect(name, *session, *peer);
                let kernel =
                    kernel.map_err(|errno| format!("the kernel takes no session: {}", errno.desc()))?;
                self.kernel = Some(kernel);
            }
            Action::Bind => return self.ask(),
            Action::Control(bytes) => {
                // As above: what is lost is repeated.
                let _ = self.kernel.as_ref().map(|kernel| kernel.send(bytes));
            }
            Action::Pass { ipv4, ipv6 } => {
                let mru = self.session.live().map_or(0, super::live::Live::mru);
                let passed = self.kernel.as_ref().map_or(Ok(()), |kernel| kernel.pass(*ipv4, *ipv6, mru));
                passed.map_err(|errno| format!("the PPP link: {}", errno.desc()))?;
            }
            Action::Close => self.close(),
            Action::Up => self.up(),
            Action::Say(text) => info!("{name}: {text}"),
            Action::Warn(text) => warn!("{name}: {text}"),
        }
        Ok(())
    }

    /// Asks `network` for a PPP link.
    fn ask(&mut self) -> Result<(), String> {
        let Some(kernel) = &mut self.kernel else { return Ok(()) };
        // What came before cannot be read afterwards.
        let mut buffer = [0; PACKET_BYTES_MAX];
        self.early.clear();
        while let Some(bytes) = kernel.receive(&mut buffer).filter(|_| self.early.len() < PACKETS_A_TURN) {
            self.early.push(bytes.to_vec());
        }
        kernel.turn_to_channel().map_err(|errno| format!("the kernel has no channel: {}", errno.desc()))?;
        self.news = true;
        Ok(())
    }

    fn close(&mut self) {
        let Some(kernel) = self.kernel.take() else { return };
        if kernel.is_bound() || kernel.asks().is_some() {
            (self.lost, self.news) = (true, true);
        }
        self.memory = None;
        kernel.close();
    }

    fn up(&mut self) {
        let (Some(told), Some(live)) = (self.told(), self.session.live()) else { return };
        let stored = live.memory(told.clone(), &self.session.wants().pppoe.user).store();
        self.memory = stored.map_err(|error| warn!("{}: {error}", self.link.name())).ok();
        (self.lost, self.news) = (false, true);
        let ipv6 = if told.identifier == 0 { "no IPv6" } else { "IPv6" };
        let (link, ppp, address, peer, mtu) = (&told.link, &told.ppp, told.address, told.peer, told.mtu);
        info!("{link}: {ppp} is up: session {}, {address} by {peer}, {mtu} bytes, {ipv6}", live.session);
    }

    /// Hears discovery and strays.
    fn hear_frames(&mut self, now_ms: u64) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        for _ in 0..PACKETS_A_TURN {
            let Some(socket) = &self.discovery else { break };
            let Some((from, bytes)) = kernel::receive(socket, &mut buffer) else { break };
            if let Some(bytes) = bytes {
                self.happen(&Event::Discovery { from, bytes }, now_ms);
            }
        }
        for _ in 0..PACKETS_A_TURN {
            let Some(socket) = &self.strays else { break };
            let Some((from, bytes)) = kernel::receive(socket, &mut buffer) else { break };
            if let Some(bytes) = bytes {
                self.happen(&Event::Stray { from, bytes }, now_ms);
            }
        }
    }
}

fn wants(pppoe: &Pppoe, ipv6: Ipv6Wish) -> Wants {
    Wants { pppoe: pppoe.clone(), ipv6: ipv6 != Ipv6Wish::None }
}

impl Side for Line {
    fn descriptors(&self) -> Waits<'_> {
        let kernel = self.kernel.iter().flat_map(Kernel::descriptors).flatten();
        waits([&self.discovery, &self.strays].into_iter().flatten().map(AsFd::as_fd).chain(kernel))
    }

    fn due_ms(&self) -> Option<u64> {
        self.session.due_ms()
    }

    fn hear(&mut self, news: &News, now_ms: u64) {
        let before = self.link.link().map(|link| (link.index, link.mac));
        if !self.link.hear(news) {
            return;
        }
        let link = self.link.link().cloned();
        if before != link.as_ref().map(|link| (link.index, link.mac)) {
            if before.is_some() {
                self.happen(&Event::Gone, now_ms);
            }
            let open = |opened: Result<OwnedFd, sys::Errno>| {
                opened.map_err(|errno| warn!("{}: cannot listen: {}", self.link.name(), errno.desc())).ok()
            };
            let discovery = link.as_ref().and_then(|link| open(kernel::discovery(link)));
            let strays = link.as_ref().and_then(|link| open(kernel::strays(link)));
            (self.discovery, self.strays) = (discovery, strays);
        }
        match link.filter(|link| link.carrier) {
            Some(link) => {
                let payload = kernel::payload(&link.name);
                self.happen(&Event::Carrier(Carrier { mac: link.mac, payload }), now_ms);
            }
            None => self.happen(&Event::NoCarrier, now_ms),
        }
    }

    fn turn(&mut self, now_ms: u64) {
        self.hear_frames(now_ms);
        let mut buffer = [0; PACKET_BYTES_MAX];
        for _ in 0..PACKETS_A_TURN {
            let Some(kernel) = &self.kernel else { break };
            match kernel.receive(&mut buffer) {
                None => break,
                Some([]) => self.happen(&Event::Broken("the kernel has ended the session"), now_ms),
                Some(bytes) => self.happen(&Event::Control(bytes), now_ms),
            }
        }
        if is_due(self.session.due_ms(), now_ms) {
            self.happen(&Event::Time, now_ms);
        }
    }

    fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    fn learned(&self, _now_ms: u64) -> Option<Learned> {
        let link = || self.link.name().clone();
        let asks = self.kernel.as_ref().and_then(Kernel::asks);
        match (self.told(), asks) {
            (Some(session), _) => Some(Learned::Session(session)),
            (None, Some(channel)) => Some(Learned::SignedIn { link: link(), channel }),
            (None, None) => self.lost.then(|| Learned::SessionLost { link: link() }),
        }
    }

    fn gifts(&self) -> Waits<'_> {
        let keeps = self.told().and_then(|_| self.kernel.as_ref()?.keeps());
        match (keeps, &self.memory) {
            (Some(keeps), Some(memory)) => waits(keeps.into_iter().chain([memory.as_fd()])),
            _ => Waits::new(),
        }
    }

    fn row(&self, from: u64, now_ms: u64) -> Option<(u64, Answer)> {
        let up_ms = self.session.live().and_then(super::live::Live::up_ms);
        let up_s = up_ms.map_or(0, |up_ms| now_ms.saturating_sub(up_ms) / 1_000);
        let row = Answer::Session {
            link: self.link.name().clone(),
            state: self.session.word().into(),
            session: self.told(),
            up_s: u32::try_from(up_s).unwrap_or(u32::MAX),
            reason: self.session.reason().into(),
        };
        (from == 0).then_some((0, row))
    }
}

impl Drop for Line {
    /// It is wanted no longer: the peer is told. (A daemon that is killed drops nothing.)
    fn drop(&mut self) {
        for action in self.session.leave(0) {
            let _ = self.act(&action);
        }
    }
}
