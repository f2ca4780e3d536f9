//! The socket on which the kernel tells about links.
//!
//! In:  the wish to be told of all of them. Out: [`News`], all of them once and every change from then on.
//!
//! Not here: what the news says (`link.rs`).
//!
//! Source: rtnetlink(7), netlink(7).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, socket,
};
use sys::{Errno, descriptor};

use crate::PACKETS_A_TURN;
use crate::link::{self, News};

/// What one read can hold: the kernel packs no more into one message than the reader has shown room for.
const NEWS_BYTES: usize = 16 * 1024;
/// The group of news about links. Source: linux/rtnetlink.h, `RTMGRP_LINK`.
const GROUP_LINK: u32 = 1;

/// The socket.
#[derive(Debug)]
pub struct Links {
    socket: OwnedFd,
    /// All links have to be asked for.
    wanted: bool,
    /// They were asked for, and not all have been told yet: the kernel takes one such question at a time.
    asked: bool,
}

impl Links {
    /// Opens it.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: a table of descriptors is full.
    pub fn open() -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkRoute;
        let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUP_LINK))?;
        Ok(Self { socket, wanted: false, asked: false })
    }

    /// From the next turn on all links are told once more.
    pub fn ask(&mut self) {
        self.wanted = true;
    }

    /// Shows to `see` what there is, a bounded number of messages.
    pub fn turn(&mut self, mut see: impl FnMut(&News)) {
        let mut buffer = [0; NEWS_BYTES];
        for _ in 0..PACKETS_A_TURN {
            self.put_question(&mut see);
            match self.receive(&mut buffer) {
                Ok(bytes) => link::read(bytes, |news| {
                    self.asked &= news != News::Complete;
                    see(&news);
                }),
                // Some news was lost.
                Err(Errno::ENOBUFS) => self.wanted = true,
                Err(_) => break,
            }
        }
        self.put_question(&mut see);
    }

    fn put_question(&mut self, see: &mut impl FnMut(&News)) {
        if self.wanted && !self.asked && descriptor::write(&self.socket, &link::question()).is_ok() {
            (self.wanted, self.asked) = (false, true);
            see(&News::Asked);
        }
    }

    /// The next message, if there is one; empty where it is not the kernel's.
    fn receive<'b>(&self, buffer: &'b mut [u8; NEWS_BYTES]) -> Result<&'b [u8], Errno> {
        let (length, sender) = recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), buffer)?;
        let kernel = sender.is_some_and(|sender| sender.pid() == 0);
        Ok(buffer.get(..length).filter(|_| kernel).unwrap_or_default())
    }
}

impl AsFd for Links {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
