//! The wire `installed`, served: package says which services' bundles are installed, and which are no more.
//!
//! In:  `installed::Ask`. Out: services that come, change and go while the gateway runs; `installed::Answer`s.
//!
//! Rows before the first `All` of a connection are what was installed before: each is taken, and one that does not fit fails when it starts,
//! with its reason. After it each is an order: one that does not fit is refused, and nothing of it stays. While something is being waited for
//! (a service that has to be gone first) package's asks wait; what it says of slices is heard at once, for somebody waits for it (`rental.rs`).
//!
//! There is one package. A new connection takes the place of the one before.
//!
//! Not here: how a service is taken away (`leave.rs`), what package does with an answer.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use contract::control::State;
use contract::installed::{Answer, Ask, Service};
use contract::limit::SERVICES;
use contract::manifest::{Manifest, Restart};
use contract::packages::Fault;
use contract::{Name, Text, mount};
use log::{info, warn};
use sandbox::Plan;
use sys::clock;
use wire::{Connection, Received};

use crate::admission::Refusal;
use crate::core::DAEMONS;
use crate::house::House;
use crate::leave::Asked;
use crate::life::Event;
use crate::links::For;
use crate::overlap::{Part, Side};
use crate::process::{Process, What};
use crate::tenant::Tenant;
use crate::trial::Trial;

/// Rows of package in one turn: all that it can have to say.
const ASKS_A_TURN: usize = 64;
/// Names that no service can have: they are labels in PID 1's store, and words of `ctl`.
const RESERVED: [&str; 2] = ["supervisor", "init"];

/// Why something was not done: the kind, and in words.
pub type Reason = (Fault, String);

/// package, as we see it.
#[derive(Debug, Default)]
pub struct Package {
    client: Option<Connection>,
    /// It has said all on this connection.
    pub said_all: bool,
    waits: Option<Waits>,
    /// What it has asked, and what was not looked at yet.
    later: VecDeque<Ask>,
    /// Slices that it was told of on this connection, and has not said of whether it has kept them, in order.
    words: VecDeque<Name>,
}

/// What package waits for.
#[derive(Debug)]
enum Waits {
    /// This service is gone.
    Gone(Name),
    /// The service of that name is gone, so that this one can come.
    Room(Box<Service>),
    /// Nothing is here in two versions, so that this one can come beside the one that it follows.
    Beside(Box<Service>),
    /// The new version of this service has proven itself, or not.
    Proof(Name),
    /// storage has done this: a volume is gone.
    Dropped(mount::Ask, Asked),
}

impl Package {
    /// What to poll: nothing while it has asked more than we look at.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().filter(|_| self.later.len() < ASKS_A_TURN).map(AsFd::as_fd)
    }

    /// It is connected, and has said all.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.said_all && self.client.is_some()
    }

    /// Tells it of a slice, where it is there; else it will be told when it has said all.
    pub(crate) fn tell_slice(&mut self, name: &Name, word: &Answer) {
        if self.is_there() {
            self.words.push_back(name.clone());
            self.tell(word);
        }
    }

    /// It has said whether one more is kept: which one. `None`: it was not told of it, or of another word about it since.
    pub(crate) fn heard_last_of(&mut self) -> Option<Name> {
        self.words.pop_front().filter(|name| !self.is_told_of(name))
    }

    /// It still has something to say of this slice.
    pub(crate) fn is_told_of(&self, name: &Name) -> bool {
        self.words.contains(name)
    }

    /// Says something, once it has said all. Who does not read loses the connection, and is told again on the next.
    pub fn tell(&mut self, answer: &Answer) {
        if !self.said_all {
            return;
        }
        let Some(client) = &self.client else { return };
        if client.send(answer, &[]).is_err() {
            *self = Self { said_all: true, ..Self::default() };
        }
    }

    /// storage has dropped a volume, or not.
    pub(crate) fn dropped(&mut self, outcome: Result<(), Reason>) {
        if matches!(self.waits, Some(Waits::Dropped(_, Asked::Waits))) {
            self.waits = None;
            self.answer(outcome);
        }
    }

    /// storage is gone: it is asked again.
    pub(crate) fn drop_again(&mut self) {
        if let Some(Waits::Dropped(_, asked)) = &mut self.waits {
            *asked = Asked::Not;
        }
    }

    /// Before it has said all it is not answered.
    fn answer(&mut self, outcome: Result<(), Reason>) {
        if let Err((_, why)) = &outcome {
            warn!("package: {why}");
        }
        self.tell(&match outcome {
            Ok(()) => Answer::Done,
            Err((fault, why)) => Answer::Refused(fault, why.as_str().into()),
        });
    }

    /// The new version of this service was given up, and is gone.
    pub(crate) fn given_up(&mut self, name: &Name, why: &str) {
        if matches!(&self.waits, Some(Waits::Proof(waited)) if waited == name) {
            self.waits = None;
            self.answer(Err((Fault::NotReady, format!("{name}: {why}"))));
        }
    }

    /// It is answered when this service is gone.
    pub(crate) fn wait_gone(&mut self, name: &Name) {
        self.waits = Some(Waits::Gone(name.clone()));
    }
}

impl House {
    /// Lets package in, and does what it says.
    pub fn hear_package(&mut self) {
        while let Some(client) = self.installed.accept() {
            self.package = Package { client: Some(client), ..Package::default() };
            self.ask_disk(); // Where bundles are, there is one.
            let bundles = self.processes.iter_mut().filter_map(Process::bundle_mut);
            bundles.for_each(|bundle| bundle.named = false);
        }
        if self.ending.is_some() {
            return;
        }
        self.listen_to_package();
        for _ in 0..ASKS_A_TURN {
            if !self.catch_up() {
                break;
            }
            let Some(ask) = self.package.later.pop_front() else { break };
            self.take(ask);
        }
        self.start_wanted();
    }

    /// What it says of slices is heard; the rest waits for its turn.
    fn listen_to_package(&mut self) {
        for _ in 0..2 * ASKS_A_TURN {
            let Some(client) = self.package.client.as_ref() else { return };
            if self.package.later.len() >= ASKS_A_TURN {
                return;
            }
            match client.receive::<Ask>() {
                Received::Nothing => return,
                Received::Gone => self.package.client = None,
                Received::Message(Ask::Kept, _) => self.hear_kept(Ok(())),
                Received::Message(Ask::NotKept(_, why), _) => self.hear_kept(Err(why)),
                Received::Message(ask, _) => self.package.later.push_back(ask),
            }
        }
    }

    /// Is nothing waited for any more?
    fn catch_up(&mut self) -> bool {
        let name = match &self.package.waits {
            None => return true,
            Some(Waits::Gone(name)) => name,
            Some(Waits::Room(service)) => &service.manifest.name,
            Some(Waits::Beside(_)) if self.is_between() => return false,
            Some(Waits::Beside(_)) => return self.install_waiting(),
            Some(Waits::Dropped(..)) => return self.go_on_dropping(),
            Some(Waits::Proof(name)) => {
                let Some(outcome) = self.proof(name) else { return false };
                self.package.waits = None;
                self.package.answer(outcome);
                return true;
            }
        };
        if self.processes.iter().any(|process| process.name == *name) {
            return false;
        }
        self.install_waiting()
    }

    /// What was waited for is there. Is nothing else waited for now?
    fn install_waiting(&mut self) -> bool {
        match self.package.waits.take() {
            Some(Waits::Room(service) | Waits::Beside(service)) => {
                if let Some(outcome) = self.install(*service) {
                    self.package.answer(outcome);
                }
            }
            Some(Waits::Gone(_) | Waits::Dropped(..) | Waits::Proof(_)) | None => self.package.answer(Ok(())),
        }
        self.package.waits.is_none()
    }

    /// Asks storage to drop the volume, where it was not asked. It answers later.
    fn go_on_dropping(&mut self) -> bool {
        if let Some(Waits::Dropped(ask, asked)) = &mut self.package.waits
            && *asked == Asked::Not
            && self.mounts.ask(For::Drop, ask, &[]).is_ok()
        {
            *asked = Asked::Waits;
        }
        false
    }

    /// Begins to drop the volume of a service that is not there any more. `None`: it is said when it is gone.
    fn drop_volume(&mut self, service: Name, provider: Name) -> Option<Result<(), Reason>> {
        // Another's service of this name has another volume.
        let has_it = |process: &Process| match &process.what {
            What::Tenant(tenant) => process.name == service && tenant.manifest.provider == provider,
            What::Daemon(_) => false,
        };
        if self.processes.iter().any(has_it) {
            return Some(Err((Fault::Busy, format!("{service}: its volume is in use"))));
        }
        info!("{service}: its volume is dropped");
        self.package.waits = Some(Waits::Dropped(mount::Ask::Drop { service, provider }, Asked::Not));
        None
    }

    pub(crate) fn take(&mut self, ask: Ask) {
        let outcome = match ask {
            Ask::Slice(slice) => Some(self.rent_again(&slice).map_err(|why| (Fault::Slice, why.to_string()))),
            Ask::Service(service) => self.install(service),
            Ask::Before(service) => self.install_before(service),
            Ask::All => {
                self.forget_unnamed();
                self.package.said_all = true;
                self.package.answer(Ok(()));
                return self.tell_orders();
            }
            Ask::Forget(name) => self.forget(&name),
            Ask::Drop { service, provider } => self.drop_volume(service, provider),
            // Heard where they came.
            Ask::Kept | Ask::NotKept(..) => return,
        };
        if let Some(outcome) = outcome {
            self.package.answer(outcome);
        }
    }

    /// Before all was said: what is there if a newer version that is being tried does not prove itself. That goes on.
    fn install_before(&mut self, service: Service) -> Option<Result<(), Reason>> {
        let tried =
            |process: &&mut Process| process.name == service.manifest.name && process.trial().is_some();
        match self.processes.iter_mut().find(tried).and_then(Process::bundle_mut) {
            Some(bundle) if bundle.leave.is_none() && bundle.part != Part::Past => {
                self.name_it(&service.manifest.name);
                Some(Ok(()))
            }
            Some(_) | None => self.install(service),
        }
    }

    /// package has named it, in whichever version.
    fn name_it(&mut self, name: &Name) {
        let its = self.processes.iter_mut().filter(|process| process.name == *name);
        its.filter_map(Process::bundle_mut).for_each(|bundle| bundle.named = true);
    }

    /// Takes a service, or another version of it. `None`: its predecessor has to be gone first, or it has to prove itself.
    fn install(&mut self, service: Service) -> Option<Result<(), Reason>> {
        let name = &service.manifest.name;
        if let Some(next) = self.next_of(name) {
            if self.is_version(next, &service) {
                self.name_it(name);
                self.package.waits = self.package.said_all.then(|| Waits::Proof(name.clone()));
                return (!self.package.said_all).then_some(Ok(()));
            }
            self.give_up_next(next, "another version is to run".into());
        }
        let Some(place) = self.place_of(name) else {
            return Some(self.come(service));
        };
        let process = self.processes.get(place)?;
        match process.bundle() {
            None => Some(Err(taken(name))),
            Some(bundle) if bundle.leave.is_some() => {
                self.package.waits = Some(Waits::Room(Box::new(service)));
                None
            }
            Some(_) => self.renew(place, service),
        }
    }

    /// Is it this version that is at `place`?
    fn is_version(&self, place: usize, service: &Service) -> bool {
        let Some(What::Tenant(tenant)) = self.processes.get(place).map(|process| &process.what) else {
            return false;
        };
        let Manifest { autostart, restart, .. } = tenant.manifest;
        let same = tenant.manifest == Manifest { autostart, restart, ..service.manifest.clone() };
        let bundle = tenant.bundle.as_ref();
        same && bundle
            .is_some_and(|bundle| (bundle.image, bundle.version) == (service.image, service.version))
    }

    /// Is this an order, and would it be refused?
    fn judge_order(&self, service: &Service) -> Result<(), Reason> {
        if !self.package.said_all {
            return Ok(());
        }
        let name = &service.manifest.name;
        let fault = |refusal: &Refusal| match refusal {
            Refusal::NoSlice(_) | Refusal::Rule(_) => Fault::Slice,
            Refusal::Box { .. }
            | Refusal::Slice { .. }
            | Refusal::InUse { .. }
            | Refusal::Disk(_)
            | Refusal::Full => Fault::Resources,
        };
        let refused = |why: Refusal| (fault(&why), format!("{name}: {why}"));
        self.would_admit(&service.manifest).map_err(refused)
    }

    /// A service that is new here.
    fn come(&mut self, service: Service) -> Result<(), Reason> {
        let name = service.manifest.name.clone();
        let is_daemon = DAEMONS.iter().any(|daemon| daemon.name == name.as_str());
        if is_daemon || RESERVED.contains(&name.as_str()) {
            return Err(taken(&name));
        }
        self.judge_order(&service)?;
        let taken = |slot: &u8| self.processes.iter().any(|process| process.slot() == Some(*slot));
        let slots = (0_u8..).take(SERVICES);
        let Some(slot) = slots.into_iter().find(|slot| !taken(slot)) else {
            return Err((Fault::Resources, format!("{name}: there are {SERVICES} services already")));
        };
        let version = service.version;
        let failed = |error: crate::Error| (Fault::Resources, format!("{name}: {error}"));
        let tenant = Tenant::of_bundle(service, slot, (Side::Plain, Part::Now)).map_err(failed)?;
        let what = What::Tenant(Box::new(tenant));
        let mut process = Process::new(name.clone(), what, &self.keep).map_err(failed)?;
        process.begin();
        process.write_record();
        if let Some(bundle) = process.bundle_mut() {
            bundle.named = true;
        }
        // From here on a next life adopts it; before, it is a stray there.
        if !process.write_bundle() {
            self.drop_labels(&name);
            return Err((Fault::Resources, format!("{name}: it cannot be kept: no memory")));
        }
        info!("{name}: version {version} is installed");
        // In the order of slots, as a next life has them. Nobody holds a place meanwhile.
        let after = |other: &Process| other.slot().is_some_and(|other| other > slot);
        let place = self.processes.iter().position(after).unwrap_or(self.processes.len());
        self.processes.insert(place, process);
        self.tell(place);
        Ok(())
    }

    /// A service that is known: the same again, or another version, which takes its place once it has ended. `None`: that has to prove itself.
    fn renew(&mut self, place: usize, service: Service) -> Option<Result<(), Reason>> {
        let is_order = self.package.said_all;
        let process = self.processes.get_mut(place)?;
        let wanted = process.record.wanted;
        let What::Tenant(tenant) = &mut process.what else { return None };
        let bundle = tenant.bundle.as_mut()?;
        bundle.named = true;
        let ordered = (service.manifest.autostart, service.manifest.restart);
        let known = match &mut bundle.next {
            Some(next) => (&mut next.manifest, next.image, next.version),
            None => (&mut tenant.manifest, bundle.image, bundle.version),
        };
        let (manifest, image, version) = known;
        let was = order(manifest, ordered);
        if (image, version) == (service.image, service.version) && *manifest == service.manifest {
            let tried = bundle.trial.is_some() && is_order;
            if was != ordered {
                let _ = process.write_bundle(); // It was written once, and is as large as it was.
                self.tell(place);
            }
            if tried {
                self.package.waits = Some(Waits::Proof(service.manifest.name));
                return None;
            }
            return Some(Ok(()));
        }
        order(manifest, was);
        let name = service.manifest.name.clone();
        if tenant.manifest.provider != service.manifest.provider {
            let provider = &tenant.manifest.provider;
            return Some(Err((Fault::Foreign, format!("{name}: it is a service of {provider}"))));
        }
        if let Err(error) = Plan::new(&service.manifest, tenant.slot) {
            return Some(Err((Fault::Form, format!("{name}: {error}"))));
        }
        // Whoever comes back after a trial has proven himself before.
        let is_back = bundle.trial.is_some_and(|trial| trial.failed);
        let trial = (is_order && wanted && !is_back)
            .then(|| Trial::of(&service.manifest, &tenant.manifest, clock::boot_ms()));
        if let Err(refused) = self.judge_order(&service) {
            return Some(Err(refused));
        }
        info!("{name}: version {} takes the place of version {version}", service.version);
        match trial.filter(|_| self.can_overlap(place, &service)) {
            Some(_) if self.is_between() => {
                self.package.waits = Some(Waits::Beside(Box::new(service)));
                return None;
            }
            Some(trial) => {
                if let Err(error) = self.begin_next(place, service, trial) {
                    return Some(Err((Fault::Resources, format!("{name}: {error}"))));
                }
            }
            None => self.swap(place, service, trial),
        }
        if trial.is_some() {
            self.package.waits = Some(Waits::Proof(name));
            return None;
        }
        Some(Ok(()))
    }

    /// First it is written down that the old one ends, then what comes after it: so no life takes the old one for the new one.
    fn swap(&mut self, place: usize, service: Service, trial: Option<Trial>) {
        if self.processes.get(place).is_some_and(|process| process.record.wanted) {
            self.want(place, true); // What went wrong with the old one does not count.
        }
        // What it is promised is not given away between the two.
        let bundle = self.processes.get_mut(place).and_then(Process::bundle_mut);
        if let (Some(bundle), Some(_)) = (bundle, trial) {
            bundle.trial = trial;
        }
        self.happen(place, Event::Unwant);
        let Some(process) = self.processes.get_mut(place) else { return };
        if let Some(bundle) = process.bundle_mut() {
            bundle.next = Some(Box::new(service));
            bundle.trial = trial;
        }
        if !process.write_bundle() {
            warn!("{}: its new version is not kept over a life of ours", process.name);
        }
        if trial.is_none() && process.record.state == State::Down && !process.record.wanted {
            self.books.release(&process.name);
        }
        if process.record.pid.is_none() {
            process.record.reason = Text::default();
            if let What::Tenant(tenant) = &mut process.what {
                tenant.renew();
            }
        }
        self.tell(place);
    }
}

/// What an operator may say over a manifest, which makes no other version of it: does it start by itself, and again? What it said before.
fn order(manifest: &mut Manifest, (autostart, restart): (bool, Restart)) -> (bool, Restart) {
    let was = std::mem::replace(&mut manifest.autostart, autostart);
    (was, std::mem::replace(&mut manifest.restart, restart))
}

fn taken(name: &Name) -> Reason {
    (Fault::Foreign, format!("{name}: the gateway has something of this name already"))
}
