//! The network: looked at when somebody asks for it or the kernel says that it is another; and a change of it, which is on trial.
//!
//! A controller that changes the network may cut itself off. So `network` takes every change back after `confirm_within_s` seconds, unless it is
//! confirmed; and it is confirmed once something comes from that controller's side that was asked for [`SETTLE_MS`] after the change or later.
//! By then the network is what it was to be. Should the agent die meanwhile nobody confirms, and the change is taken back, too.
//!
//! Source: docs/decisions/0090-network-by-usp.md.

use std::rc::Rc;

use contract::wanted::Wanted;
use log::{info, warn};
use sys::clock::boot_ms;

use super::Room;
use crate::journal::endpoint;

/// A change is given so much time to do its harm, in milliseconds: a lease or a session is renewed in it.
const SETTLE_MS: u64 = 5_000;
/// How often the controller's side is asked to say something, in milliseconds.
const PING_EVERY_MS: u64 = 5_000;
/// How old what was said of the network may be when somebody asks, in milliseconds.
const FRESH_MS: u64 = 500;
/// News of the kernel's come in crowds: they are waited for, in milliseconds.
const CROWD_MS: u64 = 50;
/// How often it is looked at by itself, at most, in milliseconds; and again while `network` does not answer.
const LOOK_EVERY_MS: u64 = 1_000;

/// When the network was looked at, and what of it is on trial.
#[derive(Debug)]
pub(super) struct Watched {
    looked_ms: u64,
    /// It is to be looked at then.
    due_ms: Option<u64>,
    trial: Option<Trial>,
}

/// A change that is on trial.
#[derive(Debug)]
struct Trial {
    /// The row of the controller whose change it is.
    controller: u32,
    since_ms: u64,
    pinged_ms: u64,
}

impl Default for Watched {
    /// It is looked at at once, so that subscriptions of a former life begin with what is there.
    fn default() -> Self {
        Self { looked_ms: 0, due_ms: Some(0), trial: None }
    }
}

impl Watched {
    /// The kernel says that something is another.
    pub(super) fn stir(&mut self, now_ms: u64) {
        let at_ms = now_ms.saturating_add(CROWD_MS).max(self.looked_ms.saturating_add(LOOK_EVERY_MS));
        self.due_ms = Some(self.due_ms.map_or(at_ms, |due_ms| due_ms.min(at_ms)));
    }

    /// When there is something to do, in milliseconds after boot.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let trial = self.trial.as_ref().map(|trial| trial.pinged_ms.saturating_add(PING_EVERY_MS));
        self.due_ms.into_iter().chain(trial).min()
    }
}

impl Room {
    /// Looks at the network, unless it was looked at just now.
    pub(super) fn look_at_network(&mut self, now_ms: u64) {
        if self.world.network.wanted.is_some() && now_ms < self.watched.looked_ms.saturating_add(FRESH_MS) {
            return;
        }
        self.watched.looked_ms = now_ms;
        self.watched.due_ms = None;
        let new = self.rooms.network.look();
        if new.wanted.is_none() {
            self.watched.stir(now_ms);
        }
        self.world.network.hear(new);
        self.stale = true;
        self.discover();
    }

    /// Has another network tried for the controller in this row.
    pub(super) fn try_network(
        &mut self,
        wanted: &Rc<Wanted>,
        controller: u32,
        now_ms: u64,
    ) -> Result<(), String> {
        self.rooms.network.change(wanted, self.world.configuration.confirm_within_s)?;
        let since_ms = boot_ms().max(now_ms);
        info!("{}: changes the network, on trial", endpoint(&self.world, controller).unwrap_or_default());
        self.watched.trial = Some(Trial { controller, since_ms, pinged_ms: since_ms });
        // What is there now is another network: it may need a moment to be so.
        self.watched.looked_ms = 0;
        self.watched.due_ms = Some(since_ms.saturating_add(CROWD_MS));
        Ok(())
    }

    /// Confirms a change whose controller is there again, or sees that it was taken back.
    pub(super) fn attend_network(&mut self, now_ms: u64) {
        if self.watched.due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            self.watched.looked_ms = 0;
            self.look_at_network(now_ms);
        }
        let Some(trial) = &mut self.watched.trial else { return };
        let (controller, since_ms) = (trial.controller, trial.since_ms);
        let over =
            now_ms >= since_ms.saturating_add(u64::from(self.world.configuration.confirm_within_s) * 1000);
        let place = usize::try_from(controller).unwrap_or(0).saturating_sub(1);
        let Some(peer) = self.peers.get_mut(place) else { return };
        let settled_ms = since_ms.saturating_add(SETTLE_MS);
        if !over && peer.heard_ms().is_some_and(|heard_ms| heard_ms >= settled_ms) {
            self.watched.trial = None;
            match self.rooms.network.confirm() {
                Ok(()) => info!("the changed network is kept"),
                Err(why) => self.tell_reverted(&why, now_ms),
            }
            self.watched.stir(now_ms);
        } else if over {
            self.watched.trial = None;
            self.tell_reverted("its controller did not come back", now_ms);
            self.watched.stir(now_ms);
        } else if now_ms >= trial.pinged_ms.saturating_add(PING_EVERY_MS) {
            trial.pinged_ms = now_ms;
            peer.ping(now_ms);
        }
    }

    fn tell_reverted(&mut self, why: &str, now_ms: u64) {
        warn!("the changed network was taken back: {why}");
        let arguments = [("Reason", why.to_owned())];
        let event = ("Device.X_SHG_Network.", "Reverted");
        self.news.happen(&self.world, event, &arguments, (None, true, now_ms));
    }
}
