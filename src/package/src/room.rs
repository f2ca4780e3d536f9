//! The loop: one thread, one poll; and one thread more while something is fetched.
//!
//! In:  orders on the wire `packages`, answers on `installed`, the data disk, what the fetching thread says. Out: answers, rows, progress.
//!
//! ```text
//! install   fetched ─▶ put in its place ─▶ the supervisor is told ─▶ done
//!                                            └ refused: what it replaced is back
//! remove    the supervisor forgets it ─▶ taken away ─▶ its volume goes, if it is to go ─▶ done
//! ```
//!
//! One thing is fetched at a time, and one thing is under way with the supervisor at a time (`act.rs`); everything else is answered at once.
//! Before the disk was read the supervisor is told nothing: an empty list would cost it every service.
//!
//! Not here: fetching (`fetch.rs`), what is on the disk (`keep.rs`).

use std::convert::Infallible;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use contract::Name;
use contract::installed;
use contract::packages::{Answer, Ask, Fault, Kept, State, Unit};
use log::{info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use state::{Mounts, RETRY_MS};
use sys::Errno;
use sys::clock::boot_ms;
use sys::seqpacket::Descriptors;
use wire::Listener;

use crate::RoomError;
use crate::act::{Act, Under};
use crate::asked::{Asked, Id};
use crate::book::{Book, Dropped};
use crate::failure::Failure;
use crate::fetch::lock;
use crate::keep::{Keep, Places};
use crate::sealed;
use crate::supervisor::{For, Heard, Supervisor};
use crate::work::{Said, Work};

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Room {
    pub(crate) places: Places,
    pub(crate) asked: Asked,
    pub(crate) keep: Result<Keep, Failure>,
    pub(crate) supervisor: Supervisor,
    /// What is being fetched.
    pub(crate) work: Option<Work>,
    /// What is under way with the supervisor.
    pub(crate) act: Option<Under>,
    /// The other thread rings here.
    pub(crate) bell: (UnixStream, UnixStream),
    /// News of mounts: the disk may have gone.
    mounts: Option<Mounts>,
    /// There was such news.
    is_doubted: bool,
    /// When the disk is looked for again, in milliseconds after boot.
    retry_ms: u64,
    /// What followers were told last.
    told: (Vec<Unit>, Vec<Kept>),
}

impl Room {
    /// Serves `packages`.
    ///
    /// # Errors
    /// [`RoomError`]: no descriptors.
    pub fn open(listener: Listener, places: Places) -> Result<Self, RoomError> {
        let bell = UnixStream::pair().map_err(RoomError::Bell)?;
        bell.0.set_nonblocking(true).and(bell.1.set_nonblocking(true)).map_err(RoomError::Bell)?;
        Ok(Self {
            places,
            asked: Asked::new(listener),
            keep: Err(Failure::new(Fault::Disk, "no look at the data disk yet")),
            supervisor: Supervisor::default(),
            work: None,
            act: None,
            bell,
            mounts: Mounts::watch().ok(),
            is_doubted: false,
            retry_ms: 0,
            told: Default::default(),
        })
    }

    /// Works for ever.
    ///
    /// # Errors
    /// [`RoomError::Poll`]: the kernel has no memory to wait with.
    pub fn run(&mut self) -> Result<Infallible, RoomError> {
        loop {
            self.turn();
            self.wait()?;
        }
    }

    fn turn(&mut self) {
        let now_ms = boot_ms();
        self.look_for_the_disk(now_ms);
        if self.keep.is_ok() && self.supervisor.dial(now_ms) {
            self.tell_all();
        }
        for heard in self.supervisor.hear() {
            match heard {
                Heard::Act(outcome) => self.close_act(outcome),
                Heard::Rented(slice) => self.write_slices(|book| book.rent(slice)),
                Heard::Released(name) => self.write_slices(|book| {
                    book.release(&name);
                    true
                }),
            }
        }
        self.hear_work();
        self.hurry_act(now_ms);
        self.asked.fill();
        while let Some((id, ask, along)) = self.asked.next() {
            self.answer(id, ask, along);
        }
        self.tell_followers();
    }

    /// Changes the book for the supervisor, and says whether it is so on the disk: somebody waits for that.
    fn write_slices(&mut self, change: impl FnOnce(&mut Book) -> bool) {
        let outcome = match &mut self.keep {
            Ok(keep) => keep.write_slices(change),
            Err(failure) => Err(failure.clone()),
        };
        self.supervisor.tell(&match outcome {
            Ok(()) => installed::Ask::Kept,
            Err(failure) => {
                warn!("slices: not kept: {failure}");
                installed::Ask::NotKept(failure.fault, failure.words.as_str().into())
            }
        });
    }

    fn look_for_the_disk(&mut self, now_ms: u64) {
        if std::mem::take(&mut self.is_doubted)
            && self.keep.as_ref().is_ok_and(|keep| !keep.is_there(&self.places))
        {
            // Whoever runs from it goes on as he can; what is on the next disk is said from its beginning.
            self.keep = Err(Failure::new(Fault::Disk, "the data disk is gone; see ctl disk"));
            self.work.iter().for_each(Work::give_up);
            self.supervisor.hang_up("the data disk is gone");
            self.retry_ms = 0;
        }
        if self.keep.is_ok() || now_ms < self.retry_ms {
            return;
        }
        self.retry_ms = now_ms.saturating_add(RETRY_MS);
        let found = Keep::open(&self.places);
        match (&found, &self.keep) {
            (Ok(keep), _) => info!("bundles: {} are installed", keep.services().len()),
            (Err(new), Err(old)) if new != old => warn!("{new}"),
            (Err(_), _) => {}
        }
        self.keep = found;
    }

    /// Says everything to a supervisor that may know nothing. What is under way is said last, as it waits for its own answer.
    fn tell_all(&mut self) {
        let Ok(keep) = &self.keep else { return };
        for slice in keep.book().slices() {
            self.supervisor.tell(&installed::Ask::Slice(slice.clone()));
        }
        let put = self.act.as_ref().and_then(Under::put);
        for service in keep.services() {
            match put {
                // It had another one before, or none.
                Some((name, old)) if *name == service.manifest.name => {
                    old.into_iter()
                        .for_each(|old| self.supervisor.tell(&installed::Ask::Before(keep.service(old))));
                }
                _ => self.supervisor.tell(&installed::Ask::Service(service)),
            }
        }
        self.supervisor.say(&installed::Ask::All, For::All);
        self.say_act();
        self.go_on_dropping();
    }

    /// What is being done with a service.
    fn state(&self, name: &Name) -> State {
        let updates = self.work.as_ref().is_some_and(|work| work.service() == Some(name));
        match self.act.as_ref().map(|under| &under.act) {
            Some(Act::Remove { service, .. }) if service == name => State::Removing,
            Some(Act::Install { put, .. }) if put.service == *name => State::Updating,
            Some(Act::Remove { .. } | Act::Drop(_) | Act::Install { .. }) | None if updates => {
                State::Updating
            }
            Some(Act::Remove { .. } | Act::Drop(_) | Act::Install { .. }) | None => State::Installed,
        }
    }

    /// The rows: bundles, and volumes of services that are gone.
    fn rows(&self) -> (Vec<Unit>, Vec<Kept>) {
        let Ok(keep) = &self.keep else { return Default::default() };
        (keep.units(|name| self.state(name)), keep.kept())
    }

    fn tell_followers(&mut self) {
        if !self.asked.has_followers() {
            return;
        }
        let now = self.rows();
        if now == self.told {
            return;
        }
        self.asked.tell_followers(&changes(&self.told, &now));
        self.told = now;
    }

    fn answer(&mut self, id: Id, ask: Ask, along: Descriptors) {
        let outcome = match ask {
            Ask::List | Ask::Follow => return self.list(id, ask == Ask::Follow),
            Ask::Install(install) => self.begin_install(id, install),
            Ask::Remove { service, drop_data } => self.begin_remove(id, service, drop_data),
            Ask::Await(tag) => self.wait_for(id, &tag).map(|()| false),
            Ask::Cancel(tag) => self.cancel(&tag).map(|()| true),
            Ask::Autostart { service, starts } => {
                self.order(&service, |book| book.autostart(&service, starts)).map(|()| true)
            }
            Ask::Restarts { service, restarts } => {
                self.order(&service, |book| book.restarts(&service, restarts)).map(|()| true)
            }
            Ask::Keyring => self.take_list(along).map(|()| true),
            Ask::Drop { service, provider } => self.drop_kept(Dropped { service, provider }).map(|()| true),
        };
        match outcome {
            // Its end comes later.
            Ok(false) => {}
            Ok(true) => self.asked.end(id, &Ok(())),
            Err(failure) => self.asked.end(id, &Err(failure)),
        }
    }

    fn list(&mut self, id: Id, follows: bool) {
        if let Err(failure) = &self.keep {
            // Nothing is installed, as far as anybody can see; whoever follows hears when that changes.
            if !follows {
                let failure = failure.clone();
                return self.asked.end(id, &Err(failure));
            }
        }
        let rows = self.rows();
        let (units, kept) =
            (rows.0.iter().cloned().map(Answer::Unit), rows.1.iter().cloned().map(Answer::Kept));
        self.asked.rows(id, units.chain(kept));
        self.asked.end(id, &Ok(()));
        if follows {
            // Those who follow already are told first what has changed since, so that all stand at the same rows.
            self.tell_followers();
            self.told = rows;
            self.asked.follow(id);
        }
    }

    fn cancel(&mut self, tag: &str) -> Result<(), Failure> {
        match self.work.as_ref().filter(|work| work.install.tag.as_str() == tag) {
            Some(work) => {
                work.give_up();
                Ok(())
            }
            None => {
                Err(Failure::new(Fault::Absent, format!("nothing with the tag '{tag}' is being fetched")))
            }
        }
    }

    /// Writes down what was ordered of a service over its manifest, and says it to the supervisor.
    fn order(&mut self, name: &Name, write: impl FnOnce(&mut Book)) -> Result<(), Failure> {
        let keep = self.keep.as_mut().map_err(|failure| failure.clone())?;
        let found = lock(keep.store()).installed().iter().find(|one| one.statement.name == *name).cloned();
        let found = found.ok_or_else(|| absent(name))?;
        keep.write(write)?;
        // One that is being put is said with it, once it is put.
        if self.act.as_ref().and_then(Under::put).is_none_or(|(put, _)| put != name) {
            let service = keep.service(&found);
            self.supervisor.say(&installed::Ask::Service(service), For::Change);
        }
        Ok(())
    }

    fn take_list(&mut self, [file, ..]: Descriptors) -> Result<(), Failure> {
        let file = file.ok_or_else(|| Failure::new(Fault::Ask, "keyring: no file came along"))?;
        let list = sealed::read(file).map_err(|why| Failure::new(Fault::Ask, format!("keyring: {why}")))?;
        self.keep.as_mut().map_err(|failure| failure.clone())?.take_list(&list)
    }

    /// What the fetching thread says.
    fn hear_work(&mut self) {
        let mut rings = [0; 64];
        while self.bell.0.read(&mut rings).is_ok_and(|count| count > 0) {}
        let Some(work) = &mut self.work else { return };
        let waiters = work.waiters.clone();
        let mut said = work.hear();
        while let Said::Progress = said {
            let (bytes, of) = work.progress();
            waiters.iter().for_each(|id| self.asked.rows(*id, [Answer::Progress { bytes, of }].into_iter()));
            said = work.hear();
        }
        match said {
            Said::Nothing | Said::Progress => {}
            Said::End(Err(failure)) => {
                info!("{}: {failure}", work.install.source);
                waiters.iter().for_each(|id| self.asked.end(*id, &Err(failure.clone())));
                self.work = None;
            }
            Said::Put(put) => self.begin_put(put),
        }
    }

    fn wait(&mut self) -> Result<(), RoomError> {
        let now_ms = boot_ms();
        let dues = [
            self.keep.is_err().then_some(self.retry_ms),
            self.supervisor.due_ms().filter(|_| self.keep.is_ok()),
            self.act.as_ref().map(Under::due_ms),
        ];
        let limit = match dues.into_iter().flatten().min() {
            Some(due_ms) => PollTimeout::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        let ours = [self.bell.0.as_fd()].into_iter().chain(self.supervisor.descriptor());
        let all = ours.chain(self.asked.descriptors()).map(|one| PollFd::new(one, PollFlags::POLLIN));
        let mounts = self.mounts.iter().map(|one| PollFd::new(one.as_fd(), PollFlags::POLLPRI));
        let mut wanted: Vec<PollFd<'_>> = mounts.chain(all).collect();
        let outcome = poll(&mut wanted, limit);
        let has_news = |one: &PollFd<'_>| one.any().unwrap_or(true);
        self.is_doubted = self.mounts.is_some() && wanted.first().is_some_and(has_news);
        match outcome {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(RoomError::Poll(errno)),
        }
    }
}

/// What followers are told: what a service has left is there before it goes, and a service before it has that again.
fn changes((units, kept): &(Vec<Unit>, Vec<Kept>), now: &(Vec<Unit>, Vec<Kept>)) -> Vec<Answer> {
    let stays = now.1.iter().filter(|one| !kept.contains(one)).cloned().map(Answer::Kept);
    let new = now.0.iter().filter(|unit| !units.contains(unit)).cloned().map(Answer::Unit);
    let is_there = |old: &&Unit| now.0.iter().any(|unit| unit.name == old.name);
    let gone = units.iter().filter(|old| !is_there(old)).map(|old| Answer::Gone(old.name.clone()));
    let is_kept = |old: &&Kept| now.1.iter().any(|one| one.is_of(&old.service, &old.provider));
    let dropped = kept.iter().filter(|old| !is_kept(old));
    let dropped = dropped.map(|old| Answer::Dropped(old.service.clone(), old.provider.clone()));
    stays.chain(new).chain(gone).chain(dropped).collect()
}

/// It is not installed.
pub(crate) fn absent(name: &Name) -> Failure {
    Failure::new(
        Fault::Absent,
        format!("{name}: no such service is installed; ctl packages shows those that are"),
    )
}
