//! Bulk data: reports of what the tree says, sent again and again to a collector.
//!
//! In:  profiles that controllers have made, the world, the time. Out: reports: by HTTP(S), by MQTT, or as an event.
//!
//! A profile has the rights of the controller that made it. A report that is not delivered is tried again with longer and longer waits,
//! until the next one is due; then as many are kept as the profile says, within [`KEPT_BYTES_MAX`]. All of it is in memory: a reboot begins
//! anew (R-BULK.5).
//!
//! Not here: what a profile is (`bulk/profile.rs`), what a report looks like (`bulk/report.rs`), HTTP (`bulk/post.rs`).
//!
//! Source: TR-369 Annex A (R-BULK); TR-181, `Device.BulkData.`

pub mod post;
pub mod profile;
pub mod report;

use std::collections::VecDeque;
use std::os::unix::net::UnixStream;

use log::warn;

use crate::backoff;
use crate::world::World;
use post::{Outcome, Post};
use profile::{Profile, Protocol};
use report::Piece;

/// Reports of one profile that were not delivered.
const KEPT_MAX: usize = 32;
/// Their bytes.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// A report that is to go by a way of the agent's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// As the event `Push!` of the profile in this row.
    Event(u32, String),
    /// To a topic of the broker in this row; and what kind of text it is.
    Publish(u32, String, (&'static str, Vec<u8>)),
}

/// How a profile stands.
#[derive(Debug)]
struct Running {
    profile: Profile,
    due_ms: u64,
    /// Reports that wait: the eldest first, the present one last.
    pieces: VecDeque<Piece>,
    post: Option<Post>,
    tries: u32,
    /// When a delivery that failed is tried again.
    retry_ms: Option<u64>,
    failed: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Bulk {
    running: Vec<Running>,
}

impl Bulk {
    /// Takes profiles as they are now: one that is another begins anew.
    pub fn set(&mut self, world: &World, now_ms: u64) {
        let wanted = &world.settings.bulk.profiles;
        self.running.retain(|one| wanted.iter().any(|profile| *profile == one.profile && profile.enable));
        for profile in wanted.iter().filter(|profile| profile.enable) {
            if self.running.iter().all(|one| one.profile.row != profile.row) {
                self.running.push(Running {
                    due_ms: now_ms.saturating_add(profile.first_ms(world.facts.now_s)),
                    profile: profile.clone(),
                    pieces: VecDeque::new(),
                    post: None,
                    tries: 0,
                    retry_ms: None,
                    failed: false,
                });
            }
        }
    }

    /// A controller wants the report of the profile in `row` now.
    pub fn force(&mut self, row: u32, now_ms: u64) {
        for one in self.running.iter_mut().filter(|one| one.profile.row == row) {
            one.due_ms = now_ms;
        }
    }

    /// Did the last delivery of the profile in `row` fail?
    #[must_use]
    pub fn failed(&self, row: u32) -> bool {
        self.running.iter().any(|one| one.profile.row == row && one.failed)
    }

    /// Nothing is due, and nothing is on its way.
    #[must_use]
    pub fn is_idle(&self, now_ms: u64) -> bool {
        let is_due = self.due_ms().is_some_and(|due_ms| due_ms <= now_ms);
        !is_due && self.running.iter().all(|one| one.post.is_none())
    }

    /// When there is something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.running.iter().flat_map(|one| [Some(one.due_ms), one.retry_ms]).flatten().min()
    }

    /// Makes reports that are due, and looks after those on their way. What is to go by the agent itself.
    pub fn turn(&mut self, world: &World, bell: &UnixStream, (now_ms, random): (u64, u32)) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        for one in &mut self.running {
            one.hear((now_ms, random));
            if one.due_ms <= now_ms {
                one.due_ms = now_ms.saturating_add(one.profile.interval_ms());
                one.collect(world);
                outgoing.extend(one.send(world, bell));
            } else if one.retry_ms.is_some_and(|retry_ms| retry_ms <= now_ms) {
                outgoing.extend(one.send(world, bell));
            }
        }
        outgoing
    }
}

impl Running {
    /// One more report; the eldest of those that failed go where there are too many.
    fn collect(&mut self, world: &World) {
        let keep = match self.profile.retained {
            count @ 0.. => usize::try_from(count).unwrap_or(KEPT_MAX).min(KEPT_MAX),
            _ => KEPT_MAX,
        };
        while self.pieces.len() > keep {
            self.pieces.pop_front();
        }
        self.pieces.push_back(report::collect(world, &self.profile));
        let bytes = |pieces: &VecDeque<Piece>| pieces.iter().map(Piece::bytes).sum::<usize>();
        while self.pieces.len() > 1 && bytes(&self.pieces) > KEPT_BYTES_MAX {
            self.pieces.pop_front();
        }
        self.tries = 0;
        self.retry_ms = None;
        self.post = None; // An older delivery that is still on its way has had its time.
    }

    fn send(&mut self, world: &World, bell: &UnixStream) -> Option<Outgoing> {
        self.retry_ms = None;
        let body = report::write(&self.profile, self.pieces.make_contiguous());
        match self.profile.protocol {
            Protocol::Http => {
                self.post = Some(Post::begin(post::Request::of(world, &self.profile, body), bell));
                None
            }
            Protocol::Event => {
                self.pieces.clear();
                Some(Outgoing::Event(self.profile.row, body))
            }
            Protocol::Mqtt => {
                // A broker that is not there takes nothing: then it is kept like any other that failed.
                let row = self.profile.client_row()?;
                let place = usize::try_from(row.checked_sub(1)?).ok()?;
                let up = world.links.get(place).is_some_and(|link| link.up);
                self.failed = !up;
                up.then(|| {
                    self.pieces.clear();
                    let kind = self.profile.encoding.media_type();
                    Outgoing::Publish(row, self.profile.topic.clone(), (kind, body.into_bytes()))
                })
            }
        }
    }

    /// What became of a delivery.
    fn hear(&mut self, (now_ms, random): (u64, u32)) {
        let Some(outcome) = self.post.as_ref().and_then(Post::done) else { return };
        self.post = None;
        match outcome {
            Outcome::Delivered => {
                self.pieces.clear();
                self.failed = false;
            }
            Outcome::Failed(why) => {
                if !std::mem::replace(&mut self.failed, true) {
                    warn!("bulk data of profile {}: {why}", self.profile.row);
                }
                if self.profile.retry {
                    let http = (self.profile.retry_minimum_s, self.profile.retry_multiplier);
                    self.retry_ms =
                        Some(now_ms.saturating_add(backoff::standard_ms(self.tries, http, random)));
                    self.tries = self.tries.saturating_add(1);
                }
            }
        }
    }
}
