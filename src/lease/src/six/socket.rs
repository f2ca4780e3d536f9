//! The sockets of IPv6: what is heard comes by `AF_PACKET`, what is said goes by the kernel.
//!
//! In:  a link. Out: sockets, close-on-exec and non-blocking; the addresses that the kernel would speak from.
//!
//! What is heard does not depend on a firewall, and shows its hop limit. What is said needs our addresses, neighbours and checksums, which
//! the kernel has. Those sockets hear nothing; they hold the port, so that the kernel does not refuse what we have heard already.
//!
//! Source: packet(7), ipv6(7), raw(7); RFC 3542 §3.1 (the kernel's checksum of ICMPv6).

use std::ffi::OsString;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use contract::prefix::Prefix;
use contract::wanted::LinkName;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn6, bind, setsockopt, socket, sockopt,
};
use sys::Errno;
use sys::packet::{self, Instruction};

use super::advert::first;
use super::packet::ETHER_TYPE;
use crate::datagram;

/// The ports of DHCPv6 clients, and of servers. Source: RFC 8415 §7.2.
pub const CLIENT_PORT: u16 = 546;
/// See [`CLIENT_PORT`].
pub const SERVER_PORT: u16 = 547;
/// Every node of a link. Source: RFC 4291 §2.7.1.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Every router of a link. Source: RFC 4291 §2.7.1.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Every DHCPv6 server of a link. Source: RFC 8415 §7.1.
pub const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// What comes over no router. Source: RFC 4861 §4.1.
pub const HOP_LIMIT: u8 = 255;

/// A socket that hears what `filter` lets pass of the link with this number.
///
/// # Errors
/// As `sys::packet`'s calls.
pub fn ear(index: u32, filter: &[Instruction]) -> Result<OwnedFd, Errno> {
    let socket = packet::open()?;
    packet::attach(&socket, filter)?;
    match packet::bind(&socket, index, ETHER_TYPE) {
        // It hears once the link is up.
        Ok(()) | Err(Errno::ENETDOWN) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// What speaks on a link, and hears nothing.
#[derive(Debug)]
pub struct Mouth {
    socket: UdpSocket,
    index: u32,
}

impl Mouth {
    /// Speaks UDP from `port`, which it holds.
    ///
    /// # Errors
    /// `EADDRINUSE`: another program has the port. `ENODEV`: no such link. `EAFNOSUPPORT`: the kernel has no IPv6.
    pub fn udp(link: &LinkName, index: u32, port: u16) -> Result<Self, Errno> {
        let socket = Self::open(link, SockType::Datagram, None)?;
        bind(socket.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0)))?;
        Ok(Self { socket: socket.into(), index })
    }

    /// Speaks ICMPv6, as far as the link goes.
    ///
    /// # Errors
    /// `EPERM`: we lack `CAP_NET_RAW`. `ENODEV`: no such link. `EAFNOSUPPORT`: the kernel has no IPv6.
    pub fn icmp(link: &LinkName, index: u32) -> Result<Self, Errno> {
        let socket = Self::open(link, SockType::Raw, Some(SockProtocol::IcmpV6))?;
        setsockopt(&socket, sockopt::Ipv6MulticastHops, &i32::from(HOP_LIMIT))?;
        setsockopt(&socket, sockopt::Ipv6Ttl, &i32::from(HOP_LIMIT))?;
        // The kernel answers echoes and neighbours by itself; nothing of that is for us.
        Ok(Self { socket: socket.into(), index })
    }

    fn open(link: &LinkName, kind: SockType, protocol: Option<SockProtocol>) -> Result<OwnedFd, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Inet6, kind, flags, protocol)?;
        packet::attach(&socket, &datagram::filter_everything())?;
        setsockopt(&socket, sockopt::BindToDevice, &OsString::from(link.as_str()))?;
        Ok(socket)
    }

    /// Lets the link hear what is sent to `group`, as long as this lives.
    ///
    /// # Errors
    /// `ENODEV`: the link is gone. `ENOBUFS`: too many groups.
    pub fn join(&self, group: Ipv6Addr) -> Result<(), Errno> {
        self.socket.join_multicast_v6(&group, self.index).map_err(errno)
    }

    /// Sends `payload`.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL`: the link has no address of its own yet. `ENETUNREACH`, `ENETDOWN`: it is down. sendto(2)'s others.
    pub fn send(&self, to: Ipv6Addr, port: u16, payload: &[u8]) -> Result<(), Errno> {
        self.socket.send_to(payload, SocketAddrV6::new(to, port, 0, self.index)).map(drop).map_err(errno)
    }
}

/// The address that the kernel speaks from, on this link, to `to`; `None`: it has none (yet).
fn source(link: &LinkName, index: u32, to: Ipv6Addr) -> Option<Ipv6Addr> {
    let socket: UdpSocket = Mouth::open(link, SockType::Datagram, None).ok()?.into();
    socket.connect(SocketAddrV6::new(to, 9, 0, index)).ok()?;
    match socket.local_addr().ok()? {
        std::net::SocketAddr::V6(own) => Some(*own.ip()).filter(|own| !own.is_unspecified()),
        std::net::SocketAddr::V4(_) => None,
    }
}

/// The link-local address of this link; `None`: it has none, or the kernel still asks whether it is somebody else's.
#[must_use]
pub fn link_local(link: &LinkName, index: u32) -> Option<Ipv6Addr> {
    source(link, index, ALL_NODES).filter(Ipv6Addr::is_unicast_link_local)
}

/// Our address in `prefix` on this link.
#[must_use]
pub fn own(link: &LinkName, index: u32, prefix: Prefix) -> Option<Ipv6Addr> {
    let somebody = Ipv6Addr::from_bits(first(prefix).to_bits() | 0xffff_fffe);
    source(link, index, somebody).filter(|own| prefix.holds((*own).into()))
}

fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
