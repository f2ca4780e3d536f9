//! How long something may take, and whether it is still wanted.
//!
//! In:  an order to give up, bytes as they come, the time. Out: go on, or the reason why not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use contract::packages::Fault;

use crate::failure::Failure;

/// Every so often one looks whether to go on.
pub const TICK: Duration = Duration::from_millis(250);
/// A silence that ends a connection, where the operator has not said another.
pub const SILENCE: Duration = Duration::from_secs(30);
/// A line that is slower than this, all in all, in bytes a second, is none (64 kbit/s).
const RATE_MIN: u64 = 8 * 1024;

/// One fetch's patience.
#[derive(Debug, Clone)]
pub struct Watch {
    given_up: Arc<AtomicBool>,
    silence: Duration,
    /// When something was last heard.
    heard: Instant,
    /// When it has to be over.
    end: Instant,
}

impl Watch {
    /// Waits for as much as `silence`; ends when `given_up` is set.
    #[must_use]
    pub fn new(given_up: Arc<AtomicBool>, silence: Duration) -> Self {
        let now = Instant::now();
        Self { given_up, silence, heard: now, end: now + 2 * silence }
    }

    /// Something of `bytes` begins.
    pub fn begin(&mut self, bytes: u64) {
        self.heard = Instant::now();
        self.end = self.heard + 2 * self.silence + Duration::from_secs(bytes / RATE_MIN);
    }

    /// Something was heard.
    pub fn hear(&mut self) {
        self.heard = Instant::now();
    }

    /// The longest that one step may take.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.silence
    }

    /// Shall it go on?
    ///
    /// # Errors
    /// [`Fault::Canceled`]; [`Fault::Unreachable`]: nothing was heard for too long, or it takes too long.
    pub fn look(&self, who: &str) -> Result<(), Failure> {
        let late = |words: String| Err(Failure::new(Fault::Unreachable, words));
        if self.given_up.load(Ordering::Relaxed) {
            Err(Failure::new(Fault::Canceled, "given up, as was asked for"))
        } else if self.heard.elapsed() >= self.silence {
            late(format!("{who}: silent for {} s", self.silence.as_secs()))
        } else if Instant::now() >= self.end {
            late(format!("{who}: too slow: under {RATE_MIN} bytes a second"))
        } else {
            Ok(())
        }
    }

    /// Waits for `time`, unless it is given up meanwhile.
    ///
    /// # Errors
    /// As [`Watch::look`], but that silence is none.
    pub fn rest(&mut self, time: Duration, who: &str) -> Result<(), Failure> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.hear();
            self.look(who)?;
            std::thread::sleep(TICK.min(end.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}
