//! A bar on the terminal while something takes long. Nothing where standard error is no terminal.

use std::io::{IsTerminal, Read, Result, Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The bar's length, in letters.
const BAR: u64 = 24;
/// Letters of what is under way: with the bar it is shorter than the narrowest of terminals, where it would break and could not be drawn over.
const WHAT_MAX: usize = 40;
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
        if self.shown {
            self.draw(&mut stderr(), Instant::now());
        }
    }

    /// Over the one before, unless that is too young.
    fn draw(&mut self, out: &mut dyn Write, now: Instant) {
        if self.drawn.is_none_or(|drawn| now.duration_since(drawn) > EVERY) {
            self.drawn = Some(now);
            let _ = write!(out, "\r{}\x1b[K", line(&self.what, self.done, self.total));
        }
    }

    /// The line is empty again.
    fn wipe(&self, out: &mut dyn Write) {
        if self.drawn.is_some() {
            let _ = write!(out, "\r\x1b[K");
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.wipe(&mut stderr());
    }
}

fn line(what: &str, done: u64, total: u64) -> String {
    let total = total.max(1);
    let full = done.min(total) * BAR / total;
    let what: String = match what.char_indices().nth(WHAT_MAX) {
        None => what.to_owned(),
        Some(_) => what.chars().take(WHAT_MAX - 1).chain(['…']).collect(),
    };
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
    use std::io::Read;
    use std::time::{Duration, Instant};

    use super::{Bar, Counted, EVERY, line};

    #[test]
    fn a_bar_is_never_too_long() {
        assert_eq!(line("x", 1, 2), format!("x [{}{}] 50 %", "#".repeat(12), "-".repeat(12)));
        assert_eq!(line("x", 9, 2), format!("x [{}] 100 %", "#".repeat(24)));
        assert_eq!(line("x", 0, 0), format!("x [{}] 0 %", "-".repeat(24)));
        let url = "https://registry.example/a/name/that/does/not/end:1";
        let long = line(url, u64::MAX >> 7, 1);
        assert!(long.starts_with(&url[..39]) && long.chars().count() < 80, "{long}");
    }
    #[test]
    fn it_is_drawn_now_and_then_and_leaves_nothing() {
        let mut bar = Bar::new("x", 4);
        bar.shown = false;
        let (begin, mut out) = (Instant::now(), Vec::new());
        bar.wipe(&mut out);
        assert!(out.is_empty(), "where nothing was drawn nothing is wiped");
        for (done, ms) in [(1, 0), (2, 50), (3, 101), (4, 150)] {
            bar.at(done);
            bar.draw(&mut out, begin + Duration::from_millis(ms));
        }
        bar.wipe(&mut out);
        let want = format!("\r{}\x1b[K\r{}\x1b[K\r\x1b[K", line("x", 1, 4), line("x", 3, 4));
        assert_eq!(String::from_utf8(out).unwrap(), want);
        assert_eq!(EVERY, Duration::from_millis(100));
    }

    #[test]
    fn what_is_read_is_counted() {
        let mut bar = Bar::new("x", 10);
        bar.shown = false;
        let mut counted = Counted { from: &b"0123456789"[..], bar: &mut bar };
        let mut some = [0; 4];
        counted.read_exact(&mut some).unwrap();
        assert_eq!((&some, counted.bar.done), (b"0123", 4));
        counted.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(bar.done, 10);
    }
}
