//! Many datagrams in one call, and their answers in another: recvmmsg(2), sendmmsg(2).
//!
//! In:  a UDP socket. Out: datagrams with who sent them and to which of our addresses; answers, each to its sender from that address.
//!
//! The address is known where the socket asked for it (`IPV6_RECVPKTINFO`): the control message goes back as it came.
//!
//! Source: recvmmsg(2), sendmmsg(2), ipv6(7); RFC 3542 §6.

use std::io::IoSlice;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage, sendmsg,
};

/// Datagrams of one call.
pub const BATCH: usize = 32;
/// A datagram that is received or sent, in bytes; a longer one is cut and marked.
pub const DATAGRAM_BYTES: usize = 1_280;
/// [`BATCH`], as the calls take it.
const COUNT: libc::c_uint = 32;
const _: () = assert!(COUNT as usize == BATCH);
/// Room for one `struct in6_pktinfo` with its header.
const CONTROL_BYTES: usize = 64;

/// Who sent a datagram, and to which address and link of ours, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Who.
    pub address: SocketAddr,
    /// To which of our addresses, on which link.
    pub local: Option<(Ipv6Addr, u32)>,
}

#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);
// SAFETY: `CMSG_SPACE` only computes.
const _: () = assert!(CONTROL_BYTES >= unsafe { libc::CMSG_SPACE(20) } as usize);

/// One datagram and its answer.
pub struct Slot {
    name: libc::sockaddr_storage,
    name_bytes: libc::socklen_t,
    control: Control,
    control_bytes: usize,
    cut: bool,
    input_bytes: usize,
    output_bytes: usize,
    input: [u8; DATAGRAM_BYTES],
    output: [u8; DATAGRAM_BYTES],
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("input_bytes", &self.input_bytes).finish_non_exhaustive()
    }
}

/// Room for [`BATCH`] datagrams and their answers.
#[derive(Debug)]
pub struct Batch {
    slots: Vec<Slot>,
}

impl Slot {
    fn new() -> Self {
        Self {
            // SAFETY: a plain C struct of integers; all zero is a valid value of it.
            name: unsafe { std::mem::zeroed() },
            name_bytes: 0,
            control: Control([0; CONTROL_BYTES]),
            control_bytes: 0,
            cut: false,
            input_bytes: 0,
            output_bytes: 0,
            input: [0; DATAGRAM_BYTES],
            output: [0; DATAGRAM_BYTES],
        }
    }

    /// The datagram, and room for its answer.
    pub fn parts(&mut self) -> (&[u8], &mut [u8; DATAGRAM_BYTES]) {
        (self.input.get(..self.input_bytes).unwrap_or_default(), &mut self.output)
    }

    /// Was it longer than [`DATAGRAM_BYTES`]?
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The first `bytes` of the output are its answer; 0: it gets none.
    pub fn answer(&mut self, bytes: usize) {
        self.output_bytes = bytes.min(DATAGRAM_BYTES);
    }

    /// Who sent it. `None`: of no family that we know.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        let name: *const libc::sockaddr_storage = &raw const self.name;
        // SAFETY: `name` is a whole `sockaddr_storage` that the kernel filled to `name_bytes`.
        let name = unsafe { SockaddrStorage::from_raw(name.cast(), Some(self.name_bytes)) }?;
        let address = match (name.as_sockaddr_in(), name.as_sockaddr_in6()) {
            (Some(address), _) => SocketAddrV4::from(*address).into(),
            (None, Some(address)) => SocketAddrV6::from(*address).into(),
            (None, None) => return None,
        };
        Some(Peer { address, local: self.local() })
    }

    /// Reads a `struct in6_pktinfo`, which is the only control message that is asked for.
    fn local(&self) -> Option<(Ipv6Addr, u32)> {
        // SAFETY: `CMSG_LEN` only computes.
        let header = unsafe { libc::CMSG_LEN(0) } as usize;
        let whole = header + 20; // struct in6_pktinfo
        let data = self.control.0.get(header..whole).filter(|_| self.control_bytes >= whole)?;
        let (address, index) = data.split_first_chunk::<16>()?;
        Some((Ipv6Addr::from(*address), u32::from_ne_bytes(*index.first_chunk()?)))
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self { slots: std::iter::repeat_with(Slot::new).take(BATCH).collect() }
    }
}

impl Batch {
    /// The first `count` datagrams.
    pub fn slots(&mut self, count: usize) -> &mut [Slot] {
        let count = count.min(self.slots.len());
        self.slots.get_mut(..count).unwrap_or_default()
    }

    /// Receives what is there, at most [`BATCH`], and says how many that were.
    ///
    /// # Errors
    /// `EAGAIN`: nothing. recvmmsg(2)'s others.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> Result<usize, Errno> {
        let mut parts = [const { libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 } }; BATCH];
        // SAFETY: a plain C struct of integers and pointers; all zero is a valid value of it.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for ((slot, part), header) in self.slots.iter_mut().zip(&mut parts).zip(&mut headers) {
            *part = libc::iovec { iov_base: slot.input.as_mut_ptr().cast(), iov_len: DATAGRAM_BYTES };
            header.msg_hdr.msg_name = (&raw mut slot.name).cast();
            header.msg_hdr.msg_namelen =
                libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(0);
            header.msg_hdr.msg_control = slot.control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
        }
        let count = loop {
            // SAFETY: `BATCH` headers whose pointers lead to `parts` and `slots`, alive with their true lengths during the call.
            let answer = unsafe {
                libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), COUNT, 0, std::ptr::null_mut())
            };
            match Errno::result(answer) {
                Err(Errno::EINTR) => {}
                other => break usize::try_from(other?).unwrap_or(0),
            }
        };
        for (slot, header) in self.slots.iter_mut().zip(&headers).take(count) {
            #[allow(clippy::unnecessary_cast, reason = "32 bits wide with musl")]
            let control_bytes = header.msg_hdr.msg_controllen as usize;
            slot.control_bytes = control_bytes;
            slot.name_bytes = header.msg_hdr.msg_namelen;
            slot.cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            slot.input_bytes = usize::try_from(header.msg_len).unwrap_or(0);
            slot.output_bytes = 0;
        }
        Ok(count)
    }

    /// Sends the answers of the first `count` datagrams, and says how many went. What the socket does not take is lost, as datagrams are.
    ///
    /// # Errors
    /// The first answer's: `EAGAIN`, `ENETUNREACH`, sendmmsg(2)'s others.
    pub fn send(&mut self, socket: BorrowedFd<'_>, count: usize) -> Result<usize, Errno> {
        let mut parts = [const { libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 } }; BATCH];
        // SAFETY: a plain C struct of integers and pointers; all zero is a valid value of it.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        let answers = self.slots.iter_mut().take(count).filter(|slot| slot.output_bytes > 0);
        let mut filled = 0_u16;
        for ((slot, part), header) in answers.zip(&mut parts).zip(&mut headers) {
            *part = libc::iovec { iov_base: slot.output.as_mut_ptr().cast(), iov_len: slot.output_bytes };
            header.msg_hdr.msg_name = (&raw mut slot.name).cast();
            header.msg_hdr.msg_namelen = slot.name_bytes;
            if slot.control_bytes > 0 {
                header.msg_hdr.msg_control = slot.control.0.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = slot.control_bytes as _;
            }
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            filled += 1;
        }
        if filled == 0 {
            return Ok(0);
        }
        loop {
            // SAFETY: `filled` headers whose pointers lead to `parts` and `slots`, alive with their true lengths during the call.
            let answer =
                unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), filled.into(), 0) };
            match Errno::result(answer) {
                Err(Errno::EINTR) => {}
                other => return other.map(|sent| usize::try_from(sent).unwrap_or(0)),
            }
        }
    }
}

/// Sends one datagram to `peer`, from the address that it spoke to where that is known.
///
/// # Errors
/// `EAGAIN`: the queue is full. `ENETUNREACH`: no route. sendmsg(2)'s others.
pub fn send_to(socket: BorrowedFd<'_>, peer: &Peer, bytes: &[u8]) -> Result<(), Errno> {
    let info = peer.local.map(|(address, index)| libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr { s6_addr: address.octets() },
        ipi6_ifindex: index as _,
    });
    let control: Vec<ControlMessage<'_>> = info.iter().map(ControlMessage::Ipv6PacketInfo).collect();
    let (number, parts) = (socket.as_raw_fd(), [IoSlice::new(bytes)]);
    loop {
        let sent = match peer.address {
            SocketAddr::V4(to) => {
                sendmsg(number, &parts, &[], MsgFlags::empty(), Some(&SockaddrIn::from(to)))
            }
            SocketAddr::V6(to) => {
                sendmsg(number, &parts, &control, MsgFlags::empty(), Some(&SockaddrIn6::from(to)))
            }
        };
        match sent {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Batch;
    use nix::sys::socket::{setsockopt, sockopt};
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    /// A hello to each of two families, answered from the address that was asked.
    #[test]
    fn answers_go_back_where_questions_came_from() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(ours) = UdpSocket::bind(address) else {
                println!("skipped in part: no {address}");
                continue;
            };
            ours.set_nonblocking(true).unwrap();
            if address.starts_with('[') {
                setsockopt(&ours, sockopt::Ipv6RecvPacketInfo, &true).unwrap();
            }
            let theirs = UdpSocket::bind(address).unwrap();
            theirs.connect(ours.local_addr().unwrap()).unwrap();
            theirs.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
            for word in [&b"one"[..], b"two", &[7; 1_400]] {
                theirs.send(word).unwrap();
            }
            let mut batch = Batch::default();
            assert_eq!(batch.receive(ours.as_fd()), Ok(3));
            assert!(batch.slots(3)[2].is_cut() && !batch.slots(3)[1].is_cut());
            let peer = batch.slots(1)[0].peer().unwrap();
            assert_eq!(peer.address, theirs.local_addr().unwrap());
            assert_eq!(
                peer.local.map(|(local, _)| local.to_string()),
                address.starts_with('[').then(|| "::1".into())
            );
            let (input, output) = batch.slots(2)[1].parts();
            assert_eq!(input, b"two");
            output[..4].copy_from_slice(b"back");
            batch.slots(2)[1].answer(4);
            assert_eq!(batch.send(ours.as_fd(), 3), Ok(1), "only one has an answer");
            let mut buffer = [0; 16];
            assert_eq!(theirs.recv(&mut buffer).unwrap(), 4);
            assert_eq!(&buffer[..4], b"back");
            super::send_to(ours.as_fd(), &peer, b"later").unwrap();
            assert_eq!(theirs.recv(&mut buffer).unwrap(), 5);
            assert_eq!(batch.send(ours.as_fd(), 0), Ok(0));
        }
    }
}
