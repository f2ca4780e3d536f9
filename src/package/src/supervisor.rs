//! The wire `installed` to the supervisor: what was said, and what is still to be answered.
//!
//! In:  frames to say, answers in order. Out: who was answered how. It is dialled again whenever it breaks, and everything is said anew then.
//!
//! Not here: what is said (`room.rs`).
//!
//! Source: `contract::installed`.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use contract::Name;
use contract::installed::{Answer, Ask};
use contract::slice::Slice;
use contract::wires::INSTALLED;
use log::{info, warn};
use wire::Client;

use crate::failure::Failure;

/// The time from one dialling to the next, in milliseconds.
const DIAL_EVERY_MS: u64 = 500;
/// Frames that are read in one turn.
const FRAMES_A_TURN: usize = 64;

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The list, as a whole.
    All,
    /// A change that nobody waits for.
    Change,
    /// What is under way.
    Act,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// What is under way was done, or not: why.
    Act(Result<(), Failure>),
    /// This slice is to be kept.
    Rented(Slice),
    /// And this one is not.
    Released(Name),
}

/// The connection.
#[derive(Debug, Default)]
pub struct Supervisor {
    client: Option<Client>,
    dial_ms: u64,
    waiting: VecDeque<For>,
    /// The log has said that nobody is there.
    said: bool,
}

impl Supervisor {
    /// What it waits for.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().map(AsFd::as_fd)
    }

    /// Is there a connection?
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.client.is_some()
    }

    /// When it is to be dialled, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.client.is_none().then_some(self.dial_ms)
    }

    /// Dials where it is time. Is there a new connection, so that everything has to be said?
    pub fn dial(&mut self, now_ms: u64) -> bool {
        if self.due_ms().is_none_or(|due_ms| due_ms > now_ms) {
            return false;
        }
        self.dial_ms = now_ms.saturating_add(DIAL_EVERY_MS);
        match Client::dial(INSTALLED) {
            Ok(client) => self.client = Some(client),
            Err(error) => self.hang_up(error),
        }
        self.is_there()
    }

    /// Says what is not answered: a row before the list's end, and whether a slice was kept.
    pub fn tell(&mut self, ask: &Ask) {
        let sent = self.client.as_ref().map(|client| client.send(ask, &[]));
        if let Some(Err(error)) = sent {
            self.hang_up(error);
        }
    }

    /// Says something that is answered.
    pub fn say(&mut self, ask: &Ask, who: For) {
        self.tell(ask);
        if self.is_there() {
            self.waiting.push_back(who);
        }
    }

    /// What was said to us.
    pub fn hear(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        for _ in 0..FRAMES_A_TURN {
            let Some(client) = &self.client else { break };
            match client.receive::<Answer>() {
                Ok(Some((Answer::Rented(slice), _))) => heard.push(Heard::Rented(slice)),
                Ok(Some((Answer::Released(name), _))) => heard.push(Heard::Released(name)),
                Ok(Some((Answer::Done, _))) => heard.extend(self.answered(Ok(()))),
                Ok(Some((Answer::Refused(fault, why), _))) => {
                    heard.extend(self.answered(Err(Failure::new(fault, &why))));
                }
                Ok(None) => break,
                Err(error) => self.hang_up(error),
            }
        }
        heard
    }

    fn answered(&mut self, outcome: Result<(), Failure>) -> Option<Heard> {
        let who = self.waiting.pop_front();
        if self.said && who == Some(For::All) {
            info!("the supervisor is back");
            self.said = false;
        }
        match (who, outcome) {
            (Some(For::Act), outcome) => return Some(Heard::Act(outcome)),
            (Some(For::All | For::Change), Ok(())) => {}
            (Some(For::All | For::Change), Err(why)) => warn!("supervisor: {why}"),
            (None, _) => self.hang_up("it answers what nobody has asked"),
        }
        None
    }

    /// Ends the connection: it is made again, and everything said anew.
    pub fn hang_up(&mut self, why: impl std::fmt::Display) {
        self.client = None;
        self.waiting.clear();
        if !std::mem::replace(&mut self.said, true) {
            warn!("the supervisor does not speak: {why}");
        }
    }
}
