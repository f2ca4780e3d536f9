//! What the machine says: time, memory, its kernel; and when the network changes.
//!
//! In:  files of the kernel's, a netlink socket that only listens. Out: [`Facts`]; a sign.
//!
//! Source: proc_meminfo(5), rtnetlink(7) (groups).

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::fs::MetadataExt;
use std::path::Path;

use contract::Name;
use contract::mount::{VOLUMES, volume_folder};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::world::Facts;

/// Links, neighbours, and addresses and routes of both families. Source: linux/rtnetlink.h, `RTMGRP_*`.
const GROUPS: u32 = 0x1 | 0x4 | 0x10 | 0x40 | 0x100 | 0x400;
/// What is said of neighbours. Source: linux/rtnetlink.h, `RTM_NEWNEIGH` to `RTM_GETNEIGH`.
const NEIGHBOURS: std::ops::RangeInclusive<u16> = 28..=30;
/// Messages that are thrown away in one turn.
const MESSAGES_A_TURN: usize = 64;

/// Brings `facts` up to date.
pub fn look(facts: &mut Facts) {
    facts.now_s = wall_s();
    if facts.kernel.is_empty() {
        facts.kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    }
    if facts.boot.is_empty() {
        facts.boot = boot_id();
    }
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    facts.memory_kib = (kib("MemTotal:").unwrap_or(0), kib("MemAvailable:").unwrap_or(0));
    facts.disk_kib = disk_kib().unwrap_or_default();
    look_at_processors(facts);
}

/// How much of the time since the last look the processors were busy. Source: proc_stat(5).
fn look_at_processors(facts: &mut Facts) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let times: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let all: u64 = times.iter().take(8).sum();
    let idle: u64 = times.iter().skip(3).take(2).sum(); // idle, and waiting for disks
    let busy = all.saturating_sub(idle);
    let span = all.saturating_sub(facts.cpu_time.1);
    if span > 0 {
        facts.cpu_percent =
            busy.saturating_sub(facts.cpu_time.0).saturating_mul(100).checked_div(span).unwrap_or(0);
        facts.cpu_time = (busy, all);
    }
}

/// The data disk, where there is one: it is another file system than the root.
#[allow(clippy::useless_conversion, reason = "these are numbers of 32 bits on the gateway")]
fn disk_kib() -> Option<(u64, u64)> {
    let folder = Path::new(state::STATE).parent()?;
    if fs::metadata(folder).ok()?.st_dev() == fs::metadata("/").ok()?.st_dev() {
        return None;
    }
    let says = nix::sys::statvfs::statvfs(folder).ok()?;
    let kib = |blocks: u64| blocks.saturating_mul(u64::from(says.fragment_size())) / 1024;
    Some((kib(u64::from(says.blocks())), kib(u64::from(says.blocks_available()))))
}

/// What volumes have in them.
pub fn look_at_volumes(facts: &mut Facts) {
    let Some(disk) = Path::new(state::STATE).parent() else { return };
    let used = facts.bundles.iter().filter(|unit| unit.uses.volume.is_some());
    let used = used.map(|unit| (&unit.name, &unit.provider));
    let all = used.chain(facts.kept.iter().map(|one| (&one.service, &one.provider)));
    let says = |(service, provider): (&Name, &Name)| {
        Some(((service.clone(), provider.clone()), volume_bytes(disk, service, provider)?))
    };
    facts.volumes = all.filter_map(says).collect();
}

/// The folder of a volume tells of its own account, where the file system keeps one. Source: statfs(2); the kernel's `ext4_statfs_project`.
#[allow(clippy::useless_conversion, reason = "these are numbers of 32 bits on the gateway")]
fn volume_bytes(disk: &Path, service: &Name, provider: &Name) -> Option<u64> {
    let folder = volume_folder(service, provider);
    let says = nix::sys::statvfs::statvfs(disk.join(VOLUMES).join(folder.as_str()).as_path()).ok()?;
    let whole = nix::sys::statvfs::statvfs(disk).ok()?;
    // Else it is the disk of which it tells.
    let is_its_own = says.blocks() != whole.blocks();
    let blocks = u64::from(says.blocks()).saturating_sub(u64::from(says.blocks_free()));
    is_its_own.then(|| blocks.saturating_mul(u64::from(says.fragment_size())))
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

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// A link, an address or a route: a broker may be reached again.
    pub ways: bool,
    /// A host of ours, or of the operator's.
    pub neighbours: bool,
}

/// A socket that hears when links, addresses, routes and neighbours change. It needs no right.
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

    /// What has changed? More than its kind does not matter: it is thrown away.
    pub fn heard(&self) -> Changes {
        let mut changes = Changes::default();
        let Some(socket) = &self.0 else { return changes };
        for _ in 0..MESSAGES_A_TURN {
            let mut message = [0; 4096];
            match recv(socket.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
                Ok(_) => {
                    // `struct nlmsghdr`: the kind is behind the length.
                    let [_, _, _, _, low, high, ..] = message;
                    let neighbours = NEIGHBOURS.contains(&u16::from_ne_bytes([low, high]));
                    changes.neighbours |= neighbours;
                    changes.ways |= !neighbours;
                }
                // Too many for the queue: something has changed for sure.
                Err(nix::errno::Errno::ENOBUFS) => changes = Changes { ways: true, neighbours: true },
                Err(_) => break,
            }
        }
        changes
    }
}
