//! The clock that is set: the kernel's, or a test's.

use sys::{Errno, wall};

pub use sys::wall::Slew;

/// A clock. Moments are in nanoseconds since 1970.
pub trait Clock {
    /// What it says.
    fn now_ns(&self) -> i64;
    /// Sets it.
    ///
    /// # Errors
    /// We may not, or it takes no such moment.
    fn set(&mut self, now_ns: i64) -> Result<(), Errno>;
    /// Takes an offset back bit by bit.
    ///
    /// # Errors
    /// We may not.
    fn slew(&mut self, slew: &Slew) -> Result<(), Errno>;
    /// How much its oscillator is corrected, in billionths.
    fn frequency_ppb(&self) -> i64;
    /// Corrects its oscillator.
    ///
    /// # Errors
    /// We may not.
    fn set_frequency(&mut self, ppb: i64) -> Result<(), Errno>;
}

/// The kernel's.
#[derive(Debug)]
pub struct Kernel;

impl Clock for Kernel {
    fn now_ns(&self) -> i64 {
        // It fails only where there is no such call.
        wall::now_ns().unwrap_or(0)
    }
    fn set(&mut self, now_ns: i64) -> Result<(), Errno> {
        wall::set(now_ns)
    }
    fn slew(&mut self, slew: &Slew) -> Result<(), Errno> {
        wall::slew(slew)
    }
    fn frequency_ppb(&self) -> i64 {
        wall::frequency_ppb().unwrap_or(0)
    }
    fn set_frequency(&mut self, ppb: i64) -> Result<(), Errno> {
        wall::set_frequency(ppb)
    }
}
