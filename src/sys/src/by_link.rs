//! Datagrams and raw packets with the link by which they came, or are to leave.
//!
//! In:  a socket on which `IP_PKTINFO` or `IPV6_RECVPKTINFO` is on. Out: bytes, who sent them, and the number of the link.
//!
//! Source: ip(7), `IP_PKTINFO`; ipv6(7), `IPV6_PKTINFO`; RFC 3542 §6.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg, sendmsg,
};

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// How many bytes.
    pub length: usize,
    /// Who sent it, where the socket says so.
    pub from: Option<SocketAddr>,
    /// The number of the link by which it came; 0 where the kernel does not say.
    pub link_index: u32,
}

/// Receives one packet; what does not fit in `buffer` is cut off.
///
/// # Errors
/// `EAGAIN`: nothing there.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Arrival, Errno> {
    let mut space = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = loop {
        match recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())
        {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let mut link_index = 0;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::Ipv4PacketInfo(info) = control {
            link_index = u32::try_from(info.ipi_ifindex).unwrap_or(0);
        } else if let ControlMessageOwned::Ipv6PacketInfo(info) = control {
            link_index = info.ipi6_ifindex;
        }
    }
    let from = message.address.as_ref().and_then(|address| {
        let four = address.as_sockaddr_in().map(|four| SocketAddr::V4((*four).into()));
        four.or_else(|| address.as_sockaddr_in6().map(|six| SocketAddr::V6((*six).into())))
    });
    Ok(Arrival { length: message.bytes, from, link_index })
}

/// Sends one packet to `to` by the link with this number, from our address `from`.
///
/// # Errors
/// `ENODEV`, `ENXIO`: no such link. `EADDRNOTAVAIL`, `EINVAL`: `from` is no address of ours. `ENETUNREACH`, `EAGAIN`, `ENOBUFS`.
pub fn send(
    socket: BorrowedFd<'_>,
    link_index: u32,
    from: IpAddr,
    to: SocketAddr,
    bytes: &[u8],
) -> Result<(), Errno> {
    let parts = [IoSlice::new(bytes)];
    let sent = |control: &[ControlMessage<'_>]| loop {
        let sent = match to {
            SocketAddr::V4(to) => {
                let to = SockaddrIn::from(to);
                sendmsg(socket.as_raw_fd(), &parts, control, MsgFlags::empty(), Some(&to))
            }
            SocketAddr::V6(to) => {
                let to = SockaddrIn6::from(SocketAddrV6::new(*to.ip(), to.port(), 0, link_index));
                sendmsg(socket.as_raw_fd(), &parts, control, MsgFlags::empty(), Some(&to))
            }
        };
        match sent {
            Err(Errno::EINTR) => {}
            other => break other.map(drop),
        }
    };
    match from {
        IpAddr::V4(from) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: i32::try_from(link_index).map_err(|_| Errno::ENODEV)?,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            sent(&[ControlMessage::Ipv4PacketInfo(&info)])
        }
        IpAddr::V6(from) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: from.octets() },
                ipi6_ifindex: link_index,
            };
            sent(&[ControlMessage::Ipv6PacketInfo(&info)])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{receive, send};
    use nix::sys::socket::{setsockopt, sockopt};
    use std::net::{IpAddr, Ipv4Addr, UdpSocket};
    use std::os::fd::AsFd;

    #[test]
    fn a_datagram_tells_its_link() {
        let there = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        setsockopt(&there, sockopt::Ipv4PacketInfo, &true).unwrap();
        let here = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        // The loopback link is number 1 in every network namespace.
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
        send(here.as_fd(), 1, from, there.local_addr().unwrap(), b"hello").unwrap();
        let mut buffer = [0; 16];
        let arrival = receive(there.as_fd(), &mut buffer).unwrap();
        assert_eq!((&buffer[..arrival.length], arrival.link_index), (b"hello".as_slice(), 1));
        assert_eq!(arrival.from.unwrap().ip(), from);
    }
}
