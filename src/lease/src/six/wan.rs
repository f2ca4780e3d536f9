//! IPv6 on one link of the operator's side: the sockets around routers and the DHCPv6 client.
//!
//! In:  news of the link, the PPP session where it goes over one, packets, time. Out: packets; all that is known, for `network`.
//!
//! Nothing is said before the link has a link-local address that is its own. What an earlier life has told is not taken back while DHCPv6
//! is asked for the first time in this one.
//!
//! Not here: what follows what (`router.rs`, `client.rs`).
//!
//! Source: RFC 4861 §6.1.2, §6.3; RFC 4862 §5.5; RFC 7217; RFC 7084 §4.2; RFC 8415 §18.2.

use std::net::Ipv6Addr;
use std::os::fd::{AsFd, OwnedFd};

use contract::learn::{Address6, Ipv6, Ipv6Wish, Learned, OnLink, Session};
use contract::leases::Answer;
use contract::limit::{IPV6_PREFIXES, NAME_SERVERS};
use contract::prefix::Prefix;
use contract::wanted::LinkName;
use heapless::Vec;
use log::{info, warn};
use state::Folder;
use sys::Errno;

use super::advert::{self, Advert};
use super::chance::left_s;
use super::client::{Action, Actions, Client, Event};
use super::grant::Want;
use super::keep::{Keep, Was};
use super::message::{Duid, Message};
use super::router::{self, Known, Routers};
use super::socket::{self, ALL_ROUTERS, ALL_SERVERS, CLIENT_PORT, HOP_LIMIT, Mouth, SERVER_PORT};
use super::{keyed, packet};
use crate::PACKETS_A_TURN;
use crate::dice::Dice;
use crate::duid;
use crate::link::{News, Watched};
use crate::schedule::is_due;
use crate::side::{Side, Waits, waits};
use crate::socket::PACKET_BYTES;
use crate::usp::Device;

/// How often the link is asked for its link-local address, in milliseconds: at first, and where that takes long.
const LOOK_MS: u64 = 100;
const LOOK_MS_MAX: u64 = 2_000;
/// For how long after an address was told a neighbour's word on it counts, in milliseconds: the kernel asks in this time.
const CHECKED_MS: u64 = 5_000;
/// For how long what an earlier life has told is left alone, in milliseconds.
const PATIENCE_MS: u64 = 8_000;

/// A link that may be spoken on.
#[derive(Debug)]
struct On {
    name: LinkName,
    /// Hears routers and neighbours, and servers.
    icmp: OwnedFd,
    udp: OwnedFd,
    /// Speaks to them.
    asks_routers: Mouth,
    asks_servers: Mouth,
    index: u32,
    /// When to look for the link-local address again, and the pause after that; `None`: it has one.
    look_ms: Option<u64>,
    pause_ms: u64,
}

/// The session that IPv6 goes over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Over {
    ppp: LinkName,
    identifier: u64,
}

/// IPv6 on one link.
#[derive(Debug)]
pub struct Wan {
    /// The link that carries the frames.
    frames: Watched,
    /// With PPPoE, the session, while there is one.
    over_ppp: bool,
    over: Option<Over>,
    /// The last one: what is known over it outlives it for a while.
    last: Option<Over>,
    wish: Ipv6Wish,
    /// A USP controller is asked for.
    usp: bool,
    on: Option<On>,
    routers: Routers,
    /// A router has said once that addresses are given by DHCPv6.
    managed: bool,
    client: Client,
    dice: Dice,
    keep: Keep,
    /// There is something to tell; something was told in this life.
    news: bool,
    told: bool,
    /// Until when an earlier life's word stands.
    patient_ms: Option<u64>,
    /// The addresses that were told last, and until when a neighbour's word on them counts.
    addresses: Vec<Ipv6Addr, IPV6_PREFIXES>,
    checked_ms: u64,
}

impl Wan {
    /// IPv6 of which this is wanted, on the link `name` or on a session over it.
    #[must_use]
    pub fn new(name: LinkName, folder: &Folder, over_ppp: bool) -> Self {
        info!("{name}: IPv6 is wanted");
        Self {
            keep: Keep::new(folder.clone(), Was::Had, name.clone()),
            frames: Watched::new(name),
            last: None,
            over_ppp,
            over: None,
            wish: Ipv6Wish::None,
            usp: false,
            on: None,
            routers: Routers::default(),
            managed: false,
            client: Client::default(),
            dice: Dice::default(),
            news: false,
            told: false,
            patient_ms: None,
            addresses: Vec::new(),
            checked_ms: 0,
        }
    }

    /// Does it go over a session?
    #[must_use]
    pub fn is_over_ppp(&self) -> bool {
        self.over_ppp
    }

    /// Wants this of it; with `usp` a controller among the words.
    pub fn want(&mut self, wish: Ipv6Wish, usp: bool) {
        (self.wish, self.usp) = (wish, usp);
    }

    /// Servers are told from now on who we are.
    pub fn introduce(&mut self, device: &Device) {
        self.client.device.clone_from(&device.wide);
    }

    /// The session over its link is this now. Source: RFC 5072 §4 (its identifier is ours).
    pub fn session(&mut self, session: Option<&Session>, now_ms: u64) {
        let usable = session.filter(|session| session.identifier != 0);
        let over = usable.map(|session| Over { ppp: session.ppp.clone(), identifier: session.identifier });
        if self.over_ppp && self.over != over {
            if over.is_some() && over != self.last {
                // Another identifier makes other addresses.
                self.news |= self.told;
                self.last.clone_from(&over);
            }
            self.over = over;
            self.switch(now_ms);
        }
    }

    /// Opens the link that is there now, or closes the one that is not.
    fn switch(&mut self, now_ms: u64) {
        let frames = self.frames.link().filter(|link| link.carrier);
        let there = if self.over_ppp {
            let over = self.over.as_ref();
            over.and_then(|over| {
                Some((over.ppp.clone(), nix::net::if_::if_nametoindex(over.ppp.as_str()).ok()?))
            })
        } else {
            frames.map(|link| (link.name.clone(), link.index))
        };
        let now = self.on.as_ref().map(|on| (on.name.clone(), on.index));
        if there == now {
            return;
        }
        self.on = None;
        self.tell_routers(router::Event::Down, now_ms);
        self.happen(Event::Down, now_ms);
        if let Some(mac) = self.frames.link().map(|link| link.mac) {
            self.client.duid = Duid::from_slice(&duid::duid(mac)).unwrap_or_default();
        }
        if let Some((name, index)) = there {
            match On::open(name.clone(), index, now_ms) {
                Ok(on) => self.on = Some(on),
                Err(errno) => warn!("{name}: no IPv6: {}", errno.desc()),
            }
        }
    }

    /// What is wanted of DHCPv6 follows from the wish, and from what routers say.
    fn ask_for(&mut self, now_ms: u64) {
        self.managed |= self.routers.managed();
        let prefix = self.wish == Ipv6Wish::Prefix;
        let address = prefix || (self.managed && self.wish == Ipv6Wish::Slaac);
        let words = self.routers.other() && self.wish != Ipv6Wish::None;
        let id = duid::iaid(self.frames.name().as_str());
        self.happen(Event::Want(Want { address, prefix, words, usp: self.usp, id }), now_ms);
    }

    fn happen(&mut self, event: Event, now_ms: u64) {
        let actions = self.client.next(event, self.dice.moment(now_ms));
        self.act(&actions);
    }

    fn act(&mut self, actions: &Actions) {
        for action in actions {
            match action {
                Action::Send(message) => self.say(message),
                Action::Changed => {
                    self.news = true;
                    let held = self.client.held();
                    let prefixes =
                        held.into_iter().flat_map(|held| &held.prefixes).map(|leased| leased.prefix);
                    // What was lost is asked for again after a boot.
                    if prefixes.clone().next().is_some() {
                        self.keep.put(prefixes);
                    }
                }
            }
        }
    }

    fn say(&self, message: &Message) {
        let (Some(on), Some(bytes)) = (&self.on, message.write()) else { return };
        if let Err(errno) = on.asks_servers.send(ALL_SERVERS, SERVER_PORT, &bytes) {
            warn!("{}: cannot ask for IPv6 leases: {}", on.name, errno.desc());
        }
    }

    fn tell_routers(&mut self, event: router::Event<'_>, now_ms: u64) {
        let outcome = self.routers.next(event, self.dice.moment(now_ms));
        self.news |= outcome.changed;
        let mac = self.frames.link().map(|link| link.mac).filter(|_| !self.over_ppp);
        if let (true, Some(on)) = (outcome.ask, &self.on)
            && let Err(errno) = on.asks_routers.send(ALL_ROUTERS, 0, &advert::solicitation(mac))
        {
            warn!("{}: cannot ask for routers: {}", on.name, errno.desc());
        }
        if outcome.changed {
            self.ask_for(now_ms);
        }
    }

    /// Hears routers and neighbours.
    fn hear_icmp(&mut self, now_ms: u64) {
        let mut buffer = [0; PACKET_BYTES];
        for _ in 0..PACKETS_A_TURN {
            let Some(on) = &self.on else { break };
            let Some((bytes, status)) = crate::socket::receive(&on.icmp, &mut buffer) else { break };
            let packet = packet::read(bytes, status.checksum_unset).filter(|_| !status.tagged);
            // What came over a router is a forgery. Source: RFC 4861 §6.1.2, §7.1.2.
            let Some(packet) = packet.filter(|packet| packet.hop_limit == HOP_LIMIT) else { continue };
            if let Some(advert) = Advert::read(packet.payload)
                && packet::is_link_local(packet.from)
            {
                self.tell_routers(router::Event::Heard(packet.from, &advert), now_ms);
            } else if let Some((address, Some(mac))) = advert::neighbour(packet.payload) {
                let ours = self.frames.link().is_some_and(|link| link.mac == mac);
                if !ours && now_ms < self.checked_ms && self.addresses.contains(&address) {
                    self.conflict(address, now_ms);
                }
            }
        }
    }

    fn conflict(&mut self, address: Ipv6Addr, now_ms: u64) {
        warn!("{}: somebody else has {address}", self.frames.name());
        let made = self.made().find(|made| made.1 == address).map(|made| made.0.prefix);
        match made {
            Some(prefix) => self.tell_routers(router::Event::Conflict(prefix), now_ms),
            None => self.happen(Event::Conflict(address), now_ms),
        }
    }

    /// Hears servers.
    fn hear_udp(&mut self, now_ms: u64) {
        let mut buffer = [0; PACKET_BYTES];
        for _ in 0..PACKETS_A_TURN {
            let Some(on) = &self.on else { break };
            let Some((bytes, status)) = crate::socket::receive(&on.udp, &mut buffer) else { break };
            let packet = packet::read(bytes, status.checksum_unset).filter(|_| !status.tagged);
            let message = packet.filter(|packet| packet::is_link_local(packet.from));
            if let Some(message) = message.and_then(|packet| Message::read(packet.payload)) {
                self.happen(Event::Heard(message), now_ms);
            }
        }
    }

    /// Once the link has a link-local address of its own, we speak.
    fn look(&mut self, now_ms: u64) {
        let Some(on) = &mut self.on else { return };
        if !is_due(on.look_ms, now_ms) {
            return;
        }
        if socket::link_local(&on.name, on.index).is_none() {
            on.look_ms = Some(now_ms.saturating_add(on.pause_ms));
            on.pause_ms = (on.pause_ms + on.pause_ms / 8).min(LOOK_MS_MAX);
            return;
        }
        on.look_ms = None;
        self.patient_ms = self.patient_ms.or(Some(now_ms.saturating_add(PATIENCE_MS)));
        self.tell_routers(router::Event::Up, now_ms);
        self.ask_for(now_ms);
        self.happen(Event::Up, now_ms);
    }

    /// Does an earlier life's word stand?
    fn is_patient(&self, now_ms: u64) -> bool {
        let waits = self.patient_ms.is_none_or(|patient_ms| now_ms < patient_ms);
        !self.told && self.wish == Ipv6Wish::Prefix && self.client.held().is_none() && waits
    }

    /// The addresses that we make of prefixes of the link.
    fn made(&self) -> impl Iterator<Item = (&Known, Ipv6Addr)> {
        let autonomous = self.routers.prefixes().iter().filter(|known| known.autonomous);
        autonomous.map(|known| {
            let identifier = match &self.last {
                Some(last) => last.identifier,
                None => {
                    let name = self.frames.name().as_str();
                    keyed::identifier(self.keep.secret(), known.prefix, name, known.again)
                }
            };
            (known, keyed::address(known.prefix, identifier))
        })
    }

    /// All that is known.
    #[must_use]
    pub fn known(&self, now_ms: u64) -> Ipv6 {
        let on_link = |address: Ipv6Addr| {
            let mut prefixes = self.routers.prefixes().iter().filter(|known| known.on_link);
            prefixes
                .find(|known| known.prefix.holds(address.into()))
                .map_or(128, |known| known.prefix.length())
        };
        let made = self.made().map(|(known, address)| Address6 {
            address,
            prefix_length: on_link(address),
            preferred_s: left_s(known.preferred_ms, now_ms),
            valid_s: left_s(known.valid_ms, now_ms),
        });
        let held = self.client.held();
        let given = held.into_iter().flat_map(|held| &held.addresses).map(|leased| Address6 {
            address: leased.address(),
            prefix_length: on_link(leased.address()),
            preferred_s: leased.preferred_s(now_ms),
            valid_s: leased.valid_s(now_ms),
        });
        let prefixes = held.into_iter().flat_map(|held| &held.prefixes).map(|leased| OnLink {
            prefix: leased.prefix,
            preferred_s: leased.preferred_s(now_ms),
            valid_s: leased.valid_s(now_ms),
        });
        let words = self.client.words();
        let mut name_servers = Vec::<_, NAME_SERVERS>::new();
        for server in words.name_servers.iter().copied().chain(self.routers.name_servers()) {
            if !name_servers.contains(&server) {
                let _full = name_servers.push(server);
            }
        }
        Ipv6 {
            link: self.last.as_ref().map_or(self.frames.name(), |last| &last.ppp).clone(),
            router: self.routers.default_router(),
            mtu: self.routers.mtu(),
            addresses: given.chain(made).take(IPV6_PREFIXES).collect(),
            prefixes: prefixes.collect(),
            name_servers,
            time_servers: words.time_servers.clone(),
        }
    }

    /// The prefixes for the home, for the log.
    fn log(&self, before: &[Ipv6Addr], now_ms: u64) {
        let known = self.known(now_ms);
        for address in known.addresses.iter().filter(|known| !before.contains(&known.address)) {
            info!("{}: {}/{} for {} s", known.link, address.address, address.prefix_length, address.valid_s);
        }
    }
}

impl On {
    fn open(name: LinkName, index: u32, now_ms: u64) -> Result<Self, Errno> {
        let types = [advert::ADVERTISEMENT, advert::NEIGHBOUR_ADVERTISEMENT];
        Ok(Self {
            icmp: socket::ear(index, &packet::icmp_filter(types))?,
            udp: socket::ear(index, &packet::udp_filter(CLIENT_PORT))?,
            asks_routers: Mouth::icmp(&name, index)?,
            asks_servers: Mouth::udp(&name, index, CLIENT_PORT)?,
            name,
            index,
            look_ms: Some(now_ms),
            pause_ms: LOOK_MS,
        })
    }
}

impl Drop for Wan {
    /// IPv6 is wanted no more: what is held is given back. Source: RFC 8415 §18.2.7.
    fn drop(&mut self) {
        let now = self.dice.moment(sys::clock::boot_ms());
        let actions = self.client.next(Event::Stop, now);
        self.act(&actions);
    }
}

impl Side for Wan {
    fn descriptors(&self) -> Waits<'_> {
        waits(self.on.iter().flat_map(|on| [on.icmp.as_fd(), on.udp.as_fd()]))
    }

    fn due_ms(&self) -> Option<u64> {
        let on = self.on.as_ref();
        let patient_ms = self.patient_ms.filter(|_| self.news && !self.told);
        let dues = [self.routers.due_ms(), self.client.due_ms(), self.keep.due_ms(), patient_ms];
        dues.into_iter().chain([on.and_then(|on| on.look_ms)]).flatten().min()
    }

    fn hear(&mut self, news: &News, now_ms: u64) {
        if self.frames.hear(news) {
            self.switch(now_ms);
        }
    }

    fn turn(&mut self, now_ms: u64) {
        if let Some(had) = self.keep.turn(now_ms) {
            let prefix: Option<&Prefix> = had.first();
            self.client.remember(prefix.copied());
            // The secret may be another one now, and with it our address.
            self.news |= self.told;
        }
        self.ask_for(now_ms);
        self.look(now_ms);
        self.hear_icmp(now_ms);
        self.hear_udp(now_ms);
        self.tell_routers(router::Event::Time, now_ms);
        self.happen(Event::Time, now_ms);
        if self.news && !self.is_patient(now_ms) {
            let now = self.made().map(|made| made.1);
            let given = self.client.held().into_iter().flat_map(|held| &held.addresses);
            let now: Vec<_, IPV6_PREFIXES> =
                given.map(|leased| leased.address()).chain(now).take(IPV6_PREFIXES).collect();
            if now.iter().any(|address| !self.addresses.contains(address)) {
                self.checked_ms = now_ms.saturating_add(CHECKED_MS);
                self.log(&self.addresses, now_ms);
            }
            (self.addresses, self.told) = (now, true);
        }
    }

    fn take_news(&mut self) -> bool {
        self.told && std::mem::take(&mut self.news)
    }

    fn learned(&self, now_ms: u64) -> Option<Learned> {
        self.told.then(|| Learned::Ipv6(self.known(now_ms)))
    }

    /// State, and all that is known.
    fn row(&self, from: u64, now_ms: u64) -> Option<(u64, Answer)> {
        let state = self.client.word().into();
        let (known, words) = (self.known(now_ms), self.client.words());
        let told = Some(words).filter(|_| self.usp);
        let (controller, domain) =
            told.map(|words| (words.controller.clone(), words.domain.clone())).unwrap_or_default();
        (from == 0).then_some((0, Answer::Ipv6 { state, known, controller, domain }))
    }
}
