//! The wire `control`: ctl → supervisor.
//!
//! One [`Ask`] a frame; the answer is any number of rows and then one of [`Answer::Done`], [`Answer::Refused`].

use core::net::Ipv4Addr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::layer::{Layer, Layers};
use crate::limit::{LOG_CHUNK_BYTES, REASON_BYTES};
use crate::manifest::Restart;
use crate::name::{Name, Text};
use crate::sla::{Amounts, Compliance, Event};
use crate::slice::Slice;

/// What may be asked of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// An [`Answer::Process`] for each process, daemons first.
    Status,
    /// From now on an [`Answer::Process`] comes by itself whenever a process has come into another state, and an [`Answer::Gone`] when
    /// one is there no more; this connection is asked nothing more.
    Follow,
    /// One [`Answer::Facts`].
    Facts,
    /// [`Answer::Log`] pieces of a process's ring, from byte `from` of all that it ever wrote; what the ring no longer holds is
    /// left out.
    Log {
        /// Whose.
        name: Name,
        /// From which byte on; 0 for all that there is.
        from: u64,
    },
    /// An [`Answer::Layer`] for each layer of a service that runs, read back now.
    Verify(Name),
    /// Start it; done once the order is taken.
    Start(Name),
    /// Stop it; done once the order is taken.
    Stop(Name),
    /// Stop and start it; done once the order is taken.
    Restart(Name),
    /// An [`Answer::Promised`] for the gateway, and one for each slice.
    Slices,
    /// Rent a slice, or give it another size; refused with what is short.
    Rent(Slice),
    /// Give a slice back; refused while there are services of it.
    Release(Name),
    /// An [`Answer::Compliance`] for each service.
    Compliance,
    /// An [`Answer::Event`] for each of the last events.
    Events,
    /// As [`Ask::Events`], then as [`Ask::Compliance`], but there is no end: each event to come follows, and a row whenever what a service
    /// is promised, or the number of its breaches, has changed; until the connection ends.
    Watch,
    /// A service has said by its socket that it is ready: this process of its own did, which has to live in its cgroup. Refused: it does not.
    Ready {
        /// Which.
        service: Name,
        /// The process that said so.
        pid: u32,
    },
    /// Stop everything and reboot.
    Reboot,
    /// Stop everything and switch off.
    PowerOff,
}

/// What the supervisor answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// One process.
    Process(Process),
    /// This one is there no more: its service was taken away.
    Gone(Name),
    /// When things happened.
    Facts(Facts),
    /// What there is to be promised, and what is.
    Promised(Promised),
    /// What one service was promised and got.
    Compliance(Compliance),
    /// Something that happened.
    Event(Event),
    /// One layer.
    Layer(Verified),
    /// A piece of a log, and the byte after its last.
    Log {
        /// Where the next piece begins.
        next: u64,
        /// The piece.
        bytes: Vec<u8, LOG_CHUNK_BYTES>,
    },
    /// That was all.
    Done,
    /// It was not done, and why.
    Refused(Text<REASON_BYTES>),
    /// It was not done, for there is not enough left: of what, and how much is missing.
    Short(Text<REASON_BYTES>),
}

/// One process that the supervisor keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name.
    pub name: Name,
    /// Daemon or tenant.
    pub kind: Kind,
    /// Where it is in its life.
    pub state: State,
    /// Its process id outside, while it runs.
    pub pid: Option<u32>,
    /// When it came into this state, in milliseconds after boot.
    pub since_ms: u64,
    /// When it was last ready, in milliseconds after boot.
    pub ready_ms: Option<u64>,
    /// How often it was started again without an order, since somebody last restarted it.
    pub restarts: u32,
    /// How it last ended.
    pub exit: Option<Exit>,
    /// Its `memory.current`, in bytes, while it runs.
    pub memory_bytes: Option<u64>,
    /// A tenant's address.
    pub address: Option<Ipv4Addr>,
    /// The first uid of a tenant's range: who connects with one of them is of this service.
    pub uid_base: Option<u32>,
    /// The layers that were read back when it was last started (a tenant's).
    pub layers: Layers,
    /// Why it is as it is, where that needs a word.
    pub reason: Text<REASON_BYTES>,
    /// It starts by itself at boot.
    pub autostart: bool,
    /// What happens when it ends by itself: as its manifest says, or an operator.
    pub restart: Restart,
    /// When it was last started again without an order, in milliseconds after boot.
    pub restarted_ms: Option<u64>,
    /// When it will be, in milliseconds after boot, where it waits for that.
    pub next_ms: Option<u64>,
    /// From SIGTERM to the end of its cgroup, in milliseconds.
    pub stop_grace_ms: u32,
}

/// What there is to be promised, and what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promised {
    /// A slice; `None`: the gateway itself, whose parts are promised to slices.
    pub slice: Option<Name>,
    /// What there is.
    pub all: Amounts,
    /// What of it is promised.
    pub promised: Amounts,
    /// The slice as it was rented, with its ceilings.
    pub rented: Option<Slice>,
}

/// One layer of a service that runs: what was wanted, and what the kernel says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Whose: the process's number outside.
    pub pid: u32,
    /// Which.
    pub layer: Layer,
    /// What was wanted.
    pub wanted: Text<REASON_BYTES>,
    /// What was found; nothing where it cannot be seen.
    pub found: Text<REASON_BYTES>,
    /// Is it there?
    pub holds: bool,
}

/// Daemon or tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Part of the gateway.
    Daemon,
    /// A hosted service.
    Tenant,
}

/// Where a process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Not wanted, not there.
    Down,
    /// Its image is being mounted, its link attached.
    Preparing,
    /// It runs and has not said that it is ready.
    Starting,
    /// It runs and is ready.
    Up,
    /// It was told to end.
    Ending,
    /// It was told to end, and will be started again.
    Returning,
    /// It ended by itself and waits for its next start.
    Waiting,
    /// It could not be started, or not be kept up; the reason says why.
    Failed,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Preparing => "preparing",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Ending => "ending",
            Self::Returning => "returning",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(u8),
}

/// When things happened, in milliseconds after boot (`CLOCK_BOOTTIME`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// PID 1's first line.
    pub init_ms: u64,
    /// PID 1 entered its loop: the supervisor runs.
    pub loop_ms: u64,
    /// Every daemon is ready for the first time.
    pub daemons_ms: u64,
    /// Every service of the image that starts by itself is ready for the first time.
    pub services_ms: u64,
    /// The same with those of bundles, once package has said which there are.
    pub bundles_ms: u64,
    /// Lives of the supervisor.
    pub lives: u32,
}
