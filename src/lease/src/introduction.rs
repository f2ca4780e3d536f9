//! Who this gateway is, asked of `identity` once a server is to be told.
//!
//! In:  the wire `identify`, time. Out: a [`Device`], once. Until then servers are not told, and nothing waits.
//!
//! Source: TR-369, R-DIS.2a.

use std::os::fd::BorrowedFd;

use contract::identify::{Answer, Ask};
use contract::wires::IDENTIFY;
use wire::Line;

use crate::usp::Device;

/// The time from one question to the next, where it does not know yet, in milliseconds.
const ASK_EVERY_MS: u64 = 1_000;

/// The wire, as long as it is needed.
#[derive(Debug)]
pub struct Introduction {
    line: Line<Answer>,
    /// When to ask, in milliseconds after boot; `None`: it was asked.
    ask_ms: Option<u64>,
    /// It has said who we are.
    done: bool,
}

impl Default for Introduction {
    fn default() -> Self {
        Self { line: Line::new(IDENTIFY), ask_ms: None, done: false }
    }
}

impl Introduction {
    /// What it waits for.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.line.descriptor()
    }

    /// When it has something to do, in milliseconds after boot, if anybody `asks`.
    #[must_use]
    pub fn due_ms(&self, asks: bool) -> Option<u64> {
        if asks && !self.done { self.line.due_ms().or(self.ask_ms) } else { None }
    }

    /// Asks, where anybody `asks`: who we are, as soon as that is known. A gateway without a serial number has nothing to tell.
    pub fn turn(&mut self, asks: bool, now_ms: u64) -> Option<Device> {
        if !asks || self.done {
            return None;
        }
        let is_time = self.ask_ms.is_some_and(|ask_ms| ask_ms <= now_ms);
        if self.line.dial(now_ms) || is_time {
            self.ask_ms = None;
            self.line.say(&Ask::Who, &[]);
        }
        match self.line.hear()?.0 {
            Answer::Who(who) => {
                *self = Self { done: true, ..Self::default() };
                Device::of(&who.endpoint)
            }
            Answer::Refused(_) | Answer::Signature(_) | Answer::Request(_) | Answer::Enrolled => {
                self.ask_ms = Some(now_ms.saturating_add(ASK_EVERY_MS));
                None
            }
        }
    }
}
