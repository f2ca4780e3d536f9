//! When a service that has done its work is started again by itself: so long after its end, or at times of the day.
//!
//! In:  `again_s` and `start_at` of manifests, the clock once it is believed. Out: those whose time has come are to run.
//!
//! A time of day counts by what the clock says, whatever it said before. So the next one is looked for anew in each turn; the one that was found
//! last has come once the clock says so, by however large a step. What is kept is in the record, and so a life of ours that ends loses none.
//!
//! Not here: what time it is (`time`), starts after a fault (`turn.rs`).
//!
//! Source: docs/manifest.md, "How it lives".

use std::path::Path;

use contract::clock::SYNCHRONIZED;
use contract::control::State;
use contract::limit::SERVICES;
use contract::manifest::TimeOfDay;
use contract::sla::What as Happened;
use log::{info, warn};
use sys::clock;

use crate::house::House;
use crate::process::{Process, What};
use crate::record::Record;

/// A day. Leap seconds do not count. Source: IEEE 1003.1 §4.19, "Seconds Since the Epoch".
const DAY_S: u64 = 86_400;
/// Services of one minute start within so many seconds, each slot in its own.
const SPREAD_S: usize = 60;

const _: () = assert!(SERVICES <= SPREAD_S, "two services start in one second");

/// How long after a full minute the service of `slot` starts, in seconds: not all of them at once, and each always at the same second.
#[must_use]
pub fn spread_s(slot: u8) -> u64 {
    u64::from(slot) * (SPREAD_S as u64) / (SERVICES as u64)
}

/// When the next of `times` comes; `None`: there are none.
///
/// It is after `now_s`, and after `last_s`, so a clock that goes back brings no time for a second time. Only where it went back by more than a
/// day is `last_s` forgotten: what it said before was wrong, and waiting for that would be, too.
///
/// * `now_s`, `last_s` — what the clock says, and what it said when a time had come, in seconds since 1970, UTC.
/// * `spread_s` — so long after each of `times`, in seconds, below 60.
#[must_use]
pub fn next_s(now_s: u64, last_s: Option<u64>, times: &[TimeOfDay], spread_s: u64) -> Option<u64> {
    let last_s = last_s.filter(|last_s| *last_s <= now_s + DAY_S).unwrap_or(0);
    let from_s = now_s.max(last_s);
    let midnight_s = from_s - from_s % DAY_S;
    let after = |time: &TimeOfDay| {
        let today_s = midnight_s + u64::from(time.seconds()) + spread_s;
        if today_s > from_s { today_s } else { today_s + DAY_S }
    };
    times.iter().map(after).min()
}

/// What the clock says, in milliseconds since 1970; `None`: nobody has set it since boot.
pub(crate) fn believed_ms() -> Option<u64> {
    if !Path::new(SYNCHRONIZED).exists() {
        return None;
    }
    u64::try_from(sys::wall::now_ns().ok()? / 1_000_000).ok()
}

impl Process {
    /// As at a boot: it is to run, or to wait for its times of the day, where its manifest or an operator says that it starts by itself.
    pub fn begin(&mut self) {
        let (autostart, has_times) = match &self.what {
            What::Daemon(_) => (true, false),
            What::Tenant(tenant) => (tenant.manifest.autostart, !tenant.manifest.start_at.is_empty()),
        };
        self.record.wanted = autostart && !has_times;
        self.record.scheduled = autostart;
    }

    /// When it is to be started again so long after it has done its work, in milliseconds after boot.
    #[must_use]
    pub fn again_ms(&self) -> Option<u64> {
        let What::Tenant(tenant) = &self.what else { return None };
        let pause_ms = u64::from(tenant.manifest.again_s) * 1_000;
        let ended = self.record.state == State::Down && !self.record.wanted && self.record.exit.is_some();
        // Whoever was stopped by an order stays so.
        (pause_ms > 0 && ended && self.record.by_itself).then(|| self.record.since_ms + pause_ms)
    }

    /// When it is started again by itself, in milliseconds after boot.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        match self.record.state {
            State::Waiting => self.record.timer_ms,
            State::Down => self.again_ms().or(self.due_ms.filter(|_| self.record.scheduled)),
            State::Failed => self.due_ms.filter(|_| self.record.scheduled),
            State::Preparing | State::Starting | State::Up | State::Ending | State::Returning => None,
        }
    }

    /// Has one of its times of the day come? `wall_ms` is what the clock says, if it is believed. What follows from it is not written down yet.
    fn comes_due(&mut self, wall_ms: Option<u64>, now_ms: u64) -> Option<Due> {
        self.due_ms = None;
        let What::Tenant(tenant) = &self.what else { return None };
        let (times, record) = (&tenant.manifest.start_at, &mut self.record);
        let wall_ms = wall_ms.filter(|_| record.scheduled)?;
        let now_s = wall_ms / 1_000;
        let came = record.due_s.is_some_and(|due_s| due_s <= now_s) && !times.is_empty();
        if came {
            record.last_due_s = Some(now_s);
        }
        let due_s = next_s(now_s, record.last_due_s, times, spread_s(tenant.slot));
        self.due_ms = due_s.map(|due_s| now_ms + (due_s * 1_000).saturating_sub(wall_ms));
        let is_new = std::mem::replace(&mut record.due_s, due_s) != due_s;
        match (came, is_new) {
            (true, _) => Some(Due::Now),
            (false, true) => Some(Due::Later),
            (false, false) => None,
        }
    }
}

/// What is new about a service's times of the day.
enum Due {
    /// One has come.
    Now,
    /// The next one is another one.
    Later,
}

/// Does nothing of it run, and is nothing of it about to? One that has failed begins anew.
fn rests(record: &Record) -> bool {
    let rests = match record.state {
        State::Down => !record.wanted,
        State::Failed => true,
        State::Preparing
        | State::Starting
        | State::Up
        | State::Ending
        | State::Returning
        | State::Waiting => false,
    };
    rests && record.pid.is_none()
}

impl House {
    /// Services whose time of the day has come are to run.
    pub fn mind_times(&mut self) {
        let has_times = |process: &Process| match &process.what {
            What::Daemon(_) => false,
            What::Tenant(tenant) => !tenant.manifest.start_at.is_empty() || process.due_ms.is_some(),
        };
        if self.ending.is_some() || !self.processes.iter().any(has_times) {
            return;
        }
        let (wall_ms, now_ms) = ((self.hands.wall)(), clock::boot_ms());
        for place in 0..self.processes.len() {
            let Some(process) = self.processes.get_mut(place) else { return };
            match process.comes_due(wall_ms, now_ms) {
                Some(Due::Now) => self.come_due(place),
                Some(Due::Later) => process.write_record(),
                None => {}
            }
        }
    }

    /// A time of `place` has come. That, and that it is to run, is written down at once: a life of ours loses both or none.
    fn come_due(&mut self, place: usize) {
        let Self { processes, events, .. } = self;
        let Some(process) = processes.get_mut(place) else { return };
        let tried = process.trial().is_some();
        if !rests(&process.record) || process.leaves() || tried {
            let state = process.record.state;
            warn!("{}: its time of the day passes: it is {}", process.name, state.word());
            events.tell(&process.name, Happened::StartSkipped(state));
            return process.write_record();
        }
        info!("{}: its time of the day has come", process.name);
        process.record.state = State::Down; // Nothing of what has failed is left.
        self.want(place, true);
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY_S, next_s, spread_s};
    use contract::limit::SERVICES;
    use contract::manifest::TimeOfDay;
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    /// A day's midnight: 27 November 2026. Source: date(1), `date -u -d 2026-11-27 +%s`.
    const MIDNIGHT_S: u64 = 1_795_737_600;

    fn at(text: &str) -> u64 {
        let (time, seconds) = text.rsplit_once(':').unwrap();
        let time: TimeOfDay = time.parse().unwrap();
        MIDNIGHT_S + u64::from(time.seconds()) + seconds.parse::<u64>().unwrap()
    }

    #[test]
    fn the_next_time_is_the_first_one_that_is_still_to_come() {
        let day = |count: u64, text: &str| Some(at(text) + count * DAY_S);
        // name, now, last, times, spread, next
        for (name, now, last, times, spread, next) in [
            ("none", "12:00:00", None, &[][..], 0, None),
            ("later today", "02:00:00", None, &["03:30"], 0, day(0, "03:30:00")),
            ("a second before", "03:29:59", None, &["03:30"], 0, day(0, "03:30:00")),
            ("in that very second", "03:30:00", None, &["03:30"], 0, day(1, "03:30:00")),
            ("missed is missed", "03:31:00", None, &["03:30"], 0, day(1, "03:30:00")),
            ("midnight", "23:59:59", None, &["00:00"], 0, day(1, "00:00:00")),
            ("the last minute", "23:59:30", None, &["23:59"], 58, day(0, "23:59:58")),
            ("the first of several", "04:00:00", None, &["03:30", "15:30", "09:30"], 0, day(0, "09:30:00")),
            ("over midnight", "20:00:00", None, &["15:30", "03:30"], 0, day(1, "03:30:00")),
            ("spread", "03:30:10", None, &["03:30"], 20, day(0, "03:30:20")),
            ("it has come", "03:30:20", day(0, "03:30:20"), &["03:30"], 20, day(1, "03:30:20")),
            ("an hour back", "02:30:30", day(0, "03:30:20"), &["03:30"], 20, day(1, "03:30:20")),
            (
                "an hour back, another one",
                "02:30:30",
                day(0, "03:30:20"),
                &["03:30", "04:00"],
                0,
                day(0, "04:00:00"),
            ),
            ("a day back", "03:30:20", day(1, "03:30:20"), &["03:30"], 20, day(2, "03:30:20")),
            ("more than a day back", "03:30:10", day(1, "03:30:20"), &["03:30"], 20, day(0, "03:30:20")),
            ("days on", "12:00:00", Some(at("03:30:00") - 9 * DAY_S), &["03:30"], 0, day(1, "03:30:00")),
        ] {
            let times: Vec<TimeOfDay> = times.iter().map(|time: &&str| time.parse().unwrap()).collect();
            assert_eq!(next_s(at(now), last, &times, spread), next, "{name}");
        }
    }

    #[test]
    fn services_of_one_minute_start_one_after_the_other() {
        let all: Vec<u64> = (0..u8::try_from(SERVICES).unwrap()).map(spread_s).collect();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
        assert!(all.iter().all(|spread_s| *spread_s < 60));
    }

    fn times() -> impl Strategy<Value = Vec<TimeOfDay>> {
        prop::collection::vec((0_u16..1_440).prop_map(|minute| TimeOfDay::of_minute(minute).unwrap()), 1..=4)
    }

    proptest! {
        /// Beside a second that is found by trying each of them.
        #[test]
        fn no_time_is_left_out_and_none_comes_twice(
            times in times(), spread in 0_u64..60, now in MIDNIGHT_S..MIDNIGHT_S + DAY_S,
            last in prop::option::of(MIDNIGHT_S - DAY_S..MIDNIGHT_S + 4 * DAY_S),
        ) {
            let next = next_s(now, last, &times, spread).unwrap();
            let counts = last.filter(|last| *last <= now + DAY_S);
            prop_assert!(next > now && counts.is_none_or(|last| next > last));
            let is_one = |second: u64| times.iter().any(|time| (second - spread) % DAY_S == u64::from(time.seconds()));
            let first = (now.max(counts.unwrap_or(0)) + 1..).find(|second| is_one(*second));
            prop_assert_eq!(first, Some(next));
        }

        /// A clock that goes on as it likes, back by less than a day: no time comes twice, and one that is stepped over comes once.
        #[test]
        fn however_the_clock_steps_no_time_comes_twice(
            times in times(), spread in 0_u64..60,
            steps in prop::collection::vec((any::<bool>(), 0_u64..DAY_S / 2), 1..60),
        ) {
            let (mut now, mut last, mut highest) = (MIDNIGHT_S + 40 * DAY_S, None, 0);
            let mut due = next_s(now, last, &times, spread).unwrap();
            for (back, step) in steps {
                // It never is a day behind what it once said.
                now = if back { (now - step).max(highest.max(now) - DAY_S + 1) } else { now + step };
                highest = highest.max(now);
                if due <= now {
                    prop_assert!(last.is_none_or(|last| due > last), "{due} had come by {last:?}");
                    last = Some(now);
                }
                due = next_s(now, last, &times, spread).unwrap();
                prop_assert!(due > now && due <= now + 2 * DAY_S);
            }
        }
    }
}
