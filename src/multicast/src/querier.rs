//! When to ask all hosts of a link what they watch.
//!
//! In:  time. Out: is it time, and how soon they are to answer. Pure.
//!
//! The gateway always asks. By RFC 3376 §6.6.2 it would keep silent where somebody with a lower address asks; then any host of the home
//! could silence it, and a set-top box that once asked would stop the picture when it is switched off. Two who ask do no harm.
//!
//! Source: RFC 3376 §8 (times), RFC 3810 §9.

/// From one query to the next, in seconds.
pub const INTERVAL_S: u8 = 125;
/// How soon hosts are to answer, in milliseconds.
const RESPONSE_MS: u16 = 10_000;
/// The first queries ask for quick answers, in milliseconds: we know nobody yet.
pub const FIRST_RESPONSE_MS: u16 = 1_000;
/// How many quick ones there are, and how far apart, in milliseconds.
const FIRST_COUNT: u8 = 3;
const FIRST_EVERY_MS: u64 = 2_000;

/// When to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Querier {
    due_ms: u64,
    asked: u8,
}

impl Querier {
    /// From now on.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self { due_ms: now_ms, asked: 0 }
    }

    /// When the next query is due, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// Is it time? Then within how many milliseconds are hosts to answer?
    pub fn ask(&mut self, now_ms: u64) -> Option<u16> {
        if now_ms < self.due_ms {
            return None;
        }
        let quick = self.asked < FIRST_COUNT;
        self.asked = self.asked.saturating_add(1);
        let pause_ms = if quick { FIRST_EVERY_MS } else { u64::from(INTERVAL_S) * 1_000 };
        self.due_ms = now_ms.saturating_add(pause_ms);
        Some(if quick { FIRST_RESPONSE_MS } else { RESPONSE_MS })
    }
}

#[cfg(test)]
mod tests {
    use super::Querier;

    #[test]
    fn it_asks_quickly_at_first() {
        let mut querier = Querier::new(0);
        let mut asked = Vec::new();
        for second in 0..300 {
            asked.extend(querier.ask(second * 1_000).map(|response_ms| (second, response_ms)));
        }
        assert_eq!(asked, [(0, 1_000), (2, 1_000), (4, 1_000), (6, 10_000), (131, 10_000), (256, 10_000)]);
    }
}
