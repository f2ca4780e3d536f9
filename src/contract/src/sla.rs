//! Compliance as data: what a service was promised, what it got, over a minute, an hour and a day; and events.
//!
//! Not here: how it is measured (`src/supervisor/src/ledger.rs`), the wire that carries it (`control.rs`).
//!
//! Source: docs/sla.md.

use serde::{Deserialize, Serialize};

use crate::control::State;
use crate::mount::Damage;
use crate::name::Name;

/// Kinds of what is promised.
pub const RESOURCES: usize = 5;
/// An amount of each: processor (thousandths of a hardware thread), memory (MiB), uplink, downlink (kbit/s), the data disk (thousandths of
/// what it does).
pub type Amounts = [u32; RESOURCES];

/// Ceilings, in the same units, but for the disk: KiB a second that are read, then KiB a second that are written; 0: none.
pub type Ceilings = [u32; RESOURCES + 1];

/// What one service was promised and got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compliance {
    /// Which.
    pub service: Name,
    /// Its slice.
    pub slice: Name,
    /// Its floors.
    pub promised: Amounts,
    /// Its ceilings.
    pub ceilings: Ceilings,
    /// The last minute, hour and day.
    pub windows: [Window; 3],
    /// Breaches since it was first started.
    pub breaches: u32,
    /// The last one.
    pub last: Option<Breach>,
}

impl Compliance {
    /// What of it is told by itself: promises, ceilings, breaches. The rest moves all the time, and is asked for.
    #[must_use]
    pub fn told(&self) -> (Amounts, Ceilings, u32) {
        (self.promised, self.ceilings, self.breaches)
    }
}

/// What it got in one span of time. Spans are made of steps, so each may be a twelfth longer than its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Window {
    /// How long was measured, in milliseconds.
    pub span_ms: u32,
    /// How long of it the service was to run.
    pub wanted_ms: u32,
    /// How long of that it was ready.
    pub up_ms: u32,
    /// Processor time that it had, in microseconds.
    pub cpu_us: u64,
    /// How long some of its tasks could run and waited for a turn, in microseconds.
    pub waited_us: u64,
    /// Processor time below its floor that it wanted and did not get, in microseconds.
    pub owed_us: u64,
    /// The most memory that it was seen with, in KiB.
    pub memory_kib: u32,
    /// What it sent over the line, in bytes of frames.
    pub up_bytes: u64,
    /// What it was sent.
    pub down_bytes: u64,
    /// Bytes below its floors that waited and were not carried.
    pub owed_bytes: u64,
    /// What the data disk read and wrote for it, in bytes.
    pub disk_bytes: u64,
}

/// A promise that was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// When, in milliseconds after boot.
    pub at_ms: u64,
    /// Why.
    pub cause: Cause,
    /// What was promised, in the cause's unit.
    pub promised: u32,
    /// What it got.
    pub got: u32,
}

/// Why a promise was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It could run, waited for a turn, and had less than its floor over a minute (thousandths of a thread).
    Starved,
    /// The kernel ended it for want of memory, while it had no more than its floor (MiB).
    OutOfMemory,
    /// It had bytes to send that waited, and less than its floor was carried (kbit/s).
    UplinkFull,
    /// The same of what it was sent.
    DownlinkFull,
}

impl Cause {
    /// The word for it, and the unit.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Starved => ("starved", "permille"),
            Self::OutOfMemory => ("out-of-memory", "MiB"),
            Self::UplinkFull => ("uplink-full", "kbit/s"),
            Self::DownlinkFull => ("downlink-full", "kbit/s"),
        }
    }
}

/// Something that happened to a service or a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// A number that grows by one with each event of a life of the supervisor.
    pub number: u64,
    /// When, in milliseconds after boot.
    pub at_ms: u64,
    /// To whom.
    pub who: Name,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// It came into this state.
    State(State),
    /// A promise was not kept.
    Breach(Breach),
    /// What lies on the disk of its image is not what was signed; told once for each start.
    Damaged(Damage),
    /// A time of the day at which it is started passed: it was in this state.
    StartSkipped(State),
}
