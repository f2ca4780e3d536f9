//! Attacks by hunger: more of something than was granted. Each stops by itself.

use std::fs::File;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::EventFd;
use nix::sys::inotify::{InitFlags, Inotify};

use crate::call;

/// Files: the manifest grants 700.
const FILES: usize = 900;
/// Watchers: a service may have 64.
const WATCHERS: usize = 100;
/// Descriptors of each kind, and rounds, of which each watches all of the second kind with all of the first.
const WATCHES: usize = 320;
const ROUNDS: usize = 3;
/// Processes: the manifest grants 16.
const PROCESSES: usize = 100;
/// Memory, in MiB: the manifest grants 24.
const MEMORY_MIB: usize = 64;

pub(super) fn files() -> Result<(), Errno> {
    let open = |_| File::open("/dev/null").or_else(|_| File::open("/"));
    let all: Result<Vec<File>, _> = (0..FILES).map(open).collect();
    all.map(drop).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

pub(super) fn inotify() -> Result<(), Errno> {
    let all: Result<Vec<Inotify>, _> = (0..WATCHERS).map(|_| Inotify::init(InitFlags::IN_CLOEXEC)).collect();
    all.map(drop)
}

/// Watches: each is memory of the kernel's. A child keeps those of a round while its parent goes on.
pub(super) fn epoll() -> Result<(), Errno> {
    for _ in 0..ROUNDS {
        let watched: Result<Vec<EventFd>, _> = (0..WATCHES).map(|_| EventFd::new()).collect();
        let watched = watched?;
        let mut all = Vec::new();
        for _ in 0..WATCHES {
            let watcher = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
            for file in &watched {
                watcher.add(file, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
            }
            all.push(watcher);
        }
        call::fork_a_sleeper()?;
    }
    Ok(())
}

/// They end with this process: the reaper is the first of its namespace, and goes when we go.
pub(super) fn forks() -> Result<(), Errno> {
    let all: Result<Vec<_>, _> = (0..PROCESSES).map(|_| call::fork_a_sleeper()).collect();
    all.map(drop)
}

/// Each page is written to. Where that is too much there is nobody left to say so.
pub(super) fn memory() -> Result<(), Errno> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for number in 0..MEMORY_MIB {
        all.push(vec![u8::try_from(number % 255).unwrap_or(0) + 1; 1 << 20]);
    }
    let sum: usize = all.iter().map(|piece| piece.iter().map(|byte| usize::from(*byte)).sum::<usize>()).sum();
    if sum > 0 { Ok(()) } else { Err(Errno::ENOMEM) }
}
