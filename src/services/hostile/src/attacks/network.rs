//! Attacks by sockets: others' packets, forged ones, the gateway's own doors, its tables of addresses.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, UnixAddr, connect, socket};

use crate::call;

/// Where the door of roots for tests listens, and no file is: `porter`.
const DOOR: &[u8] = b"shg-rehearsal";

fn opened(family: AddressFamily, kind: SockType, protocol: Option<SockProtocol>) -> Result<(), Errno> {
    socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol).map(drop)
}

/// Everybody's packets, and frames that are forged: ARP, DHCP.
pub(super) fn packets() -> Result<(), Errno> {
    opened(AddressFamily::Packet, SockType::Raw, None)
}

/// Datagrams with a header of our own: somebody else's address.
pub(super) fn raw() -> Result<(), Errno> {
    opened(AddressFamily::Inet, SockType::Raw, Some(SockProtocol::Raw))
}

/// What only a router says: advertisements, redirects.
pub(super) fn raw_6() -> Result<(), Errno> {
    opened(AddressFamily::Inet6, SockType::Raw, Some(SockProtocol::IcmpV6))
}

/// The way to the firewall.
pub(super) fn firewall() -> Result<(), Errno> {
    opened(AddressFamily::Netlink, SockType::Raw, Some(SockProtocol::NetlinkNetFilter))
}

/// Links, addresses and routes, which the manifest has not asked for.
pub(super) fn routes() -> Result<(), Errno> {
    opened(AddressFamily::Netlink, SockType::Raw, Some(SockProtocol::NetlinkRoute))
}

/// What happens to devices.
pub(super) fn events() -> Result<(), Errno> {
    opened(AddressFamily::Netlink, SockType::Raw, Some(SockProtocol::NetlinkKObjectUEvent))
}

/// A socket of the gateway's that is no file, so that no mount hides it. Source: unix(7).
pub(super) fn abstract_socket() -> Result<(), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new_abstract(DOOR)?)
}

/// A socket for questions about addresses.
fn asker() -> Result<OwnedFd, Errno> {
    socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
}

/// A route, to an address of no family: what is in it is looked at after the rights. Source: `SIOCADDRT`, netdevice(7).
pub(super) fn route_set() -> Result<(), Errno> {
    const ADD: libc::c_long = 0x890b;
    let mut route = [0; 32]; // struct rtentry, and to spare
    match call::ask_socket(asker()?.as_raw_fd(), ADD, &mut route) {
        Err(Errno::EAFNOSUPPORT | Errno::EINVAL) => Ok(()),
        other => other,
    }
}

/// A neighbour, the same way. Source: `SIOCSARP`, arp(7).
pub(super) fn neighbour_set() -> Result<(), Errno> {
    const SET: libc::c_long = 0x8955;
    let mut entry = [0; 32]; // struct arpreq, and to spare
    match call::ask_socket(asker()?.as_raw_fd(), SET, &mut entry) {
        Err(Errno::EAFNOSUPPORT | Errno::EPFNOSUPPORT | Errno::EINVAL | Errno::ENODEV | Errno::ENXIO) => {
            Ok(())
        }
        other => other,
    }
}
