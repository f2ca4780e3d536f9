//! The relay's sockets: one for each protocol of each link that has a part in it, and one for each search under way.
//!
//! In:  the list of `network`, events, moments. Out: packets, with our address on the link that they leave by.
//!
//! They are bound to their group, so they hear nothing else, and to their link. What we send does not come back to us.
//!
//! Source: ip(7), socket(7); RFC 6762 §11; UPnP Device Architecture 2.0 §1.3.2 (searches).

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use contract::told::Home;
use log::{info, warn};
use nix::net::if_::if_nametoindex;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};
use sys::{Errno, group};

use super::{Bucket, Kind, PACKET_BYTES, Protocol, Seen, is_found, is_needed, mdns, passes, ssdp};
use crate::token::{self, Token};

/// How often links are looked at, in milliseconds.
const LOOK_EVERY_MS: u64 = 1_000;
/// Packets of one turn.
const PACKETS_A_TURN: usize = 16;
/// Searches at a time; the eldest makes room.
const SEARCHES_MAX: usize = 16;
/// How long answers to a search are waited for, in milliseconds: five seconds are the most that it may ask for (UPnP §1.3.2), and one more.
const SEARCH_MS: u64 = 6_000;
/// Answers to one search.
const FOUND_MAX: u32 = 64;

/// A socket of a link.
#[derive(Debug)]
struct Ear {
    home: Home,
    protocol: Protocol,
    index: u32,
    socket: UdpSocket,
    bucket: Bucket,
    serial: u32,
}

/// A search that was passed on: its answers go back.
#[derive(Debug)]
struct Search {
    socket: UdpSocket,
    /// The link that it came by, and who searches.
    back: Home,
    to: SocketAddr,
    until_ms: u64,
    left: u32,
    serial: u32,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Relay {
    homes: Vec<Home>,
    ears: Vec<Ear>,
    searches: Vec<Search>,
    seen: Seen,
    serial: u32,
    look_ms: u64,
    said: bool,
    /// Packets that were passed on.
    pub passed: u64,
}

impl Relay {
    /// Takes a list of links.
    pub fn want(&mut self, homes: &[Home]) {
        self.homes = homes.to_vec();
        let homes = &self.homes;
        self.ears.retain(|ear| homes.contains(&ear.home) && is_needed(&ear.home, homes, ear.protocol));
        self.searches.retain(|search| homes.contains(&search.back));
        (self.look_ms, self.said) = (0, false);
    }

    /// Which links have which part.
    fn needed(&self) -> impl Iterator<Item = (&Home, Protocol)> {
        let all = self.homes.iter().flat_map(|home| Protocol::ALL.map(|protocol| (home, protocol)));
        all.filter(|(home, protocol)| is_needed(home, &self.homes, *protocol))
    }

    /// When there is something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let look = self.needed().next().map(|_| self.look_ms);
        self.searches.iter().map(|search| search.until_ms).chain(look).min()
    }

    /// Opens what is there now, closes what is not there any more.
    pub fn turn(&mut self, epoll: &Epoll, now_ms: u64) {
        self.searches.retain(|search| search.until_ms > now_ms && search.left > 0);
        if self.look_ms > now_ms || self.needed().next().is_none() {
            return;
        }
        self.look_ms = now_ms.saturating_add(LOOK_EVERY_MS);
        self.ears.retain(|ear| if_nametoindex(ear.home.link.as_str()) == Ok(ear.index));
        let has =
            |home: &Home, protocol| self.ears.iter().any(|ear| ear.home == *home && ear.protocol == protocol);
        let missing: Vec<(Home, Protocol)> = self
            .needed()
            .filter(|(home, protocol)| !has(home, *protocol))
            .map(|(home, protocol)| (home.clone(), protocol))
            .collect();
        for (home, protocol) in missing {
            let Ok(index) = if_nametoindex(home.link.as_str()) else { continue };
            self.serial = self.serial.wrapping_add(1);
            let token = Token { kind: token::Kind::Relay, place: 0, serial: self.serial };
            let opened = open(&home, index, protocol).and_then(|socket| add(epoll, socket, token));
            match opened {
                Ok(socket) => {
                    info!("{}: {protocol:?} is passed on", home.link);
                    let (bucket, serial) = (Bucket::default(), self.serial);
                    self.ears.push(Ear { home, protocol, index, socket, bucket, serial });
                }
                Err(errno) if !std::mem::replace(&mut self.said, true) => {
                    warn!("{}: cannot pass {protocol:?} on: {}", home.link, errno.desc());
                }
                Err(_) => {}
            }
        }
    }

    /// Something came by a socket with that serial number.
    pub fn heard(&mut self, epoll: &Epoll, serial: u32, now_ms: u64) {
        let mut buffer = [0; PACKET_BYTES + 1];
        for _ in 0..PACKETS_A_TURN {
            if let Some(place) = self.ears.iter().position(|ear| ear.serial == serial) {
                let Some(ear) = self.ears.get_mut(place) else { return };
                let Ok((length, from)) = ear.socket.recv_from(&mut buffer) else { return };
                let ours = from.ip() == ear.home.address;
                if ours || length > PACKET_BYTES || !ear.bucket.takes(now_ms) {
                    continue;
                }
                let Some(packet) = buffer.get_mut(..length) else { return };
                self.pass(epoll, (place, from), packet, now_ms);
            } else if !self.found(serial, &mut buffer) {
                return;
            }
        }
    }

    /// Passes a packet on, if it is one.
    fn pass(&mut self, epoll: &Epoll, (place, from): (usize, SocketAddr), packet: &mut [u8], now_ms: u64) {
        let Some(ear) = self.ears.get(place) else { return };
        let (home, protocol) = (ear.home.clone(), ear.protocol);
        let kind = match protocol {
            Protocol::Mdns => mdns(packet).then_some(Kind::Tells),
            Protocol::Ssdp => ssdp(packet),
        };
        let Some(kind) = kind.filter(|_| self.seen.is_new(protocol, packet, now_ms)) else { return };
        let (to, port, _) = protocol.group();
        let targets =
            self.ears.iter().filter(|ear| ear.protocol == protocol && passes(&home, &ear.home, protocol));
        let mut searches = Vec::new();
        for target in targets {
            let sent = match kind {
                Kind::Tells => target.socket.send_to(packet, (to, port)),
                Kind::Searches => search(target).and_then(|socket| {
                    let sent = socket.send_to(packet, (to, port))?;
                    searches.push(socket);
                    Ok(sent)
                }),
            };
            self.passed += u64::from(sent.is_ok());
        }
        for socket in searches {
            self.serial = self.serial.wrapping_add(1);
            let token = Token { kind: token::Kind::Relay, place: 0, serial: self.serial };
            let Ok(socket) = add(epoll, socket, token) else { continue };
            if self.searches.len() >= SEARCHES_MAX {
                self.searches.remove(0);
            }
            let (until_ms, left, serial) = (now_ms.saturating_add(SEARCH_MS), FOUND_MAX, self.serial);
            self.searches.push(Search { socket, back: home.clone(), to: from, until_ms, left, serial });
        }
    }

    /// An answer to a search goes back. `false`: there is none.
    fn found(&mut self, serial: u32, buffer: &mut [u8]) -> bool {
        let Some(search) = self.searches.iter_mut().find(|search| search.serial == serial) else {
            return false;
        };
        let Ok((length, _)) = search.socket.recv_from(buffer) else { return false };
        let Some(packet) = buffer.get(..length).filter(|packet| is_found(packet)) else { return true };
        let back = |ear: &&Ear| ear.protocol == Protocol::Ssdp && ear.home == search.back;
        if let Some(ear) = self.ears.iter().find(back).filter(|_| search.left > 0) {
            search.left -= 1;
            self.passed += u64::from(ear.socket.send_to(packet, search.to).is_ok());
        }
        true
    }
}

/// A socket of a link; bound to `address` there.
fn bound(home: &Home, address: SocketAddrV4, hops: u8) -> Result<UdpSocket, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let opened = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    setsockopt(&opened, sockopt::BindToDevice, &OsString::from(home.link.as_str()))?;
    setsockopt(&opened, sockopt::ReuseAddr, &true)?;
    setsockopt(&opened, sockopt::IpMulticastLoop, &false)?;
    setsockopt(&opened, sockopt::IpMulticastTtl, &hops)?;
    bind(opened.as_raw_fd(), &SockaddrIn::from(address))?;
    Ok(opened.into())
}

fn open(home: &Home, index: u32, protocol: Protocol) -> Result<UdpSocket, Errno> {
    let (to, port, hops) = protocol.group();
    let socket = bound(home, SocketAddrV4::new(to, port), hops)?;
    group::join(socket.as_fd(), to, index)?;
    Ok(socket)
}

/// A socket for one search on the link of `ear`, with a port of the kernel's choice.
fn search(ear: &Ear) -> std::io::Result<UdpSocket> {
    let (_, _, hops) = Protocol::Ssdp.group();
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    bound(&ear.home, any, hops).map_err(Into::into)
}

fn add(epoll: &Epoll, socket: UdpSocket, token: Token) -> Result<UdpSocket, Errno> {
    epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, token.number()))?;
    Ok(socket)
}
