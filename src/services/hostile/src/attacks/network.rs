//! Attacks by sockets: others' packets, forged ones, the gateway's own doors, its tables of addresses.

use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, UnixAddr, connect, socket};

use crate::call;

/// Where the door of roots for tests listens, and no file is: `porter`.
const DOOR: &[u8] = b"shg-rehearsal";

/// Numbers of links that are tried, neighbours that are, and how many of them by one socket. Of each family the table has room for 1024.
const LINKS: u32 = 64;
const NEIGHBOURS: u32 = 3_000;
const A_SOCKET: usize = 16;

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

/// The kernel's table of neighbours, of all namespaces: addresses that nobody has, more than it has room for. It is full where one is refused;
/// that of the gateway's router would be, too.
pub(super) fn neighbours() -> Result<(), Errno> {
    let opened = || UdpSocket::bind("[::]:0").map_err(errno);
    let nobody = |number: u32, link| {
        SocketAddrV6::new(Ipv6Addr::from_bits(0xfe80 << 112 | 0xdead << 32 | u128::from(number)), 9, 0, link)
    };
    // The first is the loopback. Links of other namespaces have numbers of their own.
    let probe = opened()?;
    let is_ours = |link: &u32| probe.send_to(&[0], nobody(0, *link)).is_ok();
    let link = (2..LINKS).find(is_ours).ok_or(Errno::ENODEV)?;
    for numbers in (1..=NEIGHBOURS).step_by(A_SOCKET) {
        // What waits for a neighbour counts against its socket, and stays when that is closed.
        let socket = opened()?;
        socket.set_nonblocking(true).map_err(errno)?;
        for number in (numbers..).take(A_SOCKET) {
            match socket.send_to(&[0], nobody(number, link)).map_err(errno) {
                Err(Errno::EINVAL | Errno::ENOBUFS) => return Ok(()),
                sent => sent.map(drop)?,
            };
        }
    }
    Err(Errno::EHOSTUNREACH)
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
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
