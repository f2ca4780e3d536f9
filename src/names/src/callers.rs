//! Clients that ask by TCP.
//!
//! In:  connections of listeners, bytes. Out: whole messages; answers, in any order.
//!
//! Source: RFC 7766 (connections that are used again, questions in a row, times), RFC 9210 §4.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::os::fd::AsFd;

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use crate::stream::take_message;
use crate::token::{Kind, Token};

/// Connections at a time.
const CALLERS_MAX: usize = 48;
/// Connections of one client.
const CALLERS_A_CLIENT: usize = 8;
/// A connection on which nothing is asked is closed, in milliseconds. Source: RFC 7766 §6.2.3.
const IDLE_MS: u64 = 10_000;
/// The longest question, in bytes: a name, EDNS, padding.
const QUESTION_BYTES_MAX: usize = 2_048;
/// Answers that wait for a slow reader, in bytes: then nothing more is read of it.
const OUT_BYTES_MAX: usize = 128 * 1024;
/// Questions of one turn.
const QUESTIONS_A_TURN: usize = 16;

/// A connection.
#[derive(Debug)]
struct Caller {
    socket: TcpStream,
    client: IpAddr,
    link: usize,
    serial: u32,
    input: Vec<u8>,
    out: Vec<u8>,
    heard_ms: u64,
    waits_to_write: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Callers {
    callers: Vec<Option<Caller>>,
    serial: u32,
}

/// A question that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// By which link.
    pub link: usize,
    /// Whose.
    pub client: IpAddr,
    /// Its bytes.
    pub message: Vec<u8>,
}

impl Callers {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.callers.iter().flatten().count()
    }

    /// Lets a connection of a link in. When all places are taken, the one that has been quiet for longest makes room.
    pub fn add(&mut self, epoll: &Epoll, socket: TcpStream, link: usize, now_ms: u64) {
        let Ok(peer) = socket.peer_addr() else { return };
        let client = peer.ip();
        let of_client = self.callers.iter().flatten().filter(|caller| caller.client == client).count();
        if of_client >= CALLERS_A_CLIENT || socket.set_nonblocking(true).is_err() {
            return;
        }
        let free = self.callers.iter().position(Option::is_none);
        let place = match free {
            Some(place) => place,
            None if self.callers.len() < CALLERS_MAX => {
                self.callers.push(None);
                self.callers.len() - 1
            }
            None => {
                let quiet =
                    |(_, caller): &(usize, &Option<Caller>)| caller.as_ref().map_or(0, |one| one.heard_ms);
                self.callers.iter().enumerate().min_by_key(quiet).map_or(0, |(place, _)| place)
            }
        };
        self.serial = self.serial.wrapping_add(1);
        let token = Token { kind: Kind::Caller, place, serial: self.serial };
        if epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, token.number())).is_err() {
            return;
        }
        let caller = Caller {
            socket,
            client,
            link,
            serial: self.serial,
            input: Vec::new(),
            out: Vec::new(),
            heard_ms: now_ms,
            waits_to_write: false,
        };
        if let Some(slot) = self.callers.get_mut(place) {
            *slot = Some(caller);
        }
    }

    /// Forgets those of a link that is gone.
    pub fn drop_link(&mut self, link: usize) {
        for slot in &mut self.callers {
            if slot.as_ref().is_some_and(|caller| caller.link == link) {
                *slot = None;
            }
        }
    }

    fn caller(&mut self, place: usize, serial: u32) -> Option<&mut Caller> {
        self.callers.get_mut(place)?.as_mut().filter(|caller| caller.serial == serial)
    }

    /// Something happened on a connection: the questions that came.
    pub fn turn(&mut self, epoll: &Epoll, token: Token, now_ms: u64) -> Vec<Called> {
        let mut questions = Vec::new();
        let Some(caller) = self.caller(token.place, token.serial) else { return questions };
        let alive = caller.write() && caller.read(now_ms, &mut questions);
        self.settle(epoll, token, alive);
        questions
    }

    /// Says `answer` on a connection, if it is still there.
    pub fn say(&mut self, epoll: &Epoll, token: Token, answer: &[u8]) {
        let Some(caller) = self.caller(token.place, token.serial) else { return };
        let Ok(length) = u16::try_from(answer.len()) else { return };
        caller.out.extend_from_slice(&length.to_be_bytes());
        caller.out.extend_from_slice(answer);
        let alive = caller.out.len() <= OUT_BYTES_MAX * 2 && caller.write();
        self.settle(epoll, token, alive);
    }

    /// Closes a connection, or waits for what it waits for.
    fn settle(&mut self, epoll: &Epoll, token: Token, alive: bool) {
        if !alive {
            if let Some(slot) = self.callers.get_mut(token.place) {
                *slot = None;
            }
            return;
        }
        let Some(caller) = self.caller(token.place, token.serial) else { return };
        let wants = !caller.out.is_empty();
        if wants != caller.waits_to_write {
            caller.waits_to_write = wants;
            let full = caller.out.len() > OUT_BYTES_MAX;
            let read = if full { EpollFlags::empty() } else { EpollFlags::EPOLLIN };
            let write = if wants { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
            let mut event = EpollEvent::new(read | write, token.number());
            // It is there: it was added when it came.
            let _ = epoll.modify(caller.socket.as_fd(), &mut event);
        }
    }

    /// When somebody has been quiet for too long, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.callers.iter().flatten().map(|caller| caller.heard_ms.saturating_add(IDLE_MS)).min()
    }

    /// Closes those who have been quiet for too long.
    pub fn expire(&mut self, now_ms: u64) {
        for slot in &mut self.callers {
            if slot.as_ref().is_some_and(|caller| caller.heard_ms.saturating_add(IDLE_MS) <= now_ms) {
                *slot = None;
            }
        }
    }
}

impl Caller {
    /// Writes what goes. Is the client still there?
    fn write(&mut self) -> bool {
        while !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Ok(0) => return false,
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads what is there, a bounded part of it. Is the client still there?
    fn read(&mut self, now_ms: u64, questions: &mut Vec<Called>) -> bool {
        let mut chunk = [0; QUESTION_BYTES_MAX];
        while questions.len() < QUESTIONS_A_TURN && self.out.len() <= OUT_BYTES_MAX {
            if let Some(message) = take_message(&mut self.input) {
                self.heard_ms = now_ms;
                questions.push(Called { link: self.link, client: self.client, message });
                continue;
            }
            if self.input.len() > QUESTION_BYTES_MAX {
                return false;
            }
            match self.socket.read(&mut chunk) {
                Ok(0) => return false,
                Ok(count) => self.input.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}
