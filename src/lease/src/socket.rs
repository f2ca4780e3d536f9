//! The sockets of both sides: whole DHCP datagrams of one link, ARP, a port that is held.
//!
//! In:  a link. Out: sockets, close-on-exec and non-blocking; packets, one call each.
//!
//! Everything that is heard comes by `AF_PACKET`, with a filter in front: before a host has an address, the kernel's UDP cannot hear
//! for it, and afterwards one way is enough. A UDP socket only holds the port, so that the kernel does not refuse what we have heard
//! already, and sends where a router may stand between.
//!
//! Source: packet(7), udp(7), socket(7) for `SO_BINDTODEVICE`.

use std::ffi::OsString;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use contract::wanted::LinkName;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, bind, sendto, setsockopt, socket, sockopt,
};
use sys::Errno;
use sys::packet::{self, Status};

use crate::link::Link;
use crate::{arp, datagram};

/// The port of DHCP servers, and that of clients. Source: RFC 2131 §4.1.
pub const SERVER_PORT: u16 = 67;
/// See [`SERVER_PORT`].
pub const CLIENT_PORT: u16 = 68;
/// The largest packet that is heard: an Ethernet frame's. What is longer is cut off, and refused as such.
pub const PACKET_BYTES: usize = 1_500;
/// Everybody on the link. Source: RFC 894.
pub const EVERYBODY: [u8; 6] = [0xff; 6];

/// A socket that hears every UDP datagram to `port` which comes in by `link`.
///
/// # Errors
/// As `sys::packet`'s calls.
pub fn datagrams(link: &Link, port: u16) -> Result<OwnedFd, Errno> {
    let socket = packet::open()?;
    packet::attach(&socket, &datagram::filter(port))?;
    listen(&socket, link, datagram::ETHER_TYPE)?;
    Ok(socket)
}

/// A socket that hears every ARP packet which comes in by `link`.
///
/// # Errors
/// As `sys::packet`'s calls.
pub fn arp(link: &Link) -> Result<OwnedFd, Errno> {
    let socket = packet::open()?;
    listen(&socket, link, arp::ETHER_TYPE)?;
    Ok(socket)
}

/// A link that is down is heard as soon as it is up.
fn listen(socket: &OwnedFd, link: &Link, protocol: u16) -> Result<(), Errno> {
    match packet::bind(socket, link.index, protocol) {
        Ok(()) | Err(Errno::ENETDOWN) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The next packet of `socket`, if there is one. A link that went down has none.
pub fn receive<'b>(socket: &OwnedFd, buffer: &'b mut [u8; PACKET_BYTES]) -> Option<(&'b [u8], Status)> {
    let (length, status) = packet::receive(socket.as_fd(), buffer).ok()?;
    Some((buffer.get(..length)?, status))
}

/// A UDP socket at `own` on the link `name`. It hears nothing and holds its port.
///
/// # Errors
/// `EADDRNOTAVAIL`: the address is not ours (yet). `EADDRINUSE`: another program has the port. `ENODEV`: no such link.
pub fn port(name: &LinkName, own: SocketAddrV4) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    packet::attach(&socket, &datagram::filter_everything())?;
    setsockopt(&socket, sockopt::BindToDevice, &OsString::from(name.as_str()))?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(own))?;
    Ok(socket)
}

/// Sends `payload` from the port that `socket` holds.
///
/// # Errors
/// `ENETUNREACH`: there is no route (yet). sendto(2)'s others.
pub fn send(socket: &OwnedFd, to: SocketAddrV4, payload: &[u8]) -> Result<(), Errno> {
    sendto(socket.as_raw_fd(), payload, &SockaddrIn::from(to), MsgFlags::empty()).map(drop)
}
