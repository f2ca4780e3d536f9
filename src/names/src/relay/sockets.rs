//! The relay's sockets: one for each protocol and family of each link that has a part in it, and one for each search under way.
//!
//! In:  the list of `network`, events, moments. Out: packets, with our address on the link that they leave by.
//!
//! They are bound to their group, so they hear nothing else, and to their link. What we send does not come back to us.
//!
//! Source: ip(7), ipv6(7), socket(7); RFC 6762 §11; UPnP Device Architecture 2.0 §1.3.2 (searches).

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use contract::told::Home;
use log::{info, warn};
use nix::net::if_::if_nametoindex;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, setsockopt, socket, sockopt,
};
use sys::{Errno, group};

use super::{
    Bucket, Family, Kind, PACKET_BYTES, Part, Protocol, Seen, is_found, is_needed, mdns, passes, ssdp,
};
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
    part: Part,
    index: u32,
    socket: UdpSocket,
    bucket: Bucket,
    serial: u32,
}

/// A search that was passed on: its answers go back.
#[derive(Debug)]
struct Search {
    socket: UdpSocket,
    /// The link that it came by, and in which family; and who searches.
    back: (Home, Family),
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
        self.ears.retain(|ear| homes.contains(&ear.home) && is_needed(&ear.home, homes, ear.part.0));
        self.searches.retain(|search| homes.contains(&search.back.0));
        (self.look_ms, self.said) = (0, false);
    }

    /// Which links have which part.
    fn needed(&self) -> impl Iterator<Item = (&Home, Part)> {
        let all = self.homes.iter().flat_map(|home| Protocol::PARTS.map(|part| (home, part)));
        all.filter(|(home, part)| is_needed(home, &self.homes, part.0))
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
        let has = |home: &Home, part| self.ears.iter().any(|ear| ear.home == *home && ear.part == part);
        let missing: Vec<(Home, Part)> = self
            .needed()
            .filter(|(home, part)| !has(home, *part))
            .map(|(home, part)| (home.clone(), part))
            .collect();
        for (home, part) in missing {
            let Ok(index) = if_nametoindex(home.link.as_str()) else { continue };
            self.serial = self.serial.wrapping_add(1);
            let token = Token { kind: token::Kind::Relay, place: 0, serial: self.serial };
            let opened = open(&home, index, part).and_then(|socket| add(epoll, socket, token));
            match opened {
                Ok(socket) => {
                    info!("{}: {part:?} is passed on", home.link);
                    let (bucket, serial) = (Bucket::default(), self.serial);
                    self.ears.push(Ear { home, part, index, socket, bucket, serial });
                }
                Err(errno) if !std::mem::replace(&mut self.said, true) => {
                    warn!("{}: cannot pass {part:?} on: {}", home.link, errno.desc());
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
        let (home, part) = (ear.home.clone(), ear.part);
        let (protocol, family) = part;
        let kind = match protocol {
            Protocol::Mdns => mdns(packet).then_some(Kind::Tells),
            Protocol::Ssdp => ssdp(packet),
        };
        let Some(kind) = kind.filter(|_| self.seen.is_new(part, packet, now_ms)) else { return };
        let targets = self.ears.iter().filter(|ear| ear.part == part && passes(&home, &ear.home, protocol));
        let mut searches = Vec::new();
        for target in targets {
            let sent = match kind {
                Kind::Tells => target.socket.send_to(packet, group_of(target)),
                Kind::Searches => search(target).and_then(|socket| {
                    let sent = socket.send_to(packet, group_of(target))?;
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
            let back = (home.clone(), family);
            self.searches.push(Search { socket, back, to: from, until_ms, left, serial });
        }
    }

    /// An answer to a search goes back. `false`: there is none.
    fn found(&mut self, serial: u32, buffer: &mut [u8]) -> bool {
        let Some(search) = self.searches.iter_mut().find(|search| search.serial == serial) else {
            return false;
        };
        let Ok((length, _)) = search.socket.recv_from(buffer) else { return false };
        let Some(packet) = buffer.get(..length).filter(|packet| is_found(packet)) else { return true };
        let (home, family) = &search.back;
        let back = |ear: &&Ear| ear.part == (Protocol::Ssdp, *family) && ear.home == *home;
        if let Some(ear) = self.ears.iter().find(back).filter(|_| search.left > 0) {
            search.left -= 1;
            self.passed += u64::from(ear.socket.send_to(packet, search.to).is_ok());
        }
        true
    }
}

/// Where packets of this socket's part go on its link.
fn group_of(ear: &Ear) -> SocketAddr {
    let (to, port, _) = ear.part.0.group(ear.part.1);
    on_link(to, port, ear.index)
}

/// An address on the link with this number: of IPv6 the kernel wants to know which link.
fn on_link(address: IpAddr, port: u16, index: u32) -> SocketAddr {
    match address {
        IpAddr::V4(_) => SocketAddr::new(address, port),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, index).into(),
    }
}

/// A socket of a link; bound to `address` there.
fn bound(home: &Home, address: SocketAddr, hops: u8) -> Result<UdpSocket, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let opened = socket(family, SockType::Datagram, flags, None)?;
    setsockopt(&opened, sockopt::BindToDevice, &OsString::from(home.link.as_str()))?;
    setsockopt(&opened, sockopt::ReuseAddr, &true)?;
    match address {
        SocketAddr::V4(address) => {
            setsockopt(&opened, sockopt::IpMulticastLoop, &false)?;
            setsockopt(&opened, sockopt::IpMulticastTtl, &hops)?;
            bind(opened.as_raw_fd(), &SockaddrIn::from(address))?;
        }
        SocketAddr::V6(address) => {
            setsockopt(&opened, sockopt::Ipv6V6Only, &true)?;
            setsockopt(&opened, sockopt::Ipv6MulticastHops, &hops.into())?;
            bind(opened.as_raw_fd(), &SockaddrIn6::from(address))?;
        }
    }
    let opened = UdpSocket::from(opened);
    if address.is_ipv6() {
        opened.set_multicast_loop_v6(false).map_err(errno)?;
    }
    Ok(opened)
}

fn open(home: &Home, index: u32, (protocol, family): Part) -> Result<UdpSocket, Errno> {
    let (to, port, hops) = protocol.group(family);
    let socket = bound(home, on_link(to, port, index), hops)?;
    match to {
        IpAddr::V4(to) => group::join(socket.as_fd(), to, index)?,
        IpAddr::V6(to) => socket.join_multicast_v6(&to, index).map_err(errno)?,
    }
    Ok(socket)
}

/// A socket for one search on the link of `ear`, with a port of the kernel's choice.
fn search(ear: &Ear) -> std::io::Result<UdpSocket> {
    let (_, _, hops) = ear.part.0.group(ear.part.1);
    let any: IpAddr = match ear.part.1 {
        Family::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    bound(&ear.home, SocketAddr::new(any, 0), hops).map_err(Into::into)
}

/// What the kernel said.
fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

fn add(epoll: &Epoll, socket: UdpSocket, token: Token) -> Result<UdpSocket, Errno> {
    epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, token.number()))?;
    Ok(socket)
}
