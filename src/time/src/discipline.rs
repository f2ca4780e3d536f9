//! What is done about an offset: set the clock, or let the kernel take it back bit by bit.
//!
//! In:  offsets. Out: acts, and how often to ask. This module is pure: a clock is told what to do (`clockwork.rs`), nothing is done here.
//!
//! The clock is set when it was set by nobody before; from then on it is slewed, so that no program sees time go back. An offset that
//! stays for a quarter of an hour is no mistake of a moment: then the clock is set again. One of more than 1000 s is believed at the
//! start only: later something is wrong with the servers, or with us, and a person has to look.
//!
//! Source: RFC 5905 §11.3 and §7.2 (`STEPT`, `WATCH`, `PANICT`), §12 (`MINPOLL`, `MAXPOLL`).

/// Offsets beyond it are set, not slewed, in nanoseconds: `STEPT`.
const STEP_NS: i64 = 128_000_000;
/// How long such an offset has to stay, in milliseconds: `WATCH`.
const STAY_MS: u64 = 900_000;
/// Beyond it nobody is believed any more, in nanoseconds: `PANICT`.
const PANIC_NS: i64 = 1_000_000_000_000;
/// How often servers are asked: log2 of seconds. We go from 2^6 to 2^10.
pub const POLL_MIN: u8 = 6;
/// The longest.
pub const POLL_MAX: u8 = 10;
/// Good offsets in a row that make the interval longer.
const STEADY: u8 = 6;
/// An offset is good within so many times the jitter, and always within half a millisecond: what a loaded home line scatters.
const GATE: i64 = 4;
const GATE_NS_MIN: i64 = 500_000;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Set the clock forward by so much, in nanoseconds.
    Step(i64),
    /// Let the kernel take so much back.
    Slew(i64),
    /// Nothing: nobody is believed that far.
    Refuse,
}

/// What was decided so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discipline {
    /// Somebody has set the clock since boot.
    is_set: bool,
    /// Since when the offset is one that would be set, in milliseconds after boot.
    beyond_ms: Option<u64>,
    poll: u8,
    steady: u8,
}

impl Discipline {
    /// `is_set`: an earlier life has set the clock.
    #[must_use]
    pub fn new(is_set: bool) -> Self {
        Self { is_set, beyond_ms: None, poll: POLL_MIN, steady: 0 }
    }

    /// Has somebody set the clock?
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.is_set
    }

    /// How often to ask: log2 of seconds.
    #[must_use]
    pub fn poll(&self) -> u8 {
        self.poll
    }

    /// The clock is `offset_ns` behind, as servers say that scatter by `jitter_ns`.
    pub fn decide(&mut self, offset_ns: i64, jitter_ns: i64, now_ms: u64) -> Act {
        let beyond = offset_ns.saturating_abs() > STEP_NS;
        if !std::mem::replace(&mut self.is_set, true) {
            return if beyond { Act::Step(offset_ns) } else { Act::Slew(offset_ns) };
        }
        if offset_ns.saturating_abs() > PANIC_NS {
            self.quicken();
            return Act::Refuse;
        }
        if !beyond {
            self.beyond_ms = None;
            self.pace(offset_ns, jitter_ns);
            return Act::Slew(offset_ns);
        }
        self.quicken();
        let since_ms = *self.beyond_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since_ms) >= STAY_MS {
            self.beyond_ms = None;
            return Act::Step(offset_ns);
        }
        Act::Slew(offset_ns)
    }

    fn quicken(&mut self) {
        (self.poll, self.steady) = (POLL_MIN, 0);
    }

    /// Asks less often while the clock keeps good time, and more often when it does not.
    fn pace(&mut self, offset_ns: i64, jitter_ns: i64) {
        let gate_ns = jitter_ns.saturating_mul(GATE).max(GATE_NS_MIN);
        if offset_ns.saturating_abs() > gate_ns {
            self.poll = self.poll.saturating_sub(1).max(POLL_MIN);
            self.steady = 0;
            return;
        }
        self.steady += 1;
        if self.steady >= STEADY {
            self.poll = (self.poll + 1).min(POLL_MAX);
            self.steady = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Act, Discipline, POLL_MAX, POLL_MIN};

    const MS: i64 = 1_000_000;
    const MINUTE_MS: u64 = 60_000;

    #[test]
    fn it_is_set_once_and_slewed_from_then_on() {
        let years = 400 * 24 * 3_600 * 1_000 * MS;
        // name; was it set before; offsets, one a minute; the last act
        let table: &[(&str, bool, &[i64], Act)] = &[
            ("far off at the start", false, &[years], Act::Step(years)),
            ("ahead at the start", false, &[-years], Act::Step(-years)),
            ("near at the start", false, &[100 * MS], Act::Slew(100 * MS)),
            ("later", false, &[years, 200 * MS], Act::Slew(200 * MS)),
            ("set by an earlier life", true, &[200 * MS], Act::Slew(200 * MS)),
            ("panic", true, &[1_001_000 * MS], Act::Refuse),
            ("it stays", true, &[200 * MS; 16], Act::Step(200 * MS)),
            ("it stays not quite as long", true, &[200 * MS; 15], Act::Slew(200 * MS)),
        ];
        for (name, is_set, offsets, want) in table {
            let mut discipline = Discipline::new(*is_set);
            let mut last = Act::Refuse;
            for (minute, offset_ns) in (0..).zip(*offsets) {
                last = discipline.decide(*offset_ns, 0, minute * MINUTE_MS);
            }
            assert_eq!(last, *want, "{name}");
        }
        // A good one in between, and it begins anew.
        let mut discipline = Discipline::new(true);
        for minute in 0..40 {
            let offset_ns = if minute % 10 == 0 { 0 } else { 200 * MS };
            assert!(matches!(discipline.decide(offset_ns, 0, minute * MINUTE_MS), Act::Slew(_)), "{minute}");
        }
    }

    #[test]
    fn servers_are_asked_as_often_as_need_be() {
        let mut discipline = Discipline::new(true);
        (0..99).for_each(|minute| {
            let _ = discipline.decide(MS, MS, minute);
        });
        assert_eq!(discipline.poll(), POLL_MAX);
        discipline.decide(9 * MS, MS, 100);
        assert_eq!(discipline.poll(), POLL_MAX - 1);
        discipline.decide(200 * MS, MS, 100);
        assert_eq!(discipline.poll(), POLL_MIN);
    }
}
