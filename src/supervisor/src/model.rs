//! No sequence of what can happen leaves a ghost: a pure model beside the house's real tables.
//!
//! In:  every sequence of a few events in a small world, and long ones at random. Out: after each, the services are those that package knows, and
//! every place, slot, promise, label, image and link is that of one of them.
//!
//! The house is the real one, with its wires; PID 1, storage, network and package are played, and a start makes no process: its number is
//! one that no kernel gives. `LONG=1` looks at longer sequences.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use contract::control::{self, State};
use contract::installed::{Answer, Ask};
use contract::keep::{FRAME, Keep as Word};
use contract::packages::Fault;
use contract::slice::Slice;
use contract::wires::{self, Wire};
use contract::{Name, mount};
use wire::{Client, Listener};

use crate::admission::Floors;
use crate::adopt::Store;
use crate::catalogue;
use crate::core::DAEMONS;
use crate::house::{Hands, House};
use crate::keep::Keep;
use crate::life::Event;
use crate::process::{Process, What};

use played::{Played, manifest, no_network, no_start, service, wire_at};

/// The version whose image storage refuses.
const DAMAGED: u8 = 9;

mod ghosts;
mod kept;
mod many;
mod pairs;
mod played;
mod rules;
mod times;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happens {
    /// package: this service, in this version.
    Service(&'static str, u8),
    /// package: forget this one.
    Forget(&'static str),
    /// package: the volume of this one goes.
    Drop(&'static str),
    /// An order by ctl.
    Start(&'static str),
    Stop(&'static str),
    /// The service ends by itself.
    Dies(&'static str),
    /// storage and network answer all that they were asked.
    StorageAnswers,
    NetworkAnswers,
    /// The supervisor dies, and with it a connection of everybody; the service dies meanwhile, or does not.
    Life(Option<&'static str>),
    PackageDies,
    StorageDies,
    NetworkDies,
}

use Happens as H;

/// The events of the small world.
const SMALL_WORLD: [H; 15] = [
    H::Service("a", 1),
    H::Service("a", 2),
    H::Service("b", 1),
    H::Service("big", 1),
    H::Forget("a"),
    H::Drop("a"),
    H::Start("a"),
    H::Stop("a"),
    H::Dies("a"),
    H::StorageAnswers,
    H::NetworkAnswers,
    H::Life(None),
    H::Life(Some("a")),
    H::PackageDies,
    H::NetworkDies,
];

/// What package knows of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    version: u8,
    wanted: bool,
}

/// The small world.
struct World {
    folder: PathBuf,
    hands: Hands,
    sockets: Vec<OwnedFd>,
    house: House,
    /// PID 1: its end, and what it keeps.
    init: OwnedFd,
    store: BTreeMap<String, (i32, OwnedFd)>,
    storage: Played,
    mounted: BTreeMap<String, mount::Image>,
    /// Volumes on the disk: what each is promised.
    volumes: BTreeMap<String, u64>,
    network: Played,
    /// Slots, and the ceiling that a link was made with.
    attached: BTreeMap<String, (u8, u32)>,
    /// What network last heard of each slice's part of the line.
    shared: BTreeMap<String, contract::attach::Rates>,
    /// In which namespace each link ends: its file's number.
    ends_in: BTreeMap<String, u64>,
    package: Option<Client>,
    /// A connection that a test holds itself.
    other: Option<Client>,
    installed: BTreeMap<&'static str, Known>,
    /// What package has asked since it has said all, in order.
    asked: Vec<H>,
    /// Answers to [`Ask::All`] that are to come.
    alls: usize,
}

impl World {
    fn new() -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("shg-model-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let at = |wire: Wire| wire_at(wire, &folder);
        let listen = |wire: Wire| sys::seqpacket::listen(Path::new(at(wire).path)).unwrap();
        let ours = [wires::CONTROL, wires::INSTALLED, wires::MOUNT, wires::ATTACH].map(|wire| wire.name);
        let other = sys::seqpacket::pair().unwrap().0;
        let socket = |wire: Wire| match ours.contains(&wire.name) {
            true => listen(wire),
            false => other.try_clone().unwrap(),
        };
        let sockets: Vec<OwnedFd> = wires::ALL.into_iter().map(socket).collect();
        let played = |wire: Wire| {
            let place = wires::ALL.iter().position(|other| other.name == wire.name).unwrap();
            Played {
                listener: Listener::new(at(wire), sockets[place].try_clone().unwrap()),
                connection: None,
            }
        };
        let (storage, network) = (played(wires::MOUNT), played(wires::ATTACH));
        let hands = Hands {
            control: at(wires::CONTROL),
            installed: at(wires::INSTALLED),
            mount: at(wires::MOUNT),
            attach: at(wires::ATTACH),
            shipped: |_| true,
            settle: played::settle,
            clear: played::clear,
            network: no_network,
            start: no_start,
            lives: played::lives,
            wall: played::wall,
        };
        played::forget_cgroups();
        let (house, init) = life(&[], &sockets, hands);
        let mut world = Self {
            folder,
            hands,
            sockets,
            house,
            init,
            store: BTreeMap::new(),
            storage,
            mounted: BTreeMap::new(),
            volumes: BTreeMap::new(),
            network,
            attached: BTreeMap::new(),
            shared: BTreeMap::new(),
            ends_in: BTreeMap::new(),
            package: None,
            other: None,
            installed: BTreeMap::new(),
            asked: Vec::new(),
            alls: 0,
        };
        world.begin_life();
        world.reconnect(true);
        world
    }

    /// Another life: what PID 1 keeps is given back, with the status of those who have ended.
    fn next_life(&mut self, dead: Option<i32>) {
        let kept: Vec<_> = self
            .store
            .iter()
            .map(|(label, (pid, descriptor))| {
                let status = if *pid != 0 && Some(*pid) == dead { 1 << 8 } else { -1 };
                (label.clone(), *pid, status, descriptor.try_clone().unwrap())
            })
            .collect();
        (self.house, self.init) = life(&kept, &self.sockets, self.hands);
        self.reopen_networks();
        self.begin_life();
        self.alls = 0;
    }

    /// The daemons that services need are there, and what the line can promise is known.
    fn begin_life(&mut self) {
        for daemon in DAEMONS.iter().filter(|daemon| ["storage", "network"].contains(&daemon.name)) {
            let name = Name::new(daemon.name).unwrap();
            let mut process = Process::new(name, What::Daemon(daemon), &self.house.keep).unwrap();
            process.record.state = State::Up;
            process.record.wanted = true;
            self.house.processes.push(process);
        }
        self.house.lines.known = Some([0; 2]);
        for slice in catalogue::slices().collect::<Vec<Slice>>() {
            self.house.books.rent(&slice.name, Floors::from(&slice)).unwrap();
        }
        self.keep();
    }

    /// PID 1 reads what it is told.
    fn keep(&mut self) {
        let mut frame = [0; FRAME];
        while let Ok((length, [descriptor, ..])) = sys::seqpacket::receive(self.init.as_fd(), &mut frame) {
            match Word::decode(&frame[..length]) {
                Some(Word::Store { label, pid }) => {
                    self.store.insert(label.as_str().to_owned(), (pid, descriptor.unwrap()));
                }
                Some(Word::Drop { label }) => drop(self.store.remove(label.as_str())),
                Some(_) => {}
                None => return, // The end of a life.
            }
        }
    }

    /// package connects and says all that it knows. An update that was under way goes on where `tries`: package has not died.
    fn reconnect(&mut self, tries: bool) {
        let updates = |asked: &H| {
            let H::Service(name, version) = asked else { return false };
            self.installed.get(name).is_some_and(|known| known.version != *version)
        };
        let update = self.asked.iter().copied().find(|asked| tries && updates(asked));
        let client = Client::dial_at(self.hands.installed, Path::new(self.hands.installed.path)).unwrap();
        for (name, known) in &mut self.installed {
            // One that is being taken away comes anew.
            let is_there = |process: &Process| process.name.as_str() == *name && !process.leaves();
            known.wanted |= !self.house.processes.iter().any(is_there);
            let old = service(name, known.version);
            let is_tried = matches!(update, Some(H::Service(other, _)) if other == *name);
            client.send(&if is_tried { Ask::Before(old) } else { Ask::Service(old) }, &[]).unwrap();
        }
        client.send(&Ask::All, &[]).unwrap();
        self.package = Some(client);
        self.asked.clear();
        self.alls = 1;
        if let Some(update @ H::Service(name, version)) = update {
            self.say(update, &Ask::Service(service(name, version)));
        }
    }

    /// What package hears changes what it knows.
    fn package_hears(&mut self) {
        while let Some(client) = &self.package {
            let answer = match client.receive::<Answer>() {
                Ok(None) => return,
                Ok(Some((answer, _))) => answer,
                Err(_) => {
                    self.package = None;
                    return;
                }
            };
            if matches!(answer, Answer::Rented(_) | Answer::Released(_)) {
                continue;
            }
            if self.alls > 0 {
                assert_eq!(answer, Answer::Done, "all was said");
                self.alls -= 1;
                continue;
            }
            match (self.asked.remove(0), answer) {
                (H::Service("big", _), Answer::Refused(Fault::Resources, why)) => {
                    assert!(why.contains("short of"), "{why}")
                }
                (H::Service(name, version), Answer::Done) if name != "big" => {
                    let wanted = self.installed.get(name).is_none_or(|known| known.wanted);
                    self.installed.insert(name, Known { version, wanted });
                }
                // The version before it is said to be the one.
                (H::Service(name, _), Answer::Refused(Fault::NotReady, _)) => {
                    let known = self.installed[name];
                    self.say(H::Service(name, known.version), &Ask::Service(service(name, known.version)));
                }
                (H::Forget(name), Answer::Done) => {
                    let comes = |asked: &H| matches!(asked, H::Service(other, _) if *other == name);
                    assert!(self.place(name).is_none() || self.asked.iter().any(comes), "{name}: it is gone");
                    self.installed.remove(name);
                }
                (H::Drop(name), Answer::Done) => {
                    assert!(!self.volumes.contains_key(name), "{name}: it is gone")
                }
                (H::Drop(name), Answer::Refused(Fault::Busy, _)) => {
                    assert!(self.place(name).is_some(), "{name}")
                }
                (asked, answer) => panic!("{asked:?}: {answer:?}"),
            }
        }
    }

    /// One turn of the house, as [`House::run`] has it, but for the kernel.
    fn turn(&mut self) {
        for place in 0..self.house.processes.len() {
            if let Some(event) = self.house.judge(place) {
                self.house.happen(place, event);
            }
            // The one of the image says so itself.
            let process = &self.house.processes[place];
            if process.bundle().is_none() && process.record.state == State::Starting {
                self.house.happen(place, Event::Ready);
            }
        }
        self.house.hear_mounts();
        self.house.hear_attachments();
        self.house.try_versions();
        self.house.end_past();
        self.house.mind_times();
        self.house.start_wanted();
        self.house.leave_all();
        self.house.hear_package();
        self.house.serve();
        self.keep();
        self.package_hears();
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.house.place_of(name)
    }

    fn pid(&self, name: &str) -> Option<i32> {
        self.house.processes.get(self.place(name)?)?.record.pid
    }

    /// An order by ctl: was it taken?
    fn order(&mut self, ask: &control::Ask) -> bool {
        let client = Client::dial_at(self.hands.control, Path::new(self.hands.control.path)).unwrap();
        client.send(ask, &[]).unwrap();
        self.house.serve();
        self.keep();
        match client.receive::<control::Answer>() {
            Ok(Some((control::Answer::Done, _))) => true,
            Ok(Some((control::Answer::Refused(_) | control::Answer::Short(_), _))) => false,
            other => panic!("{ask:?}: {other:?}"),
        }
    }

    fn happen(&mut self, what: H) {
        let name = |name: &str| Name::new(name).unwrap();
        match what {
            H::Service(name, version) => self.say(what, &Ask::Service(service(name, version))),
            H::Forget(of) => self.say(what, &Ask::Forget(name(of))),
            H::Drop(of) => {
                let provider = manifest(of).provider;
                self.say(what, &Ask::Drop { service: name(of), provider });
            }
            H::Start(of) | H::Stop(of) => {
                let wanted = matches!(what, H::Start(_));
                let ask = if wanted { control::Ask::Start(name(of)) } else { control::Ask::Stop(name(of)) };
                // One that is being taken away takes no order.
                if self.order(&ask)
                    && let Some(known) = self.installed.get_mut(of)
                {
                    known.wanted = wanted;
                }
            }
            H::Dies(of) => {
                if let Some(pid) = self.pid(of) {
                    self.house.corpse(pid, 1 << 8);
                }
            }
            H::StorageAnswers => self.storage_answers(),
            H::NetworkAnswers => self.network_answers(),
            H::Life(of) => {
                let dead = of.and_then(|of| self.pid(of));
                self.next_life(dead);
                self.package_hears();
                self.reconnect(true);
            }
            H::PackageDies => {
                self.package = None;
                self.reconnect(false);
            }
            // Its memory goes with it; so do links that nobody asks for again.
            H::StorageDies => {
                self.storage.connection = None;
                self.mounted.clear();
            }
            H::NetworkDies => {
                self.network.connection = None;
                self.attached.clear();
            }
        }
        self.keep();
        self.turn();
    }

    fn say(&mut self, what: H, ask: &Ask) {
        if self.package.is_none() {
            self.reconnect(true);
        }
        self.package.as_ref().unwrap().send(ask, &[]).unwrap();
        self.asked.push(what);
    }

    /// Everybody answers, whoever was told to end ends, and all times are over, until nothing more happens.
    fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..200 {
            if self.package.is_none() {
                self.reconnect(true);
            }
            let before = self.picture();
            self.storage_answers();
            self.network_answers();
            self.bury_those_told();
            self.turn();
            let rests = self.picture() == before && !self.times_are_over();
            quiet = if rests { quiet + 1 } else { 0 };
            if quiet == 3 {
                return;
            }
        }
        panic!("it comes to no rest: {:?}", self.picture());
    }

    /// Whoever was told to end, or was killed, has ended.
    fn bury_those_told(&mut self) {
        for place in 0..self.house.processes.len() {
            let record = &self.house.processes[place].record;
            let told = matches!(record.state, State::Ending | State::Returning | State::Failed | State::Down);
            if let Some(pid) = record.pid.filter(|_| told) {
                self.house.corpse(pid, 0);
            }
        }
        self.keep();
    }

    /// Whoever waits for his next start has it. Did anybody?
    fn times_are_over(&mut self) -> bool {
        let mut any = false;
        for place in 0..self.house.processes.len() {
            let process = &mut self.house.processes[place];
            let waits = process.record.state == State::Waiting;
            if waits && process.record.timer_ms.take().is_some() {
                self.house.happen(place, Event::Timeout);
                any = true;
            }
        }
        self.keep();
        any
    }

    fn picture(&self) -> Vec<(String, State, Option<i32>)> {
        let row = |process: &Process| (process.name.to_string(), process.record.state, process.record.pid);
        self.house.processes.iter().map(row).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A life of the house that begins with what is kept: it, and PID 1's end.
fn life(kept: &[(String, i32, i32, OwnedFd)], sockets: &[OwnedFd], hands: Hands) -> (House, OwnedFd) {
    let (socket, init) = sys::seqpacket::pair().unwrap();
    let keep = Keep::new(socket);
    for (label, pid, status, descriptor) in kept {
        let (kind, name) = label.split_once('.').unwrap();
        let label = contract::keep::Label::new(kind, name).unwrap();
        let word = Word::Back { label, pid: *pid, status: *status };
        sys::seqpacket::send(init.as_fd(), &word.encode(), &[descriptor.as_fd()]).unwrap();
    }
    sys::seqpacket::send(init.as_fd(), &Word::Done.encode(), &[]).unwrap();
    let mut store = Store::take_back(&keep).unwrap();
    let sockets = sockets.iter().map(|socket| socket.try_clone().unwrap()).collect();
    (House::of(&mut store, keep, sockets, hands).unwrap(), init)
}
