//! What the loop waits for, and until when.
//!
//! In:  everything that has a descriptor or a time. Out: which descriptors have something.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sys::clock::boot_ms;

use super::Room;
use crate::Error;
use crate::peer::Peer;

/// How long we take to go, in milliseconds.
const LEAVE_MS: u64 = 1_000;
/// How often it is looked whether the clock is believed by now, while a timer waits for that, in milliseconds.
const CLOCK_MS: u64 = 10_000;

impl Room {
    /// When there is something to do, in milliseconds after boot.
    fn due_ms(&self) -> Option<u64> {
        let peers = self.peers.iter().filter_map(Peer::due_ms);
        let up = (1..).zip(&self.peers).filter(|(_, peer)| peer.is_up());
        let news = up.filter_map(|(row, _)| self.news.due_ms(row));
        let requests = self.world.requests.iter().map(|request| request.until_ms);
        let clockless = self.world.requests.iter().filter_map(|one| one.timer.as_ref());
        let clock = clockless.filter(|one| one.waits()).map(|_| self.looked_ms.saturating_add(CLOCK_MS));
        let disk = self.kept.due_ms();
        let periodic = self.periodic_ms.iter().copied();
        peers
            .chain(news)
            .chain(requests)
            .chain(self.rooms.due_ms())
            .chain(self.tenants.due_ms())
            .chain(self.broker.due_ms())
            .chain(self.doors.due_ms())
            .chain(self.doctor.due_ms())
            .chain(self.bulk.due_ms())
            .chain(clock)
            .chain(disk)
            .chain(periodic)
            .chain(self.jobs_due_ms())
            .chain(self.slices_due_ms())
            .chain(self.watched.due_ms())
            .chain(self.whereabouts.due_ms())
            .chain(self.onboarding.due_ms(&self.world))
            .chain(self.thresholds.due_ms(&self.world))
            .min()
    }

    /// Every controller hears that we go. Who closes for that is waited for, [`LEAVE_MS`] at most: a connection that is cut with something
    /// unread in it is reset, and what was said last is lost with it.
    pub(super) fn leave(&mut self) {
        let until_ms = boot_ms().saturating_add(LEAVE_MS);
        self.peers.iter_mut().for_each(|peer| peer.leave(boot_ms()));
        while let Some(left) = until_ms.checked_sub(boot_ms()).filter(|left| *left > 0) {
            let open = self.peers.iter().filter_map(Peer::leaving);
            let mut open: Vec<PollFd<'_>> = open.map(|one| PollFd::new(one, PollFlags::POLLIN)).collect();
            let limit = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            if open.is_empty() || poll(&mut open, limit).is_err() {
                return;
            }
            self.peers.iter_mut().for_each(Peer::drain);
        }
    }

    /// Waits; which descriptors have something.
    pub(super) fn wait(&self) -> Result<Vec<RawFd>, Error> {
        let left = self.due_ms().map(|due_ms| due_ms.saturating_sub(boot_ms()));
        // A second at most once a subscription may end by its age: that is looked at by the wall clock.
        let limit = match left {
            None => PollTimeout::NONE,
            Some(left) => PollTimeout::try_from(left.min(3_600_000)).unwrap_or(PollTimeout::MAX),
        };
        let mut wanted = vec![PollFd::new(self.bell.0.as_fd(), PollFlags::POLLIN)];
        wanted.push(PollFd::new(self.end.as_fd(), PollFlags::POLLIN));
        wanted.extend(self.rooms.descriptors().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        wanted.extend(self.watch.descriptor().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        wanted.extend(self.doctor.descriptors().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        wanted.extend(self.doors.descriptors().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        wanted.extend(self.tenants.descriptors().map(|(one, flags)| PollFd::new(one, flags)));
        wanted.extend(self.broker.descriptors().map(|(one, flags)| PollFd::new(one, flags)));
        for (descriptor, writes) in self.peers.iter().filter_map(Peer::descriptor) {
            let write = if writes { PollFlags::POLLOUT } else { PollFlags::empty() };
            wanted.push(PollFd::new(descriptor, PollFlags::POLLIN | write));
        }
        match poll(&mut wanted, limit) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {
                let ready = wanted.iter().filter(|one| one.any().unwrap_or(true));
                Ok(ready.map(|one| one.as_fd().as_raw_fd()).collect())
            }
            Err(errno) => Err(Error::System("poll", errno.into())),
        }
    }
}
