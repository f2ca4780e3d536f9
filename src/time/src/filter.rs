//! The clock filter: of the last eight answers of a server, the one that was under way the shortest is the most exact.
//!
//! In:  samples. Out: an estimate. This module is pure.
//!
//! Source: RFC 5905 §10, without its weighted sum of dispersions: three samples are asked for instead before a server counts.

use heapless::Deque;

/// Samples that are kept of a server.
const SAMPLES: usize = 8;
/// Samples without which a server does not count.
const SAMPLES_MIN: usize = 3;
/// How wrong an oscillator goes, at most: 15 millionths, in nanoseconds a millisecond. Source: RFC 5905 §7.2, `PHI`.
const DRIFT_NS_MS: i64 = 15;

/// What one exchange with a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// How far our clock is behind its clock, in nanoseconds.
    pub offset_ns: i64,
    /// The way there and back, in nanoseconds.
    pub delay_ns: i64,
    /// How exact both clocks could be read, in nanoseconds.
    pub dispersion_ns: i64,
    /// When it was taken, in milliseconds after boot.
    pub at_ms: u64,
}

/// What a server's samples say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The best sample.
    pub best: Sample,
    /// How much the others differ from it (root of the mean square), in nanoseconds.
    pub jitter_ns: i64,
}

/// The last samples of a server.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    samples: Deque<Sample, SAMPLES>,
}

impl Sample {
    /// Of four moments: asked by our clock, received and answered by the server's, back by ours.
    ///
    /// `None`: the answer was under way for less than no time, so one of the clocks was set in between.
    ///
    /// Source: RFC 5905 §8.
    #[must_use]
    pub fn of(ours_ns: [i64; 2], theirs_ns: [i64; 2], precision_ns: i64, at_ms: u64) -> Option<Self> {
        let ([asked, back], [received, answered]) = (ours_ns, theirs_ns);
        let (there, here) = (received.checked_sub(asked)?, answered.checked_sub(back)?);
        let delay_ns = back.checked_sub(asked)?.checked_sub(answered.checked_sub(received)?)?;
        let elapsed_ms = back.checked_sub(asked)? / 1_000_000;
        if delay_ns < -precision_ns {
            return None;
        }
        Some(Self {
            offset_ns: there / 2 + here / 2,
            delay_ns: delay_ns.max(precision_ns),
            dispersion_ns: precision_ns.saturating_add(elapsed_ms.saturating_mul(DRIFT_NS_MS)),
            at_ms,
        })
    }

    /// How exact it still is at `now_ms`, in nanoseconds.
    #[must_use]
    pub fn dispersion_at_ns(&self, now_ms: u64) -> i64 {
        let age_ms = i64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(i64::MAX);
        self.dispersion_ns.saturating_add(age_ms.saturating_mul(DRIFT_NS_MS))
    }
}

impl Filter {
    /// Takes one in; the eldest makes room.
    pub fn take(&mut self, sample: Sample) {
        if self.samples.is_full() {
            self.samples.pop_front();
        }
        // There is room now.
        let _ = self.samples.push_back(sample);
    }

    /// Our clock was set forward by `step_ns`: what was measured before is right again.
    pub fn shift(&mut self, step_ns: i64) {
        self.samples
            .iter_mut()
            .for_each(|sample| sample.offset_ns = sample.offset_ns.saturating_sub(step_ns));
    }

    /// What they say together; `None` while there are too few.
    #[must_use]
    pub fn estimate(&self) -> Option<Estimate> {
        if self.samples.len() < SAMPLES_MIN {
            return None;
        }
        let best = *self.samples.iter().min_by_key(|sample| (sample.delay_ns, u64::MAX - sample.at_ms))?;
        let squares = self.samples.iter().map(|sample| {
            let difference = i128::from(sample.offset_ns) - i128::from(best.offset_ns);
            difference.saturating_mul(difference)
        });
        let others = i128::try_from(self.samples.len()).ok()? - 1;
        let mean = squares.fold(0_i128, i128::saturating_add) / others;
        Some(Estimate { best, jitter_ns: i64::try_from(mean.isqrt()).unwrap_or(i64::MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, Sample};

    fn sample(offset_ns: i64, delay_ns: i64, at_ms: u64) -> Sample {
        Sample { offset_ns, delay_ns, dispersion_ns: 0, at_ms }
    }

    #[test]
    fn four_moments_are_an_offset_and_a_delay() {
        // We are 1000 ns behind; 300 ns there, 100 ns in the server, 500 ns back.
        let found = Sample::of([10_000, 10_900], [11_300, 11_400], 1, 7).unwrap();
        assert_eq!((found.offset_ns, found.delay_ns, found.at_ms), (900, 800, 7));
        assert!((found.offset_ns - 1_000).abs() <= found.delay_ns / 2, "wrong by half the way at most");
        assert_eq!(Sample::of([10_000, 10_100], [11_300, 11_600], 1, 7), None, "faster than no time");
        assert_eq!(Sample::of([i64::MIN, i64::MAX], [0, 1], 1, 7), None);
    }

    #[test]
    fn the_shortest_way_counts_and_the_newest_of_two() {
        let mut filter = Filter::default();
        for (number, (offset_ns, delay_ns)) in [(50, 500), (10, 100)].into_iter().enumerate() {
            filter.take(sample(offset_ns, delay_ns, number as u64));
            assert_eq!(filter.estimate(), None);
        }
        filter.take(sample(90, 900, 2));
        let found = filter.estimate().unwrap();
        assert_eq!((found.best.offset_ns, found.jitter_ns), (10, 63));
        filter.take(sample(12, 100, 3));
        assert_eq!(filter.estimate().unwrap().best.at_ms, 3);
        // Eight more push all of these out.
        (4..12).for_each(|at_ms| filter.take(sample(70, 700, at_ms)));
        let found = filter.estimate().unwrap();
        assert_eq!((found.best.offset_ns, found.jitter_ns, found.best.at_ms), (70, 0, 11));
        filter.shift(70);
        assert_eq!(filter.estimate().unwrap().best.offset_ns, 0);
        assert_eq!(found.best.dispersion_at_ns(1_011), 15_000);
    }
}
