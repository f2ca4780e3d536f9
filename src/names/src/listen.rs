//! The sockets of the links whose hosts are answered: port 53, UDP and TCP, of both families, each bound to its link.
//!
//! In:  the list of `network`, moments. Out: sockets that hear. A link that is not there yet is tried again.
//!
//! IPv4 is heard at our address there alone; IPv6 at each of ours on that link, and answered from the one that was asked.
//!
//! Source: socket(7), `SO_BINDTODEVICE`: it needs no right where the socket was not bound to a link before (Linux 5.7); RFC 3542 §6.1.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddrV4, SocketAddrV6, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use contract::told::Home;
use log::{info, warn};
use nix::net::if_::if_nametoindex;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, listen, setsockopt, socket,
    sockopt,
};
use sys::Errno;

use crate::token::{Kind, Token};

/// The port of name servers. Source: RFC 1035 §4.2.
const PORT: u16 = 53;
/// How often a link that is not there is looked for, and one that is there is checked, in milliseconds.
const LOOK_EVERY_MS: u64 = 1_000;
/// Connections that wait to be let in.
const BACKLOG: i32 = 32;

/// What hears on one link.
#[derive(Debug)]
pub struct Ears {
    index: u32,
    /// Datagrams, IPv4.
    pub udp4: UdpSocket,
    /// Connections, IPv4.
    pub tcp4: TcpListener,
    /// Datagrams, IPv6, where the kernel has it.
    pub udp6: Option<UdpSocket>,
    /// Connections, IPv6.
    pub tcp6: Option<TcpListener>,
}

/// A link whose hosts are answered.
#[derive(Debug)]
pub struct Link {
    /// What `network` told of it.
    pub home: Home,
    /// Its sockets, while it is there.
    pub ears: Option<Ears>,
    /// Which life of its sockets this is.
    pub serial: u32,
    said: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Links {
    links: Vec<Link>,
    serial: u32,
    look_ms: u64,
}

impl Links {
    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[Link] {
        &self.links
    }

    /// The one at `place`, in this life.
    #[must_use]
    pub fn get(&self, place: usize, serial: u32) -> Option<&Link> {
        self.links.get(place).filter(|link| link.serial == serial)
    }

    /// Takes a new list. What stays where it was keeps its sockets. Returns the places whose links are gone.
    pub fn want(&mut self, homes: &[Home]) -> Vec<usize> {
        let mut gone = Vec::new();
        for (place, link) in self.links.iter_mut().enumerate() {
            match homes.get(place) {
                Some(home) if home.link == link.home.link && home.address == link.home.address => {
                    link.home = home.clone();
                }
                Some(_) | None => gone.push(place),
            }
        }
        for place in &gone {
            if let Some((link, home)) = self.links.get_mut(*place).zip(homes.get(*place)) {
                *link = Link { home: home.clone(), ears: None, serial: 0, said: false };
            }
        }
        self.links.truncate(homes.len());
        for home in homes.iter().skip(self.links.len()) {
            self.links.push(Link { home: home.clone(), ears: None, serial: 0, said: false });
        }
        self.look_ms = 0;
        gone
    }

    /// When links are looked for, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        (!self.links.is_empty()).then_some(self.look_ms)
    }

    /// Opens what is there now, closes what is not there any more.
    pub fn turn(&mut self, epoll: &Epoll, now_ms: u64) {
        if self.links.is_empty() || self.look_ms > now_ms {
            return;
        }
        self.look_ms = now_ms.saturating_add(LOOK_EVERY_MS);
        for (place, link) in self.links.iter_mut().enumerate() {
            let index = if_nametoindex(link.home.link.as_str()).ok();
            if link.ears.as_ref().is_some_and(|ears| Some(ears.index) != index) {
                info!("{}: it is gone", link.home.link);
                link.ears = None;
            }
            let (None, Some(index)) = (&link.ears, index) else { continue };
            self.serial = self.serial.wrapping_add(1);
            link.serial = self.serial;
            match open(&link.home, index)
                .and_then(|ears| add(epoll, &ears, place, self.serial).map(|()| ears))
            {
                Ok(ears) => {
                    info!("{}: questions are answered, as {}", link.home.link, link.home.address);
                    (link.ears, link.said) = (Some(ears), false);
                }
                Err(errno) if !std::mem::replace(&mut link.said, true) => {
                    warn!("{}: cannot listen as {}: {}", link.home.link, link.home.address, errno.desc());
                }
                Err(_) => {}
            }
        }
    }
}

fn open(home: &Home, index: u32) -> Result<Ears, Errno> {
    let link = home.link.as_str();
    let (udp4, tcp4) =
        (four(link, home.address, SockType::Datagram)?, four(link, home.address, SockType::Stream)?);
    // A kernel without IPv6, or a link on which it is off.
    let six = six(link, SockType::Datagram).and_then(|udp| Ok((udp, six(link, SockType::Stream)?))).ok();
    let (udp6, tcp6) = six.unzip();
    Ok(Ears {
        index,
        udp4: udp4.into(),
        tcp4: tcp4.into(),
        udp6: udp6.map(Into::into),
        tcp6: tcp6.map(Into::into),
    })
}

fn new(family: AddressFamily, link: &str, kind: SockType) -> Result<OwnedFd, Errno> {
    let opened = socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    setsockopt(&opened, sockopt::BindToDevice, &OsString::from(link))?;
    if kind == SockType::Stream {
        // Connections of the life before do not keep us from listening.
        setsockopt(&opened, sockopt::ReuseAddr, &true)?;
    }
    Ok(opened)
}

fn heard(opened: OwnedFd, kind: SockType) -> Result<OwnedFd, Errno> {
    if kind == SockType::Stream {
        listen(&opened, Backlog::new(BACKLOG)?)?;
    }
    Ok(opened)
}

fn four(link: &str, address: Ipv4Addr, kind: SockType) -> Result<OwnedFd, Errno> {
    let opened = new(AddressFamily::Inet, link, kind)?;
    bind(opened.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(address, PORT)))?;
    heard(opened, kind)
}

fn six(link: &str, kind: SockType) -> Result<OwnedFd, Errno> {
    let opened = new(AddressFamily::Inet6, link, kind)?;
    setsockopt(&opened, sockopt::Ipv6V6Only, &true)?;
    if kind == SockType::Datagram {
        setsockopt(&opened, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    let any = SocketAddrV6::new(std::net::Ipv6Addr::UNSPECIFIED, PORT, 0, 0);
    bind(opened.as_raw_fd(), &SockaddrIn6::from(any))?;
    heard(opened, kind)
}

fn add(epoll: &Epoll, ears: &Ears, place: usize, serial: u32) -> Result<(), Errno> {
    let event = |kind| EpollEvent::new(EpollFlags::EPOLLIN, Token { kind, place, serial }.number());
    epoll.add(ears.udp4.as_fd(), event(Kind::Udp4))?;
    epoll.add(ears.tcp4.as_fd(), event(Kind::Tcp4))?;
    if let (Some(udp6), Some(tcp6)) = (&ears.udp6, &ears.tcp6) {
        epoll.add(udp6.as_fd(), event(Kind::Udp6))?;
        epoll.add(tcp6.as_fd(), event(Kind::Tcp6))?;
    }
    Ok(())
}
