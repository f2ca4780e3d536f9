//! Messages that are sent until they are answered: the pauses between them.
//!
//! In:  how long the first pause is and the longest, a moment. Out: when to send again.
//!
//! Pure: the clock and the dice come in as a [`Moment`].
//!
//! Source: RFC 8415 §15; RFC 7559 §2 for solicitations of routers, which is the same rule.

use crate::schedule::Moment;

/// How the pauses of a message grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// The first, in milliseconds (IRT).
    pub first_ms: u64,
    /// The longest, in milliseconds (MRT).
    pub longest_ms: u64,
}

/// A message that we send until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// The number of the exchange, of 24 bits.
    pub xid: u32,
    /// When it was first sent, in milliseconds after boot.
    pub began_ms: u64,
    /// How often it has been sent.
    pub count: u32,
    /// The pause after the last time, in milliseconds.
    pub pause_ms: u64,
    /// When to send it again.
    pub due_ms: u64,
}

impl Try {
    /// The first message of a new exchange. The first pause is never shorter than it should be, which RFC 8415 §18.2.1 asks for.
    #[must_use]
    pub fn first(pauses: Pauses, now: Moment) -> Self {
        let pause_ms = pauses.first_ms + spread_ms(pauses.first_ms, now).unsigned_abs();
        Self {
            xid: u32::try_from(now.random >> 40).unwrap_or(0),
            began_ms: now.ms,
            count: 1,
            pause_ms,
            due_ms: now.ms.saturating_add(pause_ms),
        }
    }

    /// The same message once more: twice the pause, up to the longest, a tenth more or less.
    #[must_use]
    pub fn again(self, pauses: Pauses, now: Moment) -> Self {
        let doubled_ms = self.pause_ms.saturating_mul(2);
        let base_ms = doubled_ms.saturating_add_signed(spread_ms(self.pause_ms, now));
        let longest_ms = pauses.longest_ms;
        let pause_ms = if base_ms > longest_ms {
            longest_ms.saturating_add_signed(spread_ms(longest_ms, now))
        } else {
            base_ms
        };
        let due_ms = now.ms.saturating_add(pause_ms);
        Self { count: self.count.saturating_add(1), pause_ms, due_ms, ..self }
    }

    /// For how long we have asked, in hundredths of a second. Source: RFC 8415 §21.9.
    #[must_use]
    pub fn elapsed(&self, now_ms: u64) -> u16 {
        let hundredths = if self.count == 1 { 0 } else { now_ms.saturating_sub(self.began_ms) / 10 };
        u16::try_from(hundredths).unwrap_or(u16::MAX)
    }
}

/// From −10 % to +10 % of `ms`. Source: RFC 8415 §15, RAND.
fn spread_ms(ms: u64, now: Moment) -> i64 {
    let tenth = i64::try_from(ms / 10).unwrap_or(0);
    let drawn = i64::try_from((now.random & 0xffff_ffff) % (2 * (ms / 10) + 1)).unwrap_or(0);
    drawn - tenth
}

/// A wait of up to `ms`, by chance.
#[must_use]
pub fn delay_ms(ms: u64, now: Moment) -> u64 {
    (now.random & 0xffff_ffff) % (ms + 1)
}

/// The moment `seconds` after `from_ms`, in milliseconds; `None`: never (`u32::MAX`).
#[must_use]
pub fn at(from_ms: u64, seconds: u32) -> Option<u64> {
    (seconds != u32::MAX).then(|| from_ms.saturating_add(u64::from(seconds) * 1_000))
}

/// What is left until `at_ms`, in seconds; `u32::MAX` for ever.
#[must_use]
pub fn left_s(at_ms: Option<u64>, now_ms: u64) -> u32 {
    let left_ms = at_ms.map(|at_ms| at_ms.saturating_sub(now_ms));
    left_ms.map_or(u32::MAX, |left_ms| u32::try_from(left_ms / 1_000).unwrap_or(u32::MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::{Pauses, Try};
    use crate::schedule::Moment;
    use proptest::prelude::{prop_assert, proptest};

    const PAUSES: Pauses = Pauses { first_ms: 1_000, longest_ms: 120_000 };

    proptest! {
        #[test]
        fn pauses_double_within_a_tenth(draws in proptest::collection::vec(proptest::num::u64::ANY, 12)) {
            let mut asked = Try::first(PAUSES, Moment { ms: 0, random: draws[0] });
            prop_assert!((1_000..=1_100).contains(&asked.pause_ms));
            prop_assert!(asked.xid < 1 << 24);
            for random in &draws[1..] {
                let before = asked;
                asked = asked.again(PAUSES, Moment { ms: before.due_ms, random: *random });
                let doubled = (before.pause_ms * 19 / 10 - 1..=before.pause_ms * 21 / 10).contains(&asked.pause_ms);
                prop_assert!(doubled || (108_000..=132_000).contains(&asked.pause_ms));
                prop_assert!(asked.due_ms == before.due_ms + asked.pause_ms && asked.count == before.count + 1);
            }
        }
    }
}
