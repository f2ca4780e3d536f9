//! Questions that are asked outside: each once, however many wait for it; of one upstream after the other, within a bounded time.
//!
//! In:  questions with who waits, events, moments. Out: what came of them ([`Done`]).
//!
//! By UDP each question has a socket of its own, so its port is the kernel's choice and only the upstream's address is heard; number, name
//! and type have to be right, too. An upstream that has a TLS name is asked by TLS alone, whatever happens.
//!
//! Connections are in `forward/streams.rs`.
//!
//! Source: RFC 5452 (forged answers), RFC 7766 §5 (TCP where it is cut), RFC 7858 §3 (TLS), RFC 8767 §5 (times).

mod streams;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use sys::datagrams::Peer;
use trust::rustls::ClientConfig;

use crate::engine::Kept;
use crate::message::{self, Answer, Fault};
use crate::query::Question;
use crate::stream::Stream;
use crate::token::{Kind, Token};
use crate::upstreams::{Upstream, Upstreams, bit};

/// Questions at a time.
const PENDING_MAX: usize = 256;
/// Questions of one client at a time: a third, so that nobody takes all.
const PENDING_A_CLIENT: usize = 96;
/// Who waits for one question.
const WAITERS_MAX: usize = 16;
/// How often it is sent, over all upstreams.
const SENDS_MAX: u32 = 6;
/// How long an upstream has by UDP, in milliseconds.
const UDP_WAIT_MS: u64 = 800;
/// How long it has by TCP or TLS: three round trips more.
const STREAM_WAIT_MS: u64 = 2_400;
/// How long all of it may take: hosts wait five seconds (resolv.conf(5)).
const WHOLE_MS: u64 = 4_800;
/// After that time what was known earlier is told. Source: RFC 8767 §5.
const EARLY_MS: u64 = 1_800;
/// A connection that is not used is closed, in milliseconds. Source: RFC 7766 §6.2.3, RFC 7858 §3.4.
const IDLE_MS: u64 = 20_000;
/// Datagrams that are looked at in one turn of one question.
const DATAGRAMS_A_TURN: usize = 4;

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// By a datagram of a link.
    Udp {
        /// Of which link.
        link: usize,
        /// Which life of it.
        serial: u32,
        /// To whom.
        peer: Peer,
    },
    /// By a connection.
    Tcp {
        /// Which.
        caller: usize,
        /// Which life of it.
        serial: u32,
    },
}

/// Who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiter {
    /// Where the answer goes.
    pub door: Door,
    /// What has to be said back.
    pub kept: Kept,
    /// Whose question it is.
    pub client: IpAddr,
}

/// A question that is over.
#[derive(Debug)]
pub struct Done {
    /// The question.
    pub question: Question,
    /// Who waits.
    pub waiters: Vec<Waiter>,
    /// The answer and its message.
    pub answer: Option<(Answer, Vec<u8>)>,
}

#[derive(Debug)]
struct Pending {
    question: Question,
    waiters: Vec<Waiter>,
    /// Upstreams that were asked in this round.
    tried: u32,
    /// Upstreams that need not be asked again.
    useless: u32,
    sends: u32,
    begun_ms: u64,
    sent_ms: u64,
    due_ms: u64,
    id: u16,
    upstream: usize,
    /// It was cut by UDP.
    by_stream: bool,
    socket: Option<UdpSocket>,
    serial: u32,
}

/// Everything that is under way.
#[derive(Debug, Default)]
pub struct Forward {
    /// Whom to ask.
    pub upstreams: Upstreams,
    slots: Vec<Option<Pending>>,
    count: usize,
    next_due_ms: u64,
    streams: Vec<Option<Stream>>,
    config: Option<Arc<ClientConfig>>,
    keys: RandomState,
    serial: u32,
    said: bool,
    done: Vec<Done>,
}

impl Forward {
    /// Takes another list of upstreams. What is under way begins anew.
    pub fn want(&mut self, told: &[contract::wanted::reach::Upstream], epoll: &Epoll, now_ms: u64) {
        if !self.upstreams.want(told) {
            return;
        }
        self.streams.clear();
        self.streams.resize_with(self.upstreams.list().len(), || None);
        (self.config, self.said) = (None, false);
        for place in 0..self.slots.len() {
            if let Some(pending) = self.slots.get_mut(place).and_then(Option::as_mut) {
                (pending.tried, pending.useless) = (0, 0);
                self.send(epoll, place, now_ms);
            }
        }
    }

    /// How many questions are under way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// When there is something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let idle = self.streams.iter().flatten().map(|stream| stream.used_ms.saturating_add(IDLE_MS)).min();
        let due = (self.count > 0).then_some(self.next_due_ms);
        idle.into_iter().chain(due).min()
    }

    /// What is over since it was asked last.
    pub fn done(&mut self) -> Vec<Done> {
        std::mem::take(&mut self.done)
    }

    /// Asks, or lets `waiter` wait with others. `false`: too many are under way.
    pub fn ask(&mut self, epoll: &Epoll, question: Question, waiter: Waiter, now_ms: u64) -> bool {
        let same = self.slots.iter_mut().flatten().find(|pending| pending.question == question);
        if let Some(pending) = same {
            let room = pending.waiters.len() < WAITERS_MAX;
            // Who asks again is told once.
            if room && !pending.waiters.contains(&waiter) {
                pending.waiters.push(waiter);
            }
            return room;
        }
        let of_client =
            |pending: &&Pending| pending.waiters.iter().any(|other| other.client == waiter.client);
        if self.slots.iter().flatten().filter(of_client).count() >= PENDING_A_CLIENT {
            return false;
        }
        let place = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if place >= PENDING_MAX {
            return false;
        }
        self.serial = self.serial.wrapping_add(1);
        let pending = Pending {
            question,
            waiters: vec![waiter],
            tried: 0,
            useless: 0,
            sends: 0,
            begun_ms: now_ms,
            sent_ms: now_ms,
            due_ms: now_ms,
            id: 0,
            upstream: 0,
            by_stream: false,
            socket: None,
            serial: self.serial,
        };
        if place == self.slots.len() {
            self.slots.push(None);
        }
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Some(pending);
            self.count += 1;
        }
        self.send(epoll, place, now_ms);
        true
    }

    /// A datagram came for the question at `place`.
    pub fn datagram(&mut self, epoll: &Epoll, token: Token, now_ms: u64) {
        let mut buffer = [0; 4096];
        for _ in 0..DATAGRAMS_A_TURN {
            let pending = self.slots.get_mut(token.place).and_then(Option::as_mut);
            let Some(pending) = pending.filter(|pending| pending.serial == token.serial) else { return };
            let Some(socket) = &pending.socket else { return };
            let message = match socket.recv(&mut buffer) {
                Ok(count) => buffer.get(..count).unwrap_or_default(),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // An ICMP error: nobody is there.
                Err(_) => return self.unanswered(epoll, token.place, now_ms),
            };
            let read = message::read(message, pending.id, &pending.question);
            self.heard(epoll, token.place, (read, message), now_ms);
        }
    }

    /// What an upstream said to the question at `place`.
    fn heard(
        &mut self,
        epoll: &Epoll,
        place: usize,
        (read, message): (Result<Answer, Fault>, &[u8]),
        now_ms: u64,
    ) {
        let Some(pending) = self.slots.get_mut(place).and_then(Option::as_mut) else { return };
        let upstream = pending.upstream;
        let trusted = self.upstreams.get(upstream).is_some_and(Upstream::is_tls);
        match read {
            Err(Fault::Stranger) => {}
            Ok(mut answer) => {
                answer.authentic &= trusted;
                self.upstreams.answered(upstream, now_ms.saturating_sub(pending.sent_ms));
                self.finish(place, Some((answer, message.to_vec())));
            }
            Err(Fault::Cut) if !pending.by_stream => {
                pending.by_stream = true;
                self.send_to(epoll, place, upstream, now_ms);
            }
            Err(Fault::NoEdns) if self.upstreams.get(upstream).is_some_and(|one| one.speaks_edns(now_ms)) => {
                self.upstreams.no_edns(upstream, now_ms);
                self.send_to(epoll, place, upstream, now_ms);
            }
            Err(Fault::Cut | Fault::NoEdns | Fault::Failed) => {
                pending.useless |= bit(upstream);
                self.send(epoll, place, now_ms);
            }
        }
    }
}

/// Sending, waiting, giving up.
impl Forward {
    /// Sends the question at `place` to the next upstream whose turn it is, or gives up.
    fn send(&mut self, epoll: &Epoll, place: usize, now_ms: u64) {
        for _ in 0..=SENDS_MAX {
            let Some(pending) = self.slots.get_mut(place).and_then(Option::as_mut) else { return };
            let late = now_ms.saturating_sub(pending.begun_ms) >= WHOLE_MS;
            if pending.sends >= SENDS_MAX || late {
                break;
            }
            let next = self.upstreams.next(pending.tried | pending.useless, now_ms).or_else(|| {
                pending.tried = 0;
                self.upstreams.next(pending.useless, now_ms)
            });
            let Some(upstream) = next else { break };
            pending.by_stream = false;
            if self.send_to(epoll, place, upstream, now_ms) {
                return;
            }
        }
        self.finish(place, None);
    }

    /// Sends the question at `place` to this upstream. `false`: it could not be sent.
    fn send_to(&mut self, epoll: &Epoll, place: usize, upstream: usize, now_ms: u64) -> bool {
        let Some(asked) = self.upstreams.get(upstream) else { return false };
        let (tls, edns, address) = (asked.is_tls(), asked.speaks_edns(now_ms), asked.address);
        let random = self.keys.hash_one((self.serial, place, now_ms, upstream));
        let Some(pending) = self.slots.get_mut(place).and_then(Option::as_mut) else { return false };
        pending.sends += 1;
        pending.tried |= bit(upstream);
        pending.upstream = upstream;
        pending.id = u16::try_from(random & 0xffff).unwrap_or(0);
        pending.socket = None;
        pending.sent_ms = now_ms;
        let by_stream = tls || pending.by_stream;
        pending.due_ms = now_ms + if by_stream { STREAM_WAIT_MS } else { UDP_WAIT_MS };
        self.next_due_ms =
            if self.count <= 1 { pending.due_ms } else { self.next_due_ms.min(pending.due_ms) };
        let bytes = message::ask(pending.id, &pending.question, edns, tls);
        let sent = if by_stream {
            self.send_by_stream(epoll, upstream, &bytes, now_ms)
        } else {
            let token = Token { kind: Kind::Pending, place, serial: pending.serial };
            let socket = open(address.is_ipv4()).and_then(|socket| {
                socket.connect(address)?;
                let event = EpollEvent::new(EpollFlags::EPOLLIN, token.number());
                epoll.add(socket.as_fd(), event)?;
                socket.send(&bytes)?;
                Ok(socket)
            });
            pending.socket = socket.ok();
            pending.socket.is_some()
        };
        if sent {
            self.upstreams.asked(upstream);
        } else if !tls || trust::clock::is_believed() {
            self.upstreams.failed(upstream, now_ms);
        }
        sent
    }

    /// The upstream of the question at `place` has not answered.
    fn unanswered(&mut self, epoll: &Epoll, place: usize, now_ms: u64) {
        let Some(pending) = self.slots.get_mut(place).and_then(Option::as_mut) else { return };
        let by_stream = pending.socket.take().is_none();
        let (upstream, sent_ms) = (pending.upstream, pending.sent_ms);
        if by_stream {
            self.doubt(upstream, sent_ms);
        }
        self.upstreams.failed(upstream, now_ms);
        self.send(epoll, place, now_ms);
    }

    fn finish(&mut self, place: usize, answer: Option<(Answer, Vec<u8>)>) {
        let Some(pending) = self.slots.get_mut(place).and_then(Option::take) else { return };
        self.count = self.count.saturating_sub(1);
        self.done.push(Done { question: pending.question, waiters: pending.waiters, answer });
    }

    /// Does what is due.
    pub fn turn(&mut self, epoll: &Epoll, now_ms: u64) {
        for stream in &mut self.streams {
            if stream.as_ref().is_some_and(|stream| stream.used_ms.saturating_add(IDLE_MS) <= now_ms) {
                *stream = None;
            }
        }
        if self.count == 0 || self.next_due_ms > now_ms {
            return;
        }
        for place in 0..self.slots.len() {
            let due = self.slots.get(place).and_then(Option::as_ref).is_some_and(|one| one.due_ms <= now_ms);
            if due {
                self.unanswered(epoll, place, now_ms);
            }
        }
        let next = self.slots.iter().flatten().map(|pending| pending.due_ms).min();
        self.next_due_ms = next.unwrap_or(u64::MAX);
    }

    /// Those who have waited long, where `may` says that something can be told to them meanwhile.
    pub fn early(&mut self, now_ms: u64, may: impl Fn(&Question) -> bool) -> Vec<(Question, Vec<Waiter>)> {
        let slow = self.slots.iter_mut().flatten().filter(|pending| {
            !pending.waiters.is_empty() && now_ms.saturating_sub(pending.begun_ms) >= EARLY_MS
        });
        slow.filter(|pending| may(&pending.question))
            .map(|pending| (pending.question.clone(), std::mem::take(&mut pending.waiters)))
            .collect()
    }
}

/// A socket with a port of the kernel's choice.
fn open(ipv4: bool) -> std::io::Result<UdpSocket> {
    let any: IpAddr = if ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
