//! News of devices that come and go, from the kernel itself.
//!
//! Source: netlink(7), `NETLINK_KOBJECT_UEVENT`; lib/kobject_uevent.c.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, socket,
};

/// The multicast group on which the kernel itself speaks.
const KERNEL: u32 = 1;

/// Opens the socket; close-on-exec and non-blocking.
///
/// # Errors
/// `EPERM`: no right to listen. `EMFILE`: our table of descriptors is full.
pub fn open() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket =
        socket(AddressFamily::Netlink, SockType::Datagram, flags, SockProtocol::NetlinkKObjectUEvent)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL))?;
    Ok(socket)
}

/// Receives one piece of news into `buffer`. Returns its length; 0 for one that is not from the kernel, or does not fit.
///
/// # Errors
/// `EAGAIN`: nothing there. `ENOBUFS`: some were lost; look for yourself.
pub fn receive<D: AsFd>(socket: &D, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (length, sender) = recvfrom::<NetlinkAddr>(socket.as_fd().as_raw_fd(), buffer)?;
    Ok(if sender.is_some_and(|sender| sender.pid() == 0) && length < buffer.len() { length } else { 0 })
}
