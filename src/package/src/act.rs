//! What is under way with the supervisor: a bundle that was put and waits for its yes, or a service that is to go.
//!
//! In:  orders, the supervisor's answers. Out: the store after them, and the end of each order. Whatever happens on the way, the store holds what
//! the supervisor was told last.
//!
//! Not here: the loop (`room.rs`).

use bundle::record::Installed;
use contract::Name;
use contract::installed;
use contract::limit::KEPT;
use contract::manifest::Manifest;
use contract::packages::{Fault, Install};
use log::{info, warn};
use sys::clock::boot_ms;

use crate::asked::Id;
use crate::book::Dropped;
use crate::failure::Failure;
use crate::fetch::{Put, lock};
use crate::registry::Source;
use crate::room::{Room, absent};
use crate::supervisor::For;
use crate::work::Work;
use crate::{SERVICES_MAX, operator};

/// How long the supervisor may take: a service has a minute to stop in, and then its cgroup goes.
const PATIENCE_MS: u64 = 120_000;
/// Who may wait for one order.
const WAITERS_MAX: usize = 8;

/// What is under way.
#[derive(Debug)]
pub(crate) struct Under {
    pub(crate) act: Act,
    /// Whom its end is said to.
    waiters: Vec<Id>,
    /// When it has to be over, in milliseconds after boot.
    end_ms: u64,
}

/// Which.
#[derive(Debug)]
pub(crate) enum Act {
    /// A bundle was put.
    Install {
        /// What, and what it replaced.
        put: Put,
        /// As it was ordered.
        install: Install,
    },
    /// A service goes.
    Remove {
        /// Which.
        service: Name,
        /// Its volume is to go, too.
        drop_data: bool,
    },
    /// The volume of a service that is gone goes.
    Drop(Dropped),
}

impl Act {
    /// What is being done, for whoever has to wait.
    fn words(&self) -> String {
        match self {
            Self::Install { put, .. } => format!("{} is being installed", put.service),
            Self::Remove { service, .. } | Self::Drop(Dropped { service, .. }) => {
                format!("{service} is being removed")
            }
        }
    }
}

impl Under {
    fn new(act: Act, waiters: Vec<Id>) -> Self {
        Self { act, waiters, end_ms: boot_ms().saturating_add(PATIENCE_MS) }
    }

    /// A new version of `service` has to become ready and well, too.
    fn with_time_to_prove(mut self, service: &Manifest) -> Self {
        let health = service.health.as_ref().map_or(0, |health| {
            (u64::from(health.every_ms) + u64::from(health.timeout_ms)) * u64::from(health.fails)
        });
        self.end_ms = self.end_ms.saturating_add(u64::from(service.start_deadline_ms) + health);
        self
    }

    /// When it has to be over, in milliseconds after boot.
    pub(crate) fn due_ms(&self) -> u64 {
        self.end_ms
    }

    /// The service that was put, and what was there before.
    pub(crate) fn put(&self) -> Option<(&Name, Option<&Installed>)> {
        match &self.act {
            Act::Install { put, .. } => Some((&put.service, put.replaced.old())),
            Act::Remove { .. } | Act::Drop(_) => None,
        }
    }
}

/// Later, perhaps.
fn busy(words: impl std::fmt::Display) -> Failure {
    Failure::new(Fault::Busy, words)
}

impl Room {
    /// Begins to fetch. `false`: its end comes later.
    pub(crate) fn begin_install(&mut self, id: Id, install: Install) -> Result<bool, Failure> {
        let keep = self.keep.as_ref().map_err(Failure::clone)?;
        keep.trusts()?;
        let word = operator::read(&self.places.word).map_err(|fault| Failure::new(Fault::Ask, fault))?;
        Source::parse(&install.source, &word.plain_http)?;
        if install.username.contains(':') {
            return Err(Failure::new(Fault::Ask, "username: a name has no colon in it"));
        }
        if let Some(work) = &self.work {
            return Err(busy(format!("{} is being fetched; one thing at a time", work.install.source)));
        }
        let installed: Vec<Name> =
            lock(keep.store()).installed().iter().map(|one| one.statement.name.clone()).collect();
        match &install.update {
            Some(name) if !installed.contains(name) => return Err(absent(name)),
            None if installed.len() >= SERVICES_MAX => {
                return Err(Failure::new(Fault::Resources, crate::Error::Full));
            }
            Some(_) | None => {}
        }
        match (self.act.as_ref().map(|under| &under.act), &install.update) {
            (Some(act @ Act::Install { .. }), _) => {
                return Err(busy(format!("{}; one thing at a time", act.words())));
            }
            (Some(act @ (Act::Remove { service, .. } | Act::Drop(Dropped { service, .. }))), Some(name))
                if service == name =>
            {
                return Err(busy(act.words()));
            }
            (Some(Act::Remove { .. } | Act::Drop(_)) | None, _) => {}
        }
        info!("{}: is fetched", install.source);
        self.work = Some(Work::begin((install, word), keep.store(), &self.bell.1, id)?);
        Ok(false)
    }

    /// From now on `id` hears what the asker of the order with this tag hears.
    pub(crate) fn wait_for(&mut self, id: Id, tag: &str) -> Result<(), Failure> {
        let fetched = self.work.iter_mut().filter(|work| work.install.tag.as_str() == tag);
        let put = self.act.iter_mut().filter(|under| match &under.act {
            Act::Install { install, .. } => install.tag.as_str() == tag,
            Act::Remove { .. } | Act::Drop(_) => false,
        });
        let mut found = fetched.map(|work| &mut work.waiters).chain(put.map(|under| &mut under.waiters));
        match found.next() {
            Some(waiters) if waiters.len() < WAITERS_MAX => {
                waiters.push(id);
                Ok(())
            }
            Some(_) => Err(busy(format!("{WAITERS_MAX} wait for it already"))),
            None => {
                let words = format!(
                    "nothing with the tag '{tag}' is being installed; the list says what became of it"
                );
                Err(Failure::new(Fault::Absent, words))
            }
        }
    }

    /// A bundle was put in its place: the supervisor is told, as soon as nothing else is under way.
    pub(crate) fn begin_put(&mut self, put: Put) {
        match (self.work.take(), &self.act) {
            (Some(mut work), Some(_)) => {
                work.put_back(put);
                self.work = Some(work);
            }
            (Some(work), None) => {
                let Ok(keep) = &self.keep else { return };
                let service = keep.manifest(&put.service);
                let under = Under::new(Act::Install { put, install: work.install }, work.waiters);
                self.act = Some(match service {
                    Some(service) => under.with_time_to_prove(&service),
                    None => under,
                });
                self.say_act();
            }
            (None, _) => {}
        }
    }

    /// Begins to remove. `false`: its end comes later.
    pub(crate) fn begin_remove(&mut self, id: Id, service: Name, drop_data: bool) -> Result<bool, Failure> {
        let keep = self.keep.as_ref().map_err(Failure::clone)?;
        if !lock(keep.store()).records()?.iter().any(|record| *record == service.as_str()) {
            return Err(absent(&service));
        }
        if let Some(under) = &self.act {
            return Err(busy(under.act.words()));
        }
        if self.work.as_ref().is_some_and(|work| work.concerns(&service)) {
            return Err(busy(format!("{service}: a bundle of it is being fetched; ctl cancel, or wait")));
        }
        if keep.stays(&service, drop_data, 0).is_some() && keep.book().kept().len() >= KEPT {
            let words =
                format!("{service}: {KEPT} volumes of services that are gone are kept already; see ctl kept");
            return Err(Failure::new(Fault::Resources, words));
        }
        self.act = Some(Under::new(Act::Remove { service, drop_data }, vec![id]));
        self.say_act();
        Ok(false)
    }

    /// Says to the supervisor what is under way, where it listens; else it is said when it does.
    pub(crate) fn say_act(&mut self) {
        let (Some(under), Ok(keep)) = (&self.act, &self.keep) else { return };
        let ask = match &under.act {
            Act::Install { put, .. } => {
                let store = lock(keep.store());
                let found = store.installed().iter().find(|one| one.statement.name == put.service);
                let Some(found) = found else { return };
                installed::Ask::Service(keep.service(found))
            }
            Act::Remove { service, .. } => installed::Ask::Forget(service.clone()),
            Act::Drop(Dropped { service, provider }) => {
                installed::Ask::Drop { service: service.clone(), provider: provider.clone() }
            }
        };
        self.supervisor.say(&ask, For::Act);
    }

    /// It takes too long: whatever the supervisor does with it, it is asked anew, from the beginning.
    pub(crate) fn hurry_act(&mut self, now_ms: u64) {
        if self.act.as_ref().is_some_and(|under| under.end_ms <= now_ms) {
            self.supervisor.hang_up("no answer in time");
            self.close_act(Err(busy("the supervisor does not answer; ask again later")));
        }
    }

    /// Brings the store to where it has to be after `outcome`, and says the end.
    pub(crate) fn close_act(&mut self, outcome: Result<(), Failure>) {
        let Some(Under { act, waiters, .. }) = self.act.take() else { return };
        let end = match (act, outcome) {
            (Act::Install { put, install }, Ok(())) => self.confirm(put, &install),
            (Act::Install { put, .. }, Err(failure)) => self.take_back(put).and(Err(failure)),
            (Act::Remove { service, drop_data }, Ok(())) => match self.remove(&service, drop_data) {
                // Its end is said when that is done, too.
                Ok(Some(volume)) => return self.begin_drop(volume, waiters),
                other => other.map(drop),
            },
            (Act::Drop(volume), Ok(())) => self.dropped(&volume),
            (Act::Remove { .. } | Act::Drop(_), Err(failure)) => Err(failure),
        };
        if let Err(failure) = &end {
            warn!("{failure}");
        }
        waiters.iter().for_each(|id| self.asked.end(*id, &end));
        // One that could not be done now is done on the next connection.
        if end.is_ok() {
            self.go_on_dropping();
        }
        if self.work.as_ref().is_some_and(Work::has_put) {
            self.ring();
        }
    }

    /// The other thread's bell, rung by us: what it has put may go on.
    fn ring(&self) {
        use std::io::Write;
        let _ = (&self.bell.1).write(&[1]);
    }

    fn confirm(&mut self, put: Put, install: &Install) -> Result<(), Failure> {
        let keep = self.keep.as_mut().map_err(|failure| failure.clone())?;
        let now_s = now_s();
        // It runs already: where its tag is kept is no reason to stop it.
        // One that has no volume now leaves what one before it has left.
        let has_volume = keep.manifest(&put.service).is_some_and(|service| service.volume.is_some());
        let provider = lock(keep.store()).provider(&put.service).filter(|_| has_volume);
        let kept = keep.write(|book| {
            book.install(&put.service, &install.source, &install.tag, now_s);
            provider.iter().for_each(|provider| book.has_again(&put.service, provider));
        });
        kept.unwrap_or_else(|failure| warn!("{}: {failure}", put.service));
        Ok(lock(keep.store()).settle(put.replaced)?)
    }

    fn take_back(&mut self, put: Put) -> Result<(), Failure> {
        let keep = self.keep.as_mut().map_err(|failure| failure.clone())?;
        let old = put.replaced.old().cloned();
        lock(keep.store()).take_back(put.replaced)?;
        // Where the supervisor has begun with the new one, the old one is said to be the one; else that changes nothing.
        if let Some(old) = old {
            let service = keep.service(&old);
            self.supervisor.say(&installed::Ask::Service(service), For::Change);
        }
        Ok(())
    }

    /// Takes a bundle away for good. Which volume is to go then? That is written down first, and so is one that stays: it goes, or is listed,
    /// whatever happens from then on.
    fn remove(&mut self, service: &Name, drop_data: bool) -> Result<Option<Dropped>, Failure> {
        let keep = self.keep.as_mut().map_err(|failure| failure.clone())?;
        let found = lock(keep.store()).installed().iter().find(|one| one.statement.name == *service).cloned();
        // Of a bundle that is not believed nobody knows whose it is: what it had stays.
        let goes = found.filter(|one| drop_data || one.service.volume.as_ref().is_some_and(|it| !it.kept));
        let volume = goes.map(|one| Dropped { service: service.clone(), provider: one.statement.provider });
        let stays = keep.stays(service, drop_data, now_s());
        keep.write(|book| {
            volume.iter().for_each(|volume| book.drop_volume(volume.clone()));
            stays.into_iter().for_each(|volume| book.keep_volume(volume));
        })?;
        lock(keep.store()).remove(service)?;
        keep.write(|book| book.forget(service))?;
        Ok(volume)
    }

    /// The volume of a service that is gone is to go. From here on it does; nobody waits for that.
    pub(crate) fn drop_kept(&mut self, volume: Dropped) -> Result<(), Failure> {
        let keep = self.keep.as_mut().map_err(|failure| failure.clone())?;
        let Dropped { service, provider } = &volume;
        if keep.is_used(service, provider)? || self.work.as_ref().is_some_and(|work| work.concerns(service)) {
            return Err(busy(format!("{service}: its volume is in use")));
        }
        if !keep.book().kept().iter().any(|one| one.is_of(service, provider)) {
            let words = format!(
                "{service}: no volume of a service of {provider}'s is kept; ctl kept shows those that are"
            );
            return Err(Failure::new(Fault::Absent, words));
        }
        keep.write(|book| book.drop_volume(volume))?;
        if self.supervisor.is_there() {
            self.go_on_dropping();
        }
        Ok(())
    }

    fn begin_drop(&mut self, volume: Dropped, waiters: Vec<Id>) {
        self.act = Some(Under::new(Act::Drop(volume), waiters));
        self.say_act();
    }

    /// Volumes of services that were removed, and that a death or a power cut has left: one at a time, and nobody waits.
    pub(crate) fn go_on_dropping(&mut self) {
        let (None, Ok(keep)) = (&self.act, &self.keep) else { return };
        let installed = |volume: &&Dropped| {
            lock(keep.store()).provider(&volume.service).is_some_and(|provider| provider == volume.provider)
        };
        let next = keep.book().volumes_dropped().iter().find(|volume| !installed(volume)).cloned();
        if let Some(volume) = next {
            self.begin_drop(volume, Vec::new());
        }
    }

    fn dropped(&mut self, volume: &Dropped) -> Result<(), Failure> {
        let keep = self.keep.as_mut().map_err(|failure| failure.clone())?;
        keep.write(|book| book.dropped(volume))
    }
}

/// Seconds after 1970; 0: the clock is not believed.
fn now_s() -> u64 {
    let now_ns = if trust::clock::is_believed() { sys::wall::now_ns().unwrap_or(0) } else { 0 };
    u64::try_from(now_ns / 1_000_000_000).unwrap_or(0)
}
