//! IPv6 on one link of the home's side: the sockets around router advertisements and the DHCPv6 server.
//!
//! In:  news of the link, packets, time. Out: packets.
//!
//! Not here: what is said and when (`announce.rs`), to whom which address (`server.rs`), which prefixes (`told.rs`).
//!
//! Source: RFC 4861 §6.1.1, §6.2; RFC 8415 §18.3, §18.4; RFC 7084 §4.3; RFC 9096 §3.5.

use std::net::Ipv6Addr;
use std::os::fd::{AsFd, OwnedFd};

use contract::learn;
use contract::leases::Answer;
use contract::limit::NAME_SERVERS;
use contract::prefix::Prefix;
use heapless::Vec;
use log::{info, warn};
use state::Folder;
use sys::Errno;

use super::advert::{self, Advert};
use super::announce::{self, Times, Us};
use super::keep::{Keep, Was};
use super::message::{Duid, Message};
use super::packet::{self, Packet};
use super::server::{Server, View};
use super::socket::{self, ALL_NODES, ALL_ROUTERS, ALL_SERVERS, CLIENT_PORT, HOP_LIMIT, Mouth, SERVER_PORT};
use super::told::Told;
use crate::PACKETS_A_TURN;
use crate::dice::Dice;
use crate::duid;
use crate::link::{Link, News, Watched};
use crate::schedule::is_due;
use crate::side::{Side, Waits, waits};
use crate::socket::PACKET_BYTES;

/// How often the link is asked for its link-local address, in milliseconds, while it has none.
const LOOK_MS: u64 = 200;

/// A link that is served.
#[derive(Debug)]
struct On {
    link: Link,
    /// Hears hosts that look for routers, and for servers.
    icmp: OwnedFd,
    udp: OwnedFd,
    /// Speaks as a router, and as a server.
    router: Mouth,
    server: Mouth,
    /// When to look for the link-local address; `None`: it has one.
    look_ms: Option<u64>,
    /// Our link-local address.
    address: Option<Ipv6Addr>,
}

/// IPv6 on one link of the home's.
#[derive(Debug)]
pub struct Lan {
    link: Watched,
    wanted: learn::Server,
    on: Option<On>,
    told: Told,
    times: Times,
    server: Server,
    keep: Keep,
    dice: Dice,
}

impl Lan {
    /// One of which this is wanted.
    #[must_use]
    pub fn new(wanted: learn::Server, folder: &Folder, now_ms: u64) -> Self {
        info!("{}: IPv6 is given", wanted.link);
        let mut lan = Self {
            link: Watched::new(wanted.link.clone()),
            keep: Keep::new(folder.clone(), Was::Told, wanted.link.clone()),
            on: None,
            told: Told::default(),
            times: Times::default(),
            server: Server::default(),
            dice: Dice::default(),
            wanted: learn::Server::silent(wanted.link.clone(), wanted.address, wanted.prefix_length),
        };
        lan.want(wanted, now_ms);
        lan
    }

    /// Wants this of it.
    pub fn want(&mut self, wanted: learn::Server, now_ms: u64) {
        if self.wanted == wanted {
            return;
        }
        let said =
            |server: &learn::Server| (server.ipv6, server.default_router, server.mtu, server.domain.clone());
        let changed = said(&self.wanted) != said(&wanted);
        let before: Vec<Prefix, 8> = self.told.own().iter().map(|own| own.prefix).collect();
        if self.told.set(&wanted.prefixes, now_ms) || changed {
            self.change(now_ms);
        }
        for own in self.told.own().iter().filter(|own| !before.contains(&own.prefix)) {
            info!("{}: hosts are told {}", wanted.link, own.prefix);
        }
        for gone in before.iter().filter(|prefix| !self.told.own().iter().any(|own| own.prefix == **prefix)) {
            info!("{}: hosts are told that {gone} is given up", wanted.link);
        }
        self.wanted = wanted;
    }

    /// Hosts have to hear of something; and what they are told is remembered.
    fn change(&mut self, now_ms: u64) {
        self.keep.put(self.told.all());
        if self.on.as_ref().is_some_and(|on| on.address.is_some()) {
            self.times.change(now_ms);
        }
    }

    /// The message of now.
    fn advert(&self, now_ms: u64) -> Option<Advert> {
        let on = self.on.as_ref()?;
        let us = Us { mac: on.link.mac, link_local: on.address? };
        Some(announce::advert(&self.wanted, &self.told, us, now_ms))
    }

    fn say(&self, advert: Option<Advert>, to: Ipv6Addr) {
        let (Some(on), Some(bytes)) = (&self.on, advert.and_then(|advert| advert.write())) else { return };
        if let Err(errno) = on.router.send(to, 0, &bytes) {
            warn!("{}: cannot speak as a router: {}", on.link.name, errno.desc());
        }
    }

    /// Once the link has a link-local address of its own, we speak.
    fn look(&mut self, now_ms: u64) {
        let Some(on) = self.on.as_mut().filter(|on| is_due(on.look_ms, now_ms)) else { return };
        on.address = socket::link_local(&on.link.name, on.link.index);
        on.look_ms = on.address.is_none().then_some(now_ms.saturating_add(LOOK_MS));
        if on.address.is_some() {
            self.times.change(now_ms);
        }
    }

    /// Answers hosts that look for a router.
    fn hear_icmp(&mut self, now_ms: u64) {
        let mut buffer = [0; PACKET_BYTES];
        for _ in 0..PACKETS_A_TURN {
            let Some(on) = &self.on else { break };
            let Some((bytes, status)) = crate::socket::receive(&on.icmp, &mut buffer) else { break };
            let packet = packet::read(bytes, status.checksum_unset).filter(|_| !status.tagged);
            let Some(packet) = packet.filter(|packet| packet.hop_limit == HOP_LIMIT) else { continue };
            let local = packet::is_link_local(packet.from);
            if on.address.is_none() || !advert::is_solicitation(packet.payload) {
                continue;
            }
            if (local || packet.from.is_unspecified()) && self.times.asked(local, now_ms) {
                self.say(self.advert(now_ms), packet.from);
            }
        }
    }

    /// Answers hosts that look for a server.
    fn hear_udp(&mut self, now_ms: u64) {
        let mut buffer = [0; PACKET_BYTES];
        for _ in 0..PACKETS_A_TURN {
            let Some(on) = &self.on else { break };
            let Some((bytes, status)) = crate::socket::receive(&on.udp, &mut buffer) else { break };
            let packet = packet::read(bytes, status.checksum_unset).filter(|_| !status.tagged);
            // A host speaks to all servers, from its link-local address. Source: RFC 8415 §14, §18.4.
            let packet =
                packet.filter(|packet| packet.to == ALL_SERVERS && packet::is_link_local(packet.from));
            if let Some(packet) = packet {
                self.answer(&packet, now_ms);
            }
        }
    }

    fn answer(&mut self, packet: &Packet<'_>, now_ms: u64) {
        let Some(ask) = Message::read(packet.payload) else { return };
        let name_servers = self.name_servers(now_ms);
        let Some(on) = &self.on else { return };
        let duid = Duid::from_slice(&duid::duid(on.link.mac)).unwrap_or_default();
        let view = View {
            wanted: &self.wanted,
            told: &self.told,
            duid: &duid,
            secret: self.keep.secret(),
            name_servers: &name_servers,
        };
        let reply = self.server.answer(&ask, view, now_ms).and_then(|reply| reply.write());
        if let Some(bytes) = reply
            && let Err(errno) = on.server.send(packet.from, CLIENT_PORT, &bytes)
        {
            warn!("{}: cannot answer {}: {}", on.link.name, packet.from, errno.desc());
        }
    }

    /// Ourselves: by our address in a prefix of the link, as many resolvers know of no link; else by our link-local address.
    fn name_servers(&self, now_ms: u64) -> Vec<Ipv6Addr, NAME_SERVERS> {
        let Some(on) = &self.on else { return Vec::new() };
        let own = self.told.own().iter().filter(|own| own.lifetimes_s(now_ms).0 > 0);
        let ours =
            own.filter_map(|own| socket::own(&on.link.name, on.link.index, own.prefix)).take(NAME_SERVERS);
        let ours: Vec<_, NAME_SERVERS> = ours.collect();
        if ours.is_empty() { on.address.into_iter().collect() } else { ours }
    }
}

impl On {
    fn open(link: Link, now_ms: u64) -> Result<Self, Errno> {
        let server = Mouth::udp(&link.name, link.index, SERVER_PORT)?;
        server.join(ALL_SERVERS)?;
        server.join(ALL_ROUTERS)?;
        Ok(Self {
            icmp: socket::ear(link.index, &packet::icmp_filter([advert::SOLICITATION; 2]))?,
            udp: socket::ear(link.index, &packet::udp_filter(SERVER_PORT))?,
            router: Mouth::icmp(&link.name, link.index)?,
            server,
            link,
            look_ms: Some(now_ms),
            address: None,
        })
    }
}

impl Drop for Lan {
    /// IPv6 is given no more: hosts are told that we are no router. Source: RFC 4861 §6.2.5.
    fn drop(&mut self) {
        let now_ms = sys::clock::boot_ms();
        self.say(self.advert(now_ms).map(announce::last), ALL_NODES);
    }
}

impl Side for Lan {
    fn descriptors(&self) -> Waits<'_> {
        waits(self.on.iter().flat_map(|on| [on.icmp.as_fd(), on.udp.as_fd()]))
    }

    fn due_ms(&self) -> Option<u64> {
        let look_ms = self.on.as_ref().and_then(|on| on.look_ms);
        [self.times.due_ms(), self.told.due_ms(), self.keep.due_ms(), look_ms].into_iter().flatten().min()
    }

    fn hear(&mut self, news: &News, now_ms: u64) {
        if !self.link.hear(news) {
            return;
        }
        let link = self.link.link().filter(|link| link.carrier);
        if self.on.as_ref().map(|on| &on.link) == link {
            return;
        }
        self.times.stop();
        self.on = link.cloned().and_then(|link| {
            let name = link.name.clone();
            On::open(link, now_ms).map_err(|errno| warn!("{name}: no IPv6: {}", errno.desc())).ok()
        });
    }

    fn turn(&mut self, now_ms: u64) {
        if let Some(earlier) = self.keep.turn(now_ms) {
            if self.told.remember(&earlier, now_ms) {
                self.change(now_ms);
            }
            self.keep.put(self.told.all());
        }
        if self.told.expire(now_ms) {
            self.change(now_ms);
        }
        self.look(now_ms);
        self.hear_icmp(now_ms);
        self.hear_udp(now_ms);
        if self.times.take(self.told.shortest_s(now_ms), self.dice.moment(now_ms)) {
            self.say(self.advert(now_ms), ALL_NODES);
        }
    }

    /// Prefixes that hosts are told, and then hosts.
    fn row(&self, from: u64, now_ms: u64) -> Option<(u64, Answer)> {
        let link = self.link.name().clone();
        let own = self.told.own().iter().map(|own| (own.prefix, own.lifetimes_s(now_ms)));
        let told = own.chain(self.told.old().map(|prefix| (prefix, (0, 0))));
        let told = told.map(|(prefix, (preferred_s, valid_s))| Answer::Told {
            link: link.clone(),
            prefix,
            preferred_s,
            valid_s,
        });
        let prefix = self.told.own().first().map(|own| own.prefix);
        let live = self.server.bindings().rows().iter().filter(|row| row.until_ms > now_ms);
        let given = live.filter_map(|row| {
            let remaining_s = u32::try_from(row.until_ms.saturating_sub(now_ms) / 1_000).unwrap_or(u32::MAX);
            Some(Answer::Given6 {
                link: link.clone(),
                address: row.address(prefix?),
                mac: row.mac,
                remaining_s,
            })
        });
        let place = usize::try_from(from).ok()?;
        told.chain(given).nth(place).map(|answer| (from, answer))
    }
}
