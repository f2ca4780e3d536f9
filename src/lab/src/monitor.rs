//! The emulator's monitor: buttons, plugs and the mains.
//!
//! In:  a command. Out: its answer; events that came meanwhile.
//!
//! Source: QEMU's QMP specification (docs/interop/qmp-spec) and reference.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::board::EMULATOR;
use crate::error::Error;
use crate::line::Lines;
use crate::tool::Bound;

/// An emulator that does not answer within this hangs: it needs milliseconds, and a busy machine a few seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// From its start to its socket.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A connection to the monitor.
#[derive(Debug)]
pub struct Monitor {
    lines: Lines,
    events: Vec<Value>,
}

impl Monitor {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// [`Error::Tool`]: the emulator has ended. [`Error::Late`]: it does not listen. [`Error::Answer`]: it is none.
    pub fn connect(path: &Path, emulator: &mut Bound) -> Result<Self, Error> {
        let lines = Lines::connect("QEMU's monitor", path, START_LIMIT, || emulator.lives(EMULATOR))?;
        let mut monitor = Self { lines, events: Vec::new() };
        let greeting = monitor.read(Instant::now() + ANSWER_LIMIT)?;
        if greeting.get("QMP").is_none() {
            return Err(refused(&greeting));
        }
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Carries out `command` and returns what it answers.
    ///
    /// # Errors
    /// [`Error::Answer`]: it was refused. [`Error::Late`], [`Error::Io`]: the emulator hangs, or is gone.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Error> {
        self.lines.send(&json!({ "execute": command, "arguments": arguments }).to_string())?;
        let deadline = Instant::now() + ANSWER_LIMIT;
        loop {
            let answer = self.read(deadline)?;
            if answer.get("event").is_some() {
                self.events.push(answer);
            } else if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            } else {
                return Err(refused(&answer));
            }
        }
    }

    /// Waits for the event `name` and returns its data; one that came before counts, once.
    ///
    /// # Errors
    /// [`Error::Late`]: it did not come. [`Error::Io`]: the emulator is gone.
    pub fn event(&mut self, name: &str, limit: Duration) -> Result<Value, Error> {
        let deadline = Instant::now() + limit;
        loop {
            let known = self.events.iter().position(|event| event["event"] == name);
            if let Some(index) = known {
                return Ok(self.events.swap_remove(index)["data"].take());
            }
            let next = self.read(deadline).map_err(|error| match error {
                Error::Late { .. } => Error::Late { what: format!("QEMU's event {name}"), limit },
                other @ (Error::Missing { .. }
                | Error::Io { .. }
                | Error::Tool { .. }
                | Error::Answer { .. }
                | Error::Short { .. }
                | Error::Usage(_)) => other,
            })?;
            self.events.push(next);
        }
    }

    /// Forgets every event until now: what comes next is news. (One press of a button may be told twice.)
    ///
    /// # Errors
    /// As [`Monitor::execute`].
    pub fn forget_events(&mut self) -> Result<(), Error> {
        self.execute("query-status", json!({}))?;
        self.events.clear();
        Ok(())
    }

    fn read(&mut self, deadline: Instant) -> Result<Value, Error> {
        let line = self.lines.next(deadline)?;
        serde_json::from_str(&line).map_err(|error| Error::Answer {
            who: "QEMU's monitor".to_owned(),
            why: format!("{error}: {line}"),
        })
    }
}

fn refused(answer: &Value) -> Error {
    let why = answer["error"]["desc"].as_str().map_or_else(|| answer.to_string(), str::to_owned);
    Error::Answer { who: "QEMU's monitor".to_owned(), why }
}
