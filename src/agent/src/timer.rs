//! A timer of a controller's: how long it has still to run, through restarts of the agent and of the gateway.
//!
//! In:  the time after boot, the clock where it is believed, which boot it is. Out: when it is over.
//!
//! Within a boot the time after boot counts, whatever the clock does. After another boot the clock says how long it was; where nobody believed
//! it when the timer began it begins anew: it is late rather than early. While it is not believed yet the timer runs its whole time.
//!
//! Source: TR-181 2.19.1, `ScheduleTimer()`.

use serde::{Deserialize, Serialize};

/// A timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// How long it runs, in seconds.
    delay_s: u32,
    /// When it is over, in seconds since 1970; 0: the clock was not believed.
    due_s: i64,
    /// The same in milliseconds after this boot.
    until_ms: u64,
    boot: Vec<u8>,
    /// It is of another boot, and the clock is waited for.
    #[serde(skip)]
    waits: bool,
}

fn after_ms(now_ms: u64, delay_s: u64) -> u64 {
    now_ms.saturating_add(delay_s.saturating_mul(1000))
}

impl Timer {
    /// It begins now, for `delay_s` seconds.
    #[must_use]
    pub fn begin(delay_s: u32, now_s: Option<i64>, (boot, now_ms): (&[u8], u64)) -> Self {
        Self {
            delay_s,
            due_s: now_s.map_or(0, |now_s| now_s.saturating_add(i64::from(delay_s))),
            until_ms: after_ms(now_ms, u64::from(delay_s)),
            boot: boot.to_vec(),
            waits: false,
        }
    }

    /// Goes on in another life.
    #[must_use]
    pub fn resume(mut self, now_s: Option<i64>, (boot, now_ms): (&[u8], u64)) -> Self {
        if self.boot != boot {
            self.boot = boot.to_vec();
            self.until_ms = after_ms(now_ms, u64::from(self.delay_s));
            self.waits = self.due_s > 0;
            self.hear_clock(now_s, now_ms);
        }
        self
    }

    /// Looks whether the clock is believed by now.
    pub fn hear_clock(&mut self, now_s: Option<i64>, now_ms: u64) {
        let Some(now_s) = now_s.filter(|_| self.waits) else { return };
        let left_s = u64::try_from(self.due_s.saturating_sub(now_s)).unwrap_or(0);
        self.until_ms = after_ms(now_ms, left_s).min(self.until_ms);
        self.waits = false;
    }

    /// It waits for a clock.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// When it is over, in milliseconds after boot.
    #[must_use]
    pub fn until_ms(&self) -> u64 {
        self.until_ms
    }
}

#[cfg(test)]
mod tests {
    use super::Timer;

    #[test]
    fn a_timer_outlives_a_boot() {
        let (here, there): (&[u8], &[u8]) = (b"1", b"2");
        // clock at its begin, in another life: boot, clock, now; when it is over
        let table = [
            ("the same boot", Some(1_000), here, Some(9_999), 50_000, 61_000),
            ("another, half of it gone", Some(1_000), there, Some(1_030), 500, 30_500),
            ("another, all of it gone", Some(1_000), there, Some(2_000), 500, 500),
            ("no clock yet", Some(1_000), there, None, 500, 60_500),
            ("there was no clock", None, there, Some(1_030), 500, 60_500),
            ("a clock that went back", Some(1_000), there, Some(10), 500, 60_500),
        ];
        for (name, began_s, boot, now_s, now_ms, want) in table {
            let timer = Timer::begin(60, began_s, (here, 1_000)).resume(now_s, (boot, now_ms));
            assert_eq!(timer.until_ms(), want, "{name}");
        }
        let mut timer = Timer::begin(60, Some(1_000), (here, 0)).resume(None, (there, 500));
        assert!(timer.waits());
        timer.hear_clock(Some(1_050), 2_000);
        assert_eq!((timer.until_ms(), timer.waits()), (12_000, false), "the clock has come");
    }
}
