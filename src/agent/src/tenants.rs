//! The services' socket: what they say of themselves, and what they are told. One JSON object a line.
//!
//! In:  the listener that the supervisor has bound, lines of services, the world. Out: reports in the world, events; configuration and
//! secrets for each service, its own.
//!
//! Who connects is known by his uid, which lies in the range of one service: what he says of himself does not matter. Each service has a
//! bucket of its own for lines, and one for events; where the first is empty nothing more is read of it, so it waits and nobody else does.
//! In one turn a connection is read once and a few lines of it are taken.
//!
//! Not here: the words (`tenants/word.rs`), what becomes of an event (`news.rs`).
//!
//! Source: unix(7), `SO_PEERCRED`; docs/tenant.md.

pub mod bucket;
pub mod report;
pub mod word;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use contract::Name;
use contract::tenant::{CONNECTIONS, LINE_BYTES};
use contract::wires::TENANT_UID_COUNT;
use nix::poll::PollFlags;

use crate::settings::Given;
use crate::world::World;
use bucket::Bucket;
use word::Word;

/// Lines of one service in a second, and at once.
const LINES: (u64, u64) = (50, 200);
/// Its events: each may become a message to every controller.
const EVENTS: (u64, u64) = (2, 20);
/// Connections that are taken in one turn.
const ACCEPTS_A_TURN: usize = 16;
/// Lines of one connection in one turn.
const LINES_A_TURN: usize = 8;
/// What waits for a service, in bytes: it fits when all its settings are told, twice. Who does not read loses the connection.
const OUT_BYTES_MAX: usize = 256 * 1024;
/// With so much of it nothing more is read: answers are not for somebody who does not listen.
const OUT_BYTES_BUSY: usize = 16 * 1024;

/// Something that happened in a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Which.
    pub service: Name,
    /// What.
    pub name: String,
    /// What goes with it.
    pub data: Vec<(String, String)>,
}

/// One connection.
#[derive(Debug)]
struct Line {
    service: Name,
    /// The process that has connected.
    pid: u32,
    socket: UnixStream,
    input: Vec<u8>,
    out: Vec<u8>,
    /// What it was told: kind, name, value.
    told: BTreeMap<(bool, String), String>,
    /// It sends no more.
    ended: bool,
}

/// What lines of one turn are taken with.
struct Turn<'t> {
    world: &'t mut World,
    now_ms: u64,
    ready: &'t mut dyn FnMut(&Name, u32) -> Result<(), String>,
    happened: Vec<Happened>,
}

/// How much of a service is taken.
#[derive(Debug)]
struct Limits {
    lines: Bucket,
    events: Bucket,
}

/// The socket, and who is connected.
#[derive(Debug, Default)]
pub struct Tenants {
    listener: Option<UnixListener>,
    lines: Vec<Line>,
    limits: BTreeMap<Name, Limits>,
}

impl Tenants {
    /// On the listener that the supervisor has bound; without one no service has a word.
    #[must_use]
    pub fn new(listener: Option<UnixListener>) -> Self {
        Self { listener, ..Self::default() }
    }

    /// What it waits for.
    pub fn descriptors(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let listener = self.listener.iter().map(|listener| (listener.as_fd(), PollFlags::POLLIN));
        // Of somebody who has said too much nothing is heard, not even that he is gone.
        let lines = self.lines.iter().map(|line| {
            let read = if line.can_read() { PollFlags::POLLIN } else { PollFlags::empty() };
            let write = if line.out.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            (line.socket.as_fd(), read | write)
        });
        listener.chain(lines.filter(|(_, flags)| !flags.is_empty()))
    }

    /// When a line that waits may be taken, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let waits = self.lines.iter().filter(|line| line.has_line() && line.out.len() < OUT_BYTES_BUSY);
        waits.map(|line| self.limits.get(&line.service).map_or(0, |limits| limits.lines.due_ms())).min()
    }

    /// One turn: who has come is let in, each is read once; `ready` passes on that a service says by this process that it is. What happened;
    /// and whether the tree is another one now.
    pub fn turn(
        &mut self,
        world: &mut World,
        now_ms: u64,
        ready: &mut dyn FnMut(&Name, u32) -> Result<(), String>,
    ) -> (Vec<Happened>, bool) {
        let mut changed = self.accept(world, now_ms);
        let mut turn = Turn { world, now_ms, ready, happened: Vec::new() };
        for line in &mut self.lines {
            let Some(limits) = self.limits.get_mut(&line.service) else { continue };
            line.read();
            for _ in 0..LINES_A_TURN {
                if !line.has_line() || line.out.len() >= OUT_BYTES_BUSY || !limits.lines.take(now_ms) {
                    break;
                }
                changed |= line.take(&mut turn, limits);
            }
            line.write();
        }
        let Turn { world, happened, .. } = turn;
        let gone = self.lines.extract_if(.., |line| line.is_over(world)).count();
        if gone > 0 || changed {
            self.count(world);
            changed = true;
        }
        (happened, changed)
    }

    /// Tells each what is other than what it was told. Called when settings are others.
    pub fn tell(&mut self, world: &World) {
        self.lines.iter_mut().for_each(|line| line.tell(world));
    }

    fn accept(&mut self, world: &World, now_ms: u64) -> bool {
        let mut came = false;
        for _ in 0..ACCEPTS_A_TURN {
            let Some(Ok((socket, _))) = self.listener.as_ref().map(UnixListener::accept) else { break };
            let Some(service) = service_of(&socket, world) else { continue };
            let has = self.lines.iter().filter(|line| line.service == service).count();
            if has >= CONNECTIONS || socket.set_nonblocking(true).is_err() {
                continue;
            }
            let fresh = || Limits {
                lines: Bucket::full(LINES.0, LINES.1, now_ms),
                events: Bucket::full(EVENTS.0, EVENTS.1, now_ms),
            };
            self.limits.entry(service.clone()).or_insert_with(fresh);
            let mut line = Line {
                out: word::hello(&service),
                pid: sys::seqpacket::peer_pid(socket.as_fd()).unwrap_or(0),
                service,
                socket,
                input: Vec::new(),
                told: BTreeMap::new(),
                ended: false,
            };
            line.tell(world);
            line.out.extend(word::all());
            self.lines.push(line);
            came = true;
        }
        came
    }

    /// Reports say how many are connected; those of services that are there no more go, and so do their limits.
    fn count(&mut self, world: &mut World) {
        let facts = &mut world.facts;
        let is_there = |name: &Name| facts.processes.iter().any(|process| process.name == *name);
        facts.reports.retain(|name, _| is_there(name));
        self.limits.retain(|name, _| is_there(name));
        for report in facts.reports.values_mut() {
            report.connections = 0;
        }
        for line in &self.lines {
            let report = facts.reports.entry(line.service.clone()).or_default();
            report.connections = report.connections.saturating_add(1);
        }
    }
}

/// Whose uid it is; `None`: no service's that is known.
fn service_of(socket: &UnixStream, world: &World) -> Option<Name> {
    let uid = sys::seqpacket::peer_uid(socket.as_fd()).ok()?;
    let of = |base: u32| uid.checked_sub(base).is_some_and(|place| place < TENANT_UID_COUNT);
    let mut processes = world.facts.processes.iter();
    processes.find(|process| process.uid_base.is_some_and(of)).map(|process| process.name.clone())
}

impl Line {
    fn has_line(&self) -> bool {
        self.input.contains(&b'\n') || self.input.len() >= LINE_BYTES
    }

    fn can_read(&self) -> bool {
        !self.ended && !self.has_line() && self.out.len() < OUT_BYTES_BUSY
    }

    fn read(&mut self) {
        if !self.can_read() {
            return;
        }
        let mut bytes = [0; LINE_BYTES];
        match self.socket.read(&mut bytes) {
            Ok(0) => self.ended = true,
            Ok(size) => self.input.extend_from_slice(bytes.get(..size).unwrap_or_default()),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => {}
            Err(_) => self.ended = true,
        }
    }

    fn write(&mut self) {
        while !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Ok(size) => drop(self.out.drain(..size)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.ended = true;
                    self.input.clear();
                    self.out.clear();
                }
            }
        }
    }

    /// Takes the next line. Is the tree another one now?
    fn take(&mut self, turn: &mut Turn<'_>, limits: &mut Limits) -> bool {
        let end = self.input.iter().position(|byte| *byte == b'\n');
        let Some(end) = end.filter(|end| *end < LINE_BYTES) else {
            // Where the next one begins nobody knows.
            self.out.extend(word::answer(None, Err("a line is too long")).unwrap_or_default());
            self.input.clear();
            self.ended = true;
            return false;
        };
        let said = word::read(self.input.get(..end).unwrap_or_default());
        self.input.drain(..=end);
        let now_s = turn.world.facts.now_s;
        let report = turn.world.facts.reports.entry(self.service.clone()).or_default();
        let outcome = match said.word {
            Err(why) => Err(why),
            // Each is a question to the supervisor.
            Ok(Word::Ready) if !limits.events.take(turn.now_ms) => Err("ready: too many".to_owned()),
            Ok(Word::Ready) => (turn.ready)(&self.service, self.pid).map(|()| false),
            Ok(Word::Event { .. }) if !limits.events.take(turn.now_ms) => Err("event: too many".to_owned()),
            Ok(Word::Event { name, data }) => {
                turn.happened.push(Happened { service: self.service.clone(), name, data });
                Ok(false)
            }
            Ok(word) => report.take(word, now_s).map_err(str::to_owned),
        };
        match &outcome {
            Ok(_) => report.lines = report.lines.saturating_add(1),
            Err(_) => report.refused = report.refused.saturating_add(1),
        }
        let answer = word::answer(said.id, outcome.as_ref().map(|_| ()).map_err(String::as_str));
        self.out.extend(answer.unwrap_or_default());
        outcome.unwrap_or(false)
    }

    fn tell(&mut self, world: &World) {
        let own = |one: &&Given| one.service == self.service.as_str() && !one.name.is_empty();
        let all = world.settings.services.given.iter().filter(own);
        let now: BTreeMap<(bool, String), String> =
            all.map(|one| ((one.is_secret, one.name.clone()), one.value.clone())).collect();
        let before = std::mem::take(&mut self.told);
        for ((is_secret, name), _) in before.iter().filter(|(key, _)| !now.contains_key(*key)) {
            self.out.extend(word::given(*is_secret, name, None));
        }
        for ((is_secret, name), value) in now.iter().filter(|(key, value)| before.get(*key) != Some(*value)) {
            self.out.extend(word::given(*is_secret, name, Some(value)));
        }
        self.told = now;
        self.write();
    }

    /// Nothing more comes of it, or it does not listen, or its service is there no more.
    fn is_over(&self, world: &World) -> bool {
        let all = self.ended && !self.has_line() && self.out.is_empty();
        let is_there = world.facts.processes.iter().any(|process| process.name == self.service);
        all || self.out.len() > OUT_BYTES_MAX || !is_there
    }
}
