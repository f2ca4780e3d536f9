//! The two sockets of a PCP server: IPv4 at its own address, IPv6 at any of the link's.
//!
//! In:  a link. Out: datagrams with who sent them and to which address; answers go from there, for hosts believe no other.
//!
//! Source: RFC 6887 §8.1 (a host checks where an answer comes from), ipv6(7) for `IPV6_RECVPKTINFO`.

use std::ffi::OsString;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use heapless::Vec;
use log::warn;
use nix::libc::in6_pktinfo;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn,
    SockaddrIn6, SockaddrStorage, bind, recvmsg, sendmsg, sendto, setsockopt, socket, sockopt,
};
use sys::Errno;

use super::SERVER_PORT;
use super::message::MESSAGE_BYTES_MAX;
use crate::link::Link;

/// One byte more than a message may have shows that it has too many; those are refused.
const BYTES_MAX: usize = MESSAGE_BYTES_MAX + 4;

/// The sockets, as long as the link is there.
#[derive(Debug)]
pub(super) struct Pair {
    address: Ipv4Addr,
    four: Option<OwnedFd>,
    six: Option<OwnedFd>,
}

/// What came.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) bytes: Vec<u8, BYTES_MAX>,
    pub(super) from: SocketAddr,
    /// To which address of ours, where there are many.
    pub(super) at: Option<in6_pktinfo>,
}

impl Pair {
    pub(super) fn new(address: Ipv4Addr) -> Self {
        Self { address, four: None, six: None }
    }

    /// From now on it is at `address`. Is that another one?
    pub(super) fn moves(&mut self, address: Ipv4Addr) -> bool {
        std::mem::replace(&mut self.address, address) != address
    }

    /// Opens both at `link`.
    pub(super) fn open(&mut self, link: &Link) {
        self.close();
        let four = SocketAddr::new(self.address.into(), SERVER_PORT);
        let six = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), SERVER_PORT);
        let try_open = |at| {
            let opened = open(link, at);
            opened.map_err(|errno| warn!("{}: PCP: cannot listen at {at}: {}", link.name, errno.desc())).ok()
        };
        (self.four, self.six) = (try_open(four), try_open(six));
    }

    pub(super) fn close(&mut self) {
        (self.four, self.six) = (None, None);
    }

    pub(super) fn is_open(&self) -> bool {
        self.four.is_some()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &OwnedFd> {
        [&self.four, &self.six].into_iter().flatten()
    }

    /// The next datagram, if there is one.
    pub(super) fn receive(&self) -> Option<Datagram> {
        self.all().find_map(receive)
    }

    /// Answers to `to`, from where it was asked.
    pub(super) fn answer(&self, to: SocketAddr, at: Option<in6_pktinfo>, bytes: &[u8]) {
        let socket = if to.is_ipv4() { &self.four } else { &self.six };
        let Some(socket) = socket else { return };
        let words = at.as_ref().map(ControlMessage::Ipv6PacketInfo);
        let parts = [IoSlice::new(bytes)];
        let to = SockaddrStorage::from(to);
        // What cannot be sent now is asked for again.
        let _ = sendmsg(socket.as_raw_fd(), &parts, words.as_slice(), MsgFlags::empty(), Some(&to));
    }

    /// Says `bytes` to everybody of a group on `link`.
    pub(super) fn send(&self, to: SocketAddr, link: Option<&Link>, bytes: &[u8]) {
        let socket = if to.is_ipv4() { &self.four } else { &self.six };
        let (Some(socket), Some(link)) = (socket, link) else { return };
        let _ = match to {
            SocketAddr::V4(to) => sendto(socket.as_raw_fd(), bytes, &SockaddrIn::from(to), MsgFlags::empty()),
            SocketAddr::V6(to) => {
                let to = SocketAddrV6::new(*to.ip(), to.port(), 0, link.index);
                sendto(socket.as_raw_fd(), bytes, &SockaddrIn6::from(to), MsgFlags::empty())
            }
        };
    }
}

fn receive(socket: &OwnedFd) -> Option<Datagram> {
    let mut buffer = [0; BYTES_MAX];
    let mut space = nix::cmsg_space!(in6_pktinfo);
    let (length, from, at) = {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let got =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty());
        let got = got.ok()?;
        let mut at = None;
        for word in got.cmsgs().ok()? {
            if let ControlMessageOwned::Ipv6PacketInfo(info) = word {
                at = Some(info);
            }
        }
        (got.bytes, got.address?, at)
    };
    let four = from.as_sockaddr_in().map(|from| SocketAddr::V4(SocketAddrV4::from(*from)));
    let six = || from.as_sockaddr_in6().map(|from| SocketAddr::V6(SocketAddrV6::from(*from)));
    let bytes = Vec::from_slice(buffer.get(..length)?).ok()?;
    Some(Datagram { bytes, from: four.or_else(six)?, at })
}

fn open(link: &Link, at: SocketAddr) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let family = if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Datagram, flags, None)?;
    setsockopt(&socket, sockopt::BindToDevice, &OsString::from(link.name.as_str()))?;
    match at {
        SocketAddr::V4(at) => {
            setsockopt(&socket, sockopt::IpFreebind, &true)?; // The address may come later than the link.
            bind(socket.as_raw_fd(), &SockaddrIn::from(at))?;
        }
        SocketAddr::V6(at) => {
            setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            bind(socket.as_raw_fd(), &SockaddrIn6::from(at))?;
        }
    }
    Ok(socket)
}
