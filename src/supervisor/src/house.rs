//! The house: everything that the supervisor holds, its loop, and its end.
//!
//! In:  PID 1's end of the `keep` wire. Out: nothing; it runs until it is killed, or until PID 1 says that it is the end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;

use contract::control::{Facts, State};
use contract::keep::{ALIVE_EVERY_MS, Keep as Word};
use contract::slice::Slice;
use contract::wires::Wire;
use contract::{mount, wires};
use log::{info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sandbox::Network;
use sandbox::cgroup::{self, Setting};
use sys::clock;
use wire::{Connection, Listener};

use crate::admission::{Books, capacity};
use crate::adopt::{self, Store};
use crate::damage::Watch;
use crate::end::exit_of;
use crate::events::Events;
use crate::installed::Package;
use crate::keep::Keep;
use crate::life::Event;
use crate::lines::Lines;
use crate::links::{For, Link};
use crate::process::{Process, What};
use crate::record::{self, Rented};
use crate::rental::Rental;
use crate::slices::{divide, measure};
use crate::{Error, catalogue, schedule, slices, start};

/// How long each part of the end may take, in milliseconds: tenants, the disk, daemons. Together less than PID 1's patience.
const ENDING_MS: [u64; 3] = [6_000, 3_000, 3_000];

/// The pause before somebody who talks is listened to again, in milliseconds: who writes byte by byte must not have a turn of ours for
/// each. It leaves 3 MB a second to each.
const TALK_MS: u64 = 10;

/// Between two looks at what ends or is taken away, in milliseconds.
const LOOK_MS: u64 = 50;

/// Where the end is: which part, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Tenants end.
    Tenants(u64),
    /// The disk is let go.
    Disk(u64),
    /// Daemons end.
    Daemons(u64),
    /// PID 1 was told.
    Told,
}

/// What is done with the kernel to make a service's process, and the wires. A test of the house's tables has others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hands {
    pub(crate) control: Wire,
    pub(crate) installed: Wire,
    pub(crate) mount: Wire,
    pub(crate) attach: Wire,
    pub(crate) shipped: fn(&catalogue::Entry) -> bool,
    pub(crate) settle: fn(&str, &[Setting]),
    pub(crate) clear: fn(&str),
    pub(crate) network: fn() -> Result<Network, sandbox::Error>,
    pub(crate) start: fn(&mut House, usize) -> Result<(), Error>,
    /// Does this process live in that cgroup?
    pub(crate) lives: fn(&str, u32) -> bool,
    /// What the clock says, where it is believed.
    pub(crate) wall: fn() -> Option<u64>,
}

impl Hands {
    pub(crate) const REAL: Self = Self {
        control: wires::CONTROL,
        installed: wires::INSTALLED,
        mount: wires::MOUNT,
        attach: wires::ATTACH,
        shipped: catalogue::is_there,
        settle: slices::write,
        clear: slices::clear,
        network: Network::create,
        start: House::start_tenant,
        lives: |group, pid| cgroup::processes(group).any(|one| one.unsigned_abs() == pid),
        wall: schedule::believed_ms,
    };
}

/// Everything that the supervisor holds.
#[derive(Debug)]
pub struct House {
    pub(crate) keep: Keep,
    pub(crate) processes: Vec<Process>,
    pub(crate) wires: Vec<OwnedFd>,
    pub(crate) control: Listener,
    pub(crate) clients: Vec<Connection>,
    pub(crate) followers: Vec<Connection>,
    pub(crate) mounts: Link,
    pub(crate) attachments: Link,
    pub(crate) lines: Lines,
    pub(crate) damage: Watch,
    pub(crate) installed: Listener,
    pub(crate) package: Package,
    pub(crate) hands: Hands,
    pub(crate) rented: Rented,
    /// Slices that package has kept, as long as nobody knows what the line can promise.
    pub(crate) held: Vec<Slice>,
    pub(crate) slices_file: OwnedFd,
    pub(crate) rental: Rental,
    pub(crate) books: Books,
    /// The data disk, as storage last said.
    pub(crate) disk: Option<mount::Disk>,
    pub(crate) events: Events,
    pub(crate) sample_ms: u64,
    pub(crate) facts: Facts,
    facts_file: OwnedFd,
    pub(crate) ending: Option<Ending>,
    pub(crate) disk_is_free: bool,
    alive_ms: u64,
}

impl House {
    /// Takes back what was kept, and makes what is missing.
    ///
    /// # Errors
    /// PID 1 does not give everything back, a wire cannot be bound, a table of descriptors is full: PID 1 will try again.
    pub fn open(keep: Keep, init_ms: u64, life: u64) -> Result<Self, Error> {
        start::settle();
        divide(capacity(measure([0; 2])));
        let mut store = Store::take_back(&keep)?;
        let wires = adopt::wires(&mut store, &keep)?;
        let mut house = Self::of(&mut store, keep, wires, Hands::REAL)?;
        let facts = &mut house.facts;
        facts.init_ms = init_ms;
        facts.lives = u32::try_from(life).unwrap_or(u32::MAX);
        if facts.loop_ms == 0 {
            facts.loop_ms = clock::boot_ms();
        }
        record::write(&house.facts_file, &house.facts);
        house.attach_again();
        Ok(house)
    }

    /// The house of what was kept.
    pub(crate) fn of(
        store: &mut Store,
        keep: Keep,
        wires: Vec<OwnedFd>,
        hands: Hands,
    ) -> Result<Self, Error> {
        let (facts, facts_file) = adopt::facts(store, &keep)?;
        let (rented, slices_file) = adopt::slices(store, &keep)?;
        let (processes, corpses) = adopt::processes(store, &keep, hands.shipped)?;
        let control = own(&wires, hands.control)?;
        let installed = own(&wires, hands.installed)?;
        let mut house = Self {
            keep,
            processes,
            wires,
            control,
            clients: Vec::new(),
            followers: Vec::new(),
            mounts: Link::new(hands.mount),
            attachments: Link::new(hands.attach),
            lines: Lines::default(),
            damage: Watch::default(),
            installed,
            package: Package::default(),
            hands,
            rented,
            held: Vec::new(),
            slices_file,
            rental: Rental::begin(clock::boot_ms()),
            disk: None,
            books: Books::new(capacity(measure([0; 2]))),
            events: Events::default(),
            sample_ms: 0,
            facts,
            facts_file,
            ending: None,
            disk_is_free: false,
            alive_ms: 0,
        };
        house.take_over();
        house.hold_all();
        for (place, status) in corpses {
            house.bury(place, exit_of(status));
        }
        house.go_on_leaving();
        house.go_on_renting();
        house.go_on_between();
        Ok(house)
    }

    /// Runs until the end.
    pub fn run(&mut self) -> ExitCode {
        while self.ending != Some(Ending::Told) {
            self.say_alive();
            self.hear_init();
            self.look_around();
            self.hear_damage(clock::boot_ms());
            self.leave_all();
            self.hear_package();
            self.serve();
            self.take_pulses();
            self.sample();
            self.tell_compliance();
            self.note_facts();
            self.end();
            self.wait();
        }
        // PID 1 ends us; until then it should not start another.
        loop {
            let _ = sys::descriptor::wait_readable(self.keep.as_fd(), u16::MAX);
        }
    }

    fn say_alive(&mut self) {
        let now_ms = clock::boot_ms();
        if now_ms.saturating_sub(self.alive_ms) >= ALIVE_EVERY_MS {
            self.alive_ms = now_ms;
            self.keep.say(Word::Alive, &[]);
        }
    }

    fn hear_init(&mut self) {
        while let Some((word, _)) = self.keep.hear() {
            match word {
                Word::Corpse { pid, status } => self.corpse(pid, status),
                Word::Stop => self.begin_end(),
                Word::Store { .. }
                | Word::Drop { .. }
                | Word::Back { .. }
                | Word::Done
                | Word::Alive
                | Word::Stopped
                | Word::Reboot
                | Word::PowerOff => {}
            }
        }
    }

    /// `network` may be a new one: every link is asked for again. It changes nothing where it stands.
    pub(crate) fn attach_again(&mut self) {
        for place in 0..self.processes.len() {
            let runs = |process: &&Process| process.record.pid.is_some() && process.is_now();
            if self.processes.get(place).as_ref().is_some_and(runs) {
                self.ask_link(place);
            }
        }
    }

    /// The link of the service at `place` is asked for, where it has a network. It changes nothing where it stands.
    pub(crate) fn ask_link(&mut self, place: usize) {
        let Self { processes, attachments, rented, .. } = self;
        let Some(process) = processes.get(place) else { return };
        let What::Tenant(tenant) = &process.what else { return };
        let Some(network) = &tenant.network else { return };
        let slice = rented.of(&tenant.manifest.provider);
        let ask = start::attach_ask(&process.name, &tenant.manifest, tenant.slot, slice);
        let descriptors = [network.namespace.as_fd(), network.netlink.as_fd()];
        if let Err(error) = attachments.ask(For::Again(process.id, tenant.attempt), &ask, &descriptors) {
            warn!("{}: {error}", process.name);
        }
    }

    fn note_facts(&mut self) {
        let all_up = |are: fn(&Process) -> bool| {
            let mut wanted = self.processes.iter().filter(|process| process.record.wanted && are(process));
            wanted.all(|process| process.record.state == State::Up)
        };
        let daemons = all_up(|process| matches!(process.what, What::Daemon(_)));
        let services = daemons
            && all_up(|process| matches!(process.what, What::Tenant(_)) && process.bundle().is_none());
        let bundles = services && self.package.said_all && all_up(|process| process.bundle().is_some());
        let mut changed = false;
        for (up, place) in [
            (daemons, &mut self.facts.daemons_ms),
            (services, &mut self.facts.services_ms),
            (bundles, &mut self.facts.bundles_ms),
        ] {
            if up && *place == 0 {
                *place = clock::boot_ms();
                changed = true;
            }
        }
        if changed {
            record::write(&self.facts_file, &self.facts);
        }
    }

    fn begin_end(&mut self) {
        if self.ending.is_none() {
            info!("stopping everything");
            self.ending = Some(Ending::Tenants(clock::boot_ms()));
            self.unwant(true);
        }
    }

    fn unwant(&mut self, tenants: bool) {
        for place in 0..self.processes.len() {
            if self
                .processes
                .get(place)
                .is_some_and(|process| matches!(process.what, What::Tenant(_)) == tenants)
            {
                self.happen(place, Event::Unwant);
            }
        }
    }

    /// Takes the end one part further, where its part is done or its time is over.
    fn end(&mut self) {
        let now_ms = clock::boot_ms();
        let gone = |tenants: bool| {
            let mut processes = self.processes.iter();
            processes.all(|process| {
                matches!(process.what, What::Tenant(_)) != tenants || process.record.pid.is_none()
            })
        };
        let late = |since_ms: u64, part: usize| {
            now_ms.saturating_sub(since_ms) > ENDING_MS.get(part).copied().unwrap_or(0)
        };
        match self.ending {
            Some(Ending::Tenants(since_ms)) if gone(true) || late(since_ms, 0) => {
                self.ending = Some(Ending::Disk(now_ms));
                // Answered or not: the next part has its own time.
                if self.mounts.ask(For::End, &mount::Ask::Finish, &[]).is_err() {
                    self.disk_is_free = true;
                }
            }
            Some(Ending::Disk(since_ms)) if self.disk_is_free || late(since_ms, 1) => {
                self.ending = Some(Ending::Daemons(now_ms));
                self.unwant(false);
            }
            Some(Ending::Daemons(since_ms)) if gone(false) || late(since_ms, 2) => {
                self.ending = Some(Ending::Told);
                self.keep.say(Word::Stopped, &[]);
            }
            Some(Ending::Tenants(_) | Ending::Disk(_) | Ending::Daemons(_) | Ending::Told) | None => {}
        }
    }

    /// Waits for anything to happen, at most until the next timer.
    fn wait(&self) {
        let now_ms = clock::boot_ms();
        let alive_ms = self.alive_ms + ALIVE_EVERY_MS;
        let leaving = self.processes.iter().any(Process::leaves) || self.is_between();
        let ending_ms = (self.ending.is_some() || leaving).then_some(now_ms + LOOK_MS);
        let talk_ms = self.processes.iter().any(|process| process.talks).then_some(now_ms + TALK_MS);
        let timers = self.processes.iter().filter_map(|process| process.record.timer_ms);
        let pulses = self.processes.iter().filter_map(|process| match &process.what {
            What::Tenant(tenant) if process.record.state == State::Up && tenant.manifest.health.is_some() => {
                Some(tenant.pulse.wake_ms())
            }
            What::Tenant(_) | What::Daemon(_) => None,
        });
        let times =
            self.processes.iter().filter_map(|process| process.due_ms).filter(|_| self.ending.is_none());
        let next_ms = timers
            .chain(pulses)
            .chain(times)
            .chain(self.slices_due_ms())
            .chain(ending_ms)
            .chain(talk_ms)
            .fold(alive_ms, u64::min);
        let limit_ms = u16::try_from(next_ms.saturating_sub(now_ms)).unwrap_or(u16::MAX);
        let mut wanted: Vec<PollFd<'_>> =
            self.descriptors().map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)).collect();
        // EINTR and an early return only mean one turn more.
        let _ = poll(&mut wanted, PollTimeout::from(limit_ms));
    }

    fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let own = [self.keep.as_fd(), self.control.as_fd(), self.installed.as_fd()];
        let links = [
            self.mounts.descriptor(),
            self.attachments.descriptor(),
            self.lines.descriptor(),
            self.damage.descriptor(),
        ];
        let processes = self.processes.iter().flat_map(|process| {
            let applied = match &process.what {
                What::Tenant(tenant) => tenant.entered.as_ref().map(|entered| entered.applied.as_fd()),
                What::Daemon(_) => None,
            };
            // One that is not our child stays readable until PID 1 has told of its end, which wakes us anyhow.
            let death = process.pidfd.as_ref().filter(|_| process.ours).map(AsFd::as_fd);
            let talk = [process.ring.reader.as_fd(), process.note.0.as_fd()];
            // Where there are two they have one log, and one of them is looked at.
            let talk = talk.into_iter().skip(usize::from(!process.is_now())).filter(|_| !process.talks);
            talk.chain(death).chain(applied)
        });
        own.into_iter()
            .chain(links.into_iter().flatten())
            .chain(self.package.descriptor().filter(|_| self.ending.is_none()))
            .chain(self.clients.iter().chain(&self.events.watchers).map(AsFd::as_fd))
            .chain(processes)
    }
}

/// The listener of a wire that we serve ourselves.
fn own(sockets: &[OwnedFd], wire: Wire) -> Result<Listener, Error> {
    let place = wires::ALL.iter().position(|other| other.name == wire.name);
    let socket = place.and_then(|place| sockets.get(place)).and_then(|socket| socket.try_clone().ok());
    socket.map(|socket| Listener::new(wire, socket)).ok_or(Error::Wire(wire.name, sys::Errno::EMFILE))
}
