//! A probe: a program of the service's that is run beside it, to see whether it is well.
//!
//! In:  `--probe TIMEOUT_MS COUNT WORD…` in front of the service's own words; SIGUSR1, each time that it is to be run. Out: one byte on the
//! descriptor for readiness: ACK, it ended with 0 in its time; NAK, it did not.
//!
//! One at a time: a signal meanwhile is dropped. It is a child like the service, so it is in the same sandbox and counts there; it has a
//! process group of its own, and what is left of that at the deadline is ended.
//!
//! Source: getitimer(2), setpgid(2); ASCII.

use core::ptr;

use libc::{c_char, c_int, c_long};

use crate::reap::{NOTIFY_FD, Words, become_program, word};

/// Words of a probe: twice what a manifest may have.
const WORDS_MAX: usize = 8;
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;

pub(crate) struct Probe {
    /// Its words and a null.
    words: [*const c_char; WORDS_MAX + 1],
    environment: Words,
    timeout_ms: c_long,
    /// It runs.
    runs: Option<libc::pid_t>,
}

impl Probe {
    /// What is to be run, where the words begin with that, and the words behind. `None`: they are not as they should be.
    pub(crate) fn read(words: Words, environment: Words) -> Option<(Option<Self>, Words)> {
        // SAFETY: an argument list has its own name and a null behind, at least.
        let first = unsafe { word(words, 0) };
        // SAFETY: both are C strings.
        if first.is_null() || unsafe { libc::strcmp(first, c"--probe".as_ptr()) } != 0 {
            return Some((None, words));
        }
        // SAFETY: behind a word that is not null there is another, or the null.
        let timeout_ms = number(unsafe { word(words, 1) })?;
        // SAFETY: as above: `number` has found that this one is none.
        let count = usize::try_from(number(unsafe { word(words, 2) })?).ok()?;
        let mut its = [ptr::null(); WORDS_MAX + 1];
        for (place, its) in
            its.get_mut(..count).filter(|_| (1..=WORDS_MAX).contains(&count))?.iter_mut().enumerate()
        {
            // SAFETY: as above, for each in its turn.
            *its = unsafe { word(words, 3 + place) };
            if its.is_null() {
                return None;
            }
        }
        let probe = Self { words: its, environment, timeout_ms, runs: None };
        Some((Some(probe), words.wrapping_add(3 + count)))
    }

    /// Runs it, unless it runs.
    pub(crate) fn begin(&mut self) {
        if self.runs.is_some() {
            return;
        }
        // SAFETY: there is one thread.
        match unsafe { libc::fork() } {
            -1 => say(NAK), // The service has as many processes as it may.
            0 => {
                // SAFETY: it leads a group of its own, and has nothing to say there.
                unsafe { libc::setpgid(0, 0) };
                // SAFETY: as above.
                unsafe { libc::close(NOTIFY_FD) };
                become_program(self.words.as_ptr(), self.environment)
            }
            child => {
                // SAFETY: whoever comes first makes the group: it is there before anybody kills it.
                unsafe { libc::setpgid(child, child) };
                self.runs = Some(child);
                alarm(self.timeout_ms);
            }
        }
    }

    /// Its time is over.
    pub(crate) fn give_up(&mut self) {
        if let Some(child) = self.runs {
            // SAFETY: two integers; it is our child and not waited for, so the group is still its own.
            unsafe { libc::kill(-child, libc::SIGKILL) };
        }
    }

    /// Somebody has ended: it, perhaps.
    pub(crate) fn ended(&mut self, who: libc::pid_t, status: c_int) {
        if self.runs != Some(who) {
            return;
        }
        self.runs = None;
        alarm(0);
        say(if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 { ACK } else { NAK });
    }
}

/// A number from 1 on.
fn number(text: *const c_char) -> Option<c_long> {
    if text.is_null() {
        return None;
    }
    // SAFETY: a C string; where it ends is not asked.
    let number = unsafe { libc::atol(text) };
    (number > 0).then_some(number)
}

/// SIGALRM comes after so many milliseconds; 0: not.
fn alarm(ms: c_long) {
    let part = |seconds, micros| libc::timeval { tv_sec: seconds, tv_usec: micros };
    let once = libc::itimerval { it_interval: part(0, 0), it_value: part(ms / 1_000, ms % 1_000 * 1_000) };
    // SAFETY: the value is ours, and the old one is not asked for.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const once, ptr::null_mut()) };
}

fn say(word: u8) {
    // SAFETY: one byte of ours.
    unsafe { libc::write(NOTIFY_FD, (&raw const word).cast(), 1) };
}
