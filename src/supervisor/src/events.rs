//! Events: what happened last, and who is told of the next.
//!
//! In:  states of processes, breaches. Out: `contract::sla::Event`, on the wire `control`.
//!
//! What is remembered is bounded; who watches and does not read loses its connection, not our time. So what comes again and again by time alone
//! is told once: else the tries of one that waits for a camera would push out everything else.
//!
//! Not here: how it stands with promises (`compliance.rs`).

use std::collections::VecDeque;

use contract::control::{Answer, State};
use contract::limit::{EVENTS, REASON_BYTES};
use contract::sla::{Breach, Event, What as Happened};
use contract::{Name, Text};
use log::warn;
use sys::clock;
use wire::Connection;

use crate::life;

/// Who may watch at a time.
pub const WATCHERS_MAX: usize = 4;

/// The last events, and who is told of the next.
#[derive(Debug, Default)]
pub struct Events {
    last: VecDeque<Event>,
    number: u64,
    /// Connections that are told of each event.
    pub watchers: Vec<Connection>,
}

impl Events {
    /// What happened last, the oldest first.
    pub fn last(&self) -> impl Iterator<Item = &Event> {
        self.last.iter()
    }

    /// Notes what happened, and tells whoever watches.
    pub fn tell(&mut self, who: &Name, what: Happened) {
        if self.last.len() >= EVENTS {
            self.last.pop_front();
        }
        self.number += 1;
        let event = Event { number: self.number, at_ms: clock::boot_ms(), who: who.clone(), what };
        self.watchers.retain(|watcher| watcher.send(&Answer::Event(event.clone()), &[]).is_ok());
        self.last.push_back(event);
    }

    /// Tells of a breach, aloud.
    pub fn breach(&mut self, who: &Name, breach: Breach) {
        let (word, unit) = breach.cause.words();
        warn!("{who}: {word}: {} of {} {unit}", breach.got, breach.promised);
        self.tell(who, Happened::Breach(breach));
    }
}

/// Why a process waits, as it was told: it tries again and again, and is refused for the same reason.
#[derive(Debug, Default)]
pub struct Wait {
    cause: Option<Text<REASON_BYTES>>,
}

impl Wait {
    /// The process came into `state` by `event`, for `reason`: is that news? Not the tries of one that waits, nor that it waits again for the
    /// same reason. A start is tried until there is a process; an order is news, and so is a death.
    pub fn is_news(&mut self, state: State, event: life::Event, reason: &Text<REASON_BYTES>) -> bool {
        use life::Event as E;
        match (state, event) {
            (State::Waiting, E::Refused | E::Timeout) => {
                self.cause.as_ref() != Some(reason) && {
                    self.cause = Some(reason.clone());
                    true
                }
            }
            (State::Preparing, E::Timeout) => self.cause.is_none(),
            (
                State::Down
                | State::Preparing
                | State::Starting
                | State::Up
                | State::Ending
                | State::Returning
                | State::Waiting
                | State::Failed,
                _,
            ) => {
                self.cause = None;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Wait;
    use crate::life::Event as E;
    use contract::control::State as S;

    #[test]
    fn who_waits_for_the_same_reason_is_told_of_once() {
        let mut wait = Wait::default();
        for (name, state, event, reason, news) in [
            ("it is to run", S::Preparing, E::Want, "", true),
            ("it waits", S::Waiting, E::Refused, "no camera", true),
            ("its time is over", S::Preparing, E::Timeout, "no camera", false),
            ("it waits again", S::Waiting, E::Refused, "no camera", false),
            ("and again", S::Preparing, E::Timeout, "no camera", false),
            ("nobody answers in time", S::Waiting, E::Timeout, "no camera", false),
            ("and again", S::Preparing, E::Timeout, "no camera", false),
            ("for another reason", S::Waiting, E::Refused, "no serial port", true),
            ("by an order", S::Preparing, E::Want, "no serial port", true),
            ("in vain", S::Waiting, E::Refused, "no serial port", true),
            ("by time", S::Preparing, E::Timeout, "no serial port", false),
            ("there is a process", S::Starting, E::Prepared, "no serial port", true),
            ("up", S::Up, E::Ready, "", true),
            ("it dies", S::Waiting, E::Died, "", true),
            ("and comes back", S::Preparing, E::Timeout, "", true),
            ("it waits as at first", S::Waiting, E::Refused, "no camera", true),
            ("by an order", S::Down, E::Unwant, "no camera", true),
            ("it is to run", S::Preparing, E::Want, "no camera", true),
            ("it waits as before", S::Waiting, E::Refused, "no camera", true),
        ] {
            assert_eq!(wait.is_news(state, event, &reason.into()), news, "{name}");
        }
    }
}
