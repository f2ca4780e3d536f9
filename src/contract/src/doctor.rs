//! The wire `doctor`: ctl → agent.
//!
//! One [`Ask`] a frame; the answer is a [`Finding`] for each controller, and then [`Answer::Done`]. It may take as long as a connection
//! takes: who does not stand is tried anew.

use serde::{Deserialize, Serialize};

use crate::identify::ENDPOINT_BYTES;
use crate::limit::REASON_BYTES;
use crate::name::Text;

/// How long the agent takes for it at most, in milliseconds: less than who asks waits for an answer.
pub const LIMIT_MS: u64 = 8_000;
/// The way to a controller, as text.
pub const WAY_BYTES: usize = 128;

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// How it stands with each controller; those that cannot be reached are tried now.
    Examine,
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Of one controller.
    Finding(Finding),
    /// That was all.
    Done,
}

/// On whose side it is to be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Nobody's: it works.
    Nobody,
    /// This gateway's: its clock, its files.
    Gateway,
    /// The line between.
    Line,
    /// The operator's: his broker, his controller, his names.
    Operator,
}

impl Side {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Gateway => "gateway",
            Self::Line => "line",
            Self::Operator => "operator",
        }
    }
}

/// How far it comes: each is behind the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// The operator's word, as it was read.
    Configured,
    /// The name has an address.
    Name,
    /// A connection.
    Connection,
    /// The clock is believed, so that a certificate can be.
    Clock,
    /// Its certificate is believed.
    Certificate,
    /// The other end lets us in.
    Admission,
    /// It lets us listen.
    Topic,
    /// The controller has said something.
    Controller,
    /// It may do something.
    Rights,
    /// All of that.
    Well,
}

impl Stage {
    /// The word for where it ends.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Configured => "configuration",
            Self::Name => "name",
            Self::Connection => "connection",
            Self::Clock => "clock",
            Self::Certificate => "certificate",
            Self::Admission => "admission",
            Self::Topic => "topic",
            Self::Controller => "controller",
            Self::Rights => "rights",
            Self::Well => "well",
        }
    }
}

/// How it stands with one controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its endpoint id; empty: the operator's word is no word at all.
    pub endpoint: Text<ENDPOINT_BYTES>,
    /// How it is spoken to.
    pub way: Text<WAY_BYTES>,
    /// Where it ends.
    pub stage: Stage,
    /// Whose it is.
    pub side: Side,
    /// What is wrong, in words.
    pub why: Text<REASON_BYTES>,
    /// What to do.
    pub remedy: Text<REASON_BYTES>,
}
