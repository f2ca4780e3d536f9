//! PID 1's loop: reap, keep, feed, end.
//!
//! In:  the inbox and the supervisor. Out: nothing; it does not return.

use std::os::fd::OwnedFd;

use heapless::Vec;
use log::{error, info, warn};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sys::clock;
use sys::wait::{self, Ended};
use sys::watchdog::Watchdog;

use crate::Limits;
use crate::inbox::{BUTTONS, Inbox, News};
use crate::keeper::{Keeper, Order};
use crate::power::{self, Power};

/// The longest that it sleeps, in milliseconds: the watchdog wants food.
const TURN_MS_MAX: u64 = 5_000;

/// The machine, once it has booted.
#[derive(Debug)]
pub struct Machine {
    limits: Limits,
    inbox: Inbox,
    keeper: Keeper,
    watchdog: Option<Watchdog>,
    /// How it ends, and since when, in milliseconds after boot.
    ending: Option<(Power, u64)>,
}

impl Machine {
    /// Opens all that the loop needs; `began_ms`: PID 1's first line, in milliseconds after boot.
    ///
    /// # Errors
    /// There is no inbox: nothing can be kept alive then.
    pub fn new(limits: Limits, began_ms: u64) -> Result<Self, Errno> {
        let inbox = Inbox::open()?;
        Ok(Self {
            limits,
            inbox,
            keeper: Keeper::new(limits, began_ms),
            watchdog: watchdog(limits),
            ending: None,
        })
    }

    /// Runs until the machine ends.
    pub fn run(&mut self) -> ! {
        loop {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let now_ms = clock::boot_ms();
        while let Some(news) = self.inbox.take() {
            match news {
                News::Child => {} // All of them are reaped below.
                News::Reboot => self.end(Power::Reboot, now_ms),
                News::PowerOff => self.end(Power::Off, now_ms),
            }
        }
        self.reap(now_ms);
        while let Some(order) = self.keeper.hear(now_ms) {
            match (order, self.ending) {
                (Order::End(power), _) => self.end(power, now_ms),
                (Order::Stopped, Some((power, _))) => power::down(power),
                (Order::Stopped, None) => warn!("the supervisor stopped everything though nobody asked"),
            }
        }
        let mut wake_ms = now_ms + TURN_MS_MAX;
        match self.ending {
            Some((power, since_ms)) if now_ms.saturating_sub(since_ms) > self.limits.stop_ms => {
                error!("not everything stopped within {} ms", self.limits.stop_ms);
                power::down(power)
            }
            Some((_, since_ms)) => wake_ms = wake_ms.min(since_ms + self.limits.stop_ms),
            None => wake_ms = wake_ms.min(self.keeper.keep(now_ms)),
        }
        // While it ends the watchdog goes hungry: its limit is longer than `stop_ms`, and an end that hangs is ended by it.
        if let (Some(watchdog), None, true) = (&self.watchdog, self.ending, self.keeper.is_well(now_ms)) {
            watchdog.feed();
        }
        let _ = self.keeper.give_back();
        self.wait(wake_ms.saturating_sub(clock::boot_ms()));
    }

    /// Waits for anything to happen, `limit_ms` at most.
    fn wait(&self, limit_ms: u64) {
        let mut wanted: Vec<PollFd<'_>, { BUTTONS + 2 }> = Vec::new();
        for descriptor in self.inbox.descriptors() {
            let _ = wanted.push(PollFd::new(descriptor, PollFlags::POLLIN)); // As long as the table.
        }
        if let Some((descriptor, writes)) = self.keeper.descriptor() {
            let flags = if writes { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
            let _ = wanted.push(PollFd::new(descriptor, flags));
        }
        let limit = PollTimeout::from(u16::try_from(limit_ms + 1).unwrap_or(u16::MAX));
        // EINTR and an early return only mean one turn more.
        let _ = poll(&mut wanted, limit);
    }

    /// Buries everybody who has ended.
    fn reap(&mut self, now_ms: u64) {
        // A new process may have the number already, but what the supervisor says of that one is read later.
        while let Ok(Some(Ended { pid, status })) = wait::take(None) {
            self.bury(pid, status, now_ms);
        }
    }

    fn bury(&mut self, pid: i32, status: i32, now_ms: u64) {
        let known = self.keeper.store.bury(pid, status);
        let supervisor = !known && self.keeper.bury(pid, now_ms);
        if let (true, Some((power, _))) = (supervisor, self.ending) {
            warn!("the supervisor died while it stopped everything");
            power::down(power);
        }
    }

    fn end(&mut self, power: Power, now_ms: u64) {
        if self.ending.is_some() {
            return; // The first word counts.
        }
        info!("ending: {power:?}");
        self.ending = Some((power, now_ms));
        if !self.keeper.tell_to_stop() {
            warn!("there is no supervisor to stop everything");
            power::down(power);
        }
    }
}

/// Starts the hardware watchdog, where there is one.
fn watchdog(limits: Limits) -> Option<Watchdog> {
    const DEVICE: &str = "/dev/watchdog";
    let device = match std::fs::OpenOptions::new().write(true).open(DEVICE) {
        Ok(device) => OwnedFd::from(device),
        Err(error) => {
            warn!("{DEVICE}: {error}; nothing restarts a machine that hangs");
            return None;
        }
    };
    match Watchdog::start(device, limits.watchdog_s) {
        Ok((watchdog, limit_s)) => {
            info!("{DEVICE}: {limit_s} s");
            Some(watchdog)
        }
        Err((_, errno)) => {
            warn!("{DEVICE}: {}", errno.desc());
            None
        }
    }
}
