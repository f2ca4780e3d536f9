//! A service is taken away: it ends, everybody lets go of what is its, and nothing of it stays.
//!
//! In:  the order to forget it. Out: no process, cgroup, image, link, namespace, slot, promise or label in PID 1's store that is its.
//!
//! That it is leaving is written down first, so the next life goes on. Its labels go last: what is left of them there is a stray.
//!
//! Not here: the wire that says so (`installed.rs`), its data.

use contract::Name;
use contract::control::State;
use contract::packages::Fault;
use contract::{attach, mount};
use log::{info, warn};
use sandbox::cgroup;

use crate::house::House;
use crate::installed::Reason;
use crate::life::Event;
use crate::links::For;
use crate::overlap::Part;
use crate::process::{Process, label};

/// How far others have let go of a service that is being taken away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leave {
    /// storage: its image.
    pub image: Asked,
    /// network: its link.
    pub link: Asked,
}

impl Leave {
    /// Whoever was asked and has not answered is asked again.
    pub fn ask_again(&mut self) {
        for asked in [&mut self.image, &mut self.link] {
            if *asked == Asked::Waits {
                *asked = Asked::Not;
            }
        }
    }
}

/// How far a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// To be asked.
    #[default]
    Not,
    /// Asked.
    Waits,
    /// Answered.
    Done,
}

impl House {
    /// package has said all: what it did not name goes.
    pub(crate) fn forget_unnamed(&mut self) {
        for place in 0..self.processes.len() {
            let bundle = self.processes.get(place).and_then(Process::bundle);
            if bundle
                .is_some_and(|bundle| !bundle.named && bundle.leave.is_none() && bundle.part == Part::Now)
            {
                self.begin_leave(place);
            }
        }
    }

    /// Begins to take a service away. `None`: it is said when it is gone.
    pub(crate) fn forget(&mut self, name: &Name) -> Option<Result<(), Reason>> {
        let Some(place) = self.place_of(name) else {
            return Some(Ok(()));
        };
        match self.processes.get(place)?.bundle() {
            None => return Some(Err((Fault::Foreign, format!("{name}: it is of no bundle")))),
            Some(bundle) if bundle.leave.is_some() => {}
            Some(_) => self.begin_leave(place),
        }
        self.package.wait_gone(name);
        None
    }

    fn begin_leave(&mut self, place: usize) {
        let next = self.processes.get(place).and_then(|process| self.next_of(&process.name));
        if let Some(next) = next {
            self.give_up_next(next, "it is taken away".into());
        }
        let Some(process) = self.processes.get_mut(place) else { return };
        info!("{}: it is taken away", process.name);
        if let Some(bundle) = process.bundle_mut() {
            bundle.leave = Some(Leave::default());
            bundle.next = None;
            bundle.trial = None;
        }
        if !process.write_bundle() {
            warn!("{}: that it goes is not kept over a life of ours", process.name);
        }
        self.want(place, false);
        self.happen(place, Event::Unwant);
    }

    /// What a former life had begun.
    pub(crate) fn go_on_leaving(&mut self) {
        for place in 0..self.processes.len() {
            if self.processes.get(place).is_some_and(Process::leaves) {
                self.begin_leave(place);
            }
        }
    }

    /// Takes every service that is leaving a step further; who is gone has no place any more. Nobody may hold a place meanwhile.
    pub fn leave_all(&mut self) {
        let mut place = 0;
        while place < self.processes.len() {
            if !self.let_go(place) {
                place += 1;
                continue;
            }
            let gone = self.processes.remove(place);
            if !gone.is_now() {
                self.note_past(&gone);
                continue;
            }
            let name = &gone.name;
            self.books.release(name);
            self.drop_labels(&gone.key());
            self.tell_gone(name);
            info!("{name}: gone");
        }
    }

    /// PID 1 keeps nothing of it any more.
    pub(crate) fn drop_labels(&self, key: &str) {
        label::PROCESS.iter().for_each(|kind| self.keep.forget(kind, key));
    }

    /// Is it leaving, and has everybody let go of it?
    fn let_go(&mut self, place: usize) -> bool {
        let beside = self.beside(place).is_some();
        let Self { processes, mounts, attachments, .. } = self;
        let goes = |process: &&mut Process| process.leaves() && !beside || process.part() == Part::Past;
        let Some(process) = processes.get_mut(place).filter(goes) else { return false };
        if process.record.state != State::Down || process.record.pid.is_some() {
            return false;
        }
        let group = process.cgroup();
        if cgroup::is_populated(&group) {
            let _ = cgroup::kill(&group); // Looked at again soon.
            return false;
        }
        if cgroup::remove(&group).is_err() {
            return false;
        }
        if process.part() == Part::Past {
            return true; // The link and the image are the other one's.
        }
        let (id, service) = (process.id, process.name.clone());
        let Some(leave) = process.bundle_mut().and_then(|bundle| bundle.leave.as_mut()) else { return false };
        // Who cannot be asked now is asked again.
        if leave.image == Asked::Not {
            let ask = mount::Ask::Release { service: service.clone() };
            if mounts.ask(For::Leave(id), &ask, &[]).is_ok() {
                leave.image = Asked::Waits;
            }
        }
        if leave.link == Asked::Not
            && attachments.ask(For::Leave(id), &attach::Ask::Detach { service }, &[]).is_ok()
        {
            leave.link = Asked::Waits;
        }
        (leave.image, leave.link) == (Asked::Done, Asked::Done)
    }
}
