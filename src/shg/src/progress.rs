//! A bar on the terminal while something takes long. Nothing where standard error is no terminal.

use std::io::{IsTerminal, Read, Result, Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The bar's length, in letters.
const BAR: u64 = 24;
/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(100);

static HUSHED: AtomicBool = AtomicBool::new(false);

/// From now on nothing is drawn: for a program that has the terminal for something else.
pub fn hush() {
    HUSHED.store(true, Ordering::Relaxed);
}

/// A bar.
#[derive(Debug)]
pub struct Bar {
    what: String,
    total: u64,
    done: u64,
    drawn: Option<Instant>,
    shown: bool,
}

impl Bar {
    /// Of `total` units (bytes, layers).
    #[must_use]
    pub fn new(what: &str, total: u64) -> Self {
        Self {
            what: what.to_owned(),
            total,
            done: 0,
            drawn: None,
            shown: !HUSHED.load(Ordering::Relaxed) && stderr().is_terminal(),
        }
    }

    /// So much is done.
    pub fn at(&mut self, done: u64) {
        self.done = done;
        if self.shown && self.drawn.is_none_or(|drawn| drawn.elapsed() > EVERY) {
            self.drawn = Some(Instant::now());
            let _ = write!(stderr(), "\r{}\x1b[K", line(&self.what, self.done, self.total));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

fn line(what: &str, done: u64, total: u64) -> String {
    let total = total.max(1);
    let full = done.min(total) * BAR / total;
    let bar: String = (0..BAR).map(|at| if at < full { '#' } else { '-' }).collect();
    format!("{what} [{bar}] {} %", done.min(total) * 100 / total)
}

/// Counts what is read.
#[derive(Debug)]
pub struct Counted<'b, R> {
    /// What is read from.
    pub from: R,
    /// The bar that moves.
    pub bar: &'b mut Bar,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.from.read(buffer)?;
        self.bar.at(self.bar.done + u64::try_from(count).unwrap_or(0));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_bar_is_never_too_long() {
        assert_eq!(line("x", 1, 2), format!("x [{}{}] 50 %", "#".repeat(12), "-".repeat(12)));
        assert_eq!(line("x", 9, 2), format!("x [{}] 100 %", "#".repeat(24)));
        assert_eq!(line("x", 0, 0), format!("x [{}] 0 %", "-".repeat(24)));
    }
}
