//! A netlink socket: ask, dump, send a batch, hear news. One thread, no runtime.
//!
//! In:  requests as bytes. Out: answers' bodies, or the kernel's error.
//!
//! The kernel answers a request before `send` returns, so nothing here waits for anybody but it; [`ANSWER_MS`] is for a kernel that is
//! ill. A socket may have come from the supervisor and been used by a former life of ours: what lies in its queue is thrown away
//! before each request, and answers are known by their numbers.
//!
//! Not here: what messages mean (`kernel.rs`, `filter.rs`).
//!
//! Source: netlink(7); linux/netlink.h.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, recvfrom, send,
    setsockopt, socket, sockopt,
};
use sys::{Errno, clock, descriptor};

use crate::bytes::{self, Message};
use crate::observed::error_number;

/// `NLM_F_REQUEST`.
pub const REQUEST: u16 = 1;
/// `NLM_F_ACK`.
pub const ACK: u16 = 4;
/// `NLM_F_DUMP`.
const DUMP: u16 = 0x300;
/// `NLM_F_REPLACE`, for requests that make something.
pub const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`.
pub const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub const APPEND: u16 = 0x800;
/// `NLM_F_DUMP_INTR`: the table changed while it was dumped.
const INTERRUPTED: u16 = 0x10;

/// `NLMSG_ERROR`: an error, or an acknowledgement.
const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
const DONE: u16 = 3;

/// How long the kernel may take for an answer, in milliseconds.
const ANSWER_MS: u16 = 5_000;
/// The largest packet that the kernel sends in a dump. Source: net/netlink/af_netlink.c, `netlink_recvmsg` (32 KiB).
const PACKET_BYTES: usize = 32 * 1024;
/// Room for a batch on its way out: the firewall with every service and every port that limits allow is about half of it.
const SEND_BYTES: usize = 1 << 20;
/// A dump that changes under our hands is asked for again, so often.
const DUMPS_MAX: u32 = 8;
/// Packets of one answer, at most: a table of 100 000 routes.
const PACKETS_MAX: u32 = 4_096;
/// Changes that go out together, at most: should the kernel refuse each, its answers still fit into the socket's queue.
const TOGETHER: usize = 64;

/// A socket that asks.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
    /// Where answers are read: made once, for a dump needs 32 KiB of it.
    buffer: Vec<u8>,
}

/// A request for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its kind.
    pub kind: u16,
    /// Its flags beside those of every request.
    pub flags: u16,
    /// What follows the header.
    pub body: Vec<u8>,
}

impl Socket {
    /// A socket for links, addresses, routes of our own namespace.
    ///
    /// # Errors
    /// `EMFILE`: our table of descriptors is full.
    pub fn route() -> Result<Self, Errno> {
        open(SockProtocol::NetlinkRoute).map(Self::adopt)
    }

    /// A socket for the firewall of our own namespace.
    ///
    /// # Errors
    /// `EMFILE`. `EPROTONOSUPPORT`: a kernel without nfnetlink.
    pub fn filter() -> Result<Self, Errno> {
        let descriptor = open(SockProtocol::NetlinkNetFilter)?;
        // The right to it is one of the initial user namespace; elsewhere there is less room, and a batch that is larger says
        // `EMSGSIZE`.
        let forced = setsockopt(&descriptor, sockopt::SndBufForce, &SEND_BYTES);
        let _ = forced.or_else(|_| setsockopt(&descriptor, sockopt::SndBuf, &SEND_BYTES));
        Ok(Self::adopt(descriptor))
    }

    /// A socket that somebody else has opened, in whatever namespace.
    #[must_use]
    pub fn adopt(descriptor: OwnedFd) -> Self {
        // Numbers of a former life on the same socket are not ours.
        let sequence = u32::try_from(clock::boot_ms() & 0x00ff_ffff).unwrap_or(0) << 8;
        Self { descriptor, sequence, buffer: Vec::new() }
    }

    /// The next `count` numbers; returns the first.
    pub fn numbers(&mut self, count: u32) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(count);
        first
    }

    /// Asks for a change and waits for the acknowledgement.
    ///
    /// # Errors
    /// What the kernel says; `ETIMEDOUT` where it says nothing.
    pub fn change(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<(), Errno> {
        let sequence = self.numbers(1);
        self.send(&bytes::message(kind, REQUEST | ACK | flags, sequence, body))?;
        self.answers(sequence, sequence, |_| {})
    }

    /// Asks for many changes, in their order, with few system calls. One that is refused does not keep the others back. Returns what the
    /// kernel said to each.
    ///
    /// Only the last of those that go together wants an acknowledgement: an error comes in any case, and before it.
    pub fn changes(&mut self, requests: &[Request]) -> Vec<Result<(), Errno>> {
        let mut said = vec![Ok(()); requests.len()];
        for (requests, said) in requests.chunks(TOGETHER).zip(said.chunks_mut(TOGETHER)) {
            if let Err(errno) = self.together(requests, said) {
                // Which of them were made nobody knows now.
                said.iter_mut().filter(|said| said.is_ok()).for_each(|said| *said = Err(errno));
            }
        }
        said
    }

    fn together(&mut self, requests: &[Request], said: &mut [Result<(), Errno>]) -> Result<(), Errno> {
        let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let (first, mut packet) = (self.numbers(count), Vec::new());
        let last = first.wrapping_add(count).wrapping_sub(1);
        for (number, request) in (0..count).map(|at| first.wrapping_add(at)).zip(requests) {
            let ack = if number == last { ACK } else { 0 };
            packet.extend(bytes::message(request.kind, REQUEST | ack | request.flags, number, &request.body));
        }
        self.send(&packet)?;
        self.read(first, last, |message| {
            let Some(number) = error_number(message.body).filter(|_| message.kind == ERROR) else {
                return Ok(false);
            };
            let at = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
            if let (Some(said), true) = (said.get_mut(at), number != 0) {
                *said = Err(Errno::from_raw(number));
            }
            Ok(message.sequence == last)
        })
    }

    /// Asks for one thing; returns the body of the answer.
    ///
    /// # Errors
    /// As [`Socket::change`].
    pub fn get(&mut self, kind: u16, body: &[u8]) -> Result<Vec<u8>, Errno> {
        let sequence = self.numbers(1);
        self.send(&bytes::message(kind, REQUEST | ACK, sequence, body))?;
        let mut answer = Vec::new();
        self.answers(sequence, sequence, |message| answer = message.body.to_vec())?;
        Ok(answer)
    }

    /// Asks for a whole table; `each` is given every body.
    ///
    /// # Errors
    /// As [`Socket::change`]; `EINTR` where the table did not hold still.
    pub fn dump(&mut self, kind: u16, body: &[u8]) -> Result<Vec<Vec<u8>>, Errno> {
        for _ in 0..DUMPS_MAX {
            let (mut bodies, mut whole) = (Vec::new(), true);
            let sequence = self.numbers(1);
            self.send(&bytes::message(kind, REQUEST | DUMP, sequence, body))?;
            self.answers(sequence, sequence, |message| {
                whole &= message.flags & INTERRUPTED == 0;
                if message.kind > DONE {
                    bodies.push(message.body.to_vec());
                }
            })?;
            if whole {
                return Ok(bodies);
            }
        }
        Err(Errno::EINTR)
    }

    /// Sends messages that have their numbers already, `first` to `last`; the last one that can be wants an acknowledgement.
    ///
    /// # Errors
    /// The first one that the kernel names.
    pub fn batch(&mut self, messages: &[u8], first: u32, acknowledged: u32) -> Result<(), Errno> {
        self.send(messages)?;
        self.answers(first, acknowledged, |_| {})
    }

    fn send(&self, packet: &[u8]) -> Result<(), Errno> {
        let mut old = [0; 1024];
        for _ in 0..PACKETS_MAX {
            if recv(self.descriptor.as_raw_fd(), &mut old, MsgFlags::MSG_DONTWAIT) == Err(Errno::EAGAIN) {
                break;
            }
        }
        send(self.descriptor.as_raw_fd(), packet, MsgFlags::empty()).map(drop)
    }

    /// Reads until number `last` is acknowledged, or its dump is done, or one from `first` on has an error.
    fn answers(&mut self, first: u32, last: u32, mut each: impl FnMut(&Message<'_>)) -> Result<(), Errno> {
        self.read(first, last, |message| match (message.kind, error_number(message.body)) {
            (ERROR | DONE, Some(number)) if number != 0 => Err(Errno::from_raw(number)),
            (ERROR, _) => Ok(message.sequence == last),
            (DONE, _) => {
                each(message);
                Ok(true)
            }
            _ => {
                each(message);
                Ok(false)
            }
        })
    }

    /// Reads answers to the numbers from `first` to `last` until `each` says that this was all.
    fn read(
        &mut self,
        first: u32,
        last: u32,
        mut each: impl FnMut(&Message<'_>) -> Result<bool, Errno>,
    ) -> Result<(), Errno> {
        self.buffer.resize(PACKET_BYTES, 0);
        for _ in 0..PACKETS_MAX {
            // It is there already, as a rule: the kernel answers before `send` returns.
            let length = match recv(self.descriptor.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => {
                    if !descriptor::wait_readable(self.descriptor.as_fd(), ANSWER_MS)? {
                        return Err(Errno::ETIMEDOUT);
                    }
                    continue;
                }
                length => length?,
            };
            for message in bytes::messages(self.buffer.get(..length).unwrap_or_default()) {
                // Numbers wrap; what lies between the first and the last does so without looking at how large they are.
                if message.sequence.wrapping_sub(first) > last.wrapping_sub(first) {
                    continue;
                }
                if each(&message)? {
                    return Ok(());
                }
            }
        }
        Err(Errno::EMSGSIZE)
    }
}

/// A socket that hears what changes.
#[derive(Debug)]
pub struct News {
    descriptor: OwnedFd,
}

impl News {
    /// Hears of links, addresses, routes, rules and queues of our own namespace.
    ///
    /// # Errors
    /// `EMFILE`: our table of descriptors is full.
    pub fn of_routes() -> Result<Self, Errno> {
        const LINK: u32 = 1; // RTMGRP_LINK
        const ADDRESS: u32 = 0x10; // RTMGRP_IPV4_IFADDR
        const ROUTE: u32 = 0x40; // RTMGRP_IPV4_ROUTE
        const RULE: u32 = 0x80; // RTMGRP_IPV4_RULE
        const ADDRESS6: u32 = 0x100; // RTMGRP_IPV6_IFADDR
        const ROUTE6: u32 = 0x400; // RTMGRP_IPV6_ROUTE
        const RULE6: u32 = 1 << 18; // RTNLGRP_IPV6_RULE is the nineteenth group
        const QUEUE: u32 = 8; // RTMGRP_TC
        let groups = LINK | QUEUE | ADDRESS | ROUTE | RULE | ADDRESS6 | ROUTE6 | RULE6;
        Self::open(SockProtocol::NetlinkRoute, groups)
    }

    /// Hears of nftables.
    ///
    /// # Errors
    /// `EMFILE`. `EPROTONOSUPPORT`: a kernel without nfnetlink.
    pub fn of_filter() -> Result<Self, Errno> {
        const NFTABLES: u32 = 1 << 6; // NFNLGRP_NFTABLES is the seventh group
        Self::open(SockProtocol::NetlinkNetFilter, NFTABLES)
    }

    fn open(protocol: SockProtocol, groups: u32) -> Result<Self, Errno> {
        let descriptor = open(protocol)?;
        bind(descriptor.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        descriptor::set_nonblocking(descriptor.as_fd())?;
        Ok(Self { descriptor })
    }

    /// Reads what there is. Has something changed? What was lost (`ENOBUFS`) has changed something, too: who asks looks at everything
    /// anyway.
    #[must_use]
    pub fn heard(&self) -> bool {
        let (mut heard, mut buffer) = (false, [0; 4096]);
        for _ in 0..PACKETS_MAX {
            match recvfrom::<NetlinkAddr>(self.descriptor.as_raw_fd(), &mut buffer) {
                Ok((_, sender)) => heard |= sender.is_some_and(|sender| sender.pid() == 0),
                Err(Errno::ENOBUFS) => heard = true,
                Err(_) => break,
            }
        }
        heard
    }
}

impl AsFd for News {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn open(protocol: SockProtocol) -> Result<OwnedFd, Errno> {
    socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
}

#[cfg(test)]
mod tests {
    use super::{Request, Socket};
    use sys::Errno;

    // Reading links needs no right; these ask the kernel of this machine and change nothing.
    const GETLINK: u16 = 18;

    #[test]
    fn a_table_is_dumped_and_an_error_has_its_name() {
        let mut socket = Socket::route().unwrap();
        let links = socket.dump(GETLINK, &[0; 16]).unwrap();
        assert!(!links.is_empty(), "there is always lo");
        let mut nobody = [0; 16];
        nobody[4..8].copy_from_slice(&0x7fff_fff0_u32.to_ne_bytes());
        assert_eq!(socket.get(GETLINK, &nobody), Err(Errno::ENODEV));
        let mut lo = [0; 16];
        lo[4..8].copy_from_slice(&1_u32.to_ne_bytes());
        assert_eq!(socket.get(GETLINK, &lo).unwrap().get(4..8), Some(1_u32.to_ne_bytes().as_slice()));
    }

    // A request of a kind that is not there is refused; it needs no right and changes nothing.
    #[test]
    fn each_of_many_has_its_own_answer() {
        const NONE: u16 = 0x7ff;
        let mut socket = Socket::route().unwrap();
        let mut lo = [0; 16].to_vec();
        lo[4..8].copy_from_slice(&1_u32.to_ne_bytes());
        let ask = |kind: u16| Request { kind, flags: 0, body: lo.clone() };
        let many: Vec<Request> = (0..150).map(|at| ask(if at % 3 == 1 { NONE } else { GETLINK })).collect();
        let said = socket.changes(&many);
        assert_eq!(said.len(), many.len());
        for (request, said) in many.iter().zip(said) {
            let wanted = if request.kind == NONE { Err(Errno::EOPNOTSUPP) } else { Ok(()) };
            assert_eq!(said, wanted, "{request:?}");
        }
        assert!(socket.changes(&[]).is_empty());
    }

    #[test]
    fn an_answer_that_nobody_took_disturbs_nobody() {
        let mut socket = Socket::route().unwrap();
        let sequence = socket.numbers(1);
        socket.send(&crate::bytes::message(GETLINK, 0x301, sequence, &[0; 16])).unwrap();
        assert!(!socket.dump(GETLINK, &[0; 16]).unwrap().is_empty(), "a dump was under way");
    }
}
