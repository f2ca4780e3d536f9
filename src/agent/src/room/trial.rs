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
use crate::machine::Changes;
use crate::tenants::bucket::Bucket;

/// A change is given so much time to do its harm, in milliseconds: a lease or a session is renewed in it.
const SETTLE_MS: u64 = 5_000;
/// How often the controller's side is asked to say something, in milliseconds.
const PING_EVERY_MS: u64 = 5_000;
/// How old what was said of the network may be when somebody asks, in milliseconds.
const FRESH_MS: u64 = 500;
/// News of the kernel's come in crowds: they are waited for, in milliseconds.
const CROWD_MS: u64 = 50;
/// For such news it is looked at so often a second, and so often at once: each look asks three rooms.
const LOOKS: (u64, u64) = (1, 5);
/// Of these so many are left to links, addresses and routes: some neighbour is another all day long.
const LEFT: u64 = 2;
/// What the end of a trial may have changed.
const WAYS: Changes = Changes { ways: true, neighbours: false };
/// How soon it is looked at again while `network` does not answer, in milliseconds.
const AGAIN_MS: u64 = 1_000;

/// When the network was looked at, and what of it is on trial.
#[derive(Debug)]
pub(super) struct Watched {
    looked_ms: u64,
    /// It is to be looked at then.
    due_ms: Option<u64>,
    /// Looks that there may be.
    looks: Bucket,
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
        Self { looked_ms: 0, due_ms: Some(0), looks: Bucket::full(LOOKS.0, LOOKS.1, 0), trial: None }
    }
}

impl Watched {
    /// The kernel says that something is another.
    pub(super) fn stir(&mut self, changes: Changes, now_ms: u64) {
        if !changes.ways && !changes.neighbours {
            return;
        }
        let tokens = if changes.ways { 1 } else { 1 + LEFT };
        let at_ms = now_ms.saturating_add(CROWD_MS).max(self.looks.holds_ms(tokens));
        self.due_ms = Some(self.due_ms.map_or(at_ms, |due_ms| due_ms.min(at_ms)));
    }

    /// Is it to be looked at now, by itself?
    fn is_due(&mut self, now_ms: u64) -> bool {
        let due = self.due_ms.take_if(|due_ms| *due_ms <= now_ms).is_some();
        if due {
            // A change of ours, or silence, does not wait for a token.
            self.looks.take(now_ms);
        }
        due
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
            self.watched.due_ms = Some(now_ms.saturating_add(AGAIN_MS));
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
        if self.watched.is_due(now_ms) {
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
            self.watched.stir(WAYS, now_ms);
        } else if over {
            self.watched.trial = None;
            self.tell_reverted("its controller did not come back", now_ms);
            self.watched.stir(WAYS, now_ms);
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

#[cfg(test)]
mod tests {
    use super::{CROWD_MS, Changes, LEFT, WAYS, Watched};

    const NEIGHBOURS: Changes = Changes { ways: false, neighbours: true };

    /// When it is looked at, while such news come every 10 ms.
    fn looks(watched: &mut Watched, changes: Changes, span_ms: std::ops::Range<u64>) -> Vec<u64> {
        let step = |now_ms: &u64| {
            watched.stir(changes, *now_ms);
            watched.is_due(*now_ms)
        };
        span_ms.step_by(10).filter(step).collect()
    }

    #[test]
    fn news_are_looked_at_soon_and_not_without_end() {
        let mut watched = Watched::default();
        assert_eq!(looks(&mut watched, WAYS, 0..10), [0], "what is there");
        // Full again.
        assert_eq!(looks(&mut watched, WAYS, 10_000..10_240), [10_050, 10_110, 10_170, 10_230]);
        assert_eq!(looks(&mut watched, WAYS, 10_240..20_000).len(), 1 + 9, "one at once, and one a second");
        // Neighbours are another all day long, and a link is all the same.
        assert_eq!(looks(&mut watched, NEIGHBOURS, 20_000..39_500).len(), 20 - 2);
        let ways = looks(&mut watched, WAYS, 39_500..39_900);
        assert_eq!((u64::try_from(ways.len()), ways[0]), (Ok(LEFT), 39_500 + CROWD_MS));
    }

    #[test]
    fn crowds_are_looked_at_once() {
        let mut watched = Watched::default();
        assert!(watched.is_due(0) && !watched.is_due(1_000));
        (5_000..5_050).for_each(|now_ms| watched.stir(NEIGHBOURS, now_ms));
        assert_eq!(watched.due_ms(), Some(5_050));
        watched.stir(Changes::default(), 5_049);
        assert!(watched.is_due(5_050) && watched.due_ms().is_none());
    }
}
