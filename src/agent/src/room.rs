//! The loop: one thread, one poll; and short-lived threads that connect to brokers.
//!
//! In:  controllers' messages, other rooms' answers, the network's changes, the time. Out: answers, news, orders; what is to be kept.

use std::convert::Infallible;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::sla::Compliance;
use log::{info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use state::Folder;
use sys::clock::boot_ms;
use usp::{GATEWAY, Msg};
use wire::Listener;

mod bulk;
mod discovery;
mod jobs;
mod kept;
mod orders;
mod ready;
mod slices;
mod trial;

use crate::Error;
use crate::answer::{Outcome, answer, broken, needs_network, refused};
use crate::bulk::Bulk;
use crate::configuration::{self, Configuration};
use crate::doctor::Doctor;
use crate::doors::Doors;
use crate::machine::{self, Watch};
use crate::news::News;
use crate::onboarding::Onboarding;
use crate::own::Own;
use crate::peer::{Heard, Peer};
use crate::rooms::{Change, Rooms};
use crate::settings::{self, Settings};
use crate::tenants::Tenants;
use crate::world::World;
use discovery::Whereabouts;
use kept::Kept;
use ready::Ready;
use trial::Watched;

/// How old what the supervisor has said may be when somebody asks, in milliseconds.
const FRESH_MS: u64 = 50;
/// How often it is asked who we are, until somebody knows, in milliseconds.
const IDENTITY_EVERY_MS: u64 = 500;

/// Where things are: elsewhere in tests.
#[derive(Debug, Clone)]
pub struct Places {
    /// The operator's word, the first that is there.
    pub configuration: Vec<PathBuf>,
    /// Other rooms' sockets.
    pub wires: PathBuf,
    /// Our folder on the data disk.
    pub state: Folder,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            configuration: [configuration::GIVEN, configuration::SHIPPED].map(PathBuf::from).to_vec(),
            wires: PathBuf::from("/run/wire"),
            state: Folder::of("agent"),
        }
    }
}

/// Sockets of ours that the supervisor has bound; where there is none nobody comes by it.
#[derive(Debug, Default)]
pub struct Listeners {
    /// The services'.
    pub tenant: Option<UnixListener>,
    /// Controllers' on the box.
    pub local: Option<UnixListener>,
    /// Of whoever asks how it stands.
    pub doctor: Option<Listener>,
}

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Room {
    world: World,
    peers: Vec<Peer>,
    doors: Doors,
    doctor: Doctor,
    news: News,
    onboarding: Onboarding,
    rooms: Rooms,
    own: Arc<Own>,
    tenants: Tenants,
    bulk: Bulk,
    watch: Watch,
    /// Threads ring here.
    bell: (UnixStream, UnixStream),
    kept: Kept,
    began_ms: u64,
    /// When each controller hears `Periodic!` next.
    periodic_ms: Vec<u64>,
    asked_ms: u64,
    looked_ms: u64,
    /// When operations that wait are looked at again.
    look_ms: u64,
    whereabouts: Whereabouts,
    /// The network.
    watched: Watched,
    /// `package` has said once which units there are.
    units_known: bool,
    /// Something is other than when news was last looked for.
    stale: bool,
    /// Descriptors that had something when the last wait was over.
    ready: Vec<RawFd>,
}

impl Room {
    /// Reads the operator's word and waits until somebody knows who we are.
    ///
    /// # Errors
    /// [`Error::System`]: no descriptors.
    pub fn open(places: &Places, listeners: Listeners) -> Result<Self, Error> {
        let paths: Vec<&Path> = places.configuration.iter().map(PathBuf::as_path).collect();
        let configuration = configuration::read(&paths).unwrap_or_else(|error| {
            warn!("{error}; nobody is obeyed");
            Configuration::default()
        });
        let rooms = Rooms::new(places.wires.clone(), boot_ms());
        let own = Arc::new(Own::new(places.wires.clone()));
        let bell = UnixStream::pair().map_err(|error| Error::System("socketpair", error))?;
        bell.0.set_nonblocking(true).map_err(|error| Error::System("socketpair", error))?;
        let (endpoint, certificate) = loop {
            if let Some(who) = own.who() {
                break who;
            }
            std::thread::sleep(std::time::Duration::from_millis(IDENTITY_EVERY_MS));
        };
        let peers =
            configuration.controllers.iter().map(|one| Peer::new(one.clone(), &endpoint, &own)).collect();
        info!("{endpoint}: {} controllers", configuration.controllers.len());
        let kept = Kept::new(&places.state);
        let doors = Doors::new(listeners.local, &configuration, &own);
        let world = World { certificate, ..World::new(configuration, endpoint, Settings::default()) };
        let began_ms = boot_ms();
        let period = |said: &settings::Said| began_ms.saturating_add(u64::from(said.periodic_s) * 1000);
        Ok(Self {
            periodic_ms: world.settings.controllers.iter().map(period).collect(),
            world,
            peers,
            doors,
            doctor: Doctor::new(listeners.doctor),
            news: News::default(),
            onboarding: Onboarding::default(),
            rooms,
            own,
            tenants: Tenants::new(listeners.tenant),
            bulk: Bulk::default(),
            watch: Watch::open(),
            bell,
            kept,
            began_ms,
            asked_ms: 0,
            looked_ms: 0,
            look_ms: 0,
            whereabouts: Whereabouts::default(),
            watched: Watched::default(),
            units_known: false,
            stale: true,
            ready: Vec::new(),
        })
    }

    /// Works for ever.
    ///
    /// # Errors
    /// [`Error::System`]: it cannot wait.
    pub fn run(&mut self) -> Result<Infallible, Error> {
        loop {
            self.turn();
            self.ready = self.wait()?;
        }
    }

    /// One turn: every controller once. Nobody is asked who has nothing to say: a question of one controller's costs its own reading and
    /// writing, and little more.
    fn turn(&mut self) {
        let now_ms = boot_ms();
        let ready = Ready { descriptors: std::mem::take(&mut self.ready), now_ms };
        if ready.has(self.bell.0.as_fd()) {
            let _ = self.bell.0.read(&mut [0; 64]);
        }
        self.look_at_machine(now_ms);
        let changes = self.watch.heard();
        if changes.ways {
            self.peers.iter_mut().for_each(Peer::hurry);
            self.whereabouts.hurry();
        }
        if changes.ways || changes.neighbours {
            self.watched.stir(now_ms);
        }
        self.load(now_ms);
        self.attend_network(now_ms);
        self.search(now_ms);
        if ready.any(self.doors.descriptors(), self.doors.due_ms()) {
            self.let_in(now_ms);
        }
        for place in 0..self.peers.len() {
            let peer = self.peers.get(place);
            if peer.is_some_and(|peer| {
                ready.any(peer.descriptor().map(|(one, _)| one).into_iter(), peer.due_ms())
                    || peer.is_on_its_way()
            }) {
                self.attend(place, now_ms);
            }
        }
        if ready.any(self.doctor.descriptors(), self.doctor.due_ms()) || self.doctor.waits() {
            self.doctor.turn(&self.world, &mut self.peers, now_ms);
        }
        if ready.any(self.rooms.descriptors(), self.rooms.due_ms()) {
            self.hear_supervisor(now_ms);
            self.hear_packages(now_ms);
        }
        if ready.any(self.tenants.descriptors().map(|(one, _)| one), self.tenants.due_ms()) {
            self.hear_tenants(now_ms);
        }
        self.report(now_ms);
        self.finish_requests(now_ms);
        self.tell_periodic(now_ms);
        self.drop_expired();
        if std::mem::take(&mut self.stale) {
            self.news.look(&self.world, now_ms);
        }
        if self.kept.is_loaded() {
            self.onboarding.turn(&self.world, &mut self.news, now_ms);
        }
        self.keep_journal();
        self.begin_jobs(now_ms);
        self.send_news(now_ms);
        self.keep(now_ms);
    }

    /// Controllers that come by themselves.
    fn let_in(&mut self, now_ms: u64) {
        for came in self.doors.turn(&self.world, now_ms) {
            let place = came.place;
            let Some(peer) = self.peers.get_mut(place) else { continue };
            peer.take(came, now_ms);
            self.news.hurry(u32::try_from(place).unwrap_or(0).saturating_add(1), now_ms);
        }
    }

    /// Each state of a service is told, however short it was.
    fn hear_supervisor(&mut self, now_ms: u64) {
        let (changes, anew) = self.rooms.heard(now_ms);
        for change in changes {
            match change {
                Change::Process(process) => self.world.hear_process(process),
                Change::Gone(name) => self.world.hear_gone(&name),
                Change::Breach(name, breach) => self.tell_breach(&name, breach, now_ms),
                Change::Compliance(row) => self.world.hear_compliance(row),
            }
            self.news.look(&self.world, now_ms);
        }
        if anew {
            self.asked_ms = 0;
            self.refresh(now_ms);
        }
    }

    /// What services say of themselves; what happened in them is told.
    fn hear_tenants(&mut self, now_ms: u64) {
        let (happened, changed) = self.tenants.turn(&mut self.world, now_ms);
        self.stale |= changed;
        for one in happened {
            self.tell_event(&one, now_ms);
        }
    }

    /// What the machine says is good for a moment; whether the clock is believed is news.
    fn look_at_machine(&mut self, now_ms: u64) {
        self.world.facts.uptime_s = now_ms / 1000;
        self.world.facts.agent_s = now_ms.saturating_sub(self.began_ms) / 1000;
        if now_ms >= self.looked_ms.saturating_add(FRESH_MS) {
            self.looked_ms = now_ms;
            let believed = self.world.facts.now_s.is_some();
            machine::look(&mut self.world.facts);
            self.stale |= believed != self.world.facts.now_s.is_some();
        }
    }

    /// One controller's turn.
    fn attend(&mut self, place: usize, now_ms: u64) {
        let row = u32::try_from(place).unwrap_or(0).saturating_add(1);
        let Some(said) = self.world.settings.controllers.get(place).cloned() else { return };
        let Some(peer) = self.peers.get_mut(place) else { return };
        let (up, heard) = peer.turn(&said, (&self.bell.1, now_ms));
        if up {
            self.news.hurry(row, now_ms);
        }
        for Heard { message, way, .. } in heard {
            let message = match Msg::decode(&message, &GATEWAY) {
                Ok(message) => message,
                Err(why) => {
                    if let (Some(answer), Some(peer)) = (broken(&message, &why), self.peers.get_mut(place)) {
                        peer.answer(answer.encode(), &way, &said);
                        peer.push(now_ms);
                    }
                    continue;
                }
            };
            self.refresh(now_ms);
            if needs_network(&message) {
                self.look_at_network(now_ms);
            }
            let outcome = answer(&mut self.world, row, &message, now_ms);
            let Outcome { mut answer, orders, first, delivered, changed, canceled } = outcome;
            if let Some(Err(why)) = first.map(|first| self.give_first(first, now_ms)) {
                answer = Some(refused(&message, &why));
            }
            self.stale |= !orders.is_empty();
            if changed || std::mem::take(&mut self.stale) {
                // A subscription's first look comes before what the next message changes.
                self.news.look(&self.world, now_ms);
                self.kept.dirty |= changed;
                if changed {
                    self.tenants.tell(&self.world);
                    self.bulk.set(&self.world, now_ms);
                }
            }
            if let Some(peer) = self.peers.get_mut(place) {
                if let Some(answer) = answer {
                    peer.answer(answer.encode(), &way, &said);
                }
                peer.push(now_ms);
            }
            if changed {
                self.end_sessions(now_ms);
            }
            if let Some(id) = delivered {
                self.news.delivered(row, &id);
            }
            for request in canceled {
                self.cancel(request, now_ms);
            }
            for (request, order) in orders {
                self.give(request, order, now_ms);
            }
        }
        if let (Some(peer), Some(link)) = (self.peers.get(place), self.world.links.get_mut(place)) {
            let now = peer.link();
            self.stale |= *link != now;
            *link = now;
        }
    }

    /// Sessions that are not allowed any more.
    fn end_sessions(&mut self, now_ms: u64) {
        for (said, peer) in self.world.settings.controllers.iter().zip(&mut self.peers) {
            if !said.session {
                peer.end_session(now_ms);
            }
        }
    }

    /// Asks the supervisor, unless it was asked just now.
    fn refresh(&mut self, now_ms: u64) {
        if now_ms < self.asked_ms.saturating_add(FRESH_MS) {
            return;
        }
        self.asked_ms = now_ms;
        if let Some(processes) = self.rooms.processes(now_ms) {
            self.stale |= self.world.facts.processes != processes;
            self.world.hear_processes(processes);
        }
        if let Some(slices) = self.rooms.slices(now_ms) {
            self.stale |= self.world.facts.promised != slices;
            self.world.hear_slices(slices);
        }
        if let Some(compliance) = self.rooms.compliance(now_ms) {
            let told = |one: &Compliance| (one.service.clone(), one.told());
            let now: Vec<_> = compliance.iter().map(told).collect();
            self.stale |= !self.world.facts.compliance.iter().map(told).eq(now);
            self.world.facts.compliance = compliance;
        }
    }

    fn tell_periodic(&mut self, now_ms: u64) {
        for (place, due_ms) in self.periodic_ms.iter_mut().enumerate() {
            let Some(said) = self.world.settings.controllers.get(place) else { continue };
            let period_ms = u64::from(said.periodic_s) * 1000;
            *due_ms = (*due_ms).min(now_ms.saturating_add(period_ms)); // it was made shorter
            if now_ms >= *due_ms {
                *due_ms = now_ms.saturating_add(period_ms);
                let row = u32::try_from(place).unwrap_or(0).saturating_add(1);
                let event = ("Device.LocalAgent.", "Periodic");
                self.news.happen(&self.world, event, &[], (Some(row), false, now_ms));
            }
        }
    }

    fn drop_expired(&mut self) {
        let Some(now_s) = self.world.facts.now_s else { return };
        let before = self.world.settings.subscriptions.len();
        self.world.settings.subscriptions.retain(|one| {
            one.time_to_live_s == 0
                || one.created_s == 0
                || now_s < one.created_s + i64::from(one.time_to_live_s)
        });
        let gone = before != self.world.settings.subscriptions.len();
        self.stale |= gone;
        self.kept.dirty |= gone;
    }

    fn send_news(&mut self, now_ms: u64) {
        if self.news.is_empty() {
            return;
        }
        let mut random = [0; 4];
        let _ = sys::entropy::random(&mut random);
        for (row, peer) in (1..).zip(&mut self.peers) {
            let place = usize::try_from(row - 1).unwrap_or(0);
            let Some(said) = self.world.settings.controllers.get(place) else { continue };
            let due = self.news.due(&self.world, row, peer.is_up(), (now_ms, u32::from_ne_bytes(random)));
            for message in due {
                peer.tell(message, said);
            }
            peer.push(now_ms);
        }
    }

    /// When there is something to do, in milliseconds after boot.
    fn due_ms(&self) -> Option<u64> {
        let peers = self.peers.iter().filter_map(Peer::due_ms);
        let up = (1..).zip(&self.peers).filter(|(_, peer)| peer.is_up());
        let news = up.filter_map(|(row, _)| self.news.due_ms(row));
        let requests = self.world.requests.iter().map(|request| request.until_ms);
        let disk = self.kept.due_ms();
        let periodic = self.periodic_ms.iter().copied();
        peers
            .chain(news)
            .chain(requests)
            .chain(self.rooms.due_ms())
            .chain(self.tenants.due_ms())
            .chain(self.doors.due_ms())
            .chain(self.doctor.due_ms())
            .chain(self.bulk.due_ms())
            .chain(disk)
            .chain(periodic)
            .chain(self.jobs_due_ms())
            .chain(self.watched.due_ms())
            .chain(self.whereabouts.due_ms())
            .chain(self.onboarding.due_ms(&self.world))
            .min()
    }

    /// Waits; which descriptors have something.
    fn wait(&self) -> Result<Vec<RawFd>, Error> {
        let left = self.due_ms().map(|due_ms| due_ms.saturating_sub(boot_ms()));
        // A second at most once a subscription may end by its age: that is looked at by the wall clock.
        let limit = match left {
            None => PollTimeout::NONE,
            Some(left) => PollTimeout::try_from(left.min(3_600_000)).unwrap_or(PollTimeout::MAX),
        };
        let mut wanted = vec![PollFd::new(self.bell.0.as_fd(), PollFlags::POLLIN)];
        wanted.extend(self.rooms.descriptors().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        wanted.extend(self.watch.descriptor().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        wanted.extend(self.doctor.descriptors().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        wanted.extend(self.doors.descriptors().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        wanted.extend(self.tenants.descriptors().map(|(one, flags)| PollFd::new(one, flags)));
        for (descriptor, writes) in self.peers.iter().filter_map(Peer::descriptor) {
            let write = if writes { PollFlags::POLLOUT } else { PollFlags::empty() };
            wanted.push(PollFd::new(descriptor, PollFlags::POLLIN | write));
        }
        match poll(&mut wanted, limit) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {
                let ready = wanted.iter().filter(|one| one.any().unwrap_or(true));
                Ok(ready.map(|one| one.as_fd().as_raw_fd()).collect())
            }
            Err(errno) => Err(Error::System("poll", errno.into())),
        }
    }
}
