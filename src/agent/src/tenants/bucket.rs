//! A bucket of tokens: how many of something there may be, at once and in the long run.
//!
//! In:  the time. Out: yes or no, and when there will be a yes.

/// A thousandth of a token: tokens come by the millisecond.
const WHOLE: u64 = 1000;

/// A bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Tokens that come in a second.
    per_s: u64,
    /// Tokens that it holds.
    burst: u64,
    /// Thousandths that are in it.
    has: u64,
    looked_ms: u64,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(per_s: u64, burst: u64, now_ms: u64) -> Self {
        Self { per_s, burst, has: burst.saturating_mul(WHOLE), looked_ms: now_ms }
    }

    fn fill(&mut self, now_ms: u64) {
        let gone_ms = now_ms.saturating_sub(self.looked_ms);
        self.looked_ms = self.looked_ms.max(now_ms);
        let more = gone_ms.saturating_mul(self.per_s);
        self.has = self.has.saturating_add(more).min(self.burst.saturating_mul(WHOLE));
    }

    /// Takes a token, where there is one.
    pub fn take(&mut self, now_ms: u64) -> bool {
        self.fill(now_ms);
        let there = self.has >= WHOLE;
        if there {
            self.has -= WHOLE;
        }
        there
    }

    /// Is there a token?
    pub fn has(&mut self, now_ms: u64) -> bool {
        self.fill(now_ms);
        !self.is_empty()
    }

    /// There was none when it was last looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.has < WHOLE
    }

    /// When there is a token, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.holds_ms(1)
    }

    /// When it holds so many, which are no more than it can, in milliseconds after boot.
    #[must_use]
    pub fn holds_ms(&self, tokens: u64) -> u64 {
        let missing = tokens.saturating_mul(WHOLE).saturating_sub(self.has);
        self.looked_ms.saturating_add(missing.div_ceil(self.per_s.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::Bucket;

    #[test]
    fn it_empties_and_fills() {
        let mut bucket = Bucket::full(4, 3, 100);
        assert_eq!((0..5).filter(|_| bucket.take(100)).count(), 3);
        assert_eq!((bucket.due_ms(), bucket.holds_ms(2)), (350, 600));
        assert!(!bucket.take(349) && bucket.take(350) && !bucket.take(350));
        assert_eq!((0..9).filter(|_| bucket.take(1_000_000)).count(), 3, "it holds no more than it holds");
        assert!(!bucket.take(0), "a clock that goes back gives nothing");
    }
}
