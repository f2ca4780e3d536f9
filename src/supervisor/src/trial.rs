//! A new version of a service has to prove itself: until it does, package keeps the one before, and nothing that this one was promised is given away.
//!
//! In:  an order to put another version in the place of one that is to run. Out: it is ready and well, and package hears so; or it has ended, package
//! hears why, and says which one is to run.
//!
//! What is being tried, until when, and the floors of the one before lie in PID 1's store with the service. So the next life goes on with it.
//!
//! Not here: keeping the version before (`package`), bringing it back: package's word is an ordinary one.

use contract::Text;
use contract::control::{Exit, State};
use contract::limit::REASON_BYTES;
use contract::manifest::Manifest;
use contract::packages::Fault;
use log::{info, warn};
use serde::{Deserialize, Serialize};
use sys::clock;

use crate::admission::Floors;
use crate::house::House;
use crate::installed::Reason;
use crate::life::Event;
use crate::overlap::Part;
use crate::process::{Process, What};
use crate::turn::PREPARE_MS;

/// A version that has to prove itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// When it has to be ready and well, in milliseconds after boot.
    pub until_ms: u64,
    /// Floors of the one before: they are held, so that it can come back.
    pub held: Floors,
    /// It was not.
    pub failed: bool,
}

impl Trial {
    /// Of `next`, in the place of `before`.
    #[must_use]
    pub fn of(next: &Manifest, before: &Manifest, now_ms: u64) -> Self {
        let start_ms = u64::from(before.stop_grace_ms) + PREPARE_MS + u64::from(next.start_deadline_ms);
        let health_ms = next.health.as_ref().map_or(0, |health| {
            (u64::from(health.every_ms) + u64::from(health.timeout_ms)) * u64::from(health.fails)
        });
        Self { until_ms: now_ms + start_ms + health_ms, held: Floors::from(before), failed: false }
    }
}

/// Has it proven itself, or failed, and why? `None`: neither, yet.
fn outcome(process: &Process, now_ms: u64) -> Option<Result<(), Text<REASON_BYTES>>> {
    let What::Tenant(tenant) = &process.what else { return None };
    let trial = process.trial().filter(|trial| !trial.failed)?;
    // The one before has yet to end.
    if tenant.bundle.as_ref()?.next.is_some() {
        return None;
    }
    let record = &process.record;
    match record.state {
        State::Up if tenant.manifest.health.is_none() || tenant.pulse.is_well() => Some(Ok(())),
        State::Down if record.by_itself && record.exit == Some(Exit::Code(0)) => Some(Ok(())),
        State::Down if record.by_itself => Some(Err("it ended before it was ready".into())),
        State::Failed => Some(Err(record.reason.clone())),
        _ if !record.wanted => Some(Err("it was stopped while it was tried".into())),
        _ if now_ms >= trial.until_ms && record.reason.is_empty() => {
            Some(Err("not ready in its time".into()))
        }
        _ if now_ms >= trial.until_ms => Some(Err(record.reason.clone())),
        State::Down
        | State::Preparing
        | State::Starting
        | State::Up
        | State::Ending
        | State::Returning
        | State::Waiting => None,
    }
}

impl House {
    /// Looks at every version that is being tried.
    pub fn try_versions(&mut self) {
        if self.ending.is_some() {
            return;
        }
        let now_ms = clock::boot_ms();
        for place in 0..self.processes.len() {
            let Some(process) = self.processes.get(place) else { return };
            let (part, outcome) = (process.part(), outcome(process, now_ms));
            match (part, outcome) {
                (Part::Next, outcome) => self.judge_next(place, outcome),
                (Part::Past, _) | (Part::Now, None) => {}
                // Until the one before is gone, package has not heard of it, and a next life of ours has to know.
                (Part::Now, Some(Ok(()))) if self.beside(place).is_some() => {}
                (Part::Now, Some(Ok(()))) => self.prove(place),
                (Part::Now, Some(Err(why))) => self.fail(place, why),
            }
        }
    }

    fn prove(&mut self, place: usize) {
        let Some(process) = self.processes.get_mut(place) else { return };
        info!("{}: its new version has proven itself", process.name);
        if let Some(bundle) = process.bundle_mut() {
            bundle.trial = None;
        }
        let _ = process.write_bundle(); // It was written once, and is not larger now.
        // What only the one before was promised is free.
        if process.record.state == State::Down {
            self.books.release(&process.name);
        } else if let Err(refusal) = self.admit(place) {
            warn!("{refusal}"); // It has it already.
        }
    }

    fn fail(&mut self, place: usize, why: Text<REASON_BYTES>) {
        let Some(process) = self.processes.get_mut(place) else { return };
        warn!("{}: its new version is given up: {why}", process.name);
        process.record.reason = why;
        if let Some(trial) = process.bundle_mut().and_then(|bundle| bundle.trial.as_mut()) {
            trial.failed = true;
        }
        let _ = process.write_bundle();
        // The one before is to run, if nobody has said otherwise.
        let runs = process.record.wanted || process.record.by_itself;
        process.record.wanted = runs;
        process.write_record();
        self.happen(place, Event::Broken);
    }

    /// What package hears of the trial of `name`; `None`: nothing yet.
    pub(crate) fn proof(&self, name: &str) -> Option<Result<(), Reason>> {
        let process = self.place_of(name);
        if process.is_some_and(|place| self.beside(place).is_some()) {
            return None;
        }
        let process = process.and_then(|place| self.processes.get(place));
        let Some((process, trial)) = process.and_then(|process| Some((process, process.trial()?))) else {
            return Some(Ok(()));
        };
        let why = format!("{name}: {}", process.record.reason);
        trial.failed.then_some(Err((Fault::NotReady, why)))
    }
}
