//! An update that overlaps: the new version starts beside the old one, and takes its place once it is well. The old one ends after that.
//!
//! In:  an order for another version, where both say `update = "overlap"`. Out: the one or the other is the service at every instant.
//!
//! Two processes have one name then, and each its part: `Now` is the service, for everybody who asks; `Next` is to be it; `Past` only ends. Both
//! have the slot's ids, and one log; each has a cgroup, a network namespace and labels in PID 1's store of its own, told apart by their side.
//! `Next` has no link yet: only its own loopback. When it takes the place, that is written down first (`Past`, then `Now`), then the link moves,
//! and only then the old one is told to end. There is one such pair at a time in the house.
//!
//! A life that ends before the place was taken leaves the old one, after it the new one ([`settle`]).
//!
//! Not here: when a version has proven itself (`trial.rs`), the wire that says so (`installed.rs`), how a link moves (`network`).

use contract::control::State;
use contract::installed::Service;
use contract::limit::{NAME_BYTES, REASON_BYTES};
use contract::manifest::{Manifest, Update};
use contract::{Name, Text, mount};
use log::{info, warn};
use sandbox::Plan;
use serde::{Deserialize, Serialize};
use sys::clock;

use crate::Error;
use crate::admission::Floors;
use crate::house::House;
use crate::life::Event;
use crate::links::For;
use crate::process::{Process, What};
use crate::record::Kept;
use crate::tenant::Tenant;
use crate::trial::Trial;

/// Between two asks for the link, where `network` refuses it, in milliseconds.
const LINK_AGAIN_MS: u64 = 1_000;

/// Which part a process has in its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Part {
    /// It is the service.
    #[default]
    Now,
    /// It is to be the service once it is well; until then another process is.
    Next,
    /// It only ends.
    Past,
}

/// What tells the two apart where each needs a name of its own: its cgroup, its labels in PID 1's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// It has the service's name.
    #[default]
    Plain,
    /// It has the service's name and a [`MARK`], which no name holds.
    Marked,
}

/// Where it stands the name is the other side's.
const MARK: char = '+';

impl Side {
    /// The side of what is kept under the name `key`.
    #[must_use]
    pub fn of(key: &str) -> Self {
        if key.ends_with(MARK) { Self::Marked } else { Self::Plain }
    }

    /// The name on this side.
    #[must_use]
    pub fn key(self, name: &str) -> Text<{ NAME_BYTES + 1 }> {
        match self {
            Self::Plain => name.into(),
            Self::Marked => Text::format(format_args!("{name}{MARK}")),
        }
    }

    /// The cgroup on this side of who is planned so.
    #[must_use]
    pub fn cgroup(self, plan: &Plan) -> String {
        let parent = plan.cgroup.trim_end_matches(plan.name.as_str());
        format!("{parent}{}", self.key(&plan.name))
    }

    fn other(self) -> Self {
        match self {
            Self::Plain => Self::Marked,
            Self::Marked => Self::Plain,
        }
    }
}

impl Process {
    /// Its part in its service.
    #[must_use]
    pub fn part(&self) -> Part {
        self.bundle().map_or(Part::Now, |bundle| bundle.part)
    }

    /// Is it the service, for whoever asks for that by its name?
    #[must_use]
    pub fn is_now(&self) -> bool {
        self.part() == Part::Now
    }

    /// Its name in PID 1's store.
    #[must_use]
    pub fn key(&self) -> Text<{ NAME_BYTES + 1 }> {
        self.bundle().map_or(Side::Plain, |bundle| bundle.side).key(&self.name)
    }
}

/// Says for each of what was kept which part it has in this life. The old one is the service until it is written down that it is not.
pub(crate) fn settle(kept: &mut [(Side, Kept)]) {
    let others: Vec<(Name, Part)> =
        kept.iter().map(|(_, kept)| (kept.service.manifest.name.clone(), kept.part)).collect();
    for (_, kept) in kept.iter_mut().filter(|(_, kept)| kept.part == Part::Next) {
        let name = &kept.service.manifest.name;
        let is_there = others.iter().any(|(other, part)| other == name && *part == Part::Now);
        kept.part = if is_there { Part::Past } else { Part::Now };
    }
}

impl House {
    /// Where the service of this name is.
    #[must_use]
    pub(crate) fn place_of(&self, name: &str) -> Option<usize> {
        self.processes.iter().position(|process| process.name.as_str() == name && process.is_now())
    }

    /// Where the other process of the service at `place` is, while there are two.
    pub(crate) fn beside(&self, place: usize) -> Option<usize> {
        let id = self.processes.get(place)?;
        self.processes.iter().position(|other| other.name == id.name && other.id != id.id)
    }

    /// Where the version is that is to take the place of the service of this name.
    pub(crate) fn next_of(&self, name: &str) -> Option<usize> {
        let is = |process: &Process| process.name.as_str() == name && process.part() == Part::Next;
        self.processes.iter().position(is)
    }

    /// Is some service in two versions here?
    pub(crate) fn is_between(&self) -> bool {
        self.processes.iter().any(|process| !process.is_now())
    }

    /// May `service` run beside the one at `place`, and do both want it? Where they do not fit at once, that is said: the old one ends first then.
    pub(crate) fn can_overlap(&self, place: usize, service: &Service) -> bool {
        let Some(process) = self.processes.get(place) else { return false };
        let What::Tenant(tenant) = &process.what else { return false };
        let overlaps = |manifest: &Manifest| manifest.update == Update::Overlap;
        if !overlaps(&tenant.manifest) || !overlaps(&service.manifest) || process.record.state != State::Up {
            return false;
        }
        let both = Floors::from(&tenant.manifest).beside(Floors::from(&service.manifest));
        let fits = self.books.clone().admit(&process.name, &tenant.manifest.provider, both);
        if let Err(refusal) = &fits {
            info!("{}: both versions at once: {refusal}; so the old one ends first", process.name);
        }
        fits.is_ok()
    }

    /// Makes the version that is to take the place of the one at `place`. It starts when its turn comes.
    ///
    /// # Errors
    /// There is no memory, or no descriptor; nothing of it stays.
    pub(crate) fn begin_next(&mut self, place: usize, service: Service, trial: Trial) -> Result<(), Error> {
        let Some(now) = self.processes.get(place) else { return Ok(()) };
        let Some((bundle, slot)) = now.bundle().zip(now.slot()) else { return Ok(()) };
        let mut tenant = Tenant::of_bundle(service, slot, (bundle.side.other(), Part::Next))?;
        if let Some(bundle) = &mut tenant.bundle {
            (bundle.trial, bundle.named) = (Some(trial), true);
        }
        let (name, ring) = (now.name.clone(), now.ring.again()?);
        let mut next = Process::with(name, What::Tenant(Box::new(tenant)), ring, &self.keep)?;
        (next.record.wanted, next.record.scheduled) = (true, true);
        next.write_record();
        if !next.write_bundle() {
            self.drop_labels(&next.key());
            return Err(Error::System("no record", sys::Errno::ENOMEM));
        }
        info!("{}: its new version starts beside the old one", next.name);
        self.processes.insert(place + 1, next);
        Ok(())
    }

    /// The version at `place` is to take another one's place: does it now, or never, or has it yet to prove itself?
    pub(crate) fn judge_next(&mut self, place: usize, outcome: Option<Result<(), Text<REASON_BYTES>>>) {
        let Some(next) = self.processes.get(place) else { return };
        let is_up = next.record.state == State::Up;
        let now = self.beside(place).and_then(|now| self.processes.get(now));
        match outcome {
            Some(Err(why)) => self.give_up_next(place, why),
            _ if now.is_some_and(|now| !now.record.wanted) => {
                self.give_up_next(place, "it was stopped while it was tried".into());
            }
            // There is no old one any more that could serve meanwhile.
            _ if now.is_none_or(|now| now.record.state != State::Up) => self.take_place(place),
            Some(Ok(())) if is_up => self.take_place(place),
            Some(Ok(())) => self.give_up_next(place, "it ended by itself".into()),
            None => {}
        }
    }

    /// The version at `place` is the service from now on. Then its link is asked for.
    pub(crate) fn take_place(&mut self, place: usize) {
        let old = self.beside(place);
        let mut had = None;
        if let Some(old) = old.and_then(|old| self.processes.get_mut(old)) {
            info!("{}: its new version takes the place of the old one", old.name);
            if let Some(bundle) = old.bundle_mut() {
                bundle.trial = None; // It was the service.
            }
            old.become_past();
            let What::Tenant(tenant) = &mut old.what else { return };
            had = Some((std::mem::take(&mut tenant.ledger), tenant.told.take(), old.record.clone()));
        }
        let Some(new) = self.processes.get_mut(place) else { return };
        if let Some(bundle) = new.bundle_mut() {
            bundle.part = Part::Now;
        }
        let _ = new.write_bundle(); // It was written once, and is as large as it was.
        if let Some((ledger, told, record)) = had {
            (new.record.restarts, new.record.address) = (record.restarts, record.address);
            if let What::Tenant(tenant) = &mut new.what {
                (tenant.ledger, tenant.told) = (ledger, told);
            }
            new.write_record();
            new.write_ledger();
        }
        self.tell(place);
        self.ask_link(place);
        // Who does not serve need not wait for the link to have moved.
        let serves = |old: &usize| self.processes.get(*old).is_some_and(|old| old.record.state == State::Up);
        if let Some(old) = old.filter(|old| !serves(old)) {
            self.happen(old, Event::Unwant);
        }
    }

    /// The version at `place`, which was to take another one's place, does not.
    pub(crate) fn give_up_next(&mut self, place: usize, why: Text<REASON_BYTES>) {
        let Some(process) = self.processes.get_mut(place) else { return };
        warn!("{}: its new version is given up, and the old one stays: {why}", process.name);
        process.record.reason = why;
        if let Some(trial) = process.bundle_mut().and_then(|bundle| bundle.trial.as_mut()) {
            trial.failed = true;
        }
        process.become_past();
        self.happen(place, Event::Unwant);
    }

    /// What a former life had begun: whoever was to take a place does not any more, and package will say again what is to be.
    pub(crate) fn go_on_between(&mut self) {
        for place in 0..self.processes.len() {
            let Some(process) = self.processes.get_mut(place).filter(|process| !process.is_now()) else {
                continue;
            };
            process.become_past();
            // With a trial it never was the service, and need not wait for a link to have moved.
            if process.trial().is_some() {
                self.happen(place, Event::Unwant);
            }
        }
    }

    /// Ends those whose place was taken, once the link has moved; where it is not asked for, or was refused, it is asked for again.
    pub(crate) fn end_past(&mut self) {
        let now_ms = clock::boot_ms();
        for past in 0..self.processes.len() {
            let Some(process) = self.processes.get(past).filter(|process| process.part() == Part::Past)
            else {
                continue;
            };
            let waits = process.record.state == State::Up;
            let Some(now) = self.beside(past).filter(|_| waits) else { continue };
            let Some(service) = self.processes.get_mut(now) else { continue };
            let What::Tenant(tenant) = &mut service.what else { continue };
            let gone = matches!(service.record.state, State::Down | State::Failed | State::Ending);
            let late = tenant.bundle.as_ref().and_then(|bundle| bundle.trial);
            let late = late.is_none_or(|trial| now_ms >= trial.until_ms);
            if tenant.attached || gone || late {
                self.happen(past, Event::Unwant);
                continue;
            }
            let due = tenant.bundle.as_mut().is_some_and(|bundle| {
                let due = bundle.link_due_ms <= now_ms;
                bundle.link_due_ms = if due { now_ms + LINK_AGAIN_MS } else { bundle.link_due_ms };
                due
            });
            if due {
                self.ask_link(now);
            }
        }
    }

    /// One whose place was taken, or who was given up, is gone: what was promised to both is the one's.
    pub(crate) fn note_past(&mut self, gone: &Process) {
        info!("{}: one of its two versions is gone", gone.name);
        self.drop_labels(&gone.key());
        match self.place_of(&gone.name) {
            Some(place) if self.books.has(&gone.name) => {
                if let Err(refusal) = self.admit(place) {
                    warn!("{refusal}"); // It has it already.
                }
            }
            Some(_) => {}
            None => self.books.release(&gone.name),
        }
        // It never was the service.
        if gone.trial().is_some() {
            // Of the service's images the last one that was asked for is held open, and that was this one's.
            let release = mount::Ask::Release { service: gone.name.clone() };
            if let Err(error) = self.mounts.ask(For::Leave(gone.id), &release, &[]) {
                warn!("{}: {error}", gone.name); // It is let go at the next start.
            }
            self.package.given_up(&gone.name, &gone.record.reason);
        }
    }
}

impl Process {
    fn become_past(&mut self) {
        if let Some(bundle) = self.bundle_mut() {
            bundle.part = Part::Past;
        }
        let _ = self.write_bundle(); // It was written once, and is as large as it was.
        self.record.wanted = false;
        self.write_record();
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, Part, Side, settle};
    use crate::catalogue;
    use contract::Name;
    use contract::installed::Service;

    fn kept(name: &str, part: Part) -> (Side, Kept) {
        let mut manifest = catalogue::entries().next().unwrap().manifest;
        manifest.name = Name::new(name).unwrap();
        let service = Service { manifest, image: [1; 32], version: 1 };
        (Side::Plain, Kept { slot: 1, leaves: false, trial: None, part, service })
    }

    #[test]
    fn a_death_leaves_the_old_one_or_the_new_one_and_never_both_nor_none() {
        use Part::{Next, Now, Past};
        // what was written when the life ended, and what it is in the next
        for (was, is) in [
            ([Now, Next], [Now, Past]),
            ([Past, Next], [Past, Now]), // It was being written down that the place is taken.
            ([Past, Now], [Past, Now]),
        ] {
            let mut both = [kept("a", was[0]), kept("b", Now), kept("a", was[1])];
            settle(&mut both);
            assert_eq!([both[0].1.part, both[2].1.part], is, "{was:?}");
            assert_eq!(both[1].1.part, Now, "another service");
        }
    }

    #[test]
    fn a_side_is_read_from_its_name() {
        for side in [Side::Plain, Side::Marked] {
            assert_eq!(Side::of(&side.key("a")), side);
            assert_ne!(side.key("a"), side.other().key("a"));
        }
        assert!(Name::new(&Side::Marked.key("a")).is_err(), "no service has such a name");
    }
}
