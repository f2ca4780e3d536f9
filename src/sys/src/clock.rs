//! Time since boot. Never the wall clock: on i686 `libc` keeps 32 bits of it, which end in 2038 (docs/decisions/0005-musl.md).
//!
//! Source: clock_gettime(2), `CLOCK_BOOTTIME`.

use nix::time::{ClockId, clock_gettime};

/// Milliseconds since boot, time asleep included.
#[must_use]
pub fn boot_ms() -> u64 {
    // The clock exists since Linux 2.6.39 and the call has no other way to fail.
    let Ok(now) = clock_gettime(ClockId::CLOCK_BOOTTIME) else { return 0 };
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let milliseconds = u64::try_from(now.tv_nsec() / 1_000_000).unwrap_or(0);
    seconds * 1_000 + milliseconds
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_goes_forward() {
        let before = super::boot_ms();
        assert!(before > 0 && super::boot_ms() >= before);
    }
}
