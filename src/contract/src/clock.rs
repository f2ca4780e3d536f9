//! The wire `clock`: ctl, agent → time.
//!
//! One [`Ask`] a frame; the answer is [`Answer::Clock`], a row for each source, and then [`Answer::Done`].
//!
//! Who only waits for the time to be believed looks for the file [`SYNCHRONIZED`].

use serde::{Deserialize, Serialize};

use crate::name::Text;

/// The file that is there if, and only if, the clock was set by somebody since boot. It is empty.
pub const SYNCHRONIZED: &str = "/run/time/synchronized";

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// What the clock says, and who says so.
    Clock,
}

/// What time answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The clock.
    Clock(Clock),
    /// One of those who are asked.
    Source(Source),
    /// That was all.
    Done,
}

/// Where the time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// From the image: it was built then, so it is later now.
    Built,
    /// From the data disk: it was so late once, so it is later now.
    Remembered,
    /// From servers that agree.
    Synchronized,
}

impl State {
    /// As `ctl` says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Remembered => "remembered",
            Self::Synchronized => "synchronized",
        }
    }
}

/// The clock. Microseconds, unless the name says something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Where the time comes from.
    pub state: State,
    /// What it says, in seconds since 1970.
    pub now_s: i64,
    /// The source that counts most; empty where there is none.
    pub source: Text<63>,
    /// Its words were sealed (NTS).
    pub sealed: bool,
    /// How far we are from a reference clock (RFC 5905 §7.3); 0 where that is unknown.
    pub stratum: u8,
    /// How far the clock was off when it was last looked at; positive: it was behind.
    pub offset_us: i64,
    /// How far it may be off: half the way to the reference clock and all errors on it.
    pub dispersion_us: u64,
    /// How much the machine's oscillator is corrected, in billionths.
    pub frequency_ppb: i64,
    /// Seconds since it was last looked at.
    pub since_s: u64,
    /// Why it is not synchronized, or not any more.
    pub reason: Text<96>,
}

/// One of those who are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// As it was told.
    pub name: Text<63>,
    /// Its address; empty where it is not known yet.
    pub address: Text<45>,
    /// By NTS.
    pub sealed: bool,
    /// What we think of it, in a word.
    pub verdict: Text<24>,
    /// Its stratum; 0: unknown.
    pub stratum: u8,
    /// How far our clock is behind it.
    pub offset_us: i64,
    /// The way there and back.
    pub delay_us: u64,
    /// Which of the last eight questions were answered, the newest last.
    pub reach: u8,
    /// How often it is asked, in seconds.
    pub poll_s: u32,
}
