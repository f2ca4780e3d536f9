//! Ends: what a process died of, whether it comes back, and what it leaves behind.
//!
//! In:  wait statuses. Out: `life`'s event, once all is written down.
//!
//! Not here: what follows from it (`life.rs`, `turn.rs`), how one is ended (`start.rs`).
//!
//! Source: wait(2).

use std::os::fd::AsFd;

use contract::Text;
use contract::control::{Exit, State};
use contract::layer::Layers;
use contract::manifest::Restart;
use contract::restart::{CRASHES_MAX, WELL_MS};
use log::{info, warn};
use sys::{clock, wait};

use crate::compliance::{autopsy, autopsy_of_daemon};
use crate::house::House;
use crate::life::Event;
use crate::overlap::Part;
use crate::process::{Process, What, label};
use crate::record::Record;

impl House {
    /// A child of this life: has it ended? First only a look, so that its status outlives us; it is waited for once it is written down.
    pub(crate) fn reap(&mut self, place: usize) {
        let Some(process) = self.processes.get(place).filter(|process| process.ours) else { return };
        let Some(descriptor) = &process.pidfd else { return };
        let Ok(Some(ended)) = wait::look(Some(descriptor.as_fd())) else { return };
        let copy = descriptor.try_clone();
        self.bury(place, exit_of(ended.status));
        if let Ok(copy) = copy {
            let _ = wait::take(Some(copy.as_fd()));
        }
    }

    /// PID 1 says that `pid` has ended: a process of a former life.
    pub fn corpse(&mut self, pid: i32, status: i32) {
        let whose = |process: &Process| process.record.pid == Some(pid);
        if let Some(place) = self.processes.iter().position(whose) {
            self.bury(place, exit_of(status));
        }
    }

    /// `place` has ended.
    pub fn bury(&mut self, place: usize, exit: Exit) {
        let Self { processes, keep, events, .. } = self;
        let Some(process) = processes.get_mut(place) else { return };
        match exit {
            Exit::Code(0) => info!("{}: ended", process.name),
            Exit::Code(code) => warn!("{}: ended with code {code}", process.name),
            Exit::Signal(signal) => warn!("{}: ended by signal {signal}", process.name),
        }
        let _ = process.ring.pump();
        process.record.exit = Some(exit);
        process.record.pid = None;
        process.pidfd = None;
        process.ours = false;
        let group = process.cgroup();
        let ((why, breach), restart) = match &mut process.what {
            What::Daemon(daemon) => ((autopsy_of_daemon(daemon, &group), None), Restart::Always),
            What::Tenant(tenant) => {
                tenant.entered = None;
                let found = autopsy(tenant, &group, clock::boot_ms());
                let restart = tenant.manifest.restart;
                tenant.renew();
                (found, restart)
            }
        };
        if let Some(why) = why {
            warn!("{}: {why}", process.name);
            process.record.reason = why.as_str().into();
        }
        if let Some(breach) = breach {
            events.breach(&process.name, breach);
        }
        // Whose place was taken does not come back.
        let again = is_to_return(restart, exit, &process.record) && process.part() != Part::Past;
        let now_ms = clock::boot_ms();
        let record = &mut process.record;
        record.crashes = if is_crash(record, now_ms) { record.crashes.saturating_add(1) } else { 0 };
        record.by_itself = matches!(record.state, State::Starting | State::Up);
        let gives_up = again
            && record.by_itself
            && record.crashes >= CRASHES_MAX
            && matches!(process.what, What::Tenant(_));
        if gives_up {
            let exit = exit_words(exit);
            process.record.reason =
                Text::format(format_args!("ended {CRASHES_MAX} times in a row, last by {exit}"));
        }
        if !again && matches!(process.record.state, State::Starting | State::Up) {
            process.record.wanted = false;
        }
        // What it has left behind in its cgroup is not its next life's company.
        if sandbox::cgroup::is_populated(&group) {
            let _ = sandbox::cgroup::kill(&group);
        }
        process.write_record();
        keep.forget(label::PID, &process.key());
        let event = match (gives_up, again) {
            (true, _) => Event::Broken,
            (false, true) => Event::Died,
            (false, false) => Event::Finished,
        };
        self.happen(place, event);
    }
}

/// Does this end count as one of a loop? Not where it was well for a minute.
fn is_crash(record: &Record, now_ms: u64) -> bool {
    record.state != State::Up || now_ms.saturating_sub(record.since_ms) < WELL_MS
}

fn exit_words(exit: Exit) -> Text<16> {
    match exit {
        Exit::Code(code) => Text::format(format_args!("code {code}")),
        Exit::Signal(signal) => Text::format(format_args!("signal {signal}")),
    }
}

/// Is it to run again? One that had not had its last word, because a life of ours ended too soon, has not run at all.
fn is_to_return(restart: Restart, exit: Exit, record: &Record) -> bool {
    let has_run = record.state != State::Starting || record.layers != Layers::NONE;
    match restart {
        Restart::Always => true,
        Restart::OnFailure => exit != Exit::Code(0) || !has_run,
        Restart::Never => !has_run,
    }
}

/// A wait status as wait(2) gives it.
#[must_use]
pub fn exit_of(status: i32) -> Exit {
    let byte = |number: i32| u8::try_from(number & 0xff).unwrap_or(0);
    match status & 0x7f {
        0 => Exit::Code(byte(status >> 8)),
        signal => Exit::Signal(byte(signal)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, Layers, Record, Restart, State, exit_of, is_to_return};

    #[test]
    fn who_has_not_run_has_not_done_its_work() {
        let starting = |layers| Record { state: State::Starting, layers, ..Record::default() };
        let (waited, ran) = (starting(Layers::NONE), starting(Layers::all()));
        for (restart, exit, record, again) in [
            (Restart::Never, Exit::Code(126), &waited, true),
            (Restart::OnFailure, Exit::Code(0), &waited, true),
            (Restart::Never, Exit::Code(1), &ran, false),
            (Restart::OnFailure, Exit::Code(0), &ran, false),
            (Restart::OnFailure, Exit::Code(126), &ran, true),
            (Restart::Always, Exit::Code(0), &ran, true),
        ] {
            assert_eq!(is_to_return(restart, exit, record), again, "{restart:?} {exit:?}");
        }
    }

    #[test]
    fn a_status_is_read_as_wait_writes_it() {
        assert_eq!(exit_of(0), Exit::Code(0));
        assert_eq!(exit_of(7 << 8), Exit::Code(7));
        assert_eq!(exit_of(9), Exit::Signal(9));
        assert_eq!(exit_of(11 | 0x80), Exit::Signal(11), "with a core dump");
    }
}
