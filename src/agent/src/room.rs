//! The loop: one thread, one poll; and short-lived threads that connect to brokers.
//!
//! In:  controllers' messages, other rooms' answers, the network's changes, the time. Out: answers, news, orders; what is to be kept.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::Name;
use contract::sla::Compliance;
use log::{info, warn};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use state::Folder;
use sys::clock::boot_ms;
use wire::Listener;

mod broker;
mod bulk;
mod controllers;
mod discovery;
mod jobs;
mod kept;
mod logs;
mod orders;
mod ready;
mod rental;
mod services;
mod slices;
mod thresholds;
mod trial;
mod volumes;
mod wait;

use crate::Error;
use crate::broker::Broker;
use crate::bulk::Bulk;
use crate::configuration::{self, Configuration};
use crate::doctor::Doctor;
use crate::doors::Doors;
use crate::machine::{self, Watch};
use crate::news::News;
use crate::onboarding::Onboarding;
use crate::own::Own;
use crate::peer::Peer;
use crate::rooms::{Change, Rooms};
use crate::settings::{self, Settings};
use crate::tenants::Tenants;
use crate::threshold::Thresholds;
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
    thresholds: Thresholds,
    rooms: Rooms,
    own: Arc<Own>,
    tenants: Tenants,
    broker: Broker,
    bulk: Bulk,
    watch: Watch,
    /// Threads ring here.
    bell: (UnixStream, UnixStream),
    /// Somebody wants us to end.
    end: SignalFd,
    kept: Kept,
    began_ms: u64,
    /// When each controller hears `Periodic!` next.
    periodic_ms: Vec<u64>,
    asked_ms: u64,
    looked_ms: u64,
    /// When operations that wait are looked at again.
    look_ms: u64,
    /// And those on slices.
    slices_look_ms: u64,
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

/// SIGTERM, from here on, in no other way.
fn asked_to_end() -> nix::Result<SignalFd> {
    let set = SigSet::from_iter([Signal::SIGTERM]);
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
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
        info!("{endpoint}: {} controllers", configuration.controllers.len());
        for one in configuration.controllers.iter().filter(|one| one.transport.is_in_the_clear()) {
            warn!("{}: spoken with in the clear, as agent.toml says", one.endpoint);
        }
        let kept = Kept::new(&places.state);
        let doors = Doors::new(listeners.local, &configuration, &own);
        let world = World { certificate, ..World::new(configuration, endpoint, Settings::default()) };
        let controllers = &world.configuration.controllers;
        let peers = controllers.iter().map(|one| Peer::new(one.clone(), &world, &own)).collect();
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
            thresholds: Thresholds::default(),
            rooms,
            own,
            tenants: Tenants::new(listeners.tenant),
            broker: Broker::default(),
            bulk: Bulk::default(),
            watch: Watch::open(),
            bell,
            end: asked_to_end().map_err(|errno| Error::System("signalfd", errno.into()))?,
            kept,
            began_ms,
            asked_ms: 0,
            looked_ms: 0,
            look_ms: 0,
            slices_look_ms: 0,
            whereabouts: Whereabouts::default(),
            watched: Watched::default(),
            units_known: false,
            stale: true,
            ready: Vec::new(),
        })
    }

    /// Works until somebody wants it to end (SIGTERM): every controller that is connected hears that, and that is all.
    ///
    /// # Errors
    /// [`Error::System`]: it cannot wait.
    pub fn run(&mut self) -> Result<(), Error> {
        loop {
            self.turn();
            self.ready = self.wait()?;
            if self.ready.contains(&self.end.as_raw_fd()) {
                self.leave();
                return Ok(());
            }
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
        if ready.any(self.watch.descriptor().into_iter(), None) {
            self.hear_kernel(now_ms);
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
            self.hear_slices(now_ms);
        }
        if ready.any(self.tenants.descriptors().map(|(one, _)| one), self.tenants.due_ms()) {
            self.hear_tenants(now_ms);
        }
        if ready.any(self.broker.descriptors().map(|(one, _)| one), self.broker.due_ms()) {
            self.hear_services(now_ms);
        }
        self.report(now_ms);
        self.finish_requests(now_ms);
        self.tell_periodic(now_ms);
        self.drop_expired();
        let stale = self.stale;
        self.look_at_thresholds(stale, now_ms);
        if std::mem::take(&mut self.stale) {
            self.news.look(&self.world, now_ms);
        }
        if self.kept.is_loaded() {
            self.onboarding.turn(&self.world, &mut self.news, now_ms);
        }
        self.choose_job(now_ms);
        self.keep_journal();
        self.begin_jobs(now_ms);
        self.begin_slices(now_ms);
        self.send_news(now_ms);
        self.keep(now_ms);
    }

    /// The kernel says that the network is another.
    fn hear_kernel(&mut self, now_ms: u64) {
        let changes = self.watch.heard();
        if changes.ways {
            self.peers.iter_mut().for_each(Peer::hurry);
            self.whereabouts.hurry();
        }
        self.watched.stir(changes, now_ms);
    }

    /// Each state of a service is told, however short it was.
    fn hear_supervisor(&mut self, now_ms: u64) {
        let (changes, anew) = self.rooms.heard(now_ms);
        for change in changes {
            match change {
                Change::Process(process) => self.world.hear_process(process),
                Change::Gone(name) => self.world.hear_gone(&name),
                Change::Breach(name, breach) => self.tell_breach(&name, breach, now_ms),
                Change::Damaged(name, damage, at_ms) => self.tell_damage(&name, damage, (at_ms, now_ms)),
                Change::StartSkipped(name, state, at_ms) => {
                    self.tell_skipped(&name, state, (at_ms, now_ms));
                }
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
        let Self { tenants, world, rooms, .. } = self;
        let mut ready = |service: &Name, pid| rooms.ready(service, pid, now_ms);
        let (happened, changed) = tenants.turn(world, now_ms, &mut ready);
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

    /// Asks the supervisor, unless it was asked just now.
    fn refresh(&mut self, now_ms: u64) {
        if now_ms < self.asked_ms.saturating_add(FRESH_MS) {
            return;
        }
        self.asked_ms = now_ms;
        machine::look_at_volumes(&mut self.world.facts);
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
}
