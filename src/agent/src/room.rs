//! The loop: one thread, one poll; and short-lived threads that connect to brokers.
//!
//! In:  controllers' messages, other rooms' answers, the network's changes, the time. Out: answers, news, orders; what is to be kept.

use std::convert::Infallible;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use log::{info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use state::{File, Folder, RETRY_MS};
use sys::clock::boot_ms;
use usp::{Code, GATEWAY, Msg};

use crate::Error;
use crate::answer::{Outcome, answer};
use crate::configuration::{self, Configuration};
use crate::machine::{self, Watch};
use crate::model::Order;
use crate::news::News;
use crate::peer::{Heard, Peer};
use crate::rooms::Rooms;
use crate::settings::{self, Settings};
use crate::world::{Request, World};
use contract::control::State;

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

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Room {
    world: World,
    peers: Vec<Peer>,
    news: News,
    rooms: Rooms,
    watch: Watch,
    /// Threads ring here.
    bell: (UnixStream, UnixStream),
    kept: Kept,
    began_ms: u64,
    /// When each controller hears `Periodic!` next.
    periodic_ms: Vec<u64>,
    asked_ms: u64,
    looked_ms: u64,
    /// Something is other than when news was last looked for.
    stale: bool,
}

/// What is on the disk.
#[derive(Debug)]
struct Kept {
    settings: File,
    boot: File,
    /// What was last kept; `None`: the disk was not there yet.
    last: Option<Settings>,
    /// Something may be other than what was kept.
    dirty: bool,
    retry_ms: u64,
}

impl Room {
    /// Reads the operator's word and waits until somebody knows who we are.
    ///
    /// # Errors
    /// [`Error::System`]: no descriptors.
    pub fn open(places: &Places) -> Result<Self, Error> {
        let paths: Vec<&Path> = places.configuration.iter().map(PathBuf::as_path).collect();
        let configuration = configuration::read(&paths).unwrap_or_else(|error| {
            warn!("{error}; nobody is obeyed");
            Configuration::default()
        });
        let rooms = Rooms::new(places.wires.clone());
        let bell = UnixStream::pair().map_err(|error| Error::System("socketpair", error))?;
        bell.0.set_nonblocking(true).map_err(|error| Error::System("socketpair", error))?;
        let endpoint = loop {
            if let Some(endpoint) = rooms.endpoint() {
                break endpoint;
            }
            std::thread::sleep(std::time::Duration::from_millis(IDENTITY_EVERY_MS));
        };
        let peers = configuration.controllers.iter().map(|one| Peer::new(one.clone(), &endpoint)).collect();
        info!("{endpoint}: {} controllers", configuration.controllers.len());
        let kept = Kept {
            settings: places.state.file("settings", settings::BYTES_MAX),
            boot: places.state.file("boot", 64),
            last: None,
            dirty: false,
            retry_ms: 0,
        };
        let world = World::new(configuration, endpoint, Settings::default());
        let began_ms = boot_ms();
        let period = |said: &settings::Said| began_ms.saturating_add(u64::from(said.periodic_s) * 1000);
        Ok(Self {
            periodic_ms: world.settings.controllers.iter().map(period).collect(),
            world,
            peers,
            news: News::default(),
            rooms,
            watch: Watch::open(),
            bell,
            kept,
            began_ms,
            asked_ms: 0,
            looked_ms: 0,
            stale: true,
        })
    }

    /// Works for ever.
    ///
    /// # Errors
    /// [`Error::System`]: it cannot wait.
    pub fn run(&mut self) -> Result<Infallible, Error> {
        loop {
            self.turn();
            self.wait()?;
        }
    }

    /// One turn: every controller once.
    fn turn(&mut self) {
        let now_ms = boot_ms();
        let mut bell = [0; 64];
        let _ = self.bell.0.read(&mut bell);
        self.look_at_machine(now_ms);
        if self.watch.heard() {
            self.peers.iter_mut().for_each(Peer::hurry);
        }
        self.load(now_ms);
        for place in 0..self.peers.len() {
            self.attend(place, now_ms);
        }
        self.hear_supervisor(now_ms);
        self.finish_requests(now_ms);
        self.tell_periodic(now_ms);
        self.drop_expired();
        if std::mem::take(&mut self.stale) {
            self.news.look(&self.world, now_ms);
        }
        self.send_news(now_ms);
        self.keep(now_ms);
    }

    /// Each state of a service is told, however short it was.
    fn hear_supervisor(&mut self, now_ms: u64) {
        let (processes, anew) = self.rooms.heard(now_ms);
        for process in processes {
            self.world.hear_process(process);
            self.news.look(&self.world, now_ms);
        }
        if anew {
            self.asked_ms = 0;
            self.refresh(now_ms);
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
        for Heard { message, way } in heard {
            let Ok(message) = Msg::decode(&message, &GATEWAY) else { continue };
            self.refresh(now_ms);
            let outcome = answer(&mut self.world, row, &message, now_ms);
            let Outcome { answer, orders, delivered, changed, canceled } = outcome;
            self.stale |= !orders.is_empty();
            if changed || std::mem::take(&mut self.stale) {
                // A subscription's first look comes before what the next message changes.
                self.news.look(&self.world, now_ms);
                self.kept.dirty |= changed;
            }
            if let Some(peer) = self.peers.get_mut(place) {
                if let Some(answer) = answer {
                    peer.answer(answer.encode(), &way, &said);
                }
                peer.push(now_ms);
            }
            if let Some(id) = delivered {
                self.news.delivered(row, &id);
            }
            for request in canceled {
                self.end(
                    request,
                    Some((Code::COMMAND_CANCELED, "canceled by a controller".to_owned())),
                    now_ms,
                );
            }
            for (request, order) in orders {
                self.give(request, &order, now_ms);
            }
        }
        if let (Some(peer), Some(link)) = (self.peers.get(place), self.world.links.get_mut(place)) {
            let now = peer.link();
            self.stale |= *link != now;
            *link = now;
        }
    }

    fn give(&mut self, request: Option<u32>, order: &Order, now_ms: u64) {
        let outcome = self.rooms.give(order, now_ms);
        let Some(row) = request else {
            if let Err(reason) = outcome {
                warn!("an order was not taken: {reason}");
            }
            return;
        };
        match outcome {
            Ok(()) => {
                let requests = self.world.requests.iter_mut().filter(|request| request.row == row);
                requests.for_each(|request| request.begun = true);
                // It may be there already.
                self.asked_ms = 0;
                self.refresh(now_ms);
            }
            Err(reason) => self.end(row, Some((Code::COMMAND_FAILURE, reason)), now_ms),
        }
    }

    /// A command that took its time has ended.
    fn end(&mut self, row: u32, failure: Option<(Code, String)>, now_ms: u64) {
        let Some(place) = self.world.requests.iter().position(|request| request.row == row) else { return };
        let request = self.world.requests.remove(place);
        self.stale = true;
        self.news.complete(&self.world, (&request.command, &request.key), failure, now_ms);
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
    }

    fn finish_requests(&mut self, now_ms: u64) {
        let ended: Vec<(u32, Option<(Code, String)>)> =
            self.world.requests.iter().filter_map(|one| Some((one.row, self.ended(one, now_ms)?))).collect();
        for (row, failure) in ended {
            self.end(row, failure, now_ms);
        }
    }

    /// Whether a command has ended, and how.
    fn ended(&self, request: &Request, now_ms: u64) -> Option<Option<(Code, String)>> {
        let (name, wanted) = request.unit.as_ref().filter(|_| request.begun)?;
        let process = self.world.facts.processes.iter().find(|process| process.name == *name);
        match (process.map(|process| process.state), wanted) {
            (Some(State::Up), true) | (Some(State::Down), false) => Some(None),
            (Some(State::Failed), true) => {
                let reason = process.map(|process| process.reason.to_string()).unwrap_or_default();
                Some(Some((Code::COMMAND_FAILURE, format!("{name}: {reason}"))))
            }
            (None, _) => Some(Some((Code::COMMAND_FAILURE, format!("{name}: it is not there any more")))),
            (Some(_), _) if now_ms >= request.until_ms => {
                Some(Some((Code::COMMAND_FAILURE, format!("{name}: not within a minute"))))
            }
            (Some(_), _) => None,
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
                self.news.happen(&self.world, ("Device.LocalAgent.", "Periodic"), &[], (Some(row), now_ms));
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

    /// What was kept, once the disk is there.
    fn load(&mut self, now_ms: u64) {
        if self.kept.last.is_some() || now_ms < self.kept.retry_ms {
            return;
        }
        self.kept.retry_ms = now_ms.saturating_add(RETRY_MS);
        let found = match self.kept.settings.load() {
            Ok(found) => found,
            Err(state::Error::Absent) => return,
            Err(error) => {
                warn!("{error}");
                None
            }
        };
        let found = found.filter(|kept| kept.version == settings::VERSION);
        let found = found.and_then(|kept| Settings::read(&kept.bytes)).unwrap_or_default();
        self.kept.last = Some(found.clone());
        let made_meanwhile = std::mem::take(&mut self.world.settings);
        let mut merged = World::new(self.world.configuration.clone(), String::new(), found).settings;
        for mut one in made_meanwhile.subscriptions {
            one.row = merged.next_subscription;
            merged.next_subscription = merged.next_subscription.saturating_add(1);
            merged.subscriptions.push(one);
        }
        self.world.settings = merged;
        self.kept.dirty = true;
        self.news.look(&self.world, now_ms);
        let this = machine::boot_id();
        let before = self.kept.boot.load().ok().flatten().map(|kept| kept.bytes);
        if before.as_ref() != Some(&this) && self.kept.boot.save(1, &this).is_ok() {
            let cause = if before.is_none() { "FirstUse" } else { "LocalReboot" };
            let arguments =
                [("CommandKey", ""), ("Cause", cause), ("FirmwareUpdated", "false"), ("ParameterMap", "{}")];
            let arguments = arguments.map(|(key, value)| (key, value.to_owned()));
            self.news.happen(&self.world, ("Device.", "Boot"), &arguments, (None, now_ms));
        }
    }

    fn keep(&mut self, now_ms: u64) {
        if !self.kept.dirty || now_ms < self.kept.retry_ms {
            return;
        }
        let Some(last) = &self.kept.last else { return };
        let now = self.world.settings.kept();
        self.kept.dirty = *last != now;
        if !self.kept.dirty {
            return;
        }
        let Some(bytes) = now.write() else {
            warn!("settings: too many to be kept");
            self.kept.dirty = false;
            return;
        };
        match self.kept.settings.save(settings::VERSION, &bytes) {
            Ok(()) => {
                self.kept.last = Some(now);
                self.kept.dirty = false;
            }
            Err(error) => {
                warn!("{error}");
                self.kept.retry_ms = now_ms.saturating_add(RETRY_MS);
            }
        }
    }

    /// When there is something to do, in milliseconds after boot.
    fn due_ms(&self) -> Option<u64> {
        let peers = self.peers.iter().filter_map(Peer::due_ms);
        let up = (1..).zip(&self.peers).filter(|(_, peer)| peer.is_up());
        let news = up.filter_map(|(row, _)| self.news.due_ms(row));
        let requests = self.world.requests.iter().map(|request| request.until_ms);
        let disk = self.kept.last.is_none() || self.kept.dirty;
        let disk = disk.then_some(self.kept.retry_ms);
        let periodic = self.periodic_ms.iter().copied();
        peers.chain(news).chain(requests).chain(self.rooms.due_ms()).chain(disk).chain(periodic).min()
    }

    fn wait(&self) -> Result<(), Error> {
        let left = self.due_ms().map(|due_ms| due_ms.saturating_sub(boot_ms()));
        // A second at most once a subscription may end by its age: that is looked at by the wall clock.
        let limit = match left {
            None => PollTimeout::NONE,
            Some(left) => PollTimeout::try_from(left.min(3_600_000)).unwrap_or(PollTimeout::MAX),
        };
        let mut wanted = vec![PollFd::new(self.bell.0.as_fd(), PollFlags::POLLIN)];
        wanted.extend(self.rooms.descriptor().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        wanted.extend(self.watch.descriptor().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        for (descriptor, writes) in self.peers.iter().filter_map(Peer::descriptor) {
            let write = if writes { PollFlags::POLLOUT } else { PollFlags::empty() };
            wanted.push(PollFd::new(descriptor, PollFlags::POLLIN | write));
        }
        match poll(&mut wanted, limit) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::System("poll", errno.into())),
        }
    }
}
