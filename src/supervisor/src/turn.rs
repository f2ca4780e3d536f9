//! Events: where they come from, and what they do to a record.
//!
//! In:  deaths, readiness, timers, answers, orders. Out: `life`'s next state, written down, and its act, done.

use contract::Text;
use contract::control::State;
use contract::sla::What as Happened;
use log::{info, warn};
use std::os::fd::AsFd;
use sys::{clock, pidfd, wait};

use crate::house::House;
use crate::life::{self, Act, CROWD_MS, Event};
use crate::process::{Process, What};

/// Deadlines that a tenant may miss in a row before it counts as failed.
const MISSED_MAX: u32 = 3;
/// How long the first preparation of a start may take, in milliseconds.
pub(crate) const PREPARE_MS: u64 = 15_000;
/// How often that time is doubled.
const DELAYS_MAX: u8 = 3;
/// Between SIGKILL and the next try, in milliseconds.
const KILL_MS: u64 = 1_000;
/// The shortest pause after a refusal, in milliseconds: whoever refused may only be starting.
const REFUSED_MS: u64 = 200;
/// The longest one: to ask costs little, and whoever was away should not be waited for after he is back.
const REFUSED_MS_MAX: u64 = 5_000;

impl House {
    /// `event` happens to `place`, and whatever follows from it.
    pub fn happen(&mut self, place: usize, event: Event) {
        let before = self.processes.get(place).map(|process| process.record.state);
        let mut event = Some(event);
        // A chain of events is short: prepared, started, ready, at most.
        for _ in 0..8 {
            let Some(now) = event.take() else { break };
            event = self.step(place, now);
        }
        if self.processes.get(place).map(|process| process.record.state) != before {
            self.tell(place);
        }
    }

    fn step(&mut self, place: usize, event: Event) -> Option<Event> {
        let now_ms = clock::boot_ms();
        let process = self.processes.get_mut(place)?;
        let before = process.record.state;
        let (state, act) = life::next(before, event);
        if state != before {
            enter_state(process, state, event, now_ms);
            // Of a version that is being tried, it is held for the one before. Where there are two, it is both's.
            let rests = matches!(state, State::Down | State::Failed) && process.trial().is_none();
            if rests && process.is_now() {
                self.books.release(&process.name);
                process.give_back_floor();
            }
        }
        match act {
            Act::Rest => {}
            Act::Prepare => process.record.timer_ms = Some(now_ms + prepare_ms(process.delays)),
            Act::Start => {
                process.delays = 0;
                process.record.timer_ms = Some(now_ms + process.start_deadline_ms());
            }
            Act::Stop => process.record.timer_ms = Some(now_ms + process.stop_grace_ms()),
            Act::Kill => process.record.timer_ms = Some(now_ms + KILL_MS),
            Act::Delay => {
                let delay_ms = delay_ms(process, event, now_ms);
                process.record.timer_ms = Some(now_ms + delay_ms);
                if delay_ms >= 1_000 {
                    info!("{}: next start in {delay_ms} ms", process.name);
                }
            }
        }
        process.write_record();
        // That one starts is told when there is a process.
        if state != before && act != Act::Start {
            self.tell_state(place, event);
        }
        match act {
            Act::Rest | Act::Delay => None,
            Act::Prepare => self.prepare(place),
            Act::Start => {
                let refused = self.start(place);
                if refused.is_none() {
                    self.tell_state(place, event);
                }
                refused
            }
            Act::Stop => {
                self.stop(place);
                None
            }
            Act::Kill => {
                self.kill(place);
                None
            }
        }
    }

    /// `place` came into its state by `event`: whoever watches is told, if it is news.
    fn tell_state(&mut self, place: usize, event: Event) {
        let Self { processes, events, .. } = self;
        let Some(process) = processes.get_mut(place).filter(|process| process.is_now()) else { return };
        let record = &process.record;
        if process.wait.is_news(record.state, event, &record.reason) {
            events.tell(&process.name, Happened::State(record.state));
        }
    }

    /// Everything that may have happened since the last turn.
    pub fn look_around(&mut self) {
        for place in 0..self.processes.len() {
            self.look_at(place);
        }
        self.hear_mounts();
        self.hear_attachments();
        self.measure_lines();
        self.try_versions();
        self.end_past();
        self.mind_times();
        self.start_wanted();
        self.sweep();
    }

    /// Waits for children that came to nothing before they were anybody's: a start that failed half way.
    fn sweep(&self) {
        while let Ok(Some(ended)) = wait::look(None) {
            let known = |process: &Process| process.ours && process.record.pid == Some(ended.pid);
            if self.processes.iter().any(known) {
                return; // It is waited for in the next turn, when that is written down.
            }
            // By its own descriptor: another may have ended meanwhile who is known.
            match pidfd::open(ended.pid) {
                Ok(stray) => drop(wait::take(Some(stray.as_fd()))),
                Err(_) => return,
            }
        }
    }

    fn look_at(&mut self, place: usize) {
        let Some(process) = self.processes.get_mut(place) else { return };
        let said = process.listen();
        if let What::Tenant(tenant) = &mut process.what {
            tenant.pulse.ended = said.well.or(tenant.pulse.ended);
        }
        if said.ready {
            self.is_ready(place);
        }
        if let Some(event) = self.judge(place) {
            self.happen(place, event);
        }
        self.reap(place);
        let now_ms = clock::boot_ms();
        let due =
            |process: &mut Process| process.record.timer_ms.take_if(|timer_ms| *timer_ms <= now_ms).is_some();
        if self.processes.get_mut(place).is_some_and(due) {
            let event = self.late(place);
            self.happen(place, event);
        }
    }

    /// It has said that it is ready, or, where it is up, that it still is.
    pub(crate) fn is_ready(&mut self, place: usize) {
        if let Some(What::Tenant(tenant)) = self.processes.get_mut(place).map(|process| &mut process.what) {
            tenant.pulse.said = true;
        }
        self.happen(place, Event::Ready);
    }

    /// The time of its state is over. Too often in a row, and it is broken.
    pub(crate) fn late(&mut self, place: usize) -> Event {
        let Some(process) = self.processes.get_mut(place) else { return Event::Timeout };
        if process.record.state == State::Preparing {
            process.delays = process.delays.saturating_add(1);
        }
        if process.record.state != State::Starting {
            return Event::Timeout;
        }
        let limit_ms = process.start_deadline_ms();
        warn!("{}: not ready within {limit_ms} ms", process.name);
        process.record.missed += 1;
        process.record.reason = Text::format(format_args!("not ready within {limit_ms} ms"));
        match &process.what {
            What::Tenant(_) if process.record.missed >= MISSED_MAX || process.trial().is_some() => {
                Event::Broken
            }
            What::Tenant(_) | What::Daemon(_) => Event::Timeout,
        }
    }

    /// Wanted ones whose predecessors are up are started.
    pub fn start_wanted(&mut self) {
        if self.ending.is_some() {
            return;
        }
        for place in 0..self.processes.len() {
            let Some(process) = self.processes.get(place) else { return };
            // What the line can promise has to be known before anybody is admitted.
            if matches!(process.what, What::Tenant(_)) && self.lines.known.is_none() {
                continue;
            }
            let again = process.again_ms().is_some_and(|at_ms| at_ms <= clock::boot_ms());
            let down = process.record.state == State::Down && (process.record.wanted || again);
            // One that was killed is down when its end is known.
            let given_up = process.trial().is_some_and(|trial| trial.failed);
            let down = down && process.record.pid.is_none() && !process.leaves() && !given_up;
            if down && self.all_up(process.after()) && self.others_up(process) {
                self.want(place, true);
                self.happen(place, Event::Want);
            }
        }
    }

    fn others_up(&self, process: &Process) -> bool {
        let (after, provider) = process.others();
        after.iter().all(|name| {
            let is = |other: &&Process| other.name == *name && other.others().1 == provider && other.is_now();
            self.processes.iter().find(is).is_some_and(|other| other.record.state == State::Up)
        })
    }

    fn all_up(&self, names: &[&str]) -> bool {
        let up = |name: &&str| {
            self.processes
                .iter()
                .any(|process| process.name.as_str() == *name && process.record.state == State::Up)
        };
        names.iter().all(up)
    }
}

/// Is it started again because it has ended by itself, or was not ready in time? What an order starts does not count. Source: TR-181,
/// `ExecutionUnit.{i}.AutoRestart.RetryCount`.
const fn is_new_attempt(before: State, after: State, event: Event) -> bool {
    matches!(
        (before, after, event),
        (State::Waiting, State::Preparing, Event::Timeout) | (State::Starting, State::Returning, _)
    )
}

/// What changes with the state, whatever the act.
fn enter_state(process: &mut Process, state: State, event: Event, now_ms: u64) {
    let record = &mut process.record;
    // Up again or not: the grace of a process that ends goes on.
    let ends = |state| matches!(state, State::Ending | State::Returning);
    if !(ends(record.state) && ends(state)) {
        record.timer_ms = None;
    }
    if is_new_attempt(record.state, state, event) {
        record.restarts = record.restarts.saturating_add(1);
        record.restarted_ms = Some(now_ms);
    }
    record.state = state;
    record.since_ms = now_ms;
    match state {
        State::Up => {
            record.ready_ms = Some(now_ms);
            record.missed = 0;
            record.reason = Text::default();
            info!("{}: ready, {now_ms} ms after boot", process.name);
            if let What::Tenant(tenant) = &mut process.what
                && let Some(health) = &tenant.manifest.health
            {
                tenant.pulse.begin(health, now_ms);
            }
        }
        State::Failed => warn!("{}: failed: {}", process.name, record.reason),
        State::Down
        | State::Preparing
        | State::Starting
        | State::Ending
        | State::Returning
        | State::Waiting => {}
    }
}

/// How long a preparation may take after so many that took too long. Rooms that are behind with their work answer what was asked first: whoever
/// asked them anew each time, and did not wait longer, would never take an answer.
fn prepare_ms(delays: u8) -> u64 {
    PREPARE_MS << delays.min(DELAYS_MAX)
}

/// How long until the next start.
fn delay_ms(process: &mut Process, event: Event, now_ms: u64) -> u64 {
    let (count, last_ms) = &mut process.record.deaths;
    // Deaths that the pauses between them have spread out are still in a row.
    let apart_ms = CROWD_MS + life::delay_ms(*count);
    *count = if now_ms.saturating_sub(*last_ms) < apart_ms { count.saturating_add(1) } else { 1 };
    *last_ms = now_ms;
    match event {
        Event::Refused | Event::Timeout => life::delay_ms(*count).clamp(REFUSED_MS, REFUSED_MS_MAX),
        Event::Want
        | Event::Unwant
        | Event::Prepared
        | Event::Broken
        | Event::Ready
        | Event::Died
        | Event::Finished => life::delay_ms(*count),
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, State, enter_state, is_new_attempt, prepare_ms};
    use crate::core::DAEMONS;
    use crate::keep::Keep;
    use crate::process::{Process, What};

    #[test]
    fn whoever_is_asked_to_end_and_to_return_still_has_to_end() {
        let (keep, _init) = sys::seqpacket::pair().unwrap();
        let name = contract::Name::new("x").unwrap();
        let mut process = Process::new(name, What::Daemon(&DAEMONS[0]), &Keep::new(keep)).unwrap();
        enter_state(&mut process, State::Ending, Event::Unwant, 1);
        process.record.timer_ms = Some(77);
        // `ctl restart`: the process may ignore its SIGTERM.
        for (state, event) in [(State::Returning, Event::Want), (State::Ending, Event::Unwant)] {
            enter_state(&mut process, state, event, 2);
            assert_eq!(process.record.timer_ms, Some(77), "{state:?}");
        }
        enter_state(&mut process, State::Down, Event::Died, 3);
        assert_eq!(process.record.timer_ms, None);
    }

    #[test]
    fn only_what_nobody_has_ordered_counts_as_a_restart() {
        use {Event as E, State as S};
        let table = [
            ("it died", S::Waiting, S::Preparing, E::Timeout, true),
            ("it was never ready", S::Starting, S::Returning, E::Timeout, true),
            ("and is gone", S::Returning, S::Preparing, E::Died, false),
            ("a start", S::Down, S::Preparing, E::Want, false),
            ("a start of one that waits", S::Waiting, S::Preparing, E::Want, false),
            ("a restart", S::Ending, S::Returning, E::Want, false),
        ];
        for (name, before, after, event, counts) in table {
            assert_eq!(is_new_attempt(before, after, event), counts, "{name}");
        }
    }

    #[test]
    fn a_preparation_that_was_too_late_may_take_longer() {
        let times = [0, 1, 2, 3, 4, u8::MAX].map(prepare_ms);
        assert_eq!(times, [15_000, 30_000, 60_000, 120_000, 120_000, 120_000]);
    }
}
