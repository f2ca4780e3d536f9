//! The kernel's part of a session: socket, channel, unit. And the sockets of discovery.
//!
//! In:  a link, a session, descriptors of `/dev/ppp`. Out: packets, one call each.
//!
//! Not here: what the packets say; making a PPP link, which is a right that we have not (`network`).
//!
//! Source: `sys::ppp`; packet(7) for `sll_pkttype`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use contract::wanted::{LinkName, PPP_LINK};
use nix::sys::socket::{LinkAddr, recvfrom};
use sys::ppp::{self, Session};
use sys::{Errno, descriptor, packet};

use super::discovery;
use super::packet::{IPV4, IPV6, PACKET_BYTES_MAX};
use crate::link::Link;

/// PPPoE's header and PPP's protocol, in bytes, which a frame carries before the packet. Source: RFC 2516 §7.
const OVERHEAD_BYTES: u16 = 8;
/// The largest packet of a session, in bytes: what the Ethernet behind the gateway uses. Source: RFC 4638 §3.
const PAYLOAD_BYTES_MAX: u16 = 1_500;

/// `PACKET_OTHERHOST`. Source: linux/if_packet.h.
const OTHER_HOST: u8 = 3;

/// A socket that hears the discovery stage.
///
/// # Errors
/// As `sys::packet`'s calls.
pub fn discovery(link: &Link) -> Result<OwnedFd, Errno> {
    listen(packet::open()?, link, discovery::DISCOVERY)
}

/// A socket that hears LCP of the session stage, whoever's session it is.
///
/// # Errors
/// As `sys::packet`'s calls.
pub fn strays(link: &Link) -> Result<OwnedFd, Errno> {
    let socket = packet::open()?;
    packet::attach(&socket, &discovery::filter_lcp())?;
    listen(socket, link, discovery::SESSION)
}

/// A link that is down is heard as soon as it is up.
fn listen(socket: OwnedFd, link: &Link, protocol: u16) -> Result<OwnedFd, Errno> {
    match packet::bind(&socket, link.index, protocol) {
        Ok(()) | Err(Errno::ENETDOWN) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// The next packet for us of a socket of discovery, and who sent it. `None`: there is none.
pub fn receive<'b>(
    socket: &OwnedFd,
    buffer: &'b mut [u8; PACKET_BYTES_MAX],
) -> Option<([u8; 6], Option<&'b [u8]>)> {
    let (length, sender) = recvfrom::<LinkAddr>(socket.as_raw_fd(), buffer).ok()?;
    let sender = sender?;
    // To another host, or in a VLAN that is another link's.
    let ours = sender.pkttype() != OTHER_HOST;
    Some((sender.addr()?, buffer.get(..length).filter(|_| ours)))
}

/// The largest packet of a session on the link `name`, in bytes: what its frames can carry, at most 1500.
#[must_use]
pub fn payload(name: &LinkName) -> u16 {
    // The kernel's word on it; without one the usual Ethernet. Source: the kernel's ABI/testing/sysfs-class-net.
    let mtu = std::fs::read_to_string(format!("/sys/class/net/{name}/mtu"));
    let mtu: Option<u16> = mtu.ok().and_then(|mtu| mtu.trim().parse().ok());
    mtu.unwrap_or(PAYLOAD_BYTES_MAX).saturating_sub(OVERHEAD_BYTES).min(PAYLOAD_BYTES_MAX)
}

/// The kernel's part of a session.
#[derive(Debug)]
pub struct Kernel {
    socket: OwnedFd,
    /// The number of its channel, once packets come by it.
    channel: Option<u32>,
    /// Channel and unit, once `network` has made a PPP link of it.
    bound: Option<[OwnedFd; 2]>,
}

impl Kernel {
    /// Lets the kernel know a session.
    ///
    /// # Errors
    /// As `sys::ppp::begin`.
    pub fn connect(link: &LinkName, number: u16, peer: [u8; 6]) -> Result<Self, Errno> {
        let socket = ppp::socket()?;
        ppp::begin(&socket, Session { number, peer }, link)?;
        Ok(Self { socket, channel: None, bound: None })
    }

    /// One of an earlier life. `None`: it has ended, or these are others.
    #[must_use]
    pub fn adopted(socket: OwnedFd, channel: OwnedFd, unit: OwnedFd) -> Option<Self> {
        let number = ppp::channel_of(&socket).ok()?;
        ppp::unit_of(&unit).ok()?;
        Some(Self { socket, channel: Some(number), bound: Some([channel, unit]) })
    }

    /// Lets packets come by its channel, and returns the channel's number. What came before and was not read is lost.
    ///
    /// # Errors
    /// As `sys::ppp::channel_of`.
    pub fn turn_to_channel(&mut self) -> Result<u32, Errno> {
        let number = ppp::channel_of(&self.socket)?;
        self.channel = Some(number);
        Ok(number)
    }

    /// The number of its channel, as long as no PPP link has been made of it.
    #[must_use]
    pub fn asks(&self) -> Option<u32> {
        self.channel.filter(|_| self.bound.is_none())
    }

    /// `network` has made a PPP link of it.
    ///
    /// # Errors
    /// As `sys::ppp`'s calls: these are descriptors of something else.
    pub fn bind(&mut self, channel: OwnedFd, unit: OwnedFd) -> Result<(), Errno> {
        ppp::unit_of(&unit)?;
        for end in [&channel, &unit] {
            descriptor::set_nonblocking(end.as_fd())?;
        }
        self.bound = Some([channel, unit]);
        Ok(())
    }

    /// Lets packets pass, or drops them.
    ///
    /// # Errors
    /// As `sys::ppp`'s calls.
    pub fn pass(&self, ipv4: bool, ipv6: bool, mru: u16) -> Result<(), Errno> {
        let Some([_, unit]) = &self.bound else { return Ok(()) };
        ppp::set_mru(unit, mru)?;
        ppp::set_passing(unit, IPV4, ipv4)?;
        ppp::set_passing(unit, IPV6, ipv6)
    }

    /// The PPP link's name, once it is bound.
    #[must_use]
    pub fn link(&self) -> LinkName {
        PPP_LINK.into()
    }

    /// Is it bound?
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.bound.is_some()
    }

    /// What it waits for.
    #[must_use]
    pub fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        match (&self.bound, self.channel) {
            (Some([channel, unit]), _) => [Some(channel.as_fd()), Some(unit.as_fd())],
            (None, None) => [Some(self.socket.as_fd()), None],
            (None, Some(_)) => [None, None],
        }
    }

    /// What lets another life go on with it: channel, unit, socket.
    #[must_use]
    pub fn keeps(&self) -> Option<[BorrowedFd<'_>; 3]> {
        self.bound.as_ref().map(|[channel, unit]| [channel.as_fd(), unit.as_fd(), self.socket.as_fd()])
    }

    /// The next control packet, if there is one; empty: the kernel has ended the session.
    pub fn receive<'b>(&self, buffer: &'b mut [u8; PACKET_BYTES_MAX]) -> Option<&'b [u8]> {
        for end in self.descriptors().into_iter().flatten() {
            match nix::unistd::read(end, buffer) {
                Ok(length) => return buffer.get(..length),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => return Some(&[]),
            }
        }
        None
    }

    /// Sends a control packet: LCP and who we are by the channel, others by the unit.
    ///
    /// # Errors
    /// write(2)'s.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        // Source: the kernel's networking/ppp_generic: what is written to a unit goes through its compressors, and a channel's does not.
        let by_channel = bytes.first().is_some_and(|high| *high >= 0xc0);
        let sent = match &self.bound {
            None => descriptor::write(&self.socket, bytes),
            Some([channel, _]) if by_channel => descriptor::write(channel, bytes),
            Some([_, unit]) => descriptor::write(unit, bytes),
        };
        sent.map(drop)
    }

    /// The session's end, though `network` may hold its descriptors a moment longer.
    pub fn close(self) {
        let _ = ppp::end(&self.socket); // It may have ended already.
    }
}
