//! The loop: one thread, one epoll.
//!
//! In:  questions of hosts, answers of upstreams, words of `network` and `lease`, time. Out: answers, questions, numbers.
//!
//! Nothing here waits but the poll. What strangers send is read a bounded number of datagrams a turn, so nobody keeps the others waiting.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use contract::told::Told;
use contract::wires::TOLD;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use sys::datagrams::{self, Batch};
use sys::{Errno, clock};
use wire::{Line, Listener};

use crate::Error;
use crate::callers::{Called, Callers};
use crate::desk::{Desk, Said};
use crate::engine::{By, Came, Engine, Outcome, Step, To};
use crate::forward::{Done, Door, Forward, Waiter};
use crate::listen::Links;
use crate::policy::Asker;
use crate::query::Rcode;
use crate::relay::sockets::Relay;
use crate::token::{Kind, Token};

/// Events of one turn.
const EVENTS: usize = 64;
/// Batches that one socket is read for in one turn.
const BATCHES_A_TURN: usize = 4;
/// Connections of one link that are let in in one turn.
const ACCEPTS_A_TURN: usize = 8;
/// The longest sleep, in milliseconds.
const SLEEP_MS_MAX: u64 = 60_000;
/// The longest answer.
const ANSWER_BYTES: usize = 65_535;

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Room {
    epoll: Epoll,
    line: Line<Told>,
    desk: Desk,
    links: Links,
    callers: Callers,
    engine: Engine,
    forward: Forward,
    relay: Relay,
    batch: Batch,
    answer: Vec<u8>,
}

impl Room {
    /// Serves `resolve`. Nothing was told yet.
    ///
    /// # Errors
    /// [`Error::Poll`]: there is nothing to wait with.
    pub fn open(resolve: Listener) -> Result<Self, Error> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Error::Poll)?;
        let desk = Desk::open(resolve, &epoll).map_err(Error::Poll)?;
        Ok(Self {
            epoll,
            line: Line::new(TOLD),
            desk,
            links: Links::default(),
            callers: Callers::default(),
            engine: Engine::default(),
            forward: Forward::default(),
            relay: Relay::default(),
            batch: Batch::default(),
            answer: vec![0; ANSWER_BYTES],
        })
    }

    /// Works for ever.
    ///
    /// # Errors
    /// [`Error::Poll`]: the kernel has no memory to wait with.
    pub fn run(&mut self) -> Result<Infallible, Error> {
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let limit = self.limit(clock::boot_ms());
            let count = match self.epoll.wait(&mut events, limit) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(errno) => return Err(Error::Poll(errno)),
            };
            let now_ms = clock::boot_ms();
            for token in events.iter().take(count).filter_map(|event| Token::of(event.data())) {
                self.attend(token, now_ms);
            }
            self.dial(now_ms)?;
            self.links.turn(&self.epoll, now_ms);
            self.relay.turn(&self.epoll, now_ms);
            self.callers.expire(now_ms);
            self.forward.turn(&self.epoll, now_ms);
            self.tell_done(now_ms);
        }
    }

    /// How long it may sleep.
    fn limit(&self, now_ms: u64) -> EpollTimeout {
        let words = [self.line.due_ms(), self.links.due_ms(), self.relay.due_ms()];
        let dues = words.into_iter().chain([self.callers.due_ms(), self.forward.due_ms()]);
        let left_ms = dues.flatten().min().map_or(SLEEP_MS_MAX, |due| due.saturating_sub(now_ms));
        let left_ms = u16::try_from(left_ms.min(SLEEP_MS_MAX)).unwrap_or(u16::MAX);
        EpollTimeout::from(left_ms)
    }

    fn attend(&mut self, token: Token, now_ms: u64) {
        match token.kind {
            Kind::Udp4 | Kind::Udp6 => self.datagrams(token, now_ms),
            Kind::Tcp4 | Kind::Tcp6 => self.connections(token, now_ms),
            Kind::Caller => self.caller(token, now_ms),
            Kind::Pending => self.forward.datagram(&self.epoll, token, now_ms),
            Kind::Stream => self.forward.stream(&self.epoll, token, now_ms),
            Kind::Relay => self.relay.heard(&self.epoll, token.serial, now_ms),
            Kind::Told => self.told(now_ms),
            Kind::Desk => {
                for said in self.desk.turn(&self.epoll, token.serial) {
                    match said {
                        Said::Names(first, names) => self.engine.hosts(first, &names),
                        Said::Show(serial) => self.desk.tell(serial, &self.rows(now_ms)),
                    }
                }
            }
        }
    }

    fn dial(&mut self, now_ms: u64) -> Result<(), Error> {
        if !self.line.dial(now_ms) {
            return Ok(());
        }
        let event =
            EpollEvent::new(EpollFlags::EPOLLIN, Token { kind: Kind::Told, place: 0, serial: 0 }.number());
        self.line.descriptor().map_or(Ok(()), |line| self.epoll.add(line, event)).map_err(Error::Poll)
    }

    fn told(&mut self, now_ms: u64) {
        let told = match self.line.hear() {
            Some((Told::Names(told), _)) => told,
            Some((Told::Voice(_) | Told::Time(_) | Told::Multicast(_), _)) | None => return, // Not for us.
        };
        for gone in self.links.want(&told.homes) {
            self.callers.drop_link(gone);
        }
        self.relay.want(&told.homes);
        self.forward.want(&told.upstreams, &self.epoll, now_ms);
        self.engine.want(told);
    }

    /// Questions by UDP, in batches.
    fn datagrams(&mut self, token: Token, now_ms: u64) {
        for _ in 0..BATCHES_A_TURN {
            let Some(link) = self.links.get(token.place, token.serial) else { return };
            let Some(ears) = &link.ears else { return };
            let socket = if token.kind == Kind::Udp6 { ears.udp6.as_ref() } else { Some(&ears.udp4) };
            let Some(socket) = socket else { return };
            let Ok(count) = self.batch.receive(socket.as_fd()) else { return };
            let (who, ours) = (&link.home.who, link.home.address);
            for slot in self.batch.slots(count) {
                let Some(peer) = slot.peer().filter(|_| !slot.is_cut()) else { continue };
                let asker = Asker { address: peer.address.ip(), who, ours };
                let (input, output) = slot.parts();
                let step = self.engine.question(input, Came { asker, by: By::Udp, now_ms }, output);
                let bytes = match step {
                    Step::Answer(bytes) => bytes,
                    Step::Drop => 0,
                    Step::Ask(question, kept) => {
                        let door = Door::Udp { link: token.place, serial: token.serial, peer };
                        let waiter = Waiter { door, kept: kept.clone(), client: asker.address };
                        if self.forward.ask(&self.epoll, question, waiter, now_ms) {
                            0
                        } else {
                            refused(&mut self.engine, &kept.head(), output)
                        }
                    }
                };
                slot.answer(bytes);
            }
            // What does not go is lost, as datagrams are: the client asks again.
            let _ = self.batch.send(socket.as_fd(), count);
            if count < sys::datagrams::BATCH {
                return;
            }
        }
    }

    fn connections(&mut self, token: Token, now_ms: u64) {
        let Some(link) = self.links.get(token.place, token.serial) else { return };
        let Some(ears) = &link.ears else { return };
        let listener = if token.kind == Kind::Tcp6 { ears.tcp6.as_ref() } else { Some(&ears.tcp4) };
        for _ in 0..ACCEPTS_A_TURN {
            let Some(Ok((socket, _))) = listener.map(std::net::TcpListener::accept) else { return };
            self.callers.add(&self.epoll, socket, token.place, now_ms);
        }
    }

    /// Questions by TCP.
    fn caller(&mut self, token: Token, now_ms: u64) {
        for Called { link, client, message } in self.callers.turn(&self.epoll, token, now_ms) {
            let Some(link) = self.links.list().get(link) else { return };
            let asker = Asker { address: client, who: &link.home.who, ours: link.home.address };
            let step = self.engine.question(&message, Came { asker, by: By::Tcp, now_ms }, &mut self.answer);
            let bytes = match step {
                Step::Answer(bytes) => bytes,
                Step::Drop => 0,
                Step::Ask(question, kept) => {
                    let door = Door::Tcp { caller: token.place, serial: token.serial };
                    let waiter = Waiter { door, kept: kept.clone(), client };
                    if self.forward.ask(&self.epoll, question, waiter, now_ms) {
                        0
                    } else {
                        refused(&mut self.engine, &kept.head(), &mut self.answer)
                    }
                }
            };
            if let Some(answer) = self.answer.get(..bytes).filter(|answer| !answer.is_empty()) {
                self.callers.say(&self.epoll, token, answer);
            }
        }
    }

    /// Answers those whose questions are over, and those who have waited long where something old is known.
    fn tell_done(&mut self, now_ms: u64) {
        let engine = &self.engine;
        let early = self.forward.early(now_ms, |question| engine.has_stale(question, now_ms));
        for (question, waiters) in early {
            self.say(&question, &waiters, &Outcome::Failed, now_ms);
        }
        for Done { question, waiters, answer } in self.forward.done() {
            let outcome = match &answer {
                Some((answer, message)) => Outcome::Answer(answer.clone(), message),
                None => Outcome::Failed,
            };
            let outcome = self.engine.take(&question, outcome, now_ms);
            self.say(&question, &waiters, &outcome, now_ms);
        }
    }

    fn say(
        &mut self,
        question: &crate::query::Question,
        waiters: &[Waiter],
        outcome: &Outcome<'_>,
        now_ms: u64,
    ) {
        for waiter in waiters {
            let by = match waiter.door {
                Door::Udp { .. } => By::Udp,
                Door::Tcp { .. } => By::Tcp,
            };
            let head = waiter.kept.head();
            let bytes = self.engine.answer(question, To { head, by, now_ms }, outcome, &mut self.answer);
            let Some(answer) = self.answer.get(..bytes) else { continue };
            match &waiter.door {
                Door::Tcp { caller, serial } => {
                    let token = Token { kind: Kind::Caller, place: *caller, serial: *serial };
                    self.callers.say(&self.epoll, token, answer);
                }
                Door::Udp { link, serial, peer } => {
                    let ears = self.links.get(*link, *serial).and_then(|link| link.ears.as_ref());
                    let socket = ears.and_then(|ears| match peer.address {
                        SocketAddr::V4(_) => Some(ears.udp4.as_fd()),
                        SocketAddr::V6(_) => ears.udp6.as_ref().map(AsFd::as_fd),
                    });
                    // The client asks again where it is lost.
                    let _ = socket.map(|socket| datagrams::send_to(socket, peer, answer));
                }
            }
        }
    }

    /// What there is to tell to `ctl`.
    fn rows(&self, now_ms: u64) -> Vec<(String, String)> {
        let numbers = self.engine.numbers;
        let counted = [
            ("questions", numbers.questions),
            ("hits", numbers.hits),
            ("local", numbers.local),
            ("misses", numbers.misses),
            ("refused", numbers.refused),
            ("failures", numbers.failures),
            ("stale", numbers.stale),
            ("blocked", numbers.blocked),
            ("relayed", self.relay.passed),
            ("cached", u64::try_from(self.engine.cache.count()).unwrap_or(0)),
            ("cached_bytes", u64::try_from(self.engine.cache.bytes()).unwrap_or(0)),
            ("hosts", u64::try_from(self.engine.hosts.count()).unwrap_or(0)),
            ("pending", u64::try_from(self.forward.count()).unwrap_or(0)),
            ("connections", u64::try_from(self.callers.count()).unwrap_or(0)),
        ];
        let mut rows: Vec<_> = counted.map(|(name, value)| (name.to_owned(), value.to_string())).into();
        for link in self.links.list() {
            let state = if link.ears.is_some() { "answers" } else { "not there" };
            rows.push((format!("link {}", link.home.link), format!("{} {state}", link.home.address)));
        }
        for one in self.forward.upstreams.list() {
            let way = if one.is_tls() { "TLS" } else { "plain" };
            let state = if one.rests(now_ms) { "rests" } else { "is asked" };
            let value = format!(
                "{way}, {state}, {} asked, {} answered, {} failed, {} ms",
                one.questions, one.answers, one.failures, one.takes_ms
            );
            rows.push((format!("upstream {}", one.address), value));
        }
        rows
    }
}

/// Too many are under way: this one is told so.
fn refused(engine: &mut Engine, head: &crate::query::Head<'_>, out: &mut [u8]) -> usize {
    match engine.refuse(head, Rcode::ServFail, out) {
        Step::Answer(bytes) => bytes,
        Step::Ask(..) | Step::Drop => 0,
    }
}
