//! A service's network namespace: made once, in the initial user namespace, kept over restarts.
//!
//! In:  nothing. Out: the namespace, its loopback up, and a netlink socket that was opened inside it.
//!
//! A tenant that has every capability in its own user namespace has none over a namespace that another one owns: it cannot change its
//! link or open a packet socket. Whoever holds the socket can configure the inside without entering.
//!
//! Source: network_namespaces(7), setns(2), netlink(7), rtnetlink(7); Documentation/networking/ip-sysctl.rst.

use std::fs::{self, File};
use std::os::fd::OwnedFd;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};
use nix::sys::stat::fstat;
use std::os::fd::{AsFd, AsRawFd};
use sys::{Errno, descriptor};

use crate::Error;

/// A network namespace.
#[derive(Debug)]
pub struct Network {
    /// The namespace itself.
    pub namespace: OwnedFd,
    /// A `NETLINK_ROUTE` socket inside.
    pub netlink: OwnedFd,
}

/// Settings of a service's network: file, value.
const SETTINGS: [(&str, &str); 4] = [
    // A web server inside needs no capability for port 80.
    ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    // Anybody inside may ping.
    ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
    // Its link is point to point and configured from outside; it believes no router.
    ("/proc/sys/net/ipv6/conf/all/accept_ra", "0"),
    ("/proc/sys/net/ipv6/conf/default/accept_ra", "0"),
];

impl Network {
    /// Makes a namespace. For programs with one thread: for a moment this thread is inside.
    ///
    /// # Errors
    /// [`Error::Outside`]: the kernel refuses, or a table of descriptors is full. The thread is back where it was.
    pub fn create() -> Result<Self, Error> {
        let home = here()?;
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|errno| Error::Outside("cannot make a network namespace", errno))?;
        let network = Self::of_this_thread();
        setns(&home, CloneFlags::CLONE_NEWNET).map_err(|errno| Error::Outside("cannot go back", errno))?;
        network
    }

    /// The netlink socket of a namespace that was kept.
    ///
    /// # Errors
    /// As [`Network::create`].
    pub fn reopen(namespace: OwnedFd) -> Result<Self, Error> {
        let home = here()?;
        setns(&namespace, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| Error::Outside("cannot enter the network", errno))?;
        let netlink = netlink();
        setns(&home, CloneFlags::CLONE_NEWNET).map_err(|errno| Error::Outside("cannot go back", errno))?;
        Ok(Self { namespace, netlink: netlink? })
    }

    /// A TCP socket inside, which does not block: who connects it speaks to the service as the service does to itself, past every filter.
    ///
    /// # Errors
    /// As [`Network::create`].
    pub fn stream(&self) -> Result<OwnedFd, Error> {
        let home = here()?;
        setns(&self.namespace, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| Error::Outside("cannot enter the network", errno))?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let stream = socket(AddressFamily::Inet, SockType::Stream, flags, None);
        setns(&home, CloneFlags::CLONE_NEWNET).map_err(|errno| Error::Outside("cannot go back", errno))?;
        stream.map_err(|errno| Error::Outside("cannot open a socket", errno))
    }

    fn of_this_thread() -> Result<Self, Error> {
        for (file, value) in SETTINGS {
            // Without IPv6 in the kernel its files are not there. The port setting is checked by the service's own start.
            let _ = fs::write(file, value);
        }
        let netlink = netlink()?;
        loopback_up(&netlink).map_err(|errno| Error::Outside("cannot bring its loopback up", errno))?;
        Ok(Self { namespace: here()?, netlink })
    }
}

/// A service that has no link yet can be asked whether it is well all the same. The kernel has answered when this returns.
///
/// Source: rtnetlink(7); `LOOPBACK_IFINDEX` in include/net/flow.h, Linux 6.12.
fn loopback_up(netlink: &OwnedFd) -> Result<(), Errno> {
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_AND_ACK: u16 = 0x5;
    const LOOPBACK: u32 = 1;
    const UP: u32 = 0x1;
    let head = [RTM_NEWLINK, REQUEST_AND_ACK].map(u16::to_ne_bytes);
    // The length, kind and flags, sequence, sender; family and kind of link, its number, flags, and which of them.
    let head = u32::from_ne_bytes([head[0][0], head[0][1], head[1][0], head[1][1]]);
    let words = [32, head, 0, 0, 0, LOOPBACK, UP, UP].map(u32::to_ne_bytes);
    descriptor::write(netlink, words.as_flattened())?;
    let mut answer = [0; 64];
    let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    // A header, then a negated errno; 0 is the acknowledgement.
    let error = answer.get(..length).and_then(|answer| answer.get(16..20)?.first_chunk().copied());
    match error.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(errno) => Err(Errno::from_raw(errno.wrapping_neg())),
        None => Err(Errno::EPROTO),
    }
}

/// This thread's network namespace.
pub(crate) fn here() -> Result<OwnedFd, Error> {
    let open = File::open("/proc/thread-self/ns/net").map(OwnedFd::from);
    open.map_err(|error| {
        Error::Outside(
            "cannot open its network namespace",
            Errno::from_raw(error.raw_os_error().unwrap_or(0)),
        )
    })
}

fn netlink() -> Result<OwnedFd, Error> {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)
        .map_err(|errno| Error::Outside("cannot open a netlink socket", errno))
}

/// What tells one namespace from another: the inode that `namespace` is open on.
#[must_use]
pub(crate) fn inode<D: AsFd>(namespace: &D) -> Option<u64> {
    #[allow(clippy::useless_conversion, reason = "the field is 32 bits wide on some targets")]
    fstat(namespace).ok().map(|status| status.st_ino.into())
}
