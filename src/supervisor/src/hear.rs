//! What `storage` and `network` answer.
//!
//! In:  answers, each with what was asked for. Out: events of the process that asked; a service that is taken away is one step further.
//!
//! An answer to an earlier preparation of a start does not count: meanwhile another version may have taken the service's place.

use contract::mount::DiskState;
use contract::packages::Fault;
use contract::{attach, mount};
use log::warn;

use contract::control::State;

use crate::house::House;
use crate::leave::{Asked, Leave};
use crate::life::Event;
use crate::links::{For, Heard};
use crate::process::{Id, Process, What};
use crate::tenant::Tenant;

/// Times in a row that the image of a bundle may be refused before its service counts as failed: with the pauses between them some seconds,
/// for storage may only be looking for its disk.
pub const REFUSALS_MAX: u8 = 5;

impl House {
    /// Where the process with this number is, if nothing was prepared for it since that time.
    fn prepared(&self, id: Id, attempt: u32) -> Option<usize> {
        let place = self.processes.iter().position(|process| process.id == id)?;
        let same =
            |process: &Process| matches!(&process.what, What::Tenant(tenant) if tenant.attempt == attempt);
        self.processes.get(place).is_some_and(same).then_some(place)
    }

    /// Asks what the disk can promise; where nobody can be asked, what was known counts.
    pub(crate) fn ask_disk(&mut self) {
        let _ = self.mounts.ask(For::Disk, &mount::Ask::Disk, &[]);
    }

    /// Hears what storage says.
    pub fn hear_mounts(&mut self) {
        loop {
            match self.mounts.hear::<mount::Answer>() {
                Heard::Nothing => return,
                Heard::Gone(waiting) => self.lost(&waiting, "storage is gone"),
                Heard::Answer(For::Start(id, attempt), answer, [root, ..]) => {
                    let Some(place) = self.prepared(id, attempt) else { continue };
                    match answer {
                        mount::Answer::Mounted => self.have(place, |tenant| {
                            tenant.root = root;
                            tenant.refusals = 0;
                        }),
                        mount::Answer::Refused(why) => self.refuse_image(place, &why),
                        mount::Answer::Done | mount::Answer::Disk(_) | mount::Answer::Damaged { .. } => {}
                    }
                }
                Heard::Answer(For::Volume(id, attempt), answer, [volume, ..]) => {
                    let Some(place) = self.prepared(id, attempt) else { continue };
                    match answer {
                        mount::Answer::Mounted => self.have(place, |tenant| tenant.volume = volume),
                        // There may be a disk later, or more room on it.
                        mount::Answer::Refused(why) => self.refuse(place, &why),
                        mount::Answer::Done | mount::Answer::Disk(_) | mount::Answer::Damaged { .. } => {}
                    }
                    self.ask_disk();
                }
                Heard::Answer(For::Drop, answer, _) => {
                    self.package.dropped(match answer {
                        mount::Answer::Refused(why) => Err((Fault::Disk, why.to_string())),
                        mount::Answer::Mounted
                        | mount::Answer::Done
                        | mount::Answer::Disk(_)
                        | mount::Answer::Damaged { .. } => Ok(()),
                    });
                    self.ask_disk();
                }
                Heard::Answer(For::Disk, answer, _) => {
                    if let mount::Answer::Disk(disk) = answer {
                        let now = (disk.state == DiskState::Mounted).then_some(disk);
                        let device =
                            |disk: &Option<mount::Disk>| disk.as_ref().map(|disk| disk.device.clone());
                        let is_new = device(&now) != device(&self.disk);
                        self.disk = now;
                        if is_new {
                            self.hold_all();
                        }
                    }
                }
                Heard::Answer(For::Leave(id), answer, _) => {
                    if let mount::Answer::Refused(why) = answer {
                        warn!("an image is not let go: {why}");
                    }
                    self.note_leave(id, |leave| leave.image = Asked::Done);
                }
                Heard::Answer(For::End, ..) => self.disk_is_free = true,
                Heard::Answer(For::Again(..) | For::Slice, ..) => {}
            }
        }
    }

    /// Hears what network says of links.
    pub fn hear_attachments(&mut self) {
        loop {
            match self.attachments.hear::<attach::Answer>() {
                Heard::Nothing => return,
                Heard::Gone(waiting) => {
                    const WHY: &str = "network is gone";
                    self.lost(&waiting, WHY);
                    // Who had its link and still waits for its image has it no more.
                    for place in 0..self.processes.len() {
                        if self.unlink(place) {
                            self.refuse(place, WHY);
                        }
                    }
                    self.attach_again();
                }
                Heard::Answer(For::Leave(id), answer, _) => {
                    if let attach::Answer::Refused(why) = answer {
                        warn!("a link is not taken away: {why}"); // It goes with its namespace.
                    }
                    self.note_leave(id, |leave| leave.link = Asked::Done);
                }
                Heard::Answer(For::Slice, answer, _) => {
                    if let attach::Answer::Refused(why) = answer {
                        warn!("{why}"); // It knows what is wanted, and goes on trying.
                    }
                }
                Heard::Answer(what, answer, _) => {
                    let place = match what {
                        For::Start(id, attempt) | For::Again(id, attempt) => self.prepared(id, attempt),
                        For::Volume(..) | For::Leave(_) | For::Slice | For::Drop | For::Disk | For::End => {
                            None
                        }
                    };
                    if let Some(place) = place {
                        self.linked(place, &answer);
                    }
                }
            }
        }
    }

    fn linked(&mut self, place: usize, answer: &attach::Answer) {
        match answer {
            attach::Answer::Attached { address } => {
                if let Some(process) = self.processes.get_mut(place) {
                    process.record.address = Some(*address);
                }
                self.have(place, |tenant| tenant.attached = true);
            }
            attach::Answer::Refused(why) => {
                let _ = self.unlink(place); // Refused in any case.
                self.refuse(place, why);
            }
            attach::Answer::Done | attach::Answer::Carried(_) => {}
        }
    }

    /// Nobody answers any more what was asked: starts are tried again, and so is letting go.
    fn lost(&mut self, waiting: &[For], why: &str) {
        for what in waiting {
            match what {
                For::Start(id, attempt) | For::Again(id, attempt) | For::Volume(id, attempt) => {
                    if let Some(place) = self.prepared(*id, *attempt) {
                        self.refuse(place, why);
                    }
                }
                For::Leave(id) => self.note_leave(*id, Leave::ask_again),
                For::Drop => self.package.drop_again(),
                For::Slice | For::Disk | For::End => {}
            }
        }
    }

    fn note_leave(&mut self, id: Id, note: impl FnOnce(&mut Leave)) {
        let process = self.processes.iter_mut().find(|process| process.id == id);
        if let Some(leave) = process.and_then(Process::bundle_mut).and_then(|bundle| bundle.leave.as_mut()) {
            note(leave);
        }
    }

    /// Nobody vouches for its link any more: it is asked for again before the next start. Does it prepare one?
    fn unlink(&mut self, place: usize) -> bool {
        let Some(process) = self.processes.get_mut(place) else { return false };
        let What::Tenant(tenant) = &mut process.what else { return false };
        std::mem::take(&mut tenant.attached) && process.record.state == State::Preparing
    }

    /// Something that a start needs is there.
    fn have(&mut self, place: usize, note: impl FnOnce(&mut Tenant)) {
        let Some(process) = self.processes.get_mut(place) else { return };
        let What::Tenant(tenant) = &mut process.what else { return };
        note(tenant);
        if tenant.is_prepared() && process.record.state == State::Preparing {
            self.happen(place, Event::Prepared);
        }
    }

    /// Its image is refused. One of the root will be there later; a bundle's that is refused again and again is damaged, or not believed.
    fn refuse_image(&mut self, place: usize, why: &str) {
        let Some(process) = self.processes.get_mut(place) else { return };
        let What::Tenant(tenant) = &mut process.what else { return };
        tenant.refusals = tenant.refusals.saturating_add(1);
        if tenant.bundle.is_none() || tenant.refusals < REFUSALS_MAX {
            return self.refuse(place, why);
        }
        tenant.refusals = 0;
        if process.record.state == State::Preparing {
            process.record.reason = why.into();
            self.happen(place, Event::Broken);
        }
    }

    fn refuse(&mut self, place: usize, why: &str) {
        let Some(process) = self.processes.get_mut(place) else { return };
        if process.record.state == State::Preparing {
            process.record.reason = why.into();
            warn!("{}: {why}", process.name);
            self.happen(place, Event::Refused);
        } else if process.record.pid.is_some() {
            // Asked for again, for one that runs: it goes on as it is.
            warn!("{}: while it runs: {why}", process.name);
        }
    }
}
