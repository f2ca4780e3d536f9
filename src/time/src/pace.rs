//! When a server is asked: quickly at first, then as often as need be, and never more often than it likes.
//!
//! In:  what became of the last question. Out: when the next is due. This module is pure.
//!
//! Who answers for the first time is asked four times more, two seconds apart, so that the filter has something to choose from. Who does
//! not answer is asked after 4 s, 8 s, … and at last every 17 minutes. Each interval is a sixteenth longer or shorter by chance, so that
//! a street of gateways does not ask at once.
//!
//! Source: RFC 5905 §7.4 (kisses), §13 (poll process); RFC 8633 §4 (good manners).

use crate::discipline::{POLL_MAX, POLL_MIN};

/// Questions that follow the first answer.
const BURST: u8 = 4;
/// From one of them to the next, in milliseconds. Source: RFC 5905 §7.2, `BTIME`.
const BURST_MS: u64 = 2_000;
/// How long an answer is waited for, in milliseconds: more than a line full of somebody's upload takes.
pub const ANSWER_MS: u64 = 3_000;
/// The first wait after a question without an answer: log2 of seconds.
const MISSED: u8 = 2;

/// A server's schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    due_ms: u64,
    reach: u8,
    burst: u8,
    missed: u8,
    /// The shortest interval that this server likes: log2 of seconds.
    floor: u8,
    denied: bool,
}

impl Pace {
    /// A server that is asked for the first time at `due_ms`, in milliseconds after boot.
    #[must_use]
    pub fn new(due_ms: u64) -> Self {
        Self { due_ms, reach: 0, burst: 0, missed: 0, floor: POLL_MIN, denied: false }
    }

    /// When the next question is due; `None`: never.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        (!self.denied).then_some(self.due_ms)
    }

    /// Which of the last eight questions were answered: a bit each, the newest the lowest.
    #[must_use]
    pub fn reach(&self) -> u8 {
        self.reach
    }

    /// How many questions in a row had no answer, since the last that had.
    #[must_use]
    pub fn missed(&self) -> u8 {
        self.missed
    }

    /// It will not be asked again.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.denied
    }

    /// How often it is asked, where others are asked every 2^`poll` seconds: log2 of seconds.
    #[must_use]
    pub fn poll(&self, poll: u8) -> u8 {
        poll.max(self.floor)
    }

    /// It answered.
    pub fn answered(&mut self, poll: u8, now_ms: u64, random: u64) {
        if self.reach == 0 {
            self.burst = BURST;
        }
        self.reach = (self.reach << 1) | 1;
        self.missed = 0;
        let wait_ms = match self.burst.checked_sub(1) {
            Some(left) => {
                self.burst = left;
                BURST_MS
            }
            None => interval_ms(self.poll(poll), random),
        };
        self.due_ms = now_ms.saturating_add(wait_ms);
    }

    /// It did not.
    pub fn missed_one(&mut self, poll: u8, now_ms: u64, random: u64) {
        self.reach <<= 1;
        self.burst = 0;
        self.missed = self.missed.saturating_add(1);
        // While it answers now and then, it keeps its interval.
        let wait = if self.reach == 0 {
            MISSED.saturating_add(self.missed - 1).clamp(MISSED, POLL_MAX)
        } else {
            self.poll(poll)
        };
        self.due_ms = now_ms.saturating_add(interval_ms(wait, random));
    }

    /// It says that we ask too often.
    pub fn slow_down(&mut self, poll: u8, now_ms: u64, random: u64) {
        self.floor = (self.poll(poll) + 1).min(POLL_MAX);
        self.burst = 0;
        self.due_ms = now_ms.saturating_add(interval_ms(self.floor, random));
    }

    /// It says that we are never to ask again.
    pub fn deny(&mut self) {
        self.denied = true;
        self.reach = 0;
    }
}

/// 2^`poll` seconds, give or take a sixteenth.
fn interval_ms(poll: u8, random: u64) -> u64 {
    let whole_ms = 1_000_u64 << poll.min(POLL_MAX);
    whole_ms - whole_ms / 16 + random % (whole_ms / 8)
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use crate::discipline::{POLL_MAX, POLL_MIN};

    /// The waits, in seconds, after what became of each question: answered, missed, asked too often.
    fn waits(story: &str, poll: u8) -> Vec<u64> {
        let (mut pace, mut now_ms) = (Pace::new(0), 0);
        let mut waits = Vec::new();
        for letter in story.chars() {
            match letter {
                'a' => pace.answered(poll, now_ms, 0),
                'm' => pace.missed_one(poll, now_ms, 0),
                _ => pace.slow_down(poll, now_ms, 0),
            }
            let due_ms = pace.due_ms().unwrap();
            waits.push((due_ms - now_ms) / 1_000);
            now_ms = due_ms;
        }
        waits
    }

    #[test]
    fn it_is_quick_at_first_and_polite_for_ever() {
        // With no chance at all each interval is the shortest: 15 sixteenths.
        let table: &[(&str, &str, u8, &[u64])] = &[
            ("it answers", "aaaaaaa", POLL_MIN, &[2, 2, 2, 2, 60, 60, 60]),
            ("nobody is there", "mmmmmmmmmmm", POLL_MIN, &[3, 7, 15, 30, 60, 120, 240, 480, 960, 960, 960]),
            ("one is lost", "aaaaama", POLL_MIN, &[2, 2, 2, 2, 60, 60, 60]),
            ("one is lost in the beginning", "aama", POLL_MIN, &[2, 2, 60, 60]),
            ("it comes late", "mma", POLL_MAX, &[3, 7, 2]),
            ("too often", "araa", POLL_MIN, &[2, 120, 120, 120]),
            ("again and again", "rrrrrr", POLL_MIN, &[120, 240, 480, 960, 960, 960]),
            ("it went and came back", "ammmmmmmma", POLL_MIN, &[2, 60, 60, 60, 60, 60, 60, 60, 480, 2]),
        ];
        for (name, story, poll, want) in table {
            assert_eq!(waits(story, *poll), *want, "{name}");
        }
    }

    #[test]
    fn who_is_denied_asks_no_more() {
        let mut pace = Pace::new(7);
        assert_eq!((pace.due_ms(), pace.reach()), (Some(7), 0));
        pace.answered(POLL_MIN, 10, 12_345);
        pace.deny();
        assert_eq!((pace.due_ms(), pace.reach(), pace.is_denied()), (None, 0, true));
    }

    #[test]
    fn chance_moves_it_by_a_sixteenth_at_most() {
        for random in [0, 1, 3_999, 7_999, u64::MAX] {
            let mut pace = Pace::new(0);
            pace.slow_down(POLL_MIN, 0, random);
            let due_ms = pace.due_ms().unwrap();
            assert!((120_000..136_000).contains(&due_ms), "{random}: {due_ms}");
        }
    }
}
