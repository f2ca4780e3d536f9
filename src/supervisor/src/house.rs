//! The house: everything that the supervisor holds, its loop, and its end.
//!
//! In:  PID 1's end of the `keep` wire. Out: nothing; it runs until it is killed, or until PID 1 says that it is the end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;

use contract::control::{Facts, State};
use contract::keep::{ALIVE_EVERY_MS, Keep as Word};
use contract::slice::Slices;
use contract::{mount, wires};
use log::{info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sys::clock;
use wire::{Connection, Listener};

use crate::admission::{Books, capacity};
use crate::adopt::{self, Store};
use crate::compliance::Events;
use crate::keep::Keep;
use crate::life::Event;
use crate::lines::Lines;
use crate::links::Link;
use crate::process::{Process, What};
use crate::record;
use crate::slices::{divide, measure};
use crate::turn::exit_of;
use crate::{Error, start};

/// How long each part of the end may take, in milliseconds: tenants, the disk, daemons. Together less than PID 1's patience.
const ENDING_MS: [u64; 3] = [6_000, 3_000, 3_000];

/// The pause before somebody who talks is listened to again, in milliseconds: who writes byte by byte must not have a turn of ours for
/// each. It leaves 3 MB a second to each.
const TALK_MS: u64 = 10;

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
    pub(crate) slices: Slices,
    pub(crate) slices_file: OwnedFd,
    pub(crate) books: Books,
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
        let mut store = Store::take_back(&keep)?;
        let wires = adopt::wires(&mut store, &keep)?;
        let (mut facts, facts_file) = adopt::facts(&mut store, &keep)?;
        facts.init_ms = init_ms;
        facts.lives = u32::try_from(life).unwrap_or(u32::MAX);
        if facts.loop_ms == 0 {
            facts.loop_ms = clock::boot_ms();
        }
        record::write(&facts_file, &facts);
        let (slices, slices_file) = adopt::slices(&mut store, &keep)?;
        let (processes, corpses) = adopt::processes(&mut store, &keep)?;
        // `control` is the first in the table of wires.
        let control = wires.first().map(OwnedFd::try_clone).transpose();
        let control = control.ok().flatten().ok_or(Error::Wire("control", sys::Errno::EMFILE))?;
        let mut house = Self {
            keep,
            processes,
            wires,
            control: Listener::new(wires::CONTROL, control),
            clients: Vec::new(),
            followers: Vec::new(),
            mounts: Link::new(wires::MOUNT),
            attachments: Link::new(wires::ATTACH),
            lines: Lines::default(),
            slices,
            slices_file,
            books: Books::new(capacity(measure([0; 2]))),
            events: Events::default(),
            sample_ms: 0,
            facts,
            facts_file,
            ending: None,
            disk_is_free: false,
            alive_ms: 0,
        };
        divide(house.books.capacity());
        house.take_over();
        for (place, status) in corpses {
            house.bury(place, exit_of(status));
        }
        house.attach_again();
        Ok(house)
    }

    /// Runs until the end.
    pub fn run(&mut self) -> ExitCode {
        while self.ending != Some(Ending::Told) {
            self.say_alive();
            self.hear_init();
            self.look_around();
            self.serve();
            self.take_pulses();
            self.sample();
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
        let Self { processes, attachments, .. } = self;
        for (place, process) in processes.iter_mut().enumerate() {
            let What::Tenant(tenant) = &mut process.what else { continue };
            let Some(network) = tenant.network.as_ref().filter(|_| process.record.pid.is_some()) else {
                continue;
            };
            let ask = start::attach_ask(&process.name, &tenant.manifest, tenant.slot);
            let descriptors = [network.namespace.as_fd(), network.netlink.as_fd()];
            if let Err(error) = attachments.ask(place, &ask, &descriptors) {
                warn!("{}: {error}", process.name);
            }
        }
    }

    fn note_facts(&mut self) {
        let all_up = |tenants: bool| {
            self.processes
                .iter()
                .filter(|process| process.record.wanted && matches!(process.what, What::Tenant(_)) == tenants)
                .all(|process| process.record.state == State::Up)
        };
        let (daemons, services) = (all_up(false), all_up(true));
        let mut changed = false;
        for (up, place) in
            [(daemons, &mut self.facts.daemons_ms), (daemons && services, &mut self.facts.services_ms)]
        {
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
                if self.mounts.ask(usize::MAX, &mount::Ask::Finish, &[]).is_err() {
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
        let ending_ms = self.ending.map(|_| now_ms + 50);
        let talk_ms = self.processes.iter().any(|process| process.talks).then_some(now_ms + TALK_MS);
        let timers = self.processes.iter().filter_map(|process| process.record.timer_ms);
        let pulses = self.processes.iter().filter_map(|process| match &process.what {
            What::Tenant(tenant) if process.record.state == State::Up && tenant.manifest.health.is_some() => {
                Some(tenant.pulse.wake_ms())
            }
            What::Tenant(_) | What::Daemon(_) => None,
        });
        let next_ms = timers.chain(pulses).chain(ending_ms).chain(talk_ms).fold(alive_ms, u64::min);
        let limit_ms = u16::try_from(next_ms.saturating_sub(now_ms)).unwrap_or(u16::MAX);
        let mut wanted: Vec<PollFd<'_>> =
            self.descriptors().map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)).collect();
        // EINTR and an early return only mean one turn more.
        let _ = poll(&mut wanted, PollTimeout::from(limit_ms));
    }

    fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let own = [self.keep.as_fd(), self.control.as_fd()];
        let links = [self.mounts.descriptor(), self.attachments.descriptor(), self.lines.descriptor()];
        let processes = self.processes.iter().flat_map(|process| {
            let applied = match &process.what {
                What::Tenant(tenant) => tenant.entered.as_ref().map(|entered| entered.applied.as_fd()),
                What::Daemon(_) => None,
            };
            // One that is not our child stays readable until PID 1 has told of its end, which wakes us anyhow.
            let death = process.pidfd.as_ref().filter(|_| process.ours).map(AsFd::as_fd);
            let talk = [process.ring.reader.as_fd(), process.note.0.as_fd()];
            let talk = talk.into_iter().filter(|_| !process.talks);
            talk.chain(death).chain(applied)
        });
        own.into_iter()
            .chain(links.into_iter().flatten())
            .chain(self.clients.iter().chain(&self.events.watchers).map(AsFd::as_fd))
            .chain(processes)
    }
}
