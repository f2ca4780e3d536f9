//! What the machine says: time, memory, its kernel; and when the network changes.
//!
//! In:  files of the kernel's, a netlink socket that only listens. Out: [`Facts`]; a sign.
//!
//! Source: proc_meminfo(5), rtnetlink(7) (groups).

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::world::Facts;

/// Links, and addresses and routes of both families. Source: linux/rtnetlink.h, `RTMGRP_*`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// Messages that are thrown away in one turn.
const MESSAGES_A_TURN: usize = 64;

/// Brings `facts` up to date.
pub fn look(facts: &mut Facts) {
    facts.now_s = wall_s();
    if facts.kernel.is_empty() {
        facts.kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    }
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    facts.memory_kib = (kib("MemTotal:").unwrap_or(0), kib("MemAvailable:").unwrap_or(0));
}

/// Seconds since 1970; `None`: the clock is not believed.
#[must_use]
pub fn wall_s() -> Option<i64> {
    if !trust::clock::is_believed() {
        return None;
    }
    sys::wall::now_ns().ok().map(|now_ns| now_ns / 1_000_000_000)
}

/// This boot's own name.
#[must_use]
pub fn boot_id() -> Vec<u8> {
    fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// A socket that hears when links, addresses and routes change. It needs no right.
#[derive(Debug)]
pub struct Watch(Option<OwnedFd>);

impl Watch {
    /// Without one a link that returns is noticed when a broker is tried again.
    #[must_use]
    pub fn open() -> Self {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let made = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute);
        Self(made.ok().filter(|one| bind(one.as_raw_fd(), &NetlinkAddr::new(0, GROUPS)).is_ok()))
    }

    /// What it waits for.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }

    /// Has something changed? What it was does not matter: it is thrown away.
    pub fn heard(&self) -> bool {
        let Some(socket) = &self.0 else { return false };
        let mut heard = false;
        for _ in 0..MESSAGES_A_TURN {
            match recv(socket.as_raw_fd(), &mut [0; 4096], MsgFlags::MSG_DONTWAIT) {
                Ok(_) => heard = true,
                // Too many for the queue: something has changed for sure.
                Err(nix::errno::Errno::ENOBUFS) => heard = true,
                Err(_) => break,
            }
        }
        heard
    }
}
