//! The wire `resolve`: `lease` says the names of hosts, `ctl` asks for numbers.
//!
//! In:  clients of the wire. Out: names; rows, and the word that it was all.

use std::os::fd::AsFd;

use contract::resolve::{Answer, Ask, Local};
use contract::wires::uid;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use wire::{Connection, Listener, Received};

use crate::token::{Kind, Token};

/// Clients at a time: `lease` and a few `ctl`. The eldest `ctl` makes room.
const CLIENTS_MAX: usize = 8;
/// Frames that are read in one turn: 1024 names come in eight.
const FRAMES_A_TURN: usize = 16;

/// A client.
#[derive(Debug)]
struct Caller {
    connection: Connection,
    serial: u32,
}

/// The wire and its clients.
#[derive(Debug)]
pub struct Desk {
    listener: Listener,
    callers: Vec<Caller>,
    serial: u32,
}

/// What a client said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Names of hosts; with `true` the first of a new list.
    Names(bool, Vec<Local>),
    /// It wants numbers; tell them to this one.
    Show(u32),
}

impl Desk {
    /// Serves `listener`.
    ///
    /// # Errors
    /// epoll_ctl(2)'s.
    pub fn open(listener: Listener, epoll: &Epoll) -> Result<Self, sys::Errno> {
        let token = Token { kind: Kind::Desk, place: 0, serial: 0 };
        epoll.add(listener.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, token.number()))?;
        Ok(Self { listener, callers: Vec::new(), serial: 0 })
    }

    /// Something happened: lets a client in, or hears one.
    pub fn turn(&mut self, epoll: &Epoll, serial: u32) -> Vec<Said> {
        if serial == 0 {
            if let Some(connection) = self.listener.accept() {
                self.welcome(epoll, connection);
            }
            return Vec::new();
        }
        let Some(place) = self.callers.iter().position(|caller| caller.serial == serial) else {
            return Vec::new();
        };
        let mut said = Vec::new();
        for _ in 0..FRAMES_A_TURN {
            let Some(caller) = self.callers.get(place) else { break };
            let is_lease = matches!(caller.connection.uid(), uid::LEASE | uid::ROOT);
            match caller.connection.receive::<Ask>() {
                Received::Message(Ask::Local { first, names }, _) if is_lease => {
                    said.push(Said::Names(first, names.to_vec()));
                }
                Received::Message(Ask::Show, _) => said.push(Said::Show(serial)),
                Received::Nothing => break,
                Received::Message(Ask::Local { .. }, _) | Received::Gone => {
                    self.callers.remove(place);
                    break;
                }
            }
        }
        said
    }

    fn welcome(&mut self, epoll: &Epoll, connection: Connection) {
        if self.callers.len() >= CLIENTS_MAX {
            let eldest = self.callers.iter().position(|caller| caller.connection.uid() != uid::LEASE);
            self.callers.remove(eldest.unwrap_or(0));
        }
        self.serial = self.serial.wrapping_add(1).max(1);
        let token = Token { kind: Kind::Desk, place: 0, serial: self.serial };
        if epoll.add(connection.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, token.number())).is_ok() {
            self.callers.push(Caller { connection, serial: self.serial });
        }
    }

    /// Tells numbers. There are few: a socket has room for all of them, and who reads nothing is dropped.
    pub fn tell(&mut self, serial: u32, rows: &[(String, String)]) {
        let Some(place) = self.callers.iter().position(|caller| caller.serial == serial) else { return };
        let Some(caller) = self.callers.get(place) else { return };
        let row = |(name, value): &(String, String)| Answer::Row {
            name: name.as_str().into(),
            value: value.as_str().into(),
        };
        let answers = rows.iter().map(row).chain([Answer::Done]);
        if answers.into_iter().any(|answer| caller.connection.send(&answer, &[]).is_err()) {
            self.callers.remove(place);
        }
    }
}
